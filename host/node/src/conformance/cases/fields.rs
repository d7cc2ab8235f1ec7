//! Every mandatory field of every call: missing, empty, of another type, too long, with control characters (§7.1.2, §7.2–7.7, R1, R5).
//! Two cases a call, made from chapter 7's own table, so that a new call cannot be forgotten.

use std::borrow::Cow;

use isthmus_wire::call::{CALLS, CallSpec, Caller, Method, Receiver};
use serde_json::{Value, json};

use crate::conformance::case::{Case, Level, Need, Outcome, Stop, Trial, said};
use crate::conformance::line::{Answer, Ask, BOTH, Line, Shown};
use crate::conformance::sample::{self, Field, Kind, changed};

pub(super) fn cases() -> Vec<Case> {
    let with_fields = CALLS.iter().filter(|spec| spec.name != "registry.crl");
    with_fields.flat_map(|spec| [refused(spec), with_codes(spec)]).collect()
}

fn needs(spec: &CallSpec) -> &'static [Need] {
    if spec.to == Receiver::Platform { &[Need::Platform] } else { &[Need::Users] }
}

fn refused(spec: &CallSpec) -> Case {
    Case {
        name: Cow::Owned(format!("fields.{}", spec.name)),
        clause: spec.clause,
        r: &[1],
        level: super::level(spec, Level::Mandatory),
        needs: needs(spec),
        rule: Cow::Owned(format!(
            "{} without a mandatory field, or with one that is empty or of another type, is refused",
            spec.path
        )),
        why: "§7.1.2 marks what is mandatory (Y) and of which type; who takes a request without it acts on what nobody said",
        run: |t| Box::pin(each_is_refused(t)),
    }
}

fn with_codes(spec: &CallSpec) -> Case {
    Case {
        name: Cow::Owned(format!("field-codes.{}", spec.name)),
        clause: spec.clause,
        r: &[4, 5, 11],
        level: super::level(spec, Level::Recommended),
        needs: needs(spec),
        rule: Cow::Owned(format!(
            "{} says HTTP 200, code 1002 for a missing or empty field, 1003 for a wrong, too long or unprintable one, and names it",
            spec.path
        )),
        why: "a caller learns from the code whether to retry, and its operator from the words what to mend",
        run: |t| Box::pin(each_has_its_code(t)),
    }
}

/// What is put in a field's place, in words and as a value; none takes it out.
fn wrongs(method: Method, (_, kind): Field) -> Vec<(&'static str, i64, Option<Value>)> {
    let mut wrongs = vec![("missing", 1002, None)];
    if matches!(kind, Kind::Id | Kind::Line | Kind::Prose | Kind::Number) {
        wrongs.push(("empty", 1002, Some(json!(""))));
    }
    match (method, kind) {
        // In a query everything is text.
        (Method::Get, Kind::Number) => wrongs.push(("no number", 1003, Some(json!("many")))),
        (Method::Get, _) => {}
        (Method::Post, Kind::Id | Kind::Line | Kind::Prose) => {
            wrongs.push(("an object", 1003, Some(json!({"is": "an object"}))));
        }
        (Method::Post, Kind::Number) => wrongs.push(("no number", 1003, Some(json!("many")))),
        (Method::Post, Kind::Object | Kind::List) => wrongs.push(("a string", 1003, Some(json!("a string")))),
    }
    wrongs
}

/// Beyond what the standard says of types.
fn odd((_, kind): Field) -> Vec<(&'static str, i64, Option<Value>)> {
    match kind {
        Kind::Id => vec![
            ("300 bytes", 1003, Some(json!("x".repeat(300)))),
            ("a control character", 1003, Some(json!("a\u{7}b"))),
        ],
        Kind::Line => vec![
            ("5,000 bytes", 1003, Some(json!("x".repeat(5000)))),
            ("a control character", 1003, Some(json!("a\u{7}b"))),
        ],
        Kind::Prose => vec![("a control character", 1003, Some(json!("a\u{7}b")))],
        Kind::Number => {
            vec![("more than 32 bits", 1003, Some(json!(5_000_000_000_i64))), ("a fraction", 1003, Some(json!("1.5")))]
        }
        Kind::Object | Kind::List => Vec::new(),
    }
}

struct Probe {
    what: String,
    field: &'static str,
    code: i64,
    answer: Answer,
}

/// Tries every wrong of every field.
async fn probe(
    t: &Trial<'_>,
    of: impl Fn(Method, Field) -> Vec<(&'static str, i64, Option<Value>)>,
    judge: impl Fn(&Trial<'_>, &Probe),
) -> Outcome {
    let (spec, line) = spec_and_line(t)?;
    let sample = sample::of(spec, t.lab);
    let sample = sample.ok_or_else(|| t.fail("a sample of every call in the kit", format!("none of {}", spec.name)))?;
    for field in sample.mandatory {
        for (what, code, value) in of(spec.method, *field) {
            let ask = Ask::of(spec, &sample.param, &changed(&sample.fields, field.0, value));
            let answer = t.call_on(line.get(t)?, &ask).await?;
            judge(t, &Probe { what: format!("{}: {what}", field.0), field: field.0, code, answer });
        }
    }
    Ok(())
}

/// A line of the lab's, or one of the case's own.
enum Way {
    Target,
    Platform,
    Anonymous(Box<Line>),
}

impl Way {
    fn get<'a>(&'a self, t: &'a Trial<'_>) -> Result<&'a Line, Stop> {
        match self {
            Way::Target => t.lab.own(),
            Way::Platform => t.lab.platform(),
            Way::Anonymous(line) => Ok(line),
        }
    }
}

fn spec_and_line(t: &Trial<'_>) -> Result<(&'static CallSpec, Way), Stop> {
    let name = t.case.rest();
    let spec = CALLS.iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| Stop::Skip(format!("there is no call {name}")))?;
    let way = match (spec.to, spec.from) {
        (Receiver::Platform, Caller::Applicant) => {
            let shown = Shown { pair: None, versions: rustls::ALL_VERSIONS, alpn: BOTH };
            let line = Line::new(&t.lab.platform()?.url(), &t.lab.roots, &shown);
            Way::Anonymous(Box::new(line.map_err(|error| Stop::Skip(error.to_string()))?))
        }
        (Receiver::Platform, Caller::Server) => Way::Platform,
        (Receiver::Server | Receiver::Both, _) => Way::Target,
    };
    Ok((spec, way))
}

async fn each_is_refused(t: &Trial<'_>) -> Outcome {
    probe(t, wrongs, |t, probe| {
        t.check(
            super::refused_by_the_call(&probe.answer),
            format!("{}: refused, with a code other than 0", probe.what),
            said(&probe.answer),
        );
    })
    .await
}

async fn each_has_its_code(t: &Trial<'_>) -> Outcome {
    let both = |method, field| {
        let mut all = wrongs(method, field);
        all.extend(odd(field));
        all
    };
    probe(t, both, |t, probe| {
        let answer = &probe.answer;
        let expected = format!("{}: HTTP 200, code {}, and the field's name in msg", probe.what, probe.code);
        let last = probe.field.rsplit('.').next().unwrap_or_default();
        let met = answer.status == 200 && answer.code() == Some(probe.code) && answer.msg().contains(last);
        t.check(met, expected, said(answer));
    })
    .await
}
