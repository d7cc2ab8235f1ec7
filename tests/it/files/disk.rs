//! Files at rest, and in memory.

use super::*;

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files_below(&path)) } else { all.push(path) }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_file_lies_open_on_either_servers_disk() {
    let mut world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let line = b"four score and seven years ago our fathers brought forth";
    let bytes = line.repeat(4000);
    let id = alice.upload("file", "a-name-that-tells.txt", &bytes).await.unwrap();
    alice.send_file("carol@south", "file", &id).await.unwrap();
    carol.next_file(0).await;
    let open = Upload { kind: "file", name: "unfinished.txt", size: bytes.len() as u64, md5: None };
    let open = alice.api.begin_upload(&open).await.unwrap();
    alice.api.write_upload(&open, 0, Bytes::copy_from_slice(&bytes[..100_000])).await.unwrap();
    for name in ["north", "south"] {
        world.site_mut(name).stop().await;
        let folder = world.site(name).config.data_dir.clone();
        let blobs = files_below(&folder.join("blobs"));
        assert_eq!(blobs.len(), if name == "north" { 2 } else { 1 }, "{blobs:?}");
        for path in files_below(&folder) {
            let found = std::fs::read(&path).unwrap();
            for part in [&line[..], b"a-name-that-tells", b"unfinished.txt"] {
                assert!(!found.windows(part.len()).any(|w| w == part), "{}", path.display());
            }
        }
    }
    for name in ["north", "south"] {
        world.site_mut(name).start().await;
    }
    assert_eq!(carol.at(world.south()).file(&id).await, bytes);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_refers_to_is_collected_and_what_a_crash_left_is_removed_at_the_start() {
    let mut world = World::plan().server("north").set("media.unused_s", 1).start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let blobs = world.north().config.data_dir.join("blobs");
    let kept = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    alice.send_file("bob@north", "image", &kept).await.unwrap();
    let recalled = alice.upload("image", "b.png", &png(100, 2)).await.unwrap();
    let sent = alice.send_file("bob@north", "image", &recalled).await.unwrap();
    alice.upload("image", "c.png", &png(100, 3)).await.unwrap();
    let open = Upload { kind: "file", name: "d", size: 10, md5: None };
    let open = alice.api.begin_upload(&open).await.unwrap();
    alice.api.write_upload(&open, 0, Bytes::from_static(b"12345")).await.unwrap();
    until("the unused one and the draft are collected", async || (files_below(&blobs).len() == 2).then_some(())).await;
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    until("the recalled one is collected", async || (files_below(&blobs).len() == 1).then_some(())).await;
    assert_eq!(bob.file(&kept).await, png(100, 1));
    world.site_mut("north").stop().await;
    std::fs::write(blobs.join("drafts").join("00".repeat(16)), b"left by a crash").unwrap();
    let stray = "ab".to_owned() + &"00".repeat(31);
    std::fs::create_dir_all(blobs.join("ab")).unwrap();
    std::fs::write(blobs.join("ab").join(stray), b"left by a crash").unwrap();
    world.site_mut("north").start().await;
    until("the strays are gone", async || (files_below(&blobs).len() == 1).then_some(())).await;
    assert_eq!(bob.at(world.north()).file(&kept).await, png(100, 1));
    world.finish().await;
}

/// The large version: `isthmus bench --file-mib 2048`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_moves_through_two_servers_without_their_memory_growing_by_it() {
    const SIZE: usize = 64 << 20;
    let world = World::plan().start().await;
    let (north, south) = (world.child("north").await, world.child("south").await);
    let user = async |child: &isthmus_tests::process::Child, local: &str| {
        child.create_user(local).await;
        Client::log_in(&child.api(), local).await.unwrap()
    };
    let (alice, carol) = (user(&north, "alice").await, user(&south, "carol").await);
    let resident = || [&north, &south].map(|child| isthmus_node::bench::usage(child.pid()).unwrap().peak_kib);
    // Whatever is made once is made now.
    let small = alice.upload("file", "small", b"x").await.unwrap();
    alice.send_file("carol@south", "file", &small).await.unwrap();
    let after = carol.inbox(0).await.last().map_or(0, isthmus_tests::Event::cursor);
    carol.next_file(after).await;
    let before = resident();
    let bytes = png(SIZE, 1);
    let id = alice.upload("file", "large", &bytes).await.unwrap();
    alice.send_file("carol@south", "file", &id).await.unwrap();
    until("the file is there", async || {
        let got = carol.api.download(&id, SIZE as u64 - 100, 200).await;
        got.is_ok_and(|got| got[..] == bytes[SIZE - 100..]).then_some(())
    })
    .await;
    for at in (0..SIZE).step_by(8 << 20) {
        assert_eq!(carol.api.download(&id, at as u64, 8 << 20).await.unwrap(), &bytes[at..at + (8 << 20)]);
    }
    for (name, (before, after)) in ["north", "south"].iter().zip(before.into_iter().zip(resident())) {
        let grown = after.saturating_sub(before) / 1024;
        assert!(grown < 24, "{name} grew by {grown} MiB over a file of {} MiB", SIZE >> 20);
    }
    for child in [&north, &south] {
        child.stop().await;
    }
    world.finish().await;
}
