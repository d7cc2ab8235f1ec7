//! The policy on files: their names, and what is in them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn policy_judges_a_files_name_on_the_way_out_and_on_the_way_in() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let strict = bundle::shipped(world.folder("strict"), &[("reject", &["secret"]), ("hold", &["odd"])]);
    world.south().activate(&strict).await;
    let secret = alice.upload("file", "the secret plan.txt", b"x").await.unwrap();
    let sent = alice.send_file("carol@south", "file", &secret).await.unwrap();
    assert_eq!(alice.receipt(&sent).await, ("refused".into(), 1103));
    let odd = alice.upload("file", "odd.txt", b"x").await.unwrap();
    alice.send_file("carol@south", "file", &odd).await.unwrap();
    let held = until("it is held", async || world.south().held().await.pop()).await;
    assert_eq!(carol.inbox(0).await.len(), 0);
    world.south().decide(&held, "release", &json!({"why": "a test"})).await.unwrap();
    assert_eq!(carol.next_file(0).await["content"]["name"], "odd.txt");
    assert_eq!(carol.file(&odd).await, &b"x"[..]);
    world.north().activate(&bundle::shipped(world.folder("north"), &[("reject", &["secret"])])).await;
    assert_eq!(alice.send_file("carol@south", "file", &secret).await.unwrap_err().code, 1103);
    assert_eq!(alice.upload("file", "another secret", b"x").await.unwrap_err().code, 1103);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_judges_a_file_again_when_it_is_here() {
    let stage = stage(&[("media.idle_ms", 1000)]).await;
    let (north, bytes) = (stage.world.north(), png(2 * PIECE, 1));
    let open = north.generation().await;
    for (number, list) in ["reject", "hold"].into_iter().enumerate() {
        let (id, media) = (format!("m{number}"), format!("pic{number}"));
        let (strict, picture) = (Arc::new(AtomicBool::new(false)), bytes.clone());
        let seen = strict.clone();
        stage.peer.serve_files(move |_| {
            let later = || Answer::Says(503, r#"{"code":1302,"msg":"later"}"#);
            reply(&picture, None, if seen.load(Ordering::SeqCst) { Answer::Good } else { later() })
        });
        stage.receive(&id, &media, &bytes).await;
        north.activate(&bundle::shipped(stage.world.folder(list), &[(list, &["a.png"])])).await;
        strict.store(true, Ordering::SeqCst);
        if list == "reject" {
            let told = stage.bob.news("file.failed", 0).await;
            assert_eq!((&told["messageID"], &told["code"]), (&json!(id), &json!(1103)));
            assert_eq!(stage.bob.fetch_file(&media, &[]).await.1["content-type"], "application/json;charset=utf-8");
        } else {
            let held = until("it is held", async || north.held().await.pop()).await;
            north.decide(&held, "release", &json!({"why": "a test"})).await.unwrap();
            assert_eq!(stage.bob.next_file(0).await["messageID"], json!(id), "what is released is not judged again");
        }
        north.rollback(open).await;
    }
    let recorded = north.audit("operation=file.receive").await;
    assert!(recorded.iter().any(|r| r["outcome"] == "rejected" && r["code"] == 1103), "{recorded:?}");
    stage.end().await;
}

/// The shipped bundle, its content filter looking into text files too.
fn reading_files(world: &World, name: &str) -> std::path::PathBuf {
    let folder = bundle::shipped(world.folder(name), &[("reject", &["verboten", "赌博"])]);
    let path = folder.join("policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let before = "# Keywords in lists/: refused";
    assert!(text.contains(before), "{text}");
    std::fs::write(&path, text.replacen(before, &format!("text_files = {{ up_to = 100_000 }}\n{before}"), 1)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reads_a_text_files_content_and_both_ends_hear_that_it_is_refused() {
    let world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    world.south().activate(&reading_files(&world, "south")).await;
    let far = [vec![b'-'; 70_000], "去赌博吧".into()].concat();
    for bytes in [b"what is Verboten is written here".to_vec(), far] {
        let (before, heard) = (alice.inbox(0).await.len() as u64, carol.inbox(0).await.len() as u64);
        let id = alice.upload("file", "notes.txt", &bytes).await.unwrap();
        let sent = alice.send_file("carol@south", "file", &id).await.unwrap();
        let told = carol.news("file.failed", heard).await;
        assert_eq!(
            (&told["code"], &told["name"], &told["messageID"]),
            (&json!(1103), &json!("notes.txt"), &json!(sent.id))
        );
        let told = alice.news("file.failed", before).await;
        assert_eq!((&told["code"], &told["messageID"]), (&json!(1103), &json!(sent.id)));
        assert_eq!(carol.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8");
    }
    // The same words in what is no text, and a text without them.
    for (name, bytes) in [("a.png", [png(100, 1), b"verboten".to_vec()].concat()), ("b.txt", b"a quiet day".to_vec())] {
        let id = alice.upload("file", name, &bytes).await.unwrap();
        alice.send_file("carol@south", "file", &id).await.unwrap();
        until(&format!("carol has {name}"), async || (carol.fetch_file(&id, &[]).await.2 == bytes).then_some(())).await;
    }
    let recorded = world.south().audit("operation=file.receive").await;
    let rejected: Vec<_> = recorded.iter().filter(|r| r["outcome"] == "rejected" && r["code"] == 1103).collect();
    assert!(rejected.len() == 2 && rejected.iter().all(|r| r["steps"].to_string().contains("words")), "{recorded:?}");
    // And where it is sent from, before it leaves.
    world.north().activate(&reading_files(&world, "north")).await;
    let id = alice.upload("file", "more.txt", b"VERBOTEN").await.unwrap();
    assert_eq!(alice.send_file("carol@south", "file", &id).await.unwrap_err().code, 1103);
    world.finish().await;
}
