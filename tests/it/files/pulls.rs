//! Pulls from peers of any mood.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_breaks_goes_on_by_range_whatever_the_peer_does() {
    let stage = stage(&[("media.idle_ms", 400)]).await;
    let bytes = png(10 * PIECE, 3);
    let cases = [
        vec![Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Breaks(100_000), Answer::Good],
        vec![Answer::Stalls(200_000), Answer::Good],
        vec![Answer::Short(150_000), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::NoRange],
        vec![Answer::Says(503, r#"{"code":1302,"msg":"later"}"#), Answer::Says(200, "garbage"), Answer::Good],
        vec![Answer::Says(500, ""), Answer::Breaks(0), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Says(416, r#"{"code":1003,"msg":"no"}"#), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Other(png(10 * PIECE, 9)), Answer::Good],
    ];
    for (number, answers) in cases.iter().enumerate() {
        let before = stage.bob.inbox(0).await.last().map_or(0, isthmus_tests::Event::cursor);
        let asked = serve(&stage.peer, bytes.clone(), answers);
        let media = format!("pic {number} 图");
        stage.receive(&format!("m{number}"), &media, &bytes).await;
        let message = stage.bob.next_file(before).await;
        assert_eq!(message["content"]["mediaID"], json!(media), "case {number}");
        let path = percent(&media);
        assert_eq!(stage.bob.file(&path).await, bytes, "case {number}");
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), answers.len(), "case {number}: {asked:?}");
        assert_eq!(asked[0], None);
        if matches!(answers[0], Answer::Breaks(200_000) | Answer::Stalls(_) | Answer::Short(_)) {
            assert!(asked[1].is_some_and(|from| from > 0), "case {number}: {asked:?}");
        }
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_after_a_restart_of_the_receiving_server() {
    let mut stage = stage(&[("media.idle_ms", 60_000)]).await;
    let bytes = png(10 * PIECE, 4);
    let asked = serve(&stage.peer, bytes.clone(), &[Answer::Stalls(500_000)]);
    stage.receive("m1", "pic", &bytes).await;
    until("the first part came", async || (!asked.lock().unwrap().is_empty()).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.world.site_mut("north").stop().await;
    stage.world.site_mut("north").start().await;
    let bob = stage.bob.at(stage.world.north());
    assert_eq!(bob.next_file(0).await["messageID"], "m1");
    assert_eq!(bob.file("pic").await, bytes);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() == 2 && asked[1].is_some_and(|from| from >= 4 * PIECE as u64), "{asked:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_the_message_says_is_told_to_the_recipient_and_never_shown() {
    let stage = stage(&[("media.idle_ms", 500), ("media.max_file_mib", 1)]).await;
    let bytes = png(3 * PIECE, 5);
    let text = b"no picture at all".to_vec();
    let longer = [&bytes[..], b"x"].concat();
    let cases: Vec<(Vec<u8>, Answer, i64)> = vec![
        (bytes.clone(), Answer::Other(png(3 * PIECE, 6)), 1401),
        (bytes.clone(), Answer::Other(longer), 1401),
        (bytes.clone(), Answer::Other(bytes[..PIECE].to_vec()), 1401),
        (text.clone(), Answer::Other(text), 1402),
        (bytes.clone(), Answer::Says(200, r#"{"code":1104,"msg":"not for you"}"#), 1104),
        (bytes.clone(), Answer::Says(404, r#"{"code":1004,"msg":"no such file"}"#), 1004),
        (bytes.clone(), Answer::Says(200, r#"{"code":"1102","msg":"denied"}"#), 1102),
    ];
    for (number, (said, answer, code)) in cases.into_iter().enumerate() {
        serve(&stage.peer, Vec::new(), &[answer]);
        let (id, media) = (format!("m{number}"), format!("pic{number}"));
        stage.receive(&id, &media, &said).await;
        let news = until(&format!("case {number} is told"), async || {
            let events = stage.bob.inbox(0).await;
            events.iter().filter_map(|e| e.news("file.failed")).find(|n| n["messageID"] == json!(id)).cloned()
        })
        .await;
        assert_eq!((&news["code"], &news["sendID"]), (&json!(code), &json!("carol@far")), "case {number}: {news}");
        assert_eq!(stage.bob.fetch_file(&media, &[]).await.1["content-type"], "application/json;charset=utf-8");
    }
    assert!(stage.bob.inbox(0).await.iter().all(|e| e.news("file.failed").is_some()), "no message is shown");
    let large = json!({"messageInfo": {
        "sendID": "carol@far", "recvID": "bob@north", "messageType": "file", "version": "V1", "chatScene": "user",
        "messageID": "large", "content": {"size": 2_000_000, "name": "a", "mediaID": "x", "md5": md5(b"")}}});
    let refused = chat(&stage.peer.caller, stage.world.north(), &large).await;
    assert_eq!(refused.1, 1003, "{}", refused.2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_does_not_succeed_in_time_is_given_up() {
    let stage = stage(&[("delivery.expire_s", 2), ("media.idle_ms", 300)]).await;
    serve(&stage.peer, Vec::new(), &[const { Answer::Says(503, "{}") }; 100]);
    stage.receive("m1", "pic", &png(100, 1)).await;
    let told = stage.bob.news("file.failed", 0).await;
    assert_eq!((&told["messageID"], &told["code"]), (&json!("m1"), &json!(1303)));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_peer_holds_up_no_other() {
    let stage = stage(&[("media.idle_ms", 60_000), ("media.pulls_per_peer", 1)]).await;
    let bytes = png(2 * PIECE, 7);
    let other = FakePeer::start(&stage.world, "near", |_| Reply::Code(0)).await;
    serve(&stage.peer, bytes.clone(), &[Answer::Stalls(10), Answer::Stalls(10)]);
    serve(&other, bytes.clone(), &[]);
    for number in 0..20 {
        stage.receive(&format!("m{number}"), &format!("slow{number}"), &bytes).await;
    }
    let message = message("wei@near", "bob@north", "m1", "pic", &bytes);
    assert_eq!(chat(&other.caller, stage.world.north(), &message).await.1, 0);
    assert_eq!(stage.bob.next_file(0).await["sendID"], "wei@near");
    other.stop().await;
    stage.end().await;
}
