//! The harness has teeth: what it should find, it finds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use isthmus_tests::{World, world};

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "a world ends with World::finish")]
async fn a_world_that_nobody_finishes_fails_its_test() {
    drop(World::plan().start().await);
}

/// The largest file below a folder whose path contains `part`.
fn largest(folder: PathBuf, part: &str) -> PathBuf {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(part) {
                found.push((path.metadata().unwrap().len(), path));
            }
        }
    }
    found.into_iter().max().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_changed_in_an_audit_log_is_found() {
    let mut world = World::one().await;
    let alice = world.north().user("alice").await;
    for number in 0..20 {
        alice.send(&alice.id, &format!("note {number}")).await;
    }
    world.site_mut("north").stop().await;
    let north = world.north();
    let whole = || {
        let look = || world::audit_is_whole("north", &north.audit_folder(), &north.config.keyring);
        catch_unwind(AssertUnwindSafe(look)).is_ok()
    };
    assert!(whole());
    for part in ["tile", "records", "checkpoint"] {
        let file = largest(north.audit_folder(), part);
        let good = std::fs::read(&file).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&file, bad).unwrap();
        assert!(!whole(), "a changed byte in {} was not found", file.display());
        std::fs::write(&file, good).unwrap();
    }
    world.finish().await;
}
