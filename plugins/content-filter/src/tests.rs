#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails shall panic")]

use isthmus_plugin::testing::{TestHost, call, init, schema_names, validate};

use super::*;

fn item(text: &str) -> Item<'_> {
    Item { kind: "message.text", text, attributes: Vec::new() }
}

/// `pass`, `reject CODE: words`, `hold CODE: words` or `rewrite: text`, then the labels.
fn judge(filter: &ContentFilter, text: &str) -> String {
    let judgement = filter.judge(&call("north"), &item(text), None);
    let mut said = match judgement.verdict {
        Verdict::Pass => "pass".into(),
        Verdict::Reject(reason) => format!("reject {}: {}", reason.code, reason.text),
        Verdict::Hold(reason) => format!("hold {}: {}", reason.code, reason.text),
        Verdict::Rewrite(text) => format!("rewrite: {text}"),
    };
    for label in judgement.labels {
        said += &format!(" #{label}");
    }
    said
}

fn check(settings: &str, cases: &[(&str, &str)]) {
    TestHost::default().list("words", ["赌博", " Casino ", ""]).install();
    let filter = init::<ContentFilter>(settings).unwrap();
    for (text, expected) in cases {
        assert_eq!(&judge(&filter, text), expected, "{settings} on {text:?}");
    }
}

#[test]
fn without_keywords_everything_passes() {
    check("{}", &[("anything", "pass"), ("", "pass")]);
}

#[test]
fn a_rejected_word_is_told_in_public_words() {
    check(
        r#"{"keywords":[{"words":["bomb"],"action":"reject"}]}"#,
        &[
            ("a Bomb!", "reject keyword#/keywords/0/words/0: the text contains words that are not allowed here"),
            ("a bom b", "pass"),
        ],
    );
    check(
        r#"{"keywords":[{"words":["bomb"],"action":"reject","reason":"含有违禁词","label":"arms"}]}"#,
        &[("BOMB", "reject keyword#/keywords/0/words/0: 含有违禁词 #arms")],
    );
}

#[test]
fn a_masked_word_keeps_its_length_and_width() {
    check(
        r#"{"keywords":[{"words":["damn","他妈的","Ärger"],"action":"mask"}]}"#,
        &[
            ("oh DAMN it", "rewrite: oh **** it"),
            ("真他妈的慢", "rewrite: 真＊＊＊慢"),
            ("ärger und ÄRGER", "rewrite: ＊**** und ＊****"),
            ("fine, 好的", "pass"),
        ],
    );
}

#[test]
fn overlapping_words_are_masked_together() {
    check(
        r#"{"keywords":[{"words":["abc","cde","x"],"action":"mask"}]}"#,
        &[("-abcde-", "rewrite: -*****-"), ("xx", "rewrite: **"), ("cdabx", "rewrite: cdab*")],
    );
}

#[test]
fn letters_whose_lower_case_has_another_size_do_not_shift_the_mask() {
    // U+212A KELVIN SIGN takes three bytes, its lower case k one; İ has no simple lower case.
    check(
        r#"{"keywords":[{"words":["kelvin"],"action":"mask"}]}"#,
        &[("\u{212a}elvin, 好 KELVIN İ", "rewrite: ＊*****, 好 ****** İ")],
    );
}

#[test]
fn the_gravest_action_counts_even_inside_a_milder_word() {
    check(
        r#"{"keywords":[{"words":["red wine"],"action":"mask","label":"m"},
            {"words":["wine"],"action":"reject","label":"r"},
            {"words":["w"],"action":"hold","reason":"checked first","label":"h"}]}"#,
        &[
            (
                "red wine",
                "reject keyword#/keywords/1/words/0: the text contains words that are not allowed here #h #m #r",
            ),
            ("w", "hold keyword#/keywords/2/words/0: checked first #h"),
        ],
    );
}

#[test]
fn a_list_of_the_bundle_counts_like_words() {
    check(
        r#"{"keywords":[{"list":"words","action":"hold","label":"gambling"}]}"#,
        &[
            (
                "去赌博吧",
                "hold keyword#/keywords/0/list/0: the text contains words that are not allowed here #gambling",
            ),
            ("CASINO", "hold keyword#/keywords/0/list/1: the text contains words that are not allowed here #gambling"),
            ("赌 博", "pass"),
        ],
    );
}

#[test]
fn case_matters_where_the_settings_say_so() {
    check(
        r#"{"case_sensitive":true,"keywords":[{"words":["US"],"action":"mask"}]}"#,
        &[("US and us", "rewrite: ** and us")],
    );
}

#[test]
fn length_is_counted_in_characters() {
    check(
        r#"{"max_chars":3}"#,
        &[
            ("三个字", "pass"),
            ("四个字呢", "reject too-long#/max_chars: the text is longer than 3 characters"),
            ("abcd", "reject too-long#/max_chars: the text is longer than 3 characters"),
        ],
    );
}

#[test]
fn thousands_of_keywords_are_found_in_one_pass() {
    let words: Vec<String> = (0..5000).map(|n| format!("word{n:04}")).collect();
    let settings = serde_json::json!({"keywords":[{"words": words, "action":"mask"}]});
    let filter = init::<ContentFilter>(&settings.to_string()).unwrap();
    assert_eq!(judge(&filter, "a word0000, a Word4999"), "rewrite: a ********, a ********");
    assert_eq!(judge(&filter, "a word5000"), "pass");
}

#[test]
fn mistakes_in_settings_are_located() {
    for (settings, pointer, message) in [
        (r#"{"keywords":[{"action":"mask"}]}"#, "/keywords/0", "either `words` or `list`"),
        (r#"{"keywords":[{"action":"mask","words":[],"list":"x"}]}"#, "/keywords/0", "either"),
        (r#"{"keywords":[{"action":"mask","words":["a"," "]}]}"#, "/keywords/0/words/1", "empty"),
        (r#"{"keywords":[{"action":"burn","words":["a"]}]}"#, "/keywords/0", "burn"),
        (r#"{"keywords":[{"words":["a"]}]}"#, "/keywords/0", "missing field `action`"),
        (
            r#"{"patterns":[{"action":"mask","expressions":["a","("]}]}"#,
            "/patterns/0/expressions/1",
            "no regular expression",
        ),
        (r#"{"files":[{"action":"mask"}]}"#, "/files/0/action", "cannot be masked"),
        (r#"{"keywords":[{"action":"mask","list":"wrods"}]}"#, "/keywords/0/list", "no list `wrods`"),
        (r#"{"max_chars":-1}"#, "/max_chars", "invalid value"),
        (r#"{"max_chars":0}"#, "/max_chars", "rejects every text"),
        (r#"{"maxchars":1}"#, "/maxchars", "unknown field"),
    ] {
        let found = validate::<ContentFilter>(settings);
        let hit = found.iter().any(|d| d.pointer == pointer && d.message.contains(message));
        assert!(hit, "{settings}: {found:?}");
    }
}

#[test]
fn the_schema_names_every_setting() {
    assert!(schema_names::<ContentFilter>(&["keywords", "patterns", "links", "files", "case_sensitive", "max_chars"]));
}

/// The verdict on a file's content, in a word.
fn judge_file(settings: &str, bytes: &[u8]) -> String {
    TestHost::default().install();
    let filter = init::<ContentFilter>(settings).unwrap();
    let item = Item { kind: "file.content", text: "a.txt", attributes: Vec::new() };
    match filter.judge(&call("north"), &item, Some(Body::from(bytes))).verdict {
        Verdict::Reject(reason) => reason.code,
        Verdict::Pass => "pass".into(),
        verdict @ (Verdict::Hold(_) | Verdict::Rewrite(_)) => format!("{verdict:?}"),
    }
}

#[test]
fn keywords_are_looked_for_in_text_files_as_far_as_the_settings_say() {
    let settings = |more: &str| {
        format!(
            r#"{{"keywords":[{{"words":["casino","赌博"],"action":"mask"}}],"patterns":[{{"expressions":["no[0-9]+"],"action":"reject"}}]{more}}}"#
        )
    };
    let (off, on) = (settings(""), settings(r#","text_files":{}"#));
    let far = [vec![b' '; 200_000], "去赌博".into()].concat();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    assert_eq!(judge_file(&off, b"to the casino"), "pass");
    for (bytes, expected) in [
        (b"to the CASINO".to_vec(), "keyword#/keywords/0/words/0"),
        (far.clone(), "keyword#/keywords/0/words/1"),
        (b"see no17".to_vec(), "pattern#/patterns/0/expressions/0"),
        ([b"\xff\xfe".to_vec(), wide("去赌博")].concat(), "keyword#/keywords/0/words/1"),
        (b"a quiet day".to_vec(), "pass"),
        (b"%PDF-1.7 casino".to_vec(), "pass"),
        (Vec::new(), "pass"),
    ] {
        assert_eq!(judge_file(&on, &bytes), expected, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    }
    assert_eq!(judge_file(&settings(r#","text_files":{"up_to":100}"#), &far), "pass", "beyond what is read");
}
