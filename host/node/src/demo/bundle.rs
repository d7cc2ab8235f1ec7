//! The policy bundles of the demo: the shipped one with words in its lists, and one that carries a plugin without an end.

use std::path::Path;

use super::error::DemoError;
use super::folder::copy_folder;
use crate::shipped;

/// Words that a server of the demo watches for, by list. English and Chinese, so that both are seen to work.
pub(crate) type Words = &'static [(&'static str, &'static [&'static str])];

/// What the words of `id`'s lists do at first. The servers differ, so that it shows who judged.
#[must_use]
pub(crate) fn words(id: &str) -> Words {
    match id {
        "north" => &[("mask", &["secret", "机密"]), ("reject", &["forbidden", "违禁"])],
        _ => {
            &[("mask", &["confidential", "内部"]), ("reject", &["smuggled", "走私"]), ("hold", &["suspicious", "可疑"])]
        }
    }
}

/// Name of the plugin that never answers, in its bundle.
pub(crate) const ENDLESS: &str = "endless";

/// Writes the shipped bundle with these words. An existing `policy.toml` is its operator's and is left as it is.
///
/// # Errors
/// [`DemoError::File`].
pub(crate) fn write(into: &Path, words: Words) -> Result<(), DemoError> {
    if into.join("policy.toml").exists() {
        return Ok(());
    }
    shipped::write_bundle(into).map_err(DemoError::at(into))?;
    words.iter().try_for_each(|(list, entries)| add(into, list, entries))
}

/// A copy of the bundle `from` at `into`, in place of what was there.
///
/// # Errors
/// [`DemoError::File`].
pub(crate) fn copy(from: &Path, into: &Path) -> Result<(), DemoError> {
    if into.exists() {
        std::fs::remove_dir_all(into).map_err(DemoError::at(into))?;
    }
    copy_folder(from, into)
}

/// Adds entries to a list of the bundle.
///
/// # Errors
/// [`DemoError::File`].
pub(crate) fn add(bundle: &Path, list: &str, entries: &[impl AsRef<str>]) -> Result<(), DemoError> {
    edit(bundle, list, |text| entries.iter().fold(text, |text, entry| format!("{text}{}\n", entry.as_ref())))
}

/// Takes an entry out of a list of the bundle.
///
/// # Errors
/// [`DemoError::File`].
pub(crate) fn remove(bundle: &Path, list: &str, entry: &str) -> Result<(), DemoError> {
    edit(bundle, list, |text| {
        text.lines().filter(|line| line.trim() != entry).map(|line| format!("{line}\n")).collect()
    })
}

/// Appends the plugin that never answers to the bundle, with the limits every plugin has by default.
///
/// # Errors
/// [`DemoError::File`].
pub(crate) fn add_endless(bundle: &Path) -> Result<(), DemoError> {
    let component = shipped::DEMO.iter().find(|(name, _)| *name == "hostile/loops").map(|(_, bytes)| *bytes);
    let wasm = bundle.join("loops.wasm");
    std::fs::write(&wasm, component.unwrap_or_default()).map_err(DemoError::at(&wasm))?;
    let path = bundle.join("policy.toml");
    let text = std::fs::read_to_string(&path).map_err(DemoError::at(&path))?;
    let text = format!(
        "{text}\n# Never answers. Its time limit is what stands between it and everybody else.\n\
         [[plugin]]\nname = \"{ENDLESS}\"\ncomponent = \"loops.wasm\"\ngrants = []\n\n[plugin.limits]\ntime_ms = 10\n"
    );
    std::fs::write(&path, text).map_err(DemoError::at(&path))
}

/// The new text takes the old one's place at once, so that who watches the folder never reads half of it.
fn edit(bundle: &Path, list: &str, change: impl FnOnce(String) -> String) -> Result<(), DemoError> {
    let path = bundle.join("lists").join(format!("{list}.txt"));
    let text = std::fs::read_to_string(&path).map_err(DemoError::at(&path))?;
    let aside = bundle.with_extension("editing");
    std::fs::write(&aside, change(text)).map_err(DemoError::at(&aside))?;
    std::fs::rename(&aside, &path).map_err(DemoError::at(&path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn list(bundle: &Path, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(bundle.join("lists").join(name)).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_bundle_begins_as_the_shipped_one_with_the_demos_words() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("policy");
        write(&bundle, words("south")).unwrap();
        assert_eq!(std::fs::read_to_string(bundle.join("policy.toml")).unwrap(), shipped::POLICY);
        assert_eq!(list(&bundle, "hold.txt"), ["suspicious", "可疑"]);
        assert!(list(&bundle, "blacklist.txt").is_empty());
    }

    #[test]
    fn an_entry_comes_and_goes_and_the_rest_of_its_list_stays() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("policy");
        write(&bundle, words("north")).unwrap();
        let before = std::fs::read_to_string(bundle.join("lists/blacklist.txt")).unwrap();
        add(&bundle, "blacklist", &["north", "other"]).unwrap();
        remove(&bundle, "blacklist", "other").unwrap();
        assert_eq!(list(&bundle, "blacklist.txt"), ["north"]);
        remove(&bundle, "blacklist", "north").unwrap();
        assert_eq!(std::fs::read_to_string(bundle.join("lists/blacklist.txt")).unwrap(), before);
    }

    #[test]
    fn what_an_operator_wrote_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.toml"), "name = \"mine\"").unwrap();
        write(dir.path(), words("north")).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("policy.toml")).unwrap(), "name = \"mine\"");
        assert!(!dir.path().join("lists").exists());
    }

    #[test]
    fn the_endless_plugin_is_one_more_in_a_bundle_that_still_reads_as_toml() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, copied) = (dir.path().join("policy"), dir.path().join("loops"));
        write(&bundle, words("south")).unwrap();
        copy(&bundle, &copied).unwrap();
        add_endless(&copied).unwrap();
        let text = std::fs::read_to_string(copied.join("policy.toml")).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let names: Vec<_> = table["plugin"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["peers", "words", "redact", ENDLESS]);
        assert!(!std::fs::read(copied.join("loops.wasm")).unwrap().is_empty());
    }
}
