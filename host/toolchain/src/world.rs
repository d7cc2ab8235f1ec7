//! A plugin's world: its `wit` folder says what it imports and exports, and how it is called.

use std::path::{Path, PathBuf};

use wit_parser::{Resolve, WorldId};

use crate::ToolchainError;

/// What the `wit` folder of a plugin says.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) resolve: Resolve,
    pub(crate) id: WorldId,
    /// The world's name.
    pub(crate) name: String,
    /// The package's name: the plugin's.
    pub(crate) plugin: String,
}

impl World {
    /// Reads `wit` in a plugin's folder: one package with one world.
    pub(crate) fn read(plugin: &Path) -> Result<Self, ToolchainError> {
        let folder = plugin.join("wit");
        let wrong =
            |error: &dyn std::fmt::Display| ToolchainError::World { path: folder.clone(), said: format!("{error:#}") };
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(&folder).map_err(|error| wrong(&error))?;
        let id = resolve.select_world(&[package], None).map_err(|error| wrong(&error))?;
        let (name, plugin) = (resolve.worlds[id].name.clone(), resolve.packages[package].name.name.clone());
        Ok(Self { folder, resolve, id, name, plugin })
    }
}
