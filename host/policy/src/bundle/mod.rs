//! Bundles: `policy.toml`, the components that it names, its lists, its signature.

pub(crate) mod diagnostic;
pub(crate) mod files;
pub(crate) mod manifest;
pub(crate) mod signature;
pub(crate) mod table;

/// The file that makes a folder a bundle.
pub(crate) const MANIFEST: &str = "policy.toml";
/// Signatures over all other files.
pub(crate) const SIGNATURE: &str = "policy.sig";
