//! Encoding (§7.1): paths, media type, JSON, queries, and how refusals look (R1–R5).

use http::{Method, header};
use isthmus_wire::call::{CALLS, CallSpec, GROUP_SEARCH, MESSAGE_SEND, Receiver, USER_DETAILS, USER_SEARCH};
use serde_json::{Value, json};

use super::message::to_user;
use crate::conformance::case::{Outcome, Trial, cases, kind, said};
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::{self, changed};

cases! {
    "form.routes" "7.1.1" [2], Mandatory, [Users],
        "every call of §7.4 to §7.7 that a server answers is found at the path of chapter 7",
        "a server that lacks a call cannot be interworked with in it"
        => routes;
    "form.slashes" "7.1.1" [2], Recommended, [Users],
        "every call is found with and without a trailing slash",
        "chapter 7 and the annex print paths that differ by it, so peers will use both"
        => slashes;
    "form.content-type" "7.1.1" [], Mandatory, [Users],
        "every JSON answer has Content-Type: application/json;charset=utf-8",
        "§7.1.1 c says so to the letter"
        => content_type;
    "form.code-and-msg" "7.4.2" [1], Mandatory, [Users],
        "every JSON answer is an object with code, a number, and msg, a string where it is there",
        "the table of returned values: code int Y, msg string N"
        => code_and_msg;
    "form.code-as-number" "7.1.2" [1], Recommended, [Users],
        "code and every other int are written as numbers, never as strings",
        "the type is int; the annex's quotes are placeholders"
        => code_as_number;
    "form.no-null" "7.1.2" [1], Recommended, [Users],
        "what has no value is left out of an answer, never null",
        "N means: may be left out; null is a value of no type in §7.1.2"
        => no_null;
    "form.utf-8" "7.1.1" [], Mandatory, [Users],
        "URL-encoded UTF-8 in a query is understood",
        "§7.1.1 a"
        => utf_8;
    "form.bad-utf-8" "7.1.1" [4], Mandatory, [Users],
        "a body or query that is not UTF-8 is refused",
        "§7.1.1 a and b: requests are UTF-8"
        => bad_utf_8;
    "form.bad-json" "7.1.1" [4], Mandatory, [Users],
        "a body that is no JSON object is refused",
        "§7.1.1 a: bodies are JSON"
        => bad_json;
    "form.bad-json-status" "7.1.1" [4, 5], Recommended, [Users],
        "what is no JSON, too deep, or says a known field twice is refused with HTTP 400 and code 1001 in a JSON body",
        "a caller that reads only the status is not misled, nor one that reads only the code"
        => bad_json_status;
    "form.too-large" "7.1.1" [4], Recommended, [Users],
        "a body of 3 MiB is refused with HTTP 413 and a code, or the connection ends",
        "a server that reads whatever comes can be filled up by one peer"
        => too_large;
    "form.media-type" "7.1.1" [4], Recommended, [Users],
        "a body of another media type is refused with HTTP 415",
        "§7.1.1: bodies are JSON"
        => media_type;
    "form.no-media-type" "7.1.1" [], Recommended, [Users],
        "a body without Content-Type is taken as JSON",
        "§7.1.1 c speaks of answers alone, so a peer may leave it out of requests"
        => no_media_type;
    "form.unknown-path" "7.1.1" [4], Recommended, [Users],
        "an unknown path is HTTP 404, an unknown method HTTP 405, each with a JSON body and a code other than 0",
        "a caller that reads only one of the two is not misled"
        => unknown_path;
    "form.unknown-fields" "7.1.2" [1], Recommended, [Users],
        "unknown fields are ignored, at every depth",
        "else no peer could ever grow"
        => unknown_fields;
    "form.null-is-absent" "7.1.2" [1], Recommended, [Users],
        "an optional field that is null counts as left out",
        "many writers of JSON cannot leave fields out"
        => null_is_absent;
    "form.numbers-as-strings" "7.1.2" [1], Recommended, [Users],
        "an int may come as its decimal string",
        "the annex shows ints in quotes (\"code\" : \"\"), so peers will write them so"
        => numbers_as_strings;
    "form.escapes" "7.1.1" [], Mandatory, [Users],
        "JSON escapes and white space make no difference",
        "§7.1.1 a: bodies are JSON, and RFC 8259 says what that is"
        => escapes;
    "form.query-spaces" "7.1.1" [3], Recommended, [Users],
        "white space around names and values of a query is ignored",
        "the text prints `page = 0`, so peers will write it so"
        => query_spaces;
    "form.query-quotes" "7.1.1" [3], Recommended, [Users],
        "an ID in one pair of double quotes is read without them",
        "the text prints `userID=\"\"`, so peers will write it so"
        => query_quotes;
}

fn plain(t: &Trial<'_>) -> Value {
    to_user(t, &t.lab.own_user_id("walter"), "hello")
}

fn chat(body: &Value) -> Ask {
    Ask::post("/sns/chat/", body)
}

/// Nobody answers a call that is not there: 404 without a code of the domain's, or 405, 501.
fn is_missing(answer: &Answer) -> bool {
    matches!(answer.status, 404 | 405 | 501)
}

async fn found(t: &Trial<'_>, form: impl Fn(&str) -> Vec<String>) -> Outcome {
    let of_servers = |spec: &&CallSpec| spec.to != Receiver::Platform && spec.path.starts_with("/sns/");
    for spec in CALLS.iter().filter(of_servers) {
        let Some(sample) = sample::of(spec, t.lab) else { continue };
        let ask = Ask::of(spec, &sample.param, &sample.fields);
        for path in form(&ask.path) {
            let answer = t.call(&Ask { path, ..ask.clone() }).await?;
            t.check(!is_missing(&answer), format!("{} {} is there", ask.method, spec.path), said(&answer));
        }
    }
    Ok(())
}

async fn routes(t: &Trial<'_>) -> Outcome {
    // §7.4.2 alone is printed with a slash at its end.
    found(t, |path| vec![if path == MESSAGE_SEND.path { format!("{path}/") } else { path.to_owned() }]).await
}

async fn slashes(t: &Trial<'_>) -> Outcome {
    found(t, |path| match path.split_once('?') {
        Some((path, query)) => vec![format!("{path}?{query}"), format!("{path}/?{query}")],
        None => vec![path.to_owned(), format!("{path}/")],
    })
    .await
}

/// One answer of each kind: success, refusal, with fields of its own.
async fn answers(t: &Trial<'_>, judge: impl Fn(&Trial<'_>, &Answer)) -> Outcome {
    let asks = [
        chat(&plain(t)),
        chat(&json!({})),
        Ask::of(&USER_DETAILS, "", &json!({"userID": t.lab.user()})),
        Ask::of(&USER_DETAILS, "", &json!({"userID": t.lab.fresh("nobody")})),
        Ask::of(&USER_SEARCH, "", &json!({"query": t.lab.fresh("nobody"), "page": 0})),
        Ask::of(&GROUP_SEARCH, "", &json!({"query": t.lab.fresh("nothing"), "page": 0})),
    ];
    for ask in &asks {
        let answer = t.call(ask).await?;
        judge(t, &answer);
    }
    Ok(())
}

async fn content_type(t: &Trial<'_>) -> Outcome {
    answers(t, |t, answer| {
        let exact = "application/json;charset=utf-8";
        let got = answer.header("content-type");
        t.check(got == exact, format!("Content-Type: {exact}"), got);
    })
    .await
}

async fn code_and_msg(t: &Trial<'_>) -> Outcome {
    answers(t, |t, answer| {
        t.check(answer.code().is_some(), "an object with code", said(answer));
        let msg = answer.field("msg");
        t.check(msg.is_string() || msg.is_null(), "msg as a string", kind(msg));
    })
    .await
}

async fn code_as_number(t: &Trial<'_>) -> Outcome {
    answers(t, |t, answer| {
        for name in ["code", "pages", "page", "isFriend"] {
            let value = answer.field(name);
            t.check(value.is_number() || value.is_null(), format!("{name} as a number"), kind(value));
        }
    })
    .await
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

async fn no_null(t: &Trial<'_>) -> Outcome {
    answers(t, |t, answer| {
        let clean = answer.json.as_ref().is_some_and(|json| !has_null(json));
        t.check(clean, "no null anywhere", "a null");
    })
    .await
}

async fn utf_8(t: &Trial<'_>) -> Outcome {
    for text in ["张三", "😀", "שלום", "a b+c&d=e%"] {
        let answer = t.accepted(&Ask::of(&USER_SEARCH, "", &json!({"query": text, "page": 0}))).await?;
        t.check(answer.is_success(), format!("code 0 for {text}"), said(&answer));
    }
    Ok(())
}

async fn bad_utf_8(t: &Trial<'_>) -> Outcome {
    let good = plain(t).to_string();
    let (head, tail) = good.split_once("hello").unwrap_or((&good, ""));
    let body = [head.as_bytes(), b"\xff\xfe", tail.as_bytes()].concat();
    t.refused(&Ask::raw("/sns/chat/", "application/json;charset=utf-8", body)).await?;
    t.refused(&Ask::get("/sns/find/users?query=%ff%fe&page=0")).await.map(|_| ())
}

async fn bad_json(t: &Trial<'_>) -> Outcome {
    let good = plain(t).to_string();
    let half = good[..good.len() / 2].to_owned();
    for body in ["hello".to_owned(), half, String::new(), format!("{good}{good}"), "[1]".to_owned(), "null".to_owned()]
    {
        let answer = t.call(&Ask::raw("/sns/chat/", "application/json;charset=utf-8", body)).await?;
        t.check(answer.is_refusal(), "a refusal", said(&answer));
    }
    Ok(())
}

async fn bad_json_status(t: &Trial<'_>) -> Outcome {
    let good = plain(t).to_string();
    let half = good[..good.len() / 2].to_owned();
    let deep = format!("{{\"messageInfo\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    let twice = good.replace(r#""version":"V1""#, r#""version":"V1","version":"V1""#);
    for (what, body) in [("no JSON", "hello".to_owned()), ("half", half), ("too deep", deep), ("twice", twice)] {
        let answer = t.call(&Ask::raw("/sns/chat/", "application/json;charset=utf-8", body)).await?;
        let met = answer.status == 400 && answer.code() == Some(1001);
        t.check(met, format!("{what}: HTTP 400 with code 1001"), said(&answer));
    }
    Ok(())
}

async fn too_large(t: &Trial<'_>) -> Outcome {
    let body = " ".repeat(3 << 20);
    if let Ok(answer) = t.try_call(t.lab.own()?, &Ask::raw("/sns/chat/", "application/json", body)).await {
        t.check(answer.status == 413 && answer.code() != Some(0), "HTTP 413", said(&answer));
    }
    // And the target is still there.
    t.accepted(&chat(&plain(t))).await.map(|_| ())
}

async fn media_type(t: &Trial<'_>) -> Outcome {
    let answer = t.call(&Ask::raw("/sns/chat/", "text/xml", plain(t).to_string())).await?;
    t.demand(answer.status == 415 && answer.code() != Some(0), "HTTP 415 with a code other than 0", &said(&answer))
}

async fn no_media_type(t: &Trial<'_>) -> Outcome {
    let mut ask = chat(&plain(t));
    ask.headers.remove(header::CONTENT_TYPE);
    t.accepted(&ask).await.map(|_| ())
}

async fn unknown_path(t: &Trial<'_>) -> Outcome {
    let body = json!({});
    let wrong_method = Ask { method: Method::GET, ..chat(&body) };
    for (what, status, ask) in [
        ("a path that there is not", 404, Ask::post("/sns/no/such/call", &body)),
        ("GET /sns/chat/", 405, wrong_method),
    ] {
        let answer = t.call(&ask).await?;
        let met = answer.status == status && answer.code().is_some_and(|code| code != 0);
        t.check(met, format!("{what}: HTTP {status} and a code other than 0"), said(&answer));
    }
    Ok(())
}

async fn unknown_fields(t: &Trial<'_>) -> Outcome {
    let mut message = plain(t);
    message["traceId"] = json!({"of": ["another", "maker"]});
    message["messageInfo"]["priority"] = json!(7);
    message["messageInfo"]["content"]["font"] = json!("Song");
    t.accepted(&chat(&message)).await.map(|_| ())
}

async fn null_is_absent(t: &Trial<'_>) -> Outcome {
    let mut message = plain(t);
    message["messageInfo"]["remark"] = Value::Null;
    t.accepted(&chat(&message)).await?;
    let own = t.lab.own_user("walter");
    let info = json!({"userID": own["userID"], "name": own["name"], "phoneNumber": null, "portrait": null});
    t.accepted(&Ask::post("/sns/add/users", &json!({"userID": t.lab.user(), "remark": null, "userInfo": info})))
        .await
        .map(|_| ())
}

async fn numbers_as_strings(t: &Trial<'_>) -> Outcome {
    t.accepted(&Ask::of(&USER_SEARCH, "", &json!({"query": "a", "page": "0"}))).await?;
    let mut message = plain(t);
    let content = json!({"size": "70", "name": "a.txt", "mediaID": t.lab.fresh("media"), "md5": "0".repeat(32)});
    message["messageInfo"]["messageType"] = json!("file");
    let message = changed(&message, "messageInfo.content", Some(content));
    t.accepted(&chat(&message)).await.map(|_| ())
}

async fn escapes(t: &Trial<'_>) -> Outcome {
    let body = format!("\n\t {} \r\n", plain(t)).replace("hello", "\\u0068\\u0065llo \\ud83d\\ude00 \\/");
    t.accepted(&Ask::raw("/sns/chat/", "application/json;charset=utf-8", body)).await.map(|_| ())
}

async fn query_spaces(t: &Trial<'_>) -> Outcome {
    for query in ["query%20=%20a&page%20=%200", "query+=+a&page+=+0"] {
        t.accepted(&Ask::get(format!("/sns/find/users?{query}"))).await?;
    }
    Ok(())
}

async fn query_quotes(t: &Trial<'_>) -> Outcome {
    let quoted = format!("\"{}\"", t.lab.user());
    let answer = t.accepted(&Ask::of(&USER_DETAILS, "", &json!({"userID": quoted}))).await?;
    t.demand(answer.field("userInfo").is_object(), "the userInfo of the user in quotes", &said(&answer))
}
