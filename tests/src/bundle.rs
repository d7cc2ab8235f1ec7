//! Policy bundles, written as an operator would write them.

use std::path::{Path, PathBuf};

use isthmus_node::shipped;

/// The shipped bundle in `folder`, with entries in its lists.
#[must_use]
pub fn shipped(folder: PathBuf, lists: &[(&str, &[&str])]) -> PathBuf {
    shipped::write_bundle(&folder).unwrap();
    for (list, entries) in lists {
        let path = folder.join("lists").join(format!("{list}.txt"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}{}\n", entries.join("\n"))).unwrap();
    }
    folder
}

/// The shipped bundle in `folder` and one hostile plugin beside: `loops`, `grows`, `traps`, …
#[must_use]
pub fn with_hostile(folder: PathBuf, plugin: &str, more: &str) -> PathBuf {
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(hostile(plugin), folder.join("hostile.wasm")).unwrap();
    with_plugin(folder, &format!("name = \"{plugin}\"\ncomponent = \"hostile.wasm\"\n{more}"))
}

/// The shipped bundle in `folder` and one more plugin: the lines of its table.
#[must_use]
pub fn with_plugin(folder: PathBuf, lines: &str) -> PathBuf {
    let folder = shipped(folder, &[]);
    let path = folder.join("policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n[[plugin]]\n{lines}\n")).unwrap();
    folder
}

/// The shipped bundle in `folder`, and this operation denied to everybody.
#[must_use]
pub fn denying(folder: PathBuf, operation: &str) -> PathBuf {
    let rule = format!("list = \"black\"\noperations = [\"{operation}\"]");
    let lines = "name = \"stern\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]";
    with_plugin(folder, &format!("{lines}\n[[plugin.settings.rules]]\n{rule}"))
}

fn hostile(name: &str) -> PathBuf {
    let plugins = std::env::var_os("ISTHMUS_PLUGINS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins"), PathBuf::from);
    let path = plugins.join("hostile").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `cargo xtask plugins`", path.display());
    path
}
