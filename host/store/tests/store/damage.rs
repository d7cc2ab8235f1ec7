//! Whatever is altered in the log's files is found, and named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use isthmus_store::{StoreError, audit};

use crate::{
    audit::copy,
    kit::{Place, write},
};

fn filled(size: u64) -> Place {
    let place = Place::new();
    let store = place.open();
    write(&store, move |tx| {
        (0..size).for_each(|n| {
            tx.audit(format!("record {n}").into_bytes());
        });
        Ok(())
    })
    .unwrap();
    store.checkpoint(0).unwrap();
    store.close();
    place
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

fn problems(place: &Place, ring: bool) -> Vec<audit::Problem> {
    let path = place.ring();
    audit::verify(&place.audit(), ring.then_some(path.as_path())).unwrap().problems
}

#[test]
fn any_single_flipped_byte_in_any_file_is_found_with_the_key_ring() {
    let place = filled(300);
    for file in files(&place.audit()) {
        let sound = fs::read(&file).unwrap();
        let step = (sound.len() / 40).max(1);
        for at in (0..sound.len()).step_by(step).chain([sound.len() - 1]) {
            for bit in [0x01, 0x20, 0x80] {
                let mut altered = sound.clone();
                altered[at] ^= bit;
                fs::write(&file, altered).unwrap();
                assert!(!problems(&place, true).is_empty(), "{} byte {at} bit {bit:02x}", file.display());
            }
        }
        fs::write(&file, sound).unwrap();
    }
    assert_eq!(problems(&place, true), []);
}

#[test]
fn without_the_key_ring_every_file_but_the_wrapped_keys_is_still_checked() {
    let place = filled(300);
    for file in files(&place.audit()).into_iter().filter(|f| f.parent().unwrap().file_name().unwrap() != "keys") {
        let sound = fs::read(&file).unwrap();
        let step = (sound.len() / 25).max(1);
        for at in (0..sound.len()).step_by(step) {
            let mut altered = sound.clone();
            altered[at] ^= 4;
            fs::write(&file, altered).unwrap();
            assert!(!problems(&place, false).is_empty(), "{} byte {at}", file.display());
        }
        fs::write(&file, sound).unwrap();
    }
}

#[test]
fn a_missing_or_shortened_file_is_found() {
    let place = filled(600);
    for file in files(&place.audit()) {
        let sound = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(!problems(&place, true).is_empty(), "{} missing", file.display());
        for length in [0, sound.len() / 2, sound.len() - 1] {
            fs::write(&file, &sound[..length]).unwrap();
            assert!(!problems(&place, true).is_empty(), "{} cut to {length}", file.display());
        }
        fs::write(&file, sound).unwrap();
    }
}

#[track_caller]
fn blames(place: &Place, file: &str, at: usize, index: Option<u64>) {
    let path = place.audit().join(file);
    let sound = fs::read(&path).unwrap();
    let mut altered = sound.clone();
    altered[at] ^= 1;
    fs::write(&path, altered).unwrap();
    let found = problems(place, true);
    assert!(found.iter().any(|p| p.file == Path::new(file) && p.index == index), "{found:?}");
    fs::write(&path, sound).unwrap();
}

#[test]
fn the_report_names_the_file_and_the_leaf() {
    let place = filled(300);
    blames(&place, "tile/entries/000", 34 * 7 + 5, Some(7));
    blames(&place, "tile/entries/001.p/44", 34 * 3 + 30, Some(259));
    blames(&place, "tile/0/000", 32 * 9, Some(9));
    blames(&place, "tile/0/001.p/44", 32 * 2 + 31, Some(258));
    blames(&place, "tile/1/000.p/1", 3, Some(0));
    blames(&place, "records/000", 100, Some(0));
    blames(&place, "checkpoint", 0, None);
    blames(&place, "key.pub", 0, None);
}

#[test]
fn records_swapped_between_leaves_are_found() {
    let place = filled(300);
    let path = place.audit().join("records/001.p/44");
    let bytes = fs::read(&path).unwrap();
    let start = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    let length = 5 + u32::from_be_bytes(bytes[start + 1..start + 5].try_into().unwrap()) as usize;
    let mut altered = bytes[..bytes.len() - 32].to_vec();
    let (first, second) = altered[start..start + 2 * length].split_at_mut(length);
    first.swap_with_slice(second);
    let hash = blake3::hash(&altered);
    altered.extend_from_slice(hash.as_bytes());
    fs::write(&path, altered).unwrap();
    let indices: Vec<_> = problems(&place, true).into_iter().map(|p| p.index).collect();
    assert_eq!(indices, [Some(256), Some(257)]);
}

#[test]
fn a_log_signed_by_another_key_is_found_with_the_key_ring() {
    let (place, other) = (filled(3), filled(3));
    fs::remove_dir_all(place.audit()).unwrap();
    copy(&other.audit(), &place.audit());
    assert!(problems(&place, false).is_empty());
    let found = problems(&place, true);
    assert!(found.iter().any(|p| p.file == Path::new("key.pub")), "{found:?}");
    assert!(isthmus_store::Store::open(&place.options()).is_err());
}

#[test]
fn damage_in_one_bundle_hides_no_record_of_another() {
    let place = filled(600);
    let path = place.audit().join("records/001");
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    let read: Vec<_> = audit::records(&place.audit(), &place.ring(), 0..600, false).unwrap().collect();
    assert_eq!(read.iter().filter(|r| r.is_ok()).count(), 600 - 256);
    assert!(read.iter().any(|r| matches!(r, Err(StoreError::Audit(audit::AuditError::Damaged { .. })))));
}

#[test]
fn a_damaged_edge_stops_the_start() {
    for file in ["tile/0/001.p/44", "tile/1/000.p/1", "checkpoint", "key.pub"] {
        let place = filled(300);
        let path = place.audit().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[2] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = isthmus_store::Store::open(&place.options()).err().unwrap();
        assert!(matches!(error, StoreError::Audit(audit::AuditError::Damaged { .. })), "{file}: {error}");
    }
}
