//! Messages to a user of the target (§7.3, §7.4.2).

use isthmus_wire::call::MESSAGE_SEND;
use serde_json::{Value, json};

use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::{changed, text_message};

cases! {
    "message.text" "7.3.2" [], Mandatory, [Users],
        "a text message to an existing user is answered with code 0",
        "§7.4.2: this is the call that all others serve"
        => text_is_taken;
    "message.text-seen" "7.3.2" [], Mandatory, [Users, Acts],
        "the user sees the text once, exactly as it was sent",
        "code 0 means that the receiver has the message"
        => text_is_seen;
    "message.every-script" "7.3.2" [], Mandatory, [Users],
        "Chinese, emoji, right-to-left, combining and 4-byte characters, line ends and tabs are taken",
        "§7.1.1 a: UTF-8, all of it"
        => every_script;
    "message.every-script-seen" "7.3.2" [], Mandatory, [Users, Acts],
        "the user sees them unchanged",
        "§7.1.1 a: UTF-8, all of it"
        => every_script_is_seen;
    "message.long" "7.3.2" [], Recommended, [Users],
        "a text of 16 KiB is taken",
        "the standard sets no limit; people paste"
        => long_text;
    "message.case" "7.3.1" [], Mandatory, [Users],
        "messageType, version and chatScene are read without regard to case",
        "the table of §7.3.1 says so three times"
        => any_case;
    "message.unknown-type" "7.3.1" [], Mandatory, [Users],
        "a messageType, version or chatScene that there is not is refused",
        "the table of §7.3.1 lists what there is; a message that cannot be shown must not be acknowledged"
        => unknown_type;
    "message.types" "7.3.1" [7, 8], Mandatory, [Users],
        "image, voice, file and repeal messages are taken",
        "§7.3.1 lists them; the file may be fetched later than the answer is given"
        => every_type;
    "message.video" "7.3.1" [8], Extension, [Users],
        "the messageType video is taken as a file",
        "§7.3.1 demands mp4 and forgets its type: some peers send video"
        => video;
    "message.bad-file-fields" "7.3.3" [1], Mandatory, [Users],
        "an image, voice or file message that lacks one of its mandatory fields is refused",
        "§7.3.3 to §7.3.5: size, name, mediaID, md5 and for voice duration are Y"
        => bad_file_fields;
    "message.bad-md5" "7.3.3" [5], Recommended, [Users],
        "an md5 that is not 32 hex digits, a negative size or duration is refused with code 1003",
        "what can never match must not be fetched"
        => bad_md5;
    "message.unknown-receiver" "7.4.2" [], Mandatory, [Users],
        "a message to a user that there is not is refused",
        "code 0 would tell the sender that somebody has it"
        => unknown_receiver;
    "message.unknown-receiver-code" "7.4.2" [5], Recommended, [Users],
        "a message to a user that there is not is refused with code 1004",
        "the sender's user learns that the ID is wrong"
        => unknown_receiver_code;
    "message.again" "7.4.2" [], Mandatory, [Users],
        "the same message sent again is answered with code 0",
        "a sender that got no answer must send again, and must not be told that it failed"
        => again;
    "message.again-seen-once" "7.4.2" [], Mandatory, [Users, Acts],
        "the same message sent three times is seen once",
        "a sender that got no answer must send again, and the user must not see it twice"
        => seen_once;
    "message.id-reused" "7.4.2" [5], Recommended, [Users],
        "another message under a used messageID is refused with code 1201",
        "else it would be taken for a repetition and be lost without a word"
        => id_reused;
    "message.repeal" "7.3.1" [7], Recommended, [Users],
        "a message is taken back by its sender with a repeal that names it in content.messageID",
        "§7.3.1 has the type and no content for it; this is R7's"
        => repeal;
    "message.repeal-outer" "7.3.1" [7], Recommended, [Users],
        "a repeal without content takes back the message whose messageID it carries",
        "§7.3.1 has the type and no content for it; this is the other way to read it"
        => repeal_outer;
    "message.repeal-seen" "7.3.1" [7], Recommended, [Users, Acts],
        "what was taken back is gone for the user",
        "that is what taking back means"
        => repeal_is_seen;
    "message.repeal-foreign" "7.3.1" [7, 12], Mandatory, [Users],
        "nobody takes back what another wrote",
        "else every peer could erase every message"
        => repeal_foreign;
    "message.opaque-id" "7.2.2" [11], Mandatory, [Users],
        "a sender's userID may have any form: a telephone number, Chinese, spaces",
        "§7.2.2 says unique and no more; other makers' users have other IDs"
        => opaque_id;
    "message.first-presenter" "7.2.2" [11, 12], Recommended, [Users, Second],
        "an ID that names no server belongs to the server that presented it first",
        "else any server could speak for it"
        => first_presenter;
}

/// Texts that less careful programs break on.
pub(super) const SCRIPTS: [&str; 7] = [
    "你好，世界",
    "😀 👩‍👩‍👧‍👦 🇨🇳",
    "שלום עולם — مرحبا",
    "𠜎𠜱𡿺 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "e\u{301} n\u{303} Å",
    "first line\nsecond line\ttab",
    "\"quotes\" \\ back / slash <b>&amp;</b> %20 + ${x}",
];

/// `{"messageInfo": …}` from a user of ours to the target's.
pub(super) fn to_user(t: &Trial<'_>, from: &str, text: &str) -> Value {
    text_message(from, t.lab.user(), &t.lab.fresh("m"), text)
}

async fn send(t: &Trial<'_>, message: &Value) -> Result<Answer, Stop> {
    t.call(&Ask::post("/sns/chat/", message)).await
}

async fn taken(t: &Trial<'_>, message: &Value) -> Outcome {
    t.accepted(&Ask::post("/sns/chat/", message)).await.map(|_| ())
}

async fn text_is_taken(t: &Trial<'_>) -> Outcome {
    taken(t, &to_user(t, &t.lab.own_user_id("walter"), "hello")).await
}

/// Sends a text and asks the user whether it is there, once.
async fn seen(t: &Trial<'_>, text: &str) -> Outcome {
    let from = t.lab.own_user_id("walter");
    taken(t, &to_user(t, &from, text)).await?;
    let seen = t.sees(&Act::Sees { user: t.lab.user(), from: &from, text }).await?;
    t.check(seen, format!("{} sees {text:?} from {from}", t.lab.user()), "it does not");
    Ok(())
}

async fn text_is_seen(t: &Trial<'_>) -> Outcome {
    seen(t, &t.lab.fresh("hello")).await
}

async fn every_script(t: &Trial<'_>) -> Outcome {
    let from = t.lab.own_user_id("walter");
    for text in SCRIPTS {
        let answer = send(t, &to_user(t, &from, text)).await?;
        t.check(answer.is_success(), format!("code 0 for {text:?}"), said(&answer));
    }
    Ok(())
}

async fn every_script_is_seen(t: &Trial<'_>) -> Outcome {
    for text in SCRIPTS {
        seen(t, text).await?;
    }
    Ok(())
}

async fn long_text(t: &Trial<'_>) -> Outcome {
    taken(t, &to_user(t, &t.lab.own_user_id("walter"), &"长".repeat(16 * 1024 / 3))).await
}

async fn any_case(t: &Trial<'_>) -> Outcome {
    for (kind, version, scene) in [("TEXT", "v1", "USER"), ("Text", "V1", "User")] {
        let mut message = to_user(t, &t.lab.own_user_id("walter"), "hello");
        message["messageInfo"]["messageType"] = json!(kind);
        message["messageInfo"]["version"] = json!(version);
        message["messageInfo"]["chatScene"] = json!(scene);
        taken(t, &message).await?;
    }
    Ok(())
}

async fn unknown_type(t: &Trial<'_>) -> Outcome {
    let good = to_user(t, &t.lab.own_user_id("walter"), "hello");
    for (field, value) in [("messageType", "smell"), ("version", "V99"), ("chatScene", "crowd")] {
        let answer = send(t, &changed(&good, &format!("messageInfo.{field}"), Some(json!(value)))).await?;
        t.check(answer.is_refusal(), format!("{field} {value:?} is refused"), said(&answer));
    }
    Ok(())
}

/// A message about a file that nobody can fetch.
fn file_message(t: &Trial<'_>, kind: &str) -> Value {
    let mut message = to_user(t, &t.lab.own_user_id("walter"), "");
    let mut content =
        json!({"size": 70, "name": format!("a.{kind}"), "mediaID": t.lab.fresh("media"), "md5": "0".repeat(32)});
    if kind == "voice" {
        content["duration"] = json!(3);
    }
    message["messageInfo"]["messageType"] = json!(kind);
    message["messageInfo"]["content"] = content;
    message
}

async fn every_type(t: &Trial<'_>) -> Outcome {
    for kind in ["image", "voice", "file"] {
        let answer = send(t, &file_message(t, kind)).await?;
        t.check(answer.is_success(), format!("code 0 for {kind}"), said(&answer));
    }
    let message = to_user(t, &t.lab.own_user_id("walter"), "a slip");
    taken(t, &message).await?;
    let answer = send(t, &repeal_of(t, &message)).await?;
    t.check(answer.is_success(), "code 0 for repeal", said(&answer));
    Ok(())
}

async fn video(t: &Trial<'_>) -> Outcome {
    taken(t, &file_message(t, "video")).await
}

async fn bad_file_fields(t: &Trial<'_>) -> Outcome {
    for (kind, fields) in [
        ("image", &["size", "name", "mediaID", "md5"][..]),
        ("voice", &["size", "name", "mediaID", "md5", "duration"]),
        ("file", &["size", "name", "mediaID", "md5"]),
    ] {
        for field in fields {
            let message = changed(&file_message(t, kind), &format!("messageInfo.content.{field}"), None);
            let answer = send(t, &message).await?;
            t.check(answer.is_refusal(), format!("{kind} without {field} is refused"), said(&answer));
        }
    }
    Ok(())
}

async fn bad_md5(t: &Trial<'_>) -> Outcome {
    let wrongs = [("md5", json!("123")), ("md5", json!("z".repeat(32))), ("size", json!(-1)), ("duration", json!(-1))];
    for (field, value) in wrongs {
        let shown = value.to_string();
        let message = changed(&file_message(t, "voice"), &format!("messageInfo.content.{field}"), Some(value));
        let answer = send(t, &message).await?;
        t.check(answer.code() == Some(1003), format!("{field} {shown}: code 1003"), said(&answer));
    }
    Ok(())
}

async fn to_nobody(t: &Trial<'_>) -> Result<Answer, Stop> {
    let nobody = format!("{}@{}", t.lab.fresh("nobody"), t.lab.target_id());
    send(t, &text_message(&t.lab.own_user_id("walter"), &nobody, &t.lab.fresh("m"), "hello")).await
}

async fn unknown_receiver(t: &Trial<'_>) -> Outcome {
    let answer = to_nobody(t).await?;
    t.demand(answer.is_refusal(), "a refusal", &said(&answer))
}

async fn unknown_receiver_code(t: &Trial<'_>) -> Outcome {
    let answer = to_nobody(t).await?;
    t.demand(answer.code() == Some(1004), "code 1004", &said(&answer))
}

async fn again(t: &Trial<'_>) -> Outcome {
    let message = to_user(t, &t.lab.own_user_id("walter"), "once");
    for _ in 0..3 {
        taken(t, &message).await?;
    }
    Ok(())
}

async fn seen_once(t: &Trial<'_>) -> Outcome {
    let (from, text) = (t.lab.own_user_id("walter"), t.lab.fresh("once"));
    let message = to_user(t, &from, &text);
    for _ in 0..3 {
        taken(t, &message).await?;
    }
    // A later one, so that all of the first have come where they can.
    let later = t.lab.fresh("later");
    taken(t, &to_user(t, &from, &later)).await?;
    for text in [&later, &text] {
        let seen = t.sees(&Act::Sees { user: t.lab.user(), from: &from, text }).await?;
        t.check(seen, format!("{text:?} once"), "not at all, or more than once");
    }
    Ok(())
}

async fn id_reused(t: &Trial<'_>) -> Outcome {
    let message = to_user(t, &t.lab.own_user_id("walter"), "the first");
    taken(t, &message).await?;
    let other = changed(&message, "messageInfo.content.message", Some(json!("the second")));
    let answer = send(t, &other).await?;
    t.demand(answer.code() == Some(1201), "code 1201", &said(&answer))
}

fn repeal_of(t: &Trial<'_>, message: &Value) -> Value {
    let info = &message["messageInfo"];
    json!({"messageInfo": {
        "sendID": info["sendID"], "recvID": info["recvID"], "messageType": "repeal", "version": "V1",
        "chatScene": info["chatScene"], "messageID": t.lab.fresh("m"), "content": {"messageID": info["messageID"]}}})
}

async fn repeal(t: &Trial<'_>) -> Outcome {
    let message = to_user(t, &t.lab.own_user_id("walter"), "a slip");
    taken(t, &message).await?;
    let repeal = repeal_of(t, &message);
    taken(t, &repeal).await?;
    taken(t, &repeal).await
}

async fn repeal_outer(t: &Trial<'_>) -> Outcome {
    let message = to_user(t, &t.lab.own_user_id("walter"), "a slip");
    taken(t, &message).await?;
    let mut repeal = changed(&message, "messageInfo.content", None);
    repeal["messageInfo"]["messageType"] = json!("repeal");
    let answer = send(t, &repeal).await?;
    t.demand(answer.is_success(), "code 0", &said(&answer))
}

async fn repeal_is_seen(t: &Trial<'_>) -> Outcome {
    let (from, text) = (t.lab.own_user_id("walter"), t.lab.fresh("a slip"));
    let message = to_user(t, &from, &text);
    taken(t, &message).await?;
    taken(t, &repeal_of(t, &message)).await?;
    let gone = t.sees(&Act::SeesRecall { user: t.lab.user(), from: &from, text: &text }).await?;
    t.demand(gone, "the text is gone", "it is still there")
}

async fn repeal_foreign(t: &Trial<'_>) -> Outcome {
    let message = to_user(t, &t.lab.own_user_id("walter"), "mine");
    taken(t, &message).await?;
    let other = t.lab.own_user_id("wanda");
    let foreign = changed(&repeal_of(t, &message), "messageInfo.sendID", Some(json!(other)));
    let answer = send(t, &foreign).await?;
    t.demand(answer.is_refusal(), "a refusal: another of the same server's users wrote it", &said(&answer))
}

async fn opaque_id(t: &Trial<'_>) -> Outcome {
    for stem in ["13800138000", "张三", "with some spaces", "no.server@in.it.example"] {
        let from = format!("{stem} {}", t.lab.fresh("x"));
        let answer = send(t, &to_user(t, &from, "hello")).await?;
        t.check(answer.is_success(), format!("code 0 for a message of {from:?}"), said(&answer));
    }
    Ok(())
}

async fn first_presenter(t: &Trial<'_>) -> Outcome {
    let id = t.lab.fresh("old-id");
    taken(t, &to_user(t, &id, "it is me")).await?;
    let second = t.lab.second()?;
    let answer = t.call_on(second, &Ask::post(MESSAGE_SEND.path, &to_user(t, &id, "no, me"))).await?;
    t.demand(answer.is_refusal(), "a refusal of the second server", &said(&answer))?;
    taken(t, &to_user(t, &id, "it is still me")).await
}
