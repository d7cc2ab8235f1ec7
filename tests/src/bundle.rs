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
    let folder = shipped(folder, &[]);
    std::fs::copy(hostile(plugin), folder.join("hostile.wasm")).unwrap();
    let path = folder.join("policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let entry = format!("\n[[plugin]]\nname = \"{plugin}\"\ncomponent = \"hostile.wasm\"\n{more}\n");
    std::fs::write(path, text + &entry).unwrap();
    folder
}

fn hostile(name: &str) -> PathBuf {
    let plugins = std::env::var_os("ISTHMUS_PLUGINS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins"), PathBuf::from);
    let path = plugins.join("hostile").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `cargo xtask plugins`", path.display());
    path
}
