//! Embeds the plugins that come with the binary, as `cargo xtask plugins` built them.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Shipped plugins, `builtin:NAME` in a bundle.
const SHIPPED: &[&str] = &["access-list", "rate-guard", "content-filter", "dlp-cn", "audit-redact"];
/// What the demo shows a misbehaving plugin with.
const DEMO: &[&str] = &["hostile/loops"];

fn main() {
    println!("cargo:rerun-if-env-changed=ISTHMUS_PLUGINS");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = env::var_os("ISTHMUS_PLUGINS").map_or_else(|| root.join("target/plugins"), PathBuf::from);
    let rows = |names: &[&str]| names.iter().map(|name| row(&folder, name)).collect::<String>();
    let code = format!(
        "/// Plugins that come with the binary.\npub static SHIPPED: &[(&str, &[u8])] = &[{}];\n\
         /// Plugins for the demo alone.\npub static DEMO: &[(&str, &[u8])] = &[{}];\n",
        rows(SHIPPED),
        rows(DEMO)
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("plugins.rs"), code).expect("OUT_DIR can be written");
}

fn row(folder: &Path, name: &str) -> String {
    let file = folder.join(format!("{name}.wasm"));
    println!("cargo:rerun-if-changed={}", file.display());
    let Ok(file) = file.canonicalize() else {
        println!(
            "cargo:error={} is missing: run `cargo xtask plugins`, which builds the policy plugins",
            file.display()
        );
        return String::new();
    };
    format!("({name:?}, include_bytes!({:?})),", file.display().to_string())
}
