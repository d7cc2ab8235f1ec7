//! C: bindings by wit-bindgen, compiled by Zig's clang (PyPI's `ziglang`), which brings its C library along.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_bindgen_core::Files;

use crate::component::componentize_as;
use crate::run::run;
use crate::tools::{self, Tools};
use crate::world::World;
use crate::{Say, ToolchainError, at};

const REQUIREMENTS: &str = include_str!("../c/requirements.txt");
/// Where the header and the source lie that are made from the plugin's world.
const BINDINGS: &str = "bindings";
const LINK: &str = "link.c";

pub(crate) fn component(plugin: &Path, out: &Path, tools: &Tools, say: Say<'_>) -> Result<String, ToolchainError> {
    let mut world = World::read(plugin)?;
    bindings(plugin, &mut world)?;
    let module = out.with_extension("module.wasm");
    let compiled = compile(plugin, &module, tools, say).and_then(|()| componentize_as(&world, &module, out));
    if module.exists() {
        fs::remove_file(&module).map_err(at(&module, "cannot be removed"))?;
    }
    compiled?;
    Ok(format!("{} (PyPI), its clang for wasm32-wasi", tools::first_word(REQUIREMENTS).replace("==", " ")))
}

fn bindings(plugin: &Path, world: &mut World) -> Result<(), ToolchainError> {
    let options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    let mut files = Files::default();
    let made = options.build().generate(&mut world.resolve, world.id, &mut files);
    made.map_err(|error| ToolchainError::World { path: world.folder.clone(), said: format!("{error:#}") })?;
    let folder = plugin.join(BINDINGS);
    fs::create_dir_all(&folder).map_err(at(&folder, "cannot be made"))?;
    let link = format!("void __component_type_object_force_link_{}(void) {{}}\n", world.name.replace('-', "_"));
    // The bindings ask for an object file that describes the world; here the encoder is told of the world instead.
    files.push(LINK, link.as_bytes());
    files.iter().try_for_each(|(name, text)| {
        let file = folder.join(name);
        fs::write(&file, text).map_err(at(&file, "cannot be written"))
    })
}

fn compile(plugin: &Path, module: &Path, tools: &Tools, say: Say<'_>) -> Result<(), ToolchainError> {
    let folder = tools.pypi("c", REQUIREMENTS, say)?;
    let cache = tools.cache("zig-cache");
    let mut zig = Command::new(folder.join("bin/python"));
    zig.args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-g0"]);
    // Our warnings are for the plugin's own code, and the small stack for its snapshot.
    zig.args(["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wl,-z,stack-size=65536"]);
    zig.current_dir(plugin).args(["-I", BINDINGS, "-I", "vendor"]);
    zig.args(sources(plugin)?).arg("-o").arg(module);
    run(zig.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache))
}

/// All C files of the folder, and of the bindings.
fn sources(plugin: &Path) -> Result<Vec<PathBuf>, ToolchainError> {
    let mut found = Vec::new();
    for folder in [".", BINDINGS] {
        let folder = Path::new(folder);
        let within = plugin.join(folder);
        for entry in fs::read_dir(&within).map_err(at(&within, "cannot be read"))? {
            let name = entry.map_err(at(&within, "cannot be read"))?.file_name();
            let file = folder.join(name);
            if file.extension().is_some_and(|extension| extension == "c") {
                found.push(file);
            }
        }
    }
    found.sort();
    Ok(found)
}
