//! Core modules into components.

use std::fs;
use std::path::Path;

use wit_component::ComponentEncoder;

use crate::ToolchainError;

/// Makes a component of a core module; answers with its size in bytes. The component is written beside
/// its place and renamed: nobody ever reads half of one.
///
/// # Errors
/// [`ToolchainError::File`], [`ToolchainError::Component`].
pub fn componentize(module: &Path, component: &Path) -> Result<usize, ToolchainError> {
    let at = |path: &Path, action| {
        let path = path.to_owned();
        move |source| ToolchainError::File { path, action, source }
    };
    let wasm = fs::read(module).map_err(at(module, "cannot be read"))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&wasm)
        .and_then(|encoder| encoder.encode())
        .map_err(|wrong| ToolchainError::Component { path: module.to_owned(), said: format!("{wrong:?}") })?;
    let folder = component.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at(folder, "cannot be made"))?;
    let unfinished = component.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&unfinished, &encoded).map_err(at(&unfinished, "cannot be written"))?;
    fs::rename(&unfinished, component).map_err(at(component, "cannot be replaced"))?;
    Ok(encoded.len())
}
