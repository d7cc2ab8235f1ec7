//! Messages from a user of the target, and what the target does when the peer is not at its best (§5.3, §7.4.2, R1).

use std::time::Duration;

use isthmus_wire::call::MESSAGE_SEND;
use serde_json::Value;

use crate::conformance::case::{Outcome, Stop, Trial, cases, kind};
use crate::conformance::driver::Act;
use crate::conformance::stage::{Fault, Heard, Shows, Turn};

cases! {
    "message.out.form" "7.4.2" [], Mandatory, [Users, Acts, Listener],
        "the target sends a user's text by POST /sns/chat/ as JSON with every mandatory field, and no other name in it than the user's",
        "§7.3.1 and §7.4.2"
        => form;
    "message.out.strict" "7.3.1" [1], Recommended, [Users, Acts, Listener],
        "what it sends has the standard's fields alone, in the standard's letters, nothing null",
        "a peer may be strict: what is written carefully is read everywhere"
        => strict;
    "message.out.content-type" "7.1.1" [], Recommended, [Users, Acts, Listener],
        "its requests say Content-Type: application/json",
        "many servers refuse a body whose type they are not told"
        => content_type;
    "message.out.every-script" "7.3.2" [], Mandatory, [Users, Acts, Listener],
        "Chinese, emoji, right-to-left and 4-byte characters leave unchanged",
        "§7.1.1 a: UTF-8, all of it"
        => every_script;
    "message.out.order" "7.4.2" [], Mandatory, [Users, Acts, Listener],
        "messages of one conversation come in the order in which they were written, even if some had to be sent again",
        "a conversation out of order is another conversation"
        => order;
    "message.out.retry-503" "7.4.2" [4], Mandatory, [Users, Acts, Listener],
        "a message answered with HTTP 503 or 500 is sent again, the same in every byte that counts",
        "a peer that restarts must cost no message"
        => retry_status;
    "message.out.retry-cut" "7.4.2" [], Mandatory, [Users, Acts, Listener],
        "a message whose answer did not come, or only half of it, is sent again",
        "who got no answer cannot know whether the peer has it"
        => retry_cut;
    "message.out.retry-garbage" "7.4.2" [], Mandatory, [Users, Acts, Listener],
        "a message answered with something that is no HTTP, or no JSON, is sent again",
        "a proxy's error page is no code 0"
        => retry_garbage;
    "message.out.slow" "7.4.2" [], Mandatory, [Users, Acts, Listener],
        "a peer that takes three seconds to answer gets the message, and not twice for it",
        "slow is not dead"
        => slow;
    "message.out.refused" "7.4.2" [4, 5], Mandatory, [Users, Acts, Listener],
        "a message refused with HTTP 200 and a code other than 0 is not sent for ever, and the next one goes out",
        "a peer that knows only §7.6.7 says 1 for everything; one bad message must not stop a conversation"
        => refused;
    "message.out.answered-twice" "7.4.2" [], Recommended, [Users, Acts, Listener],
        "a peer that answers twice over HTTP/1.1 confuses nothing: the next message is sent and settled on its own answer",
        "some proxies do; the second answer must not settle the next request"
        => answered_twice;
    "message.out.http-1-1" "7.1.1" [], Mandatory, [Users, Acts, Listener],
        "a peer that speaks HTTP/1.1 alone gets messages",
        "§7.1.1 names HTTPS 1.1 first"
        => http_1_1;
    "message.out.code-as-string" "7.1.2" [1], Recommended, [Users, Acts, Listener],
        "an answer whose code is \"0\" is taken as success, and the message not sent again",
        "the annex shows code in quotes, so peers will write it so"
        => code_as_string;
    "message.out.repeal" "7.3.1" [7], Recommended, [Users, Acts, Listener],
        "when the user takes a message back, the peer is told by a repeal whose content names the messageID",
        "§7.3.1 has the type and no content for it; this is R7's"
        => repeal;
}

/// A text of the user's to a new user of ours.
struct Letter {
    to: String,
    text: String,
}

async fn write(t: &Trial<'_>, to: &str, text: &str) -> Result<Letter, Stop> {
    t.act(&Act::SendText { from: t.lab.user(), to, text }).await?;
    Ok(Letter { to: to.to_owned(), text: text.to_owned() })
}

fn is(heard: &Heard, letter: &Letter) -> bool {
    heard.text("/messageInfo/recvID") == letter.to && heard.text("/messageInfo/content/message") == letter.text
}

/// How often the letter came since a mark.
fn times(t: &Trial<'_>, mark: usize, letter: &Letter) -> Result<usize, Stop> {
    let heard = t.lab.stage()?.since(mark, &MESSAGE_SEND);
    Ok(heard.iter().filter(|heard| is(heard, letter)).count())
}

async fn arrives(t: &Trial<'_>, mark: usize, letter: &Letter) -> Result<Heard, Stop> {
    let heard = t.lab.stage()?.wait(mark, &MESSAGE_SEND, t.lab.patience, |heard| is(heard, letter)).await;
    let heard = heard.ok_or_else(|| t.fail(format!("the message {:?} at the peer", letter.text), "it did not come"))?;
    t.about(&heard);
    Ok(heard)
}

/// Waits until the letter has come so often.
async fn comes(t: &Trial<'_>, mark: usize, letter: &Letter, often: usize) -> Outcome {
    let began = std::time::Instant::now();
    while times(t, mark, letter)? < often {
        let many = times(t, mark, letter)?;
        if began.elapsed() > t.lab.patience {
            return Err(t.fail(format!("{:?} sent {often} times", letter.text), format!("{many} times")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn sent(t: &Trial<'_>, text: &str) -> Result<Heard, Stop> {
    let mark = t.lab.stage()?.mark();
    let letter = write(t, &t.lab.own_user_id("walter"), text).await?;
    arrives(t, mark, &letter).await
}

async fn form(t: &Trial<'_>) -> Outcome {
    let heard = sent(t, &t.lab.fresh("hello")).await?;
    t.check(heard.line.starts_with("POST /sns/chat"), "POST /sns/chat/", heard.line.clone());
    let expected = [("sendID", t.lab.user()), ("messageType", "text"), ("version", "v1"), ("chatScene", "user")];
    for (field, value) in expected {
        let got = heard.text(&format!("/messageInfo/{field}"));
        t.check(got.eq_ignore_ascii_case(value), format!("{field} {value:?}"), format!("{got:?}"));
    }
    t.check(!heard.text("/messageInfo/messageID").is_empty(), "a messageID", "none");
    Ok(())
}

async fn strict(t: &Trial<'_>) -> Outcome {
    let heard = sent(t, &t.lab.fresh("hello")).await?;
    let names = |value: &Value| {
        let mut names: Vec<String> = value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.join(", ")
    };
    let expected = "chatScene, content, messageID, messageType, recvID, sendID, version";
    let got = names(heard.at("/messageInfo"));
    t.check(got == expected, expected, got);
    t.check(names(&heard.json) == "messageInfo", "messageInfo alone", names(&heard.json));
    t.check(
        names(heard.at("/messageInfo/content")) == "message",
        "message alone",
        names(heard.at("/messageInfo/content")),
    );
    for (field, value) in [("messageType", "text"), ("version", "V1"), ("chatScene", "user")] {
        let got = heard.text(&format!("/messageInfo/{field}"));
        t.check(got == value, format!("{field} {value:?}, in these letters"), format!("{got:?}"));
    }
    for field in ["sendID", "recvID", "messageID"] {
        let value = heard.at(&format!("/messageInfo/{field}"));
        t.check(value.is_string(), format!("{field}, a string"), kind(value));
    }
    Ok(())
}

async fn content_type(t: &Trial<'_>) -> Outcome {
    let heard = sent(t, &t.lab.fresh("hello")).await?;
    let got = heard.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    t.demand(got.starts_with("application/json"), "Content-Type: application/json…", got)
}

async fn every_script(t: &Trial<'_>) -> Outcome {
    for text in super::message::SCRIPTS {
        sent(t, text).await?;
    }
    Ok(())
}

async fn order(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    let (mark, to) = (stage.mark(), t.lab.own_user_id("walter"));
    let stumbles =
        [Turn::Status(503, r#"{"code":1302,"msg":"later"}"#.to_owned()), Turn::Code(0), Turn::Fault(Fault::Cut)];
    stage.turns(&MESSAGE_SEND, stumbles);
    let mut letters = Vec::new();
    for number in 0..5 {
        letters.push(write(t, &to, &t.lab.fresh(&format!("letter {number}"))).await?);
    }
    for letter in &letters {
        arrives(t, mark, letter).await?;
    }
    // Each first showing in its order: a repetition of an earlier one may come between.
    let heard = stage.since(mark, &MESSAGE_SEND);
    let first = |letter: &Letter| heard.iter().position(|heard| is(heard, letter));
    let places: Vec<Option<usize>> = letters.iter().map(first).collect();
    t.check(places.is_sorted(), "the five letters in their order", format!("at {places:?} among the calls"));
    Ok(())
}

/// The peer stumbles so often; then the letter has come, once more each time, always the same.
async fn survives(t: &Trial<'_>, http1: bool, stumbles: Vec<Turn>) -> Outcome {
    let stage = t.lab.stage()?;
    stage.face(Shows::Own, http1);
    let (mark, many) = (stage.mark(), stumbles.len());
    stage.turns(&MESSAGE_SEND, stumbles);
    let letter = write(t, &t.lab.own_user_id("walter"), &t.lab.fresh("in spite of all")).await?;
    comes(t, mark, &letter, many + 1).await?;
    let heard = stage.since(mark, &MESSAGE_SEND);
    let mine: Vec<&Heard> = heard.iter().filter(|heard| is(heard, &letter)).collect();
    let same = mine.windows(2).all(|pair| pair[0].json == pair[1].json);
    t.check(same, "the same message each time", "another one");
    // A settled letter is not sent again.
    quiet_after(t, mark, &letter).await
}

/// For a while the letter does not come once more.
async fn quiet_after(t: &Trial<'_>, mark: usize, letter: &Letter) -> Outcome {
    let before = times(t, mark, letter)?;
    let next = write(t, &letter.to, &t.lab.fresh("and on")).await?;
    arrives(t, mark, &next).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = times(t, mark, letter)?;
    t.demand(before == after, "a letter that was answered is not sent again", &format!("{} times more", after - before))
}

async fn retry_status(t: &Trial<'_>) -> Outcome {
    let status = |status| Turn::Status(status, r#"{"code":1,"msg":"a fault"}"#.to_owned());
    survives(t, false, vec![status(503), status(500), status(502)]).await
}

async fn retry_cut(t: &Trial<'_>) -> Outcome {
    survives(t, false, vec![Turn::Fault(Fault::Cut), Turn::Fault(Fault::Half)]).await?;
    survives(t, true, vec![Turn::Fault(Fault::Cut), Turn::Fault(Fault::Half)]).await
}

async fn retry_garbage(t: &Trial<'_>) -> Outcome {
    let page = || Turn::Status(200, "<html>not JSON</html>".to_owned());
    survives(t, true, vec![Turn::Fault(Fault::Noise), page()]).await?;
    survives(t, false, vec![page(), Turn::Fault(Fault::Noise)]).await
}

async fn slow(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    let mark = stage.mark();
    stage.turns(&MESSAGE_SEND, [Turn::Slow(Duration::from_secs(3))]);
    let letter = write(t, &t.lab.own_user_id("walter"), &t.lab.fresh("take your time")).await?;
    arrives(t, mark, &letter).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let many = times(t, mark, &letter)?;
    t.demand(many == 1, "one call", &format!("{many} calls"))
}

async fn refused(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    for code in [1, 1103, 4711] {
        let (mark, to) = (stage.mark(), t.lab.own_user_id("walter"));
        stage.turns(&MESSAGE_SEND, [Turn::Code(code)]);
        let bad = write(t, &to, &t.lab.fresh("refuse me")).await?;
        let next = write(t, &to, &t.lab.fresh("take me")).await?;
        arrives(t, mark, &next).await?;
        let many = times(t, mark, &bad)?;
        t.check(many == 1, format!("a letter refused with code {code} is sent once"), format!("{many} times"));
    }
    Ok(())
}

async fn answered_twice(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    stage.face(Shows::Own, true);
    let (mark, to) = (stage.mark(), t.lab.own_user_id("walter"));
    stage.turns(&MESSAGE_SEND, [Turn::Fault(Fault::Twice)]);
    let first = write(t, &to, &t.lab.fresh("the first")).await?;
    arrives(t, mark, &first).await?;
    // Long enough for the second answer to have come: on an idle connection nobody can take it for an answer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // If the doubled answer settled this one, the 503 would go unheard and it would come only once.
    stage.turns(&MESSAGE_SEND, [Turn::Status(503, r#"{"code":1302,"msg":"later"}"#.to_owned())]);
    let second = write(t, &to, &t.lab.fresh("the second")).await?;
    comes(t, mark, &second, 2).await?;
    let many = times(t, mark, &first)?;
    t.demand(many == 1, "the first letter once", &format!("{many} times"))
}

async fn http_1_1(t: &Trial<'_>) -> Outcome {
    t.lab.stage()?.face(Shows::Own, true);
    sent(t, &t.lab.fresh("one dot one")).await.map(|_| ())
}

async fn code_as_string(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    stage.always(&MESSAGE_SEND, Turn::Strings);
    let mark = stage.mark();
    let letter = write(t, &t.lab.own_user_id("walter"), &t.lab.fresh("in quotes")).await?;
    arrives(t, mark, &letter).await?;
    quiet_after(t, mark, &letter).await?;
    let many = times(t, mark, &letter)?;
    t.demand(many == 1, "one call", &format!("{many} calls"))
}

async fn repeal(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    let (mark, to) = (stage.mark(), t.lab.own_user_id("walter"));
    let letter = write(t, &to, &t.lab.fresh("a slip")).await?;
    let message = arrives(t, mark, &letter).await?;
    t.act(&Act::Recall { from: t.lab.user(), to: &to, text: &letter.text }).await?;
    let fits = |heard: &Heard| {
        heard.text("/messageInfo/messageType").eq_ignore_ascii_case("repeal") && heard.text("/messageInfo/recvID") == to
    };
    let heard = stage.wait(mark, &MESSAGE_SEND, t.lab.patience, fits).await;
    let heard = heard.ok_or_else(|| t.fail("a repeal", "none came"))?;
    t.about(&heard);
    let (named, wanted) = (heard.text("/messageInfo/content/messageID"), message.text("/messageInfo/messageID"));
    t.demand(named == wanted, format!("content.messageID {wanted:?}"), named)
}
