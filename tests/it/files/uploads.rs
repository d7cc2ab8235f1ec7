//! Uploads by clients: how many, how large, and going on after a break.

use super::*;

async fn status(client: &Client, id: &str) -> Value {
    client.api.get(&format!("/client/v1/media/{id}/status")).await.unwrap()
}

/// Sends the head of a PATCH and half of its body. Goes away when it is dropped.
async fn half_of(
    world: &World,
    client: &Client,
    id: &str,
    offset: usize,
    said: usize,
    bytes: &[u8],
) -> impl Sized + use<> {
    let running = world.north().running();
    let mut tls = isthmus_node::client::trust(&running.ca).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = running.client.trim_start_matches("https://").to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
    let head = format!(
        "PATCH /client/v1/media/{id}?offset={offset} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {said}\r\n\r\n",
        client.access_token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_files_have_a_quota_that_outlives_a_restart() {
    let mut world = World::plan().server("north").set("media.user_quota_mib", 1).start().await;
    let (alice, bob) = (world.north().user("alice").await, world.north().user("bob").await);
    let id = alice.upload("file", "a.bin", &vec![7; 1 << 20]).await.unwrap();
    alice.send_file("bob@north", "file", &id).await.unwrap();
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let (alice, bob) = (alice.at(world.north()), bob.at(world.north()));
    let refused = alice.upload("file", "b.bin", b"more").await.unwrap_err();
    assert_eq!(refused.code, 1202);
    assert!(
        refused.msg.contains("1048576 of 1048576 bytes") && refused.msg.contains("media.user_quota_mib"),
        "{}",
        refused.msg
    );
    bob.upload("file", "b.bin", b"mine").await.unwrap();
    bob.send_file("alice@north", "file", &id).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_files_are_on_their_way_at_a_time_and_a_client_that_comes_again_takes_its_place() {
    let world = World::plan().server("north").set("media.transfers", 2).start().await;
    let alice = world.north().user("alice").await;
    let bytes = png(2 * PIECE, 1);
    let ready = alice.upload("image", "a.png", &bytes).await.unwrap();
    let upload = Upload { kind: "image", name: "b.png", size: bytes.len() as u64, md5: None };
    let (first, second) =
        (alice.api.begin_upload(&upload).await.unwrap(), alice.api.begin_upload(&upload).await.unwrap());
    let held = [
        half_of(&world, &alice, &first, 0, bytes.len(), &bytes[..PIECE + 1]).await,
        half_of(&world, &alice, &second, 0, bytes.len(), &bytes[..PIECE + 1]).await,
    ];
    let (status_code, _, body) = alice.fetch_file(&ready, &[]).await;
    assert!(status_code == 503 && String::from_utf8_lossy(&body).contains("1302"), "{status_code} {body:?}");
    let at = status(&alice, &first).await["offset"].as_u64().unwrap();
    assert!(at > 0, "the connection that stands still was told to let go");
    assert_eq!(alice.file(&ready).await, bytes, "and so there is room");
    drop(held);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_goes_on_from_where_it_was_after_a_restart_too() {
    let mut world = World::one().await;
    let alice = world.north().user("alice").await;
    let bytes = png(6 * PIECE + 5, 2);
    let sum = md5(&bytes);
    let upload = Upload { kind: "image", name: "a.png", size: bytes.len() as u64, md5: Some(&sum) };
    let id = alice.api.begin_upload(&upload).await.unwrap();
    assert_eq!(
        (&status(&alice, &id).await["offset"], &status(&alice, &id).await["state"]),
        (&json!(0), &json!("uploading"))
    );
    let first = PIECE + 10;
    let answer = alice.api.write_upload(&id, 0, Bytes::copy_from_slice(&bytes[..first])).await.unwrap();
    assert_eq!(answer["offset"], first);
    let wrong = alice.api.write_upload(&id, 0, Bytes::from_static(b"x")).await.unwrap_err().to_string();
    assert!(wrong.contains("offset") && wrong.contains(&first.to_string()), "{wrong}");
    let sent = 2 * PIECE;
    drop(half_of(&world, &alice, &id, first, bytes.len() - first, &bytes[first..first + sent]).await);
    let at = usize::try_from(status(&alice, &id).await["offset"].as_u64().unwrap()).unwrap();
    assert!(at > first && at <= first + sent, "{at}");
    let (code, headers, _) = head(&alice, &id).await;
    assert_eq!((code, headers["upload-offset"].to_str().unwrap()), (200, &*at.to_string()));
    assert_eq!(
        alice.fetch_file(&id, &[]).await.1["content-type"],
        "application/json;charset=utf-8",
        "not readable yet"
    );
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let alice = alice.at(world.north());
    assert_eq!(status(&alice, &id).await["offset"], at);
    let more = alice.api.write_upload(&id, at as u64, [&bytes[at..], b"xx"].concat().into()).await;
    assert!(more.unwrap_err().to_string().contains("longer"), "more than announced");
    let at = usize::try_from(status(&alice, &id).await["offset"].as_u64().unwrap()).unwrap();
    let answer = alice.api.write_upload(&id, at as u64, Bytes::copy_from_slice(&bytes[at..])).await.unwrap();
    assert_eq!(
        (&answer["state"], &answer["mediaType"], &answer["md5"]),
        (&json!("ready"), &json!("image/png"), &json!(sum))
    );
    assert_eq!(alice.file(&id).await, bytes);
    assert!(alice.api.write_upload(&id, 0, Bytes::new()).await.is_err(), "finished");
    world.finish().await;
}

async fn head(client: &Client, id: &str) -> (u16, HeaderMap, Bytes) {
    let path = format!("/client/v1/media/{id}");
    let (head, body) =
        client.api.exchange(Method::HEAD, &path, HeaderMap::new(), Bytes::new()).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_what_was_announced_or_nothing() {
    let world = World::plan().server("north").set("media.max_file_mib", 1).start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let begin = async |size: usize, md5: Option<&str>| {
        let upload = Upload { kind: "file", name: "a.bin", size: size as u64, md5 };
        alice.api.begin_upload(&upload).await
    };
    assert!(begin((1 << 20) + 1, None).await.unwrap_err().to_string().contains("size"));
    let id = begin(3, Some(&md5(b"abc"))).await.unwrap();
    let wrong = alice.api.write_upload(&id, 0, Bytes::from_static(b"abd")).await.unwrap_err().to_string();
    assert!(wrong.contains("1401"), "{wrong}");
    assert!(alice.api.get(&format!("/client/v1/media/{id}/status")).await.is_err(), "it is gone");
    let id = begin(3, None).await.unwrap();
    assert!(bob.api.write_upload(&id, 0, Bytes::from_static(b"abc")).await.unwrap_err().to_string().contains("1004"));
    let path = format!("/client/v1/media/{id}");
    assert_eq!(head(&alice, &id).await.0, 200, "an upload that is not ended");
    for (who, id) in [(&bob, id.as_str()), (&alice, "m-nothing"), (&alice, "%01")] {
        let (status, _, body) = head(who, id).await;
        assert_eq!((status, body.len()), (404, 0), "{id}: without a body the status says it");
    }
    assert_eq!(alice.api.call(Method::DELETE, &path, None).await.unwrap().1["code"], 0);
    assert_eq!(alice.api.call(Method::DELETE, &path, None).await.unwrap().1["code"], 1004);
    let recorded = world.north().audit("operation=file.upload").await;
    assert!(recorded.iter().any(|r| r["code"] == 1401), "{recorded:?}");
    world.finish().await;
}
