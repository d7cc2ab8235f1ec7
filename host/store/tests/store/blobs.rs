//! Files: sealed, whole or not there, resumable.

use std::{
    fs,
    path::{Path, PathBuf},
};

use isthmus_store::{
    Store, StoreError,
    blob::{BlobId, Blobs, DraftId, Sums},
};

use crate::kit::Place;

const PIECE: usize = 64 * 1024;
const SEALED: usize = PIECE + 28;
const HEAD: usize = 40;
const DRAFT: DraftId = DraftId([7; 16]);

/// Bytes that repeat nowhere soon.
fn content(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut bytes);
    bytes
}

fn keep(blobs: &Blobs, bytes: &[u8]) -> BlobId {
    let mut writer = blobs.write(DRAFT).unwrap().unwrap();
    writer.write(bytes).unwrap();
    writer.finish().unwrap()
}

fn whole(blobs: &Blobs, id: &BlobId) -> Vec<u8> {
    let blob = blobs.get(id).unwrap().unwrap();
    blob.read(0, usize::MAX).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn folder(place: &Place) -> PathBuf {
    place.data().join("blobs")
}

fn path_of(place: &Place, id: &BlobId) -> PathBuf {
    let name = id.to_string();
    folder(place).join(&name[..2]).join(name)
}

fn sums(bytes: &[u8]) -> Sums {
    use md5::Digest;
    Sums {
        size: bytes.len() as u64,
        md5: md5::Md5::digest(bytes).into(),
        blake3: *blake3::hash(bytes).as_bytes(),
        beginning: bytes[..bytes.len().min(64)].to_vec(),
    }
}

#[test]
fn what_was_written_is_read_again_whatever_its_size_and_the_size_of_the_writes() {
    let place = Place::new();
    let store = place.open();
    for size in [0, 1, 63, 64, 65, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 17] {
        let bytes = content(size);
        for step in [1000, PIECE, 5 * PIECE] {
            let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
            bytes.chunks(step).for_each(|part| writer.write(part).unwrap());
            assert_eq!(writer.sums(), sums(&bytes), "{size} in steps of {step}");
            let id = writer.finish().unwrap();
            assert_eq!(id, store.blobs().id_of(blake3::hash(&bytes).as_bytes()));
            assert_eq!(store.blobs().get(&id).unwrap().unwrap().size(), size as u64);
            assert_eq!(whole(store.blobs(), &id), bytes, "{size} in steps of {step}");
        }
    }
    store.close();
    let store = place.open();
    assert_eq!(whole(store.blobs(), &store.blobs().id_of(blake3::hash(&content(65)).as_bytes())), content(65));
}

#[test]
fn any_range_can_be_read_across_every_boundary() {
    let place = Place::new();
    let store = place.open();
    let bytes = content(3 * PIECE + 100);
    let id = keep(store.blobs(), &bytes);
    let blob = store.blobs().get(&id).unwrap().unwrap();
    let near = |edge: usize| [edge.saturating_sub(1), edge, edge + 1];
    let edges: Vec<usize> = [0, PIECE, 2 * PIECE, 3 * PIECE, bytes.len()].into_iter().flat_map(near).collect();
    for from in &edges {
        for to in edges.iter().filter(|to| *to >= from) {
            let expected = &bytes[(*from).min(bytes.len())..(*to).min(bytes.len())];
            assert_eq!(blob.read(*from as u64, to - from).unwrap(), expected, "{from}..{to}");
        }
    }
    assert!(blob.read(u64::MAX, usize::MAX).unwrap().is_empty());
}

#[test]
fn nothing_of_the_content_and_nothing_that_names_it_lies_on_the_disk() {
    let place = Place::new();
    let store = place.open();
    let bytes = b"a secret that nobody else may read ".repeat(5000);
    let id = keep(store.blobs(), &bytes);
    let mut draft = store.blobs().write(DraftId([9; 16])).unwrap().unwrap();
    draft.write(&bytes).unwrap();
    draft.pause().unwrap();
    let name = blake3::hash(&bytes).to_hex();
    assert_ne!(id.to_string(), name.as_str());
    for file in files(&place.data()) {
        let found = fs::read(&file).unwrap();
        let has = |part: &[u8]| found.windows(part.len()).any(|window| window == part);
        assert!(!has(b"a secret that"), "{}", file.display());
        assert!(!has(&blake3::hash(&bytes).as_bytes()[..]) && !has(name.as_bytes()), "{}", file.display());
        assert!(!file.to_string_lossy().contains(name.as_str()));
    }
}

/// The blob is opened and read as far as it goes; what opens must be what was written.
#[track_caller]
fn damaged(blobs: &Blobs, id: &BlobId, bytes: &[u8], what: &str) {
    let blob = match blobs.get(id) {
        Err(StoreError::DamagedBlob { .. }) => return,
        other => other.unwrap().unwrap(),
    };
    let mut found = 0;
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        match blob.read((number * PIECE) as u64, PIECE) {
            Ok(read) => assert_eq!(read, piece, "{what}: other content was served"),
            Err(StoreError::DamagedBlob { piece, .. }) => {
                assert_eq!(piece, number as u64, "{what}");
                found += 1;
            }
            Err(other) => panic!("{what}: {other}"),
        }
    }
    assert!(found > 0, "{what} was not found");
}

#[test]
fn a_flipped_bit_a_cut_and_swapped_or_missing_pieces_are_found() {
    let place = Place::new();
    let store = place.open();
    let bytes = content(4 * PIECE + 100);
    let id = keep(store.blobs(), &bytes);
    let other = keep(store.blobs(), &content(4 * PIECE + 100).iter().rev().copied().collect::<Vec<_>>());
    let path = path_of(&place, &id);
    let sound = fs::read(&path).unwrap();
    let check = |altered: &[u8], what: &str| {
        fs::write(&path, altered).unwrap();
        damaged(store.blobs(), &id, &bytes, what);
        fs::write(&path, &sound).unwrap();
    };
    for at in (0..sound.len()).step_by(7919).chain([8, HEAD - 1, HEAD, HEAD + SEALED - 1, sound.len() - 1]) {
        let mut altered = sound.clone();
        altered[at] ^= 0x10;
        check(&altered, &format!("a bit flipped at {at}"));
    }
    for length in [0, 1, HEAD, HEAD + 28, HEAD + SEALED, HEAD + 2 * SEALED, sound.len() - 1, sound.len() - 128] {
        check(&sound[..length], &format!("cut to {length}"));
    }
    check(&[&sound[..], &[0]].concat(), "a byte more");
    let piece = |number: usize| HEAD + number * SEALED..HEAD + (number + 1) * SEALED;
    let mut swapped = sound.clone();
    swapped.copy_within(piece(1), piece(2).start);
    swapped[piece(1)].copy_from_slice(&sound[piece(2)]);
    check(&swapped, "two pieces swapped");
    check(&[&sound[..piece(1).start], &sound[piece(2).start..]].concat(), "a piece left out");
    let foreign = fs::read(path_of(&place, &other)).unwrap();
    let mut mixed = sound.clone();
    mixed[piece(1)].copy_from_slice(&foreign[piece(1)]);
    check(&mixed, "a piece of another blob");
    check(&foreign, "another blob's file");
    assert_eq!(whole(store.blobs(), &id), bytes, "and the sound file still opens");
}

#[test]
fn an_upload_goes_on_after_any_pause() {
    let place = Place::new();
    let store = place.open();
    let bytes = content(3 * PIECE + 5);
    for steps in [&[1, 2, 3][..], &[PIECE], &[PIECE, 2 * PIECE], &[PIECE - 1, PIECE, PIECE + 1], &[3 * PIECE + 5]] {
        let mut at = 0;
        for to in steps {
            let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
            assert_eq!(writer.offset(), at as u64);
            writer.write(&bytes[at..*to]).unwrap();
            assert_eq!(writer.pause().unwrap(), *to as u64);
            at = *to;
        }
        let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
        writer.write(&bytes[at..]).unwrap();
        assert_eq!(writer.sums(), sums(&bytes), "{steps:?}");
        assert_eq!(whole(store.blobs(), &writer.finish().unwrap()), bytes, "{steps:?}");
    }
}

#[test]
fn an_upload_goes_on_after_a_restart_with_its_sums_computed_again() {
    let place = Place::new();
    let bytes = content(5 * PIECE);
    let mut at = 0;
    for to in [10, PIECE, PIECE + 1, 3 * PIECE, 4 * PIECE + 9, 5 * PIECE] {
        let store = place.open();
        let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
        assert_eq!(writer.offset(), at as u64);
        assert_eq!(writer.sums(), sums(&bytes[..at]));
        writer.write(&bytes[at..to]).unwrap();
        writer.pause().unwrap();
        at = to;
        store.close();
    }
    let store = place.open();
    let writer = store.blobs().write(DRAFT).unwrap().unwrap();
    assert_eq!(whole(store.blobs(), &writer.finish().unwrap()), bytes);
}

#[test]
fn a_writer_that_was_dropped_loses_no_more_than_the_last_piece() {
    let place = Place::new();
    let store = place.open();
    let bytes = content(3 * PIECE + 9);
    let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
    writer.write(&bytes).unwrap();
    assert!(store.blobs().write(DRAFT).unwrap().is_none(), "one writer at a time");
    drop(writer);
    let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
    assert_eq!(writer.offset(), 3 * PIECE as u64);
    writer.write(&bytes[3 * PIECE..]).unwrap();
    assert_eq!(whole(store.blobs(), &writer.finish().unwrap()), bytes);
}

#[test]
fn a_crash_at_any_byte_of_a_write_leaves_a_draft_that_goes_on() {
    let place = Place::new();
    let bytes = content(3 * PIECE + 9);
    let store = place.open();
    let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
    writer.write(&bytes).unwrap();
    writer.pause().unwrap();
    store.close();
    let path = folder(&place).join("drafts").join(DRAFT.to_string());
    let sound = fs::read(&path).unwrap();
    let edges = [0, HEAD, HEAD + SEALED, HEAD + 2 * SEALED, HEAD + 3 * SEALED, sound.len()];
    for length in edges.into_iter().flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]) {
        for torn in [false, true] {
            let mut left = sound[..length.min(sound.len())].to_vec();
            // Of a write that was cut the length may be on the disk and the bytes not.
            if torn {
                let from = left.len().saturating_sub(100);
                left[from..].fill(0);
                left.resize(length + 50, 0);
            }
            fs::write(&path, &left).unwrap();
            let store = place.open();
            let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
            let at = usize::try_from(writer.offset()).unwrap();
            assert!(
                at <= bytes.len() && at + 2 * PIECE >= length.min(sound.len()).saturating_sub(200),
                "{length}: {at}"
            );
            assert_eq!(writer.sums(), sums(&bytes[..at]), "{length}");
            writer.write(&bytes[at..]).unwrap();
            let id = writer.finish().unwrap();
            assert_eq!(whole(store.blobs(), &id), bytes, "{length}");
            store.blobs().delete(&id).unwrap();
            store.close();
        }
    }
}

#[test]
fn pieces_of_an_earlier_attempt_never_come_back() {
    let place = Place::new();
    let bytes = content(4 * PIECE);
    let store = place.open();
    let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
    writer.write(&bytes).unwrap();
    writer.pause().unwrap();
    store.close();
    let path = folder(&place).join("drafts").join(DRAFT.to_string());
    let mut file = fs::read(&path).unwrap();
    file[HEAD + SEALED + 5] ^= 1;
    fs::write(&path, file).unwrap();
    let store = place.open();
    let mut writer = store.blobs().write(DRAFT).unwrap().unwrap();
    assert_eq!(writer.offset(), PIECE as u64, "up to the damage");
    writer.write(&vec![1; PIECE + 1]).unwrap();
    drop(writer);
    let writer = store.blobs().write(DRAFT).unwrap().unwrap();
    assert_eq!(writer.offset(), 2 * PIECE as u64, "the old pieces behind the damage are gone");
}

#[test]
fn a_finished_blob_is_under_its_name_and_no_draft_is_left() {
    let place = Place::new();
    let store = place.open();
    let id = keep(store.blobs(), &content(10));
    assert_eq!(files(&folder(&place)), [path_of(&place, &id)]);
    assert_eq!(keep(store.blobs(), &content(10)), id, "the same content lies there once");
    assert_eq!(files(&folder(&place)).len(), 1);
    let second = keep(store.blobs(), &content(11));
    let mut listed = store.blobs().list().unwrap();
    listed.sort();
    let mut both = [id, second];
    both.sort();
    assert_eq!(listed, both);
    let reading = store.blobs().get(&id).unwrap().unwrap();
    assert!(store.blobs().delete(&id).unwrap() && !store.blobs().delete(&id).unwrap());
    assert_eq!(reading.read(0, 100).unwrap(), content(10), "whoever reads goes on");
    assert!(store.blobs().get(&id).unwrap().is_none());
}

#[test]
fn drafts_that_nobody_wants_are_cleaned_away_and_discarded_ones_are_gone() {
    let place = Place::new();
    let store = place.open();
    for number in 0..4 {
        let mut writer = store.blobs().write(DraftId([number; 16])).unwrap().unwrap();
        writer.write(&[number; 100]).unwrap();
        writer.pause().unwrap();
    }
    fs::write(folder(&place).join("drafts/what-is-this"), b"x").unwrap();
    assert!(store.blobs().discard(&DraftId([3; 16])).unwrap());
    assert_eq!(store.blobs().clean(|draft| draft.0[0] == 1).unwrap(), 3);
    assert_eq!(files(&folder(&place)).len(), 1);
    let writer = store.blobs().write(DraftId([1; 16])).unwrap().unwrap();
    assert_eq!(writer.offset(), 100);
    assert!(!store.blobs().discard(&DraftId([1; 16])).unwrap(), "not while it is written");
    writer.discard().unwrap();
    assert!(files(&folder(&place)).is_empty());
}

#[test]
fn another_key_ring_opens_no_blob() {
    let (place, other) = (Place::new(), Place::new());
    let id = keep(place.open().blobs(), &content(100));
    let stranger: Store = other.open();
    let path = path_of(&other, &id);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(path_of(&place, &id), path).unwrap();
    assert!(matches!(stranger.blobs().get(&id), Err(StoreError::DamagedBlob { .. })));
}
