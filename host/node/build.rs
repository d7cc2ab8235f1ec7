//! Embeds what comes with the binary: the plugins, as `cargo xtask plugins` built them, and the web pages, as they lie in `web/`.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Shipped plugins, `builtin:NAME` in a bundle.
const SHIPPED: &[&str] = &["access-list", "rate-guard", "content-filter", "dlp-cn", "audit-redact"];
/// What the demo shows a misbehaving plugin with.
const DEMO: &[&str] = &["hostile/loops"];

fn main() {
    println!("cargo::rerun-if-env-changed=ISTHMUS_PLUGINS");
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
    let pages = format!(
        "/// Path below `/web`, media type, strong ETag, bytes.\npub(crate) static FILES: &[(&str, &str, &str, &[u8])] = &[{}];\n",
        pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"))
    );
    fs::write(out.join("web.rs"), pages).expect("OUT_DIR can be written");
}

/// A row for every file below `web/`, in the order of their names.
fn pages(root: &Path) -> String {
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    below(root, &mut files);
    files.sort();
    files.iter().filter_map(|file| page(root, file)).collect()
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn page(root: &Path, file: &Path) -> Option<String> {
    println!("cargo::rerun-if-changed={}", file.display());
    let media_type = match file.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        other => {
            println!("cargo::error={}: no media type is known for .{other}", file.display());
            return None;
        }
    };
    let name = file.strip_prefix(root).ok()?.to_str()?;
    let etag = format!("\"{}\"", &blake3::hash(&fs::read(file).ok()?).to_hex()[..32]);
    Some(format!("({name:?}, {media_type:?}, {etag:?}, include_bytes!({:?})),", file.display().to_string()))
}

fn row(folder: &Path, name: &str) -> String {
    let file = folder.join(format!("{name}.wasm"));
    println!("cargo::rerun-if-changed={}", file.display());
    let Ok(file) = file.canonicalize() else {
        println!(
            "cargo::error={} is missing: run `cargo xtask plugins`, which builds the policy plugins",
            file.display()
        );
        return String::new();
    };
    format!("({name:?}, include_bytes!({:?})),", file.display().to_string())
}
