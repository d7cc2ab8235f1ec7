//! What the binary carries: policy plugins and the bundle that a new server starts with.

include!(concat!(env!("OUT_DIR"), "/plugins.rs"));

/// `policy.toml` of the default bundle.
pub const POLICY: &str = include_str!("../../../config/policy.toml");

/// The default bundle's lists, by name.
pub const LISTS: &[(&str, &str)] = &[
    ("blacklist", include_str!("../../../config/lists/blacklist.txt")),
    ("whitelist", include_str!("../../../config/lists/whitelist.txt")),
    ("reject", include_str!("../../../config/lists/reject.txt")),
    ("mask", include_str!("../../../config/lists/mask.txt")),
    ("hold", include_str!("../../../config/lists/hold.txt")),
];

/// The default bundle, file by file.
#[must_use]
pub fn bundle() -> Vec<(String, Vec<u8>)> {
    let lists = LISTS.iter().map(|(name, text)| (format!("lists/{name}.txt"), text.as_bytes().to_vec()));
    std::iter::once(("policy.toml".to_owned(), POLICY.as_bytes().to_vec())).chain(lists).collect()
}

/// Writes the default bundle into a folder, for an operator (or the demo) to change.
///
/// # Errors
/// The system's, with the path.
pub fn write_bundle(into: &std::path::Path) -> std::io::Result<()> {
    let lists = into.join("lists");
    std::fs::create_dir_all(&lists)?;
    std::fs::write(into.join("policy.toml"), POLICY)?;
    LISTS.iter().try_for_each(|(name, text)| std::fs::write(lists.join(format!("{name}.txt")), text))
}
