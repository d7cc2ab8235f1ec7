//! JavaScript: `componentize-qjs` of npm's puts QuickJS and the module into a component, started already.

use std::path::Path;
use std::process::Command;

use crate::run::run_quietly;
use crate::tools::Tools;
use crate::world::World;
use crate::{Say, ToolchainError};

const PACKAGE: &str = include_str!("../javascript/package.json");
const LOCK: &str = include_str!("../javascript/package-lock.json");

pub(crate) fn component(plugin: &Path, out: &Path, tools: &Tools, say: Say<'_>) -> Result<String, ToolchainError> {
    let world = World::read(plugin)?;
    let folder = tools.npm("javascript", PACKAGE, LOCK, say)?;
    let mut build = Command::new("node");
    build.current_dir(plugin).arg(folder.join("node_modules/componentize-qjs/bin/componentize-qjs"));
    build.arg("--wit").arg(&world.folder).args(["--world", &world.name, "--js", "plugin.js", "--module-root", "."]);
    // The server calls plugins one at a time and waits for none.
    run_quietly(build.arg("--sync").arg("--output").arg(out))?;
    Ok(format!("componentize-qjs {} (npm)", version()))
}

fn version() -> &'static str {
    PACKAGE.split("\"componentize-qjs\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}
