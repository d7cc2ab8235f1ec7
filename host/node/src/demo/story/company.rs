//! Third act: a group over both servers, a picture, a file, a message taken back, an invitation by QR code (§7.4, §7.7).

use bytes::Bytes;
use isthmus_wire::path::encode;
use serde_json::{Value, json};

use super::{Differs, SOON, Stage, Told, Trying, differs, ms, told};
use crate::client::Upload;
use crate::demo::actor::{Actor, Mark};
use crate::demo::say::Say;

/// A whole picture: one red pixel.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
/// Bytes of the file: several pieces of every buffer on the way.
const FILE_SIZE: usize = 3 << 20;
const STEP: usize = 1 << 20;

pub(super) async fn tell(stage: &Stage<'_>, say: &mut Say) {
    say.step(
        "alice takes a message back that carol has read",
        "both users' devices are told; no inbox shows it any more",
    );
    told(say, &recalled(stage).await);
    say.step(
        "alice sends carol a picture",
        "south pulls it from north, checks it, and then tells carol; carol has the same bytes",
    );
    told(say, &pictured(stage).await);
    say.step(
        "alice makes the group “茶 Tea”, invites bob and carol, and writes; carol answers",
        "north, the group's main server, puts the messages in order; everybody reads them in that order",
    );
    let group = grouped(stage).await;
    let made = group.as_ref().map(|(_, words)| words.clone()).map_err(|differs| Differs(differs.0.clone()));
    told(say, &made);
    let Ok((group, _)) = group else { return };
    say.step(
        "dave scans the QR code of a join ticket that alice made",
        "the signed ticket stands for alice's decision: dave is a member at once, and reads what bob writes then",
    );
    told(say, &joined_by_ticket(stage, &group).await);
    say.step(
        &format!("dave sends the group a file of {} MiB", FILE_SIZE >> 20),
        "north relays the message and pulls the file from south, the sender's server; bob has the same bytes",
    );
    told(say, &file_in_group(stage, &group).await);
}

async fn recalled(stage: &Stage<'_>) -> Told {
    let (alice, carol) = (&stage.alice, &stage.carol);
    let (by_alice, by_carol) = (alice.mark(), carol.mark());
    stage.alice_reaches_carol("This was meant for somebody else.").await?;
    let id = stage.alice_writes("And this too.").await?;
    alice.api().post(&format!("/client/v1/messages/{id}/recall"), &json!({})).await.trying("alice recalls")?;
    let gone = |event: &Value| (event["kind"] == "recalled" && event["messageID"] == id.as_str()).then_some(());
    if alice.hear(by_alice, SOON, gone).await.is_none() || carol.hear(by_carol, SOON, gone).await.is_none() {
        return differs(format!("not both were told within {} s", SOON.as_secs()));
    }
    let page = carol.api().get("/client/v1/inbox?after=0&limit=500").await.trying("carol reads her inbox")?;
    if page.to_string().contains("And this too.") {
        return differs("carol's inbox still shows it");
    }
    Ok("alice and carol were told, and carol's inbox has a gap in its place".to_owned())
}

async fn pictured(stage: &Stage<'_>) -> Told {
    let (alice, carol) = (&stage.alice, &stage.carol);
    let mark = carol.mark();
    let began = tokio::time::Instant::now();
    let media = send_file(alice, &carol.id, "user", "image", "dot.png", PICTURE).await?;
    let at = hears_of(carol, mark, &media).await?;
    same(carol, &media, PICTURE).await?;
    Ok(format!("carol was told after {} ms and has the same {} bytes", ms(at.duration_since(began)), PICTURE.len()))
}

/// The new group's ID, and what happened.
async fn grouped(stage: &Stage<'_>) -> Result<(String, String), Differs> {
    let (alice, bob, carol) = (&stage.alice, &stage.bob, &stage.carol);
    let made = alice.api().post("/client/v1/groups", &json!({"groupName": "茶 Tea"})).await.trying("alice makes it")?;
    let group = made["groupInfo"]["groupID"].as_str().unwrap_or_default().to_owned();
    let marks = [(bob, bob.mark()), (carol, carol.mark())];
    act(alice, &group, "invite", json!({"users": [bob.id, carol.id]})).await?;
    for (guest, mark) in marks {
        let invited = |event: &Value| (event["kind"] == "group.invited").then_some(());
        if guest.hear(mark, SOON, invited).await.is_none() {
            return differs(format!("{} heard of no invitation within {} s", guest.id, SOON.as_secs()));
        }
        act(guest, &group, "answer", json!({"agree": true})).await?;
    }
    member_everywhere(carol, &group).await?;
    let (by_bob, by_carol) = (bob.mark(), carol.mark());
    write(alice, &group, "水开了 The water boils.").await?;
    reads(carol, by_carol, &group, "水开了 The water boils.").await?;
    write(carol, &group, "I bring the cups.").await?;
    reads(bob, by_bob, &group, "I bring the cups.").await?;
    let heard = bob.group_texts(by_bob, &group);
    if heard != ["水开了 The water boils.", "I bring the cups."] {
        return differs(format!("bob read {heard:?}"));
    }
    Ok((group, "bob and carol agreed; bob read alice's and carol's words in north's order".to_owned()))
}

async fn joined_by_ticket(stage: &Stage<'_>, group: &str) -> Told {
    let (alice, bob, dave) = (&stage.alice, &stage.bob, &stage.dave);
    let path = format!("/client/v1/groups/{}/ticket", encode(group));
    let ticket = alice.api().post(&path, &json!({})).await.trying("alice makes a ticket")?;
    let mark = dave.mark();
    dave.api().post("/client/v1/groups/join", &json!({"ticket": ticket["ticket"]})).await.trying("dave joins")?;
    member_everywhere(dave, group).await?;
    write(bob, group, "Welcome, Dave!").await?;
    reads(dave, mark, group, "Welcome, Dave!").await?;
    Ok("south knows dave as a member, and he read bob's welcome".to_owned())
}

async fn file_in_group(stage: &Stage<'_>, group: &str) -> Told {
    let (bob, dave) = (&stage.bob, &stage.dave);
    let mark = bob.mark();
    let bytes: Vec<u8> = (0..FILE_SIZE).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let began = tokio::time::Instant::now();
    let media = send_file(dave, group, "group", "file", "recipes.bin", &bytes).await?;
    let at = hears_of(bob, mark, &media).await?;
    same(bob, &media, &bytes).await?;
    Ok(format!("bob was told after {} ms and has the same {FILE_SIZE} bytes", ms(at.duration_since(began))))
}

async fn act(who: &Actor, group: &str, what: &str, body: Value) -> Result<Value, Differs> {
    let path = format!("/client/v1/groups/{}/{what}", encode(group));
    who.api().post(&path, &body).await.trying(&format!("{}: {what}", who.id))
}

async fn write(who: &Actor, group: &str, text: &str) -> Result<(), Differs> {
    let body = json!({"clientID": Actor::fresh_id(), "recvID": group, "scene": "group", "text": text});
    who.api().post("/client/v1/messages", &body).await.trying(&format!("{} writes", who.id)).map(|_| ())
}

async fn reads(who: &Actor, mark: Mark, group: &str, text: &str) -> Result<(), Differs> {
    let heard = who.hear(mark, SOON, |event| {
        let message = &event["message"];
        (message["recvID"] == group && message["content"]["message"] == text).then_some(())
    });
    match heard.await {
        Some(_) => Ok(()),
        None => differs(format!("{} did not read “{text}” within {} s", who.id, SOON.as_secs())),
    }
}

/// Waits until the member's own server knows it as one.
async fn member_everywhere(who: &Actor, group: &str) -> Result<(), Differs> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let mine = who.api().get("/client/v1/groups").await.trying("list the groups")?;
        let groups = mine["groups"].as_array().into_iter().flatten();
        if groups.into_iter().any(|shown| shown["groupInfo"]["groupID"] == group) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return differs(format!("{}'s server does not list the group: {mine}", who.id));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Uploads and sends a file: its mediaID.
async fn send_file(
    who: &Actor,
    to: &str,
    scene: &str,
    kind: &str,
    name: &str,
    bytes: &[u8],
) -> Result<String, Differs> {
    let upload = Upload { kind, name, size: bytes.len() as u64, md5: None };
    let piece = |offset: u64, step: usize| {
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        Bytes::copy_from_slice(&rest[..rest.len().min(step)])
    };
    let media = who.api().upload(&upload, STEP, piece).await.trying(&format!("{} uploads", who.id))?;
    let body = json!({
        "clientID": Actor::fresh_id(), "recvID": to, "scene": scene, "type": kind, "mediaID": media,
    });
    who.api().post("/client/v1/messages", &body).await.trying(&format!("{} sends the file", who.id))?;
    Ok(media)
}

async fn hears_of(who: &Actor, mark: Mark, media: &str) -> Result<tokio::time::Instant, Differs> {
    let told =
        |event: &Value| (event["kind"] == "message" && event["message"]["content"]["mediaID"] == media).then_some(());
    match who.hear(mark, SOON, told).await {
        Some((at, ())) => Ok(at),
        None => differs(format!("{} was told of no file within {} s", who.id, SOON.as_secs())),
    }
}

async fn same(who: &Actor, media: &str, bytes: &[u8]) -> Result<(), Differs> {
    let mut got = Vec::with_capacity(bytes.len());
    while got.len() < bytes.len() {
        let piece = who.api().download(media, got.len() as u64, STEP as u64).await;
        let piece = piece.trying(&format!("{} downloads", who.id))?;
        if piece.is_empty() {
            break;
        }
        got.extend_from_slice(&piece);
    }
    if got == bytes { Ok(()) } else { differs(format!("{} has {} bytes, and not the same", who.id, got.len())) }
}
