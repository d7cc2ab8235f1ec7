//! Files (§7.4.3–7.4.5, R9).

use bytes::Bytes;
use http::header;
use isthmus_wire::call::{FILE_DOWNLOAD, MESSAGE_SEND};
use serde_json::{Value, json};

use super::message::to_user;
use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::stage::{Fault, Heard, Shelf, Shows, Turn};

cases! {
    "file.in.pulled" "7.4.3" [], Mandatory, [Users, Listener],
        "the target fetches the file of a message from the sender's server, by its mediaID",
        "§7.4.3 d: server B asks server A for the file"
        => pulled;
    "file.in.formats" "7.3.1" [9], Mandatory, [Users, Listener, Acts],
        "jpg, png and gif images, amr voice and mp4 video reach the user",
        "§7.3.1 names what must be supported"
        => formats;
    "file.in.seen" "7.4.3" [], Mandatory, [Users, Listener, Acts],
        "the user gets the file from the own server, byte for byte",
        "§7.4.3 e to g"
        => file_is_seen;
    "file.in.after-break" "7.4.3" [], Mandatory, [Users, Listener, Acts],
        "a pull that breaks off is taken up again until the file is whole",
        "lines break; the message was acknowledged"
        => after_break;
    "file.in.range" "7.4.5" [], Recommended, [Users, Listener, Acts],
        "after a break the target asks for the rest alone, with Range",
        "a large file over a bad line never ends otherwise"
        => range;
    "file.in.wrong-md5" "7.3.3" [5], Mandatory, [Users, Listener, Acts],
        "a file that does not match its md5 or size is not given to the user",
        "§7.3.3: md5 is there to check the file"
        => wrong_md5;
    "file.in.wrong-format" "7.3.1" [9], Recommended, [Users, Listener, Acts],
        "an image that is none is not given to the user as one",
        "the name says png, the bytes say program"
        => wrong_format;
    "file.out.message" "7.4.3" [], Mandatory, [Users, Listener, Acts],
        "a user's file leaves as a message with size, name, mediaID and md5 of exactly these bytes",
        "§7.4.3 c"
        => out_message;
    "file.out.pull" "7.4.5" [], Mandatory, [Users, Listener, Acts],
        "the peer gets it by GET /sns/download/file?mediaID=, byte for byte, with its media type",
        "§7.4.1 and §7.4.5"
        => out_pull;
    "file.out.again" "7.4.5" [], Mandatory, [Users, Listener, Acts],
        "it can be fetched more than once",
        "lines break"
        => out_again;
    "file.out.range" "7.4.5" [], Recommended, [Users, Listener, Acts],
        "Range is answered with 206 and the bytes asked for; Accept-Ranges and ETag are there",
        "a large file over a bad line never ends otherwise"
        => out_range;
    "file.group.in" "7.4.4" [22], Mandatory, [Users, Listener, Acts],
        "the target, being main, fetches a member's file from the member's own server, and its members get it",
        "§7.4.4 d: all servers, main too, pull from the sender's"
        => group_in;
    "file.group.out" "7.4.4" [22], Mandatory, [Users, Listener, Acts],
        "a file of the target's user in a group comes to the peer as a group message, and is fetched from the sender's server",
        "§7.4.4 c and d"
        => group_out;
    "file.out.unknown" "7.4.5" [4], Mandatory, [Users],
        "an unknown mediaID is refused in JSON with a code other than 0",
        "an empty file would be taken for the file"
        => out_unknown;
    "file.out.recipients-only" "7.4.5" [12], Mandatory, [Users, Listener, Acts, Second],
        "a server that was sent no message naming the file does not get it",
        "§6.2 c: data are protected by access control; a mediaID may become known"
        => recipients_only;
}

/// A small file of each kind, and its md5.
struct Piece {
    kind: &'static str,
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    md5: &'static str,
}

const PNG: Piece = Piece {
    kind: "image",
    name: "dot.png",
    media_type: "image/png",
    bytes: b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82",
    md5: "ee76702403cd15dbc71587365494cbe5",
};
const GIF: Piece = Piece {
    kind: "image",
    name: "dot.gif",
    media_type: "image/gif",
    bytes: b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;",
    md5: "d89746888da2d9510b64a9f031eaecd5",
};
const JPG: Piece = Piece {
    kind: "image",
    name: "dot.jpg",
    media_type: "image/jpeg",
    bytes: b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00\xff\xdb\x00C\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xc2\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\xff\xc4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xda\x00\x08\x01\x01\x00\x01?\x10",
    md5: "8f4341201a23609636243f91f2447e95",
};
const AMR: Piece = Piece {
    kind: "voice",
    name: "hum.amr",
    media_type: "audio/amr",
    bytes: b"#!AMR\x0a<\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08",
    md5: "cb3088c30c22b56bd44e0aa750695c32",
};
const MP4: Piece = Piece {
    kind: "file",
    name: "clip.mp4",
    media_type: "video/mp4",
    bytes: b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41\x00\x00\x00\x08mdat",
    md5: "11f5874badba6b4f0de83b445f774227",
};
const TXT: Piece = Piece {
    kind: "file",
    name: "说明 📎.txt",
    media_type: "text/plain",
    bytes: "一二三\n".as_bytes(),
    md5: "bbd03967209a6cd169bee8153dd6a39e",
};
/// Bytes of the file that is large enough to break.
const LONG: usize = 400_000;
const LONG_MD5: &str = "afb6da17ee4d24e610be5f6544385f59";

fn long_file() -> Bytes {
    (0..LONG).map(|n| u8::try_from(n * 7 % 251).unwrap_or(0)).collect::<Vec<u8>>().into()
}

/// A file of ours on its way.
struct Parcel {
    from: String,
    media: String,
    mark: usize,
}

/// Puts a file on the shelf and sends the message about it to the target's user.
async fn offer(t: &Trial<'_>, piece: &Piece, bytes: Bytes, md5: &str, name: &str) -> Result<Parcel, Stop> {
    let from = t.lab.own_user_id("walter");
    let message = to_user(t, &from, "");
    offer_by(t, piece, (bytes, md5, name), message).await
}

/// The same with a message whose content is to be filled in.
async fn offer_by(
    t: &Trial<'_>,
    piece: &Piece,
    (bytes, md5, name): (Bytes, &str, &str),
    mut message: Value,
) -> Result<Parcel, Stop> {
    let stage = t.lab.stage()?;
    let (media, mark) = (t.lab.fresh("media"), stage.mark());
    let from = text(&message["messageInfo"], "sendID");
    let mut content = json!({"size": bytes.len(), "name": name, "mediaID": media, "md5": md5});
    if piece.kind == "voice" {
        content["duration"] = json!(1);
    }
    stage.people().files.insert(media.clone(), Shelf { bytes, media_type: piece.media_type });
    message["messageInfo"]["messageType"] = json!(piece.kind);
    message["messageInfo"]["content"] = content;
    t.accepted(&Ask::post(MESSAGE_SEND.path, &message)).await?;
    Ok(Parcel { from, media, mark })
}

async fn offer_piece(t: &Trial<'_>, piece: &Piece, name: &str) -> Result<Parcel, Stop> {
    offer(t, piece, Bytes::from_static(piece.bytes), piece.md5, name).await
}

async fn pull_of(t: &Trial<'_>, parcel: &Parcel) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let fits = |heard: &Heard| heard.param("mediaID") == parcel.media;
    let heard = stage.wait(parcel.mark, &FILE_DOWNLOAD, t.lab.patience, fits).await;
    heard.ok_or_else(|| t.fail(format!("GET /sns/download/file?mediaID={}", parcel.media), "it did not come"))
}

async fn has_file(t: &Trial<'_>, parcel: &Parcel, name: &str) -> Outcome {
    let seen = t.sees(&Act::SeesFile { user: t.lab.user(), from: &parcel.from, name }).await?;
    t.check(seen, format!("the user has the file {name}"), "it does not");
    Ok(())
}

async fn pulled(t: &Trial<'_>) -> Outcome {
    let parcel = offer_piece(t, &PNG, PNG.name).await?;
    let heard = pull_of(t, &parcel).await?;
    t.about(&heard);
    t.check(heard.certified, "a certificate of the platform", "none");
    Ok(())
}

async fn formats(t: &Trial<'_>) -> Outcome {
    for piece in [&PNG, &GIF, &JPG, &AMR, &MP4] {
        let name = format!("{}-{}", t.lab.fresh("f"), piece.name);
        let parcel = offer_piece(t, piece, &name).await?;
        has_file(t, &parcel, &name).await?;
    }
    Ok(())
}

async fn file_is_seen(t: &Trial<'_>) -> Outcome {
    let name = format!("{} {}", t.lab.fresh("f"), TXT.name);
    let parcel = offer_piece(t, &TXT, &name).await?;
    pull_of(t, &parcel).await?;
    has_file(t, &parcel, &name).await
}

/// Breaks the first answer in its middle; answers the ranges that were asked for afterwards.
async fn broken(t: &Trial<'_>) -> Result<Vec<String>, Stop> {
    let stage = t.lab.stage()?;
    stage.face(Shows::Own, true);
    stage.turns(&FILE_DOWNLOAD, [Turn::Fault(Fault::Half)]);
    let name = format!("{}.bin", t.lab.fresh("long"));
    let parcel = offer(t, &TXT, long_file(), LONG_MD5, &name).await?;
    has_file(t, &parcel, &name).await?;
    let pulls = stage.since(parcel.mark, &FILE_DOWNLOAD);
    let range = |heard: &Heard| {
        heard.headers.get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default().to_owned()
    };
    Ok(pulls.iter().filter(|heard| heard.param("mediaID") == parcel.media).skip(1).map(range).collect())
}

async fn after_break(t: &Trial<'_>) -> Outcome {
    let ranges = broken(t).await?;
    t.demand(!ranges.is_empty(), "a second pull", "none: was the first one not broken?")
}

async fn range(t: &Trial<'_>) -> Outcome {
    let ranges = broken(t).await?;
    let rest = |range: &String| range.starts_with("bytes=") && !range.starts_with("bytes=0-");
    t.demand(ranges.iter().any(rest), "Range: bytes=N- with N > 0", &format!("{ranges:?}"))
}

/// A file that must not reach the user.
async fn withheld(t: &Trial<'_>, piece: &Piece, bytes: Bytes, md5: &str) -> Outcome {
    let name = format!("{}-{}", t.lab.fresh("bad"), piece.name);
    let parcel = offer(t, piece, bytes, md5, &name).await?;
    pull_of(t, &parcel).await?;
    // One that is sent later and is good: once it is there, the bad one has had its time.
    let later = format!("{}-{}", t.lab.fresh("good"), PNG.name);
    let good = offer_piece(t, &PNG, &later).await?;
    has_file(t, &good, &later).await?;
    let seen = t.act(&Act::SeesFile { user: t.lab.user(), from: &parcel.from, name: &name }).await?;
    t.demand(seen.trim() != Act::YES, "the user does not get it", "it has it")
}

async fn wrong_md5(t: &Trial<'_>) -> Outcome {
    withheld(t, &TXT, Bytes::from_static(b"other bytes of the same length?"), TXT.md5).await
}

async fn wrong_format(t: &Trial<'_>) -> Outcome {
    withheld(t, &PNG, Bytes::from_static(TXT.bytes), TXT.md5).await
}

/// The user sends a file to one of ours; what the peer hears of it.
async fn user_sends(t: &Trial<'_>, piece: &Piece) -> Result<Heard, Stop> {
    user_sends_to(t, piece, &t.lab.own_user_id("walter")).await
}

/// The same to anybody, or into a group.
async fn user_sends_to(t: &Trial<'_>, piece: &Piece, to: &str) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let folder = std::env::temp_dir().join(t.lab.fresh("isthmus-conformance"));
    let file = folder.join(piece.name);
    let cannot = |error: std::io::Error| Stop::Skip(format!("{}: {error}", file.display()));
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, piece.bytes)).map_err(cannot)?;
    let mark = stage.mark();
    let done = t.act(&Act::SendFile { from: t.lab.user(), to, kind: piece.kind, file: file.clone() }).await;
    let heard = match done {
        Ok(_) => stage.wait(mark, &MESSAGE_SEND, t.lab.patience, |heard| heard.text("/messageInfo/recvID") == to).await,
        Err(stop) => return Err(stop),
    };
    let _ = std::fs::remove_dir_all(&folder);
    let heard = heard.ok_or_else(|| t.fail("a message about the file", "none came"))?;
    t.about(&heard);
    Ok(heard)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

async fn out_message(t: &Trial<'_>) -> Outcome {
    for piece in [&TXT, &PNG] {
        let heard = user_sends(t, piece).await?;
        let at = |field: &str| heard.at(&format!("/messageInfo/content/{field}")).clone();
        let kind = heard.text("/messageInfo/messageType");
        t.check(kind.eq_ignore_ascii_case(piece.kind), format!("messageType {}", piece.kind), kind);
        t.check(
            number(&at("size")) == Some(piece.bytes.len() as u64),
            format!("size {}", piece.bytes.len()),
            at("size").to_string(),
        );
        t.check(at("name") == piece.name, format!("name {:?}", piece.name), at("name").to_string());
        let md5 = heard.text("/messageInfo/content/md5").to_ascii_lowercase();
        t.check(md5 == piece.md5, format!("md5 {}", piece.md5), md5);
        t.check(!heard.text("/messageInfo/content/mediaID").is_empty(), "a mediaID", "none");
    }
    Ok(())
}

fn download(heard: &Heard) -> Ask {
    Ask::of(&FILE_DOWNLOAD, "", &json!({"mediaID": heard.text("/messageInfo/content/mediaID")}))
}

fn whole(t: &Trial<'_>, answer: &Answer, piece: &Piece) {
    t.check(answer.status == 200, "HTTP 200", said(answer));
    t.check(answer.body == piece.bytes, "the bytes that the user sent", format!("{} other bytes", answer.body.len()));
}

async fn out_pull(t: &Trial<'_>) -> Outcome {
    for piece in [&TXT, &PNG] {
        let answer = t.call(&download(&user_sends(t, piece).await?)).await?;
        whole(t, &answer, piece);
        let media_type = answer.header("content-type");
        t.check(!media_type.is_empty() && !media_type.contains("json"), "the file's media type", media_type);
        let length = answer.header("content-length");
        t.check(length == piece.bytes.len().to_string(), format!("Content-Length: {}", piece.bytes.len()), length);
    }
    Ok(())
}

async fn out_again(t: &Trial<'_>) -> Outcome {
    let ask = download(&user_sends(t, &TXT).await?);
    for _ in 0..3 {
        whole(t, &t.call(&ask).await?, &TXT);
    }
    Ok(())
}

async fn out_range(t: &Trial<'_>) -> Outcome {
    let ask = download(&user_sends(t, &PNG).await?);
    let answer = t.call(&ask).await?;
    t.check(answer.header("accept-ranges") == "bytes", "Accept-Ranges: bytes", answer.header("accept-ranges"));
    t.check(!answer.header("etag").is_empty(), "an ETag", "none");
    let last = PNG.bytes.len() - 1;
    for (range, expected) in
        [("bytes=10-", &PNG.bytes[10..]), ("bytes=3-7", &PNG.bytes[3..8]), ("bytes=0-0", &PNG.bytes[..1])]
    {
        let answer = t.call(&ask.clone().header(header::RANGE, range)).await?;
        t.check(answer.status == 206, format!("{range}: HTTP 206"), said(&answer));
        t.check(
            answer.body == expected,
            format!("{range}: {} bytes from there", expected.len()),
            format!("{} bytes", answer.body.len()),
        );
        let shown = answer.header("content-range");
        t.check(shown.ends_with(&format!("/{}", last + 1)), "Content-Range with the whole length", shown);
    }
    Ok(())
}

async fn out_unknown(t: &Trial<'_>) -> Outcome {
    let answer = t.refused(&Ask::of(&FILE_DOWNLOAD, "", &json!({"mediaID": t.lab.fresh("media")}))).await?;
    t.demand(answer.code().is_some(), "a JSON body with a code", &said(&answer))
}

async fn recipients_only(t: &Trial<'_>) -> Outcome {
    let ask = download(&user_sends(t, &TXT).await?);
    let answer = t.call_on(t.lab.second()?, &ask).await?;
    t.demand(answer.is_refusal(), "a refusal of the second server", &said(&answer))?;
    whole(t, &t.call(&ask).await?, &TXT);
    Ok(())
}

async fn group_in(t: &Trial<'_>) -> Outcome {
    let joined = super::group::shared(t).await?;
    let name = format!("{}-{}", t.lab.fresh("f"), PNG.name);
    let message = super::group::message(&joined, t, "");
    let parcel = offer_by(t, &PNG, (Bytes::from_static(PNG.bytes), PNG.md5, &name), message).await?;
    pull_of(t, &parcel).await?;
    has_file(t, &parcel, &name).await
}

async fn group_out(t: &Trial<'_>) -> Outcome {
    let joined = super::group::shared(t).await?;
    let heard = user_sends_to(t, &PNG, &joined.group).await?;
    let scene = heard.text("/messageInfo/chatScene");
    t.check(scene.eq_ignore_ascii_case("group"), "chatScene group", scene);
    whole(t, &t.call(&download(&heard)).await?, &PNG);
    Ok(())
}
