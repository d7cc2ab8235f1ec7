//! Builds the plugins of this repository. What comes out depends on the sources, the interface and
//! the compiler; while these stay, nothing is built.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use isthmus_toolchain::{Sources, TARGET, Toolchain, Tools};

use crate::shell::{Failure, Outcome, at, output, root, run, target};

/// To be raised when this file makes other components of the same modules.
const RECIPE: &str = "isthmus plugins, recipe 1";

/// Languages beside Rust: folders in `plugins/examples`, and of what the toolchain installs for each.
const EXAMPLES: [&str; 3] = ["javascript", "python", "c"];

/// One guest: where its module is found and where its component goes.
struct Guest {
    module: PathBuf,
    component: PathBuf,
}

/// Builds all plugins: those that are part of the binary, and the examples in other languages.
pub(crate) fn all() -> Outcome {
    build()?;
    examples()
}

/// Builds the plugins in Rust into `target/plugins`, the hostile ones into `target/plugins/hostile`.
pub(crate) fn build() -> Outcome {
    let guests = guests()?;
    let stamp = target().join("plugins/.built-from");
    let sources = fingerprint(&["plugins", "wit"], &["target", "examples"])?;
    let built = fs::read_to_string(&stamp).is_ok_and(|was| was == sources);
    if built && guests.iter().all(|guest| guest.component.is_file()) {
        println!("plugins: unchanged since they were built");
        return Ok(());
    }
    let toolchain = Toolchain::provide(&mut |said| println!("{said}")).map_err(told)?;
    let mut build = toolchain.build();
    build.current_dir(root().join("plugins")).args(["--locked", "--workspace", "--target-dir"]).arg(modules());
    run(&mut build)?;
    for guest in &guests {
        componentize(guest)?;
    }
    fs::write(&stamp, sources).map_err(at(&stamp))
}

/// One plugin in each other language, into `target/plugins/examples`: what builds it is installed into `target/tools`.
fn examples() -> Outcome {
    let tools = Tools::at(&target().join("tools"));
    for name in EXAMPLES {
        let folder = format!("plugins/examples/{name}");
        let component = target().join("plugins/examples").join(name).with_extension("wasm");
        let stamp = component.with_extension("built-from");
        let made_of = [folder.as_str(), "wit", &format!("host/toolchain/{name}")];
        let sources = fingerprint(&made_of, &["bindings", "deps"])?;
        if component.is_file() && fs::read_to_string(&stamp).is_ok_and(|was| was == sources) {
            continue;
        }
        let plugin = Sources::of(&root().join(&folder)).map_err(told)?;
        let built = plugin.build(&component, &tools, &mut |said| println!("{said}")).map_err(told)?;
        println!("target/plugins/examples/{name}.wasm: {} KiB, built by {}", built.bytes / 1024, built.toolchain);
        fs::write(&stamp, sources).map_err(at(&stamp))?;
    }
    Ok(())
}

fn modules() -> PathBuf {
    target().join("plugins-build")
}

fn guests() -> Outcome<Vec<Guest>> {
    let plugins = root().join("plugins");
    let out = target().join("plugins");
    let mut guests = Vec::new();
    for name in packages(&plugins)?.into_iter().filter(|name| name != "sdk") {
        guests.push(guest(&name, &out.join(&name)));
    }
    for name in packages(&plugins.join("hostile"))? {
        guests.push(guest(&format!("hostile-{name}"), &out.join("hostile").join(&name)));
    }
    Ok(guests)
}

/// Plugins that have table tests.
pub(crate) fn tested() -> Outcome<Vec<String>> {
    let plugins = root().join("plugins");
    Ok(packages(&plugins)?.into_iter().filter(|name| plugins.join(name).join("tests").is_dir()).collect())
}

/// Where a plugin's component is built to.
pub(crate) fn component(name: &str) -> PathBuf {
    target().join("plugins").join(name).with_extension("wasm")
}

fn guest(package: &str, out: &Path) -> Guest {
    let file = format!("{}.wasm", package.replace('-', "_"));
    Guest { module: modules().join(TARGET).join("release").join(file), component: out.with_extension("wasm") }
}

/// Names of the folders that hold a package.
fn packages(folder: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn componentize(guest: &Guest) -> Outcome {
    let bytes = isthmus_toolchain::componentize(&guest.module, &guest.component).map_err(told)?;
    let shown = guest.component.strip_prefix(root()).unwrap_or(&guest.component);
    println!("{}: {} KiB", shown.display(), bytes / 1024);
    Ok(())
}

/// An error with its causes, for the person who called us.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn told(error: isthmus_toolchain::ToolchainError) -> Failure {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}").into()
}

/// A hash of all that components are made of, but for what these folders hold.
fn fingerprint(folders: &[&str], without: &[&str]) -> Outcome<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(RECIPE.as_bytes());
    let compiler = output(Command::new("rustc").arg("-vV").current_dir(root()));
    hasher.update(compiler.unwrap_or_default().as_bytes());
    let wanted = std::env::var("ISTHMUS_WASM_TOOLCHAIN").unwrap_or_default();
    hasher.update(wanted.as_bytes());
    for folder in folders {
        let mut files = Vec::new();
        collect(&root().join(folder), without, &mut files)?;
        files.sort();
        for file in files {
            let content = fs::read(&file).map_err(at(&file))?;
            let name = file.strip_prefix(root()).unwrap_or(&file);
            hasher.update(name.to_string_lossy().as_bytes());
            hasher.update(&(content.len() as u64).to_le_bytes());
            hasher.update(&content);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn collect(folder: &Path, without: &[&str], files: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
        let (path, kind): (PathBuf, fs::FileType) = entry.map_err(|wrong: io::Error| at(folder)(wrong))?;
        if kind.is_dir() {
            if path.file_name().is_none_or(|name| without.iter().all(|folder| name != *folder)) {
                collect(&path, without, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}
