//! Bundles: a folder with `policy.toml`, its components and its lists.

pub(crate) mod diagnostic;
