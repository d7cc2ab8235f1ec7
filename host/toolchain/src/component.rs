//! Core modules into components.

use std::fs;
use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::world::World;
use crate::{ToolchainError, at};

/// Makes a component of a core module; answers with its size in bytes. The component is written beside
/// its place and renamed: nobody ever reads half of one.
///
/// # Errors
/// [`ToolchainError::File`], [`ToolchainError::Component`].
pub fn componentize(module: &Path, component: &Path) -> Result<usize, ToolchainError> {
    let wasm = fs::read(module).map_err(at(module, "cannot be read"))?;
    encode(module, &wasm, component)
}

/// The same for a module that does not say itself what it imports and exports.
pub(crate) fn componentize_as(world: &World, module: &Path, component: &Path) -> Result<(), ToolchainError> {
    let mut wasm = fs::read(module).map_err(at(module, "cannot be read"))?;
    embed_component_metadata(&mut wasm, &world.resolve, world.id, StringEncoding::UTF8, false)
        .map_err(|wrong| ToolchainError::Component { path: module.to_owned(), said: format!("{wrong:?}") })?;
    encode(module, &wasm, component).map(drop)
}

fn encode(module: &Path, wasm: &[u8], component: &Path) -> Result<usize, ToolchainError> {
    let mut encoder = ComponentEncoder::default();
    let encoded = encoder
        .validate(true)
        .module(wasm)
        .and_then(|encoder| match asks_wasi(wasm) {
            true => encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER),
            false => Ok(encoder),
        })
        .and_then(|encoder| encoder.encode())
        .map_err(|wrong| ToolchainError::Component { path: module.to_owned(), said: format!("{wrong:?}") })?;
    let folder = component.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at(folder, "cannot be made"))?;
    let unfinished = component.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&unfinished, &encoded).map_err(at(&unfinished, "cannot be written"))?;
    fs::rename(&unfinished, component).map_err(at(component, "cannot be replaced"))?;
    Ok(encoded.len())
}

/// Whether the name by which C's library asks for WASI stands in the module.
fn asks_wasi(wasm: &[u8]) -> bool {
    let name = WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME.as_bytes();
    wasm.windows(name.len()).any(|window| window == name)
}
