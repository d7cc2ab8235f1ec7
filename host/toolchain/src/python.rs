//! Python: `componentize-py` of PyPI's puts CPython and the module into a component, started already.

use std::path::Path;
use std::process::Command;

use crate::run::run;
use crate::tools::{self, Tools};
use crate::world::World;
use crate::{Say, ToolchainError};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

pub(crate) fn component(plugin: &Path, out: &Path, tools: &Tools, say: Say<'_>) -> Result<String, ToolchainError> {
    let world = World::read(plugin)?;
    let folder = tools.pypi("python", REQUIREMENTS, say)?;
    let mut build = Command::new(folder.join("bin/componentize-py"));
    // Packages of the environment that it is called from are none of the plugin's.
    build.current_dir(plugin).env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH");
    build.arg("--wit-path").arg(&world.folder).args(["--world", &world.name]);
    run(build.args(["componentize", "plugin", "--python-path", ".", "--output"]).arg(out))?;
    Ok(format!("{} (PyPI)", tools::first_word(REQUIREMENTS).replace("==", " ")))
}
