//! The interfaces are what their descriptions say (`docs/openapi`), and the other way round. Whether the answers are as described
//! is looked at in every test of this crate: see [`isthmus_tests::openapi`].

use std::collections::BTreeSet;

use http::Method;
use isthmus_node::server::{admin_routes, client_routes};
use isthmus_tests::openapi::{ADMIN, Answer, CLIENT, Document, PLATFORM, SNS};
use isthmus_tests::{Role, World};
use isthmus_wire::call::{CALLS, CallSpec, Caller, Receiver};
use isthmus_wire::{letters, registry};
use serde_json::{Value, json};

const JSON: &str = "application/json;charset=utf-8";

fn check(name: &str, document: &Document, routes: impl Iterator<Item = (String, String)>) {
    let routes: BTreeSet<_> = routes.collect();
    let described = document.operations().into_iter().map(|(method, path, _)| (method.to_string(), path.to_owned()));
    let described: BTreeSet<_> = described.collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    assert!(missing.is_empty(), "docs/openapi/{name} does not describe {missing:?}");
    let made_up: Vec<_> = described.difference(&routes).collect();
    assert!(made_up.is_empty(), "docs/openapi/{name} describes what is not there: {made_up:?}");
}

#[test]
fn every_route_of_the_client_interface_is_described_and_nothing_else() {
    let routes = client_routes().unwrap();
    check("client.json", &CLIENT, routes.into_iter().map(|(method, path)| (method.to_string(), path)));
}

#[test]
fn every_route_of_the_admin_interface_is_described_and_nothing_else() {
    let routes = admin_routes().unwrap();
    check("admin.json", &ADMIN, routes.into_iter().map(|(method, path)| (method.to_string(), path)));
}

#[test]
fn every_route_of_the_platforms_admin_interface_is_described_and_nothing_else() {
    let routes = isthmus_node::platform::admin_routes().unwrap();
    check("platform.json", &PLATFORM, routes.into_iter().map(|(method, path)| (method.to_string(), path)));
}

#[test]
fn every_call_of_chapter_7_is_described_and_nothing_else() {
    let calls = CALLS.iter().map(|spec| (spec.method.as_str(), spec.path));
    let routes = calls.chain([("POST", letters::PATH), ("GET", registry::PATH)]);
    check("sns.json", &SNS, routes.map(|(method, path)| (method.to_owned(), path.to_owned())));
}

#[test]
fn every_call_is_described_with_its_clause_its_r_numbers_and_its_speaker() {
    let ours = [letters::PATH, registry::PATH];
    for (method, path, operation) in SNS.operations().into_iter().filter(|(_, path, _)| !ours.contains(path)) {
        let spec = CALLS.iter().find(|spec| spec.path == path && spec.method.as_str() == method.as_str()).unwrap();
        assert_eq!(operation["operationId"], spec.name);
        assert_eq!(operation["x-call"], facts(spec), "{}", spec.name);
        let words = operation["description"].as_str().unwrap();
        assert!(words.contains(&format!("§{}", spec.clause)), "{}: {words}", spec.name);
    }
}

fn facts(spec: &CallSpec) -> Value {
    let to = match spec.to {
        Receiver::Platform => "platform",
        Receiver::Server => "server",
        Receiver::Both => "both",
    };
    let from = match spec.from {
        Caller::Server => "server",
        Caller::Applicant => "applicant",
    };
    let mut facts = json!({"clause": spec.clause, "r": spec.r, "to": to, "from": from});
    if let Some(speaker) = spec.speaker {
        facts["speaker"] = speaker.into();
    }
    facts
}

/// All values below a value, each with its JSON pointer.
fn walk<'a>(at: String, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| walk(format!("{at}/{}", name.replace('/', "~1")), inner, found));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(n, inner)| walk(format!("{at}/{n}"), inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.push((at, value));
}

#[test]
fn the_documents_are_whole() {
    for document in [&*CLIENT, &*SNS, &*ADMIN, &*PLATFORM] {
        let root = document.root();
        assert!(root["openapi"].as_str().unwrap().starts_with("3.1."));
        let mut all = Vec::new();
        walk(String::new(), root, &mut all);
        for (at, value) in &all {
            if let Some(pointer) = value.get("$ref").and_then(Value::as_str) {
                assert!(root.pointer(pointer.trim_start_matches('#')).is_some(), "{at}: {pointer} names nothing");
            }
        }
        let used: BTreeSet<&str> =
            all.iter().filter_map(|(_, value)| value.get("$ref").and_then(Value::as_str)).collect();
        for kind in ["schemas", "responses", "headers"] {
            for name in root["components"][kind].as_object().unwrap().keys() {
                let pointer = format!("#/components/{kind}/{name}");
                let frame = ["ServerFrame", "ClientFrame"].contains(&name.as_str());
                assert!(frame || used.contains(pointer.as_str()), "nothing refers to {pointer}");
            }
        }
    }
}

#[test]
fn every_operation_says_what_it_is_for_and_what_it_takes() {
    for document in [&*CLIENT, &*SNS, &*ADMIN, &*PLATFORM] {
        let tags: Vec<&Value> = document.root()["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
        let mut names = BTreeSet::new();
        for (method, path, operation) in document.operations() {
            let of = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{of}: the operationId is another's");
            assert!(operation["summary"].as_str().is_some_and(|words| !words.is_empty()), "{of}: no summary");
            assert!(tags.contains(&&operation["tags"][0]), "{of}: no tag");
            let in_path: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let empty = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&empty);
            let declared = parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap());
            assert_eq!(declared.collect::<Vec<_>>(), in_path, "{of}: the parameters of the path");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let said = response.get("description").or_else(|| response.get("$ref"));
                assert!(said.is_some(), "{of}: {status} says nothing");
            }
        }
    }
}

#[test]
fn the_documents_own_examples_are_as_their_schemas_say() {
    let mut looked_at = 0;
    for document in [&*CLIENT, &*SNS, &*ADMIN, &*PLATFORM] {
        let mut all = Vec::new();
        walk(String::new(), document.root(), &mut all);
        for (at, value) in all {
            let mut examples: Vec<(&Value, &Value)> = Vec::new();
            if let Some(schema) = value.get("schema") {
                examples.extend(value.get("example").map(|example| (schema, example)));
                let several = value.get("examples").and_then(Value::as_object);
                examples
                    .extend(several.iter().flat_map(|many| many.values()).map(|example| (schema, &example["value"])));
            } else if let Some(several) = value.get("examples").and_then(Value::as_array) {
                examples.extend(several.iter().map(|example| (value, example)));
            }
            for (schema, example) in examples {
                looked_at += 1;
                document.conforms(schema, example).unwrap_or_else(|wrong| panic!("{at}: {example}: {wrong}"));
            }
        }
    }
    assert!(looked_at > 20, "{looked_at}");
}

#[test]
fn an_answer_that_is_not_described_is_objected_to() {
    let object = |method, path, status, media_type, body: &str| {
        CLIENT.objection(&Answer { method, path, status, media_type, body: body.as_bytes() })
    };
    let me = r#"{"code":0,"msg":"success","userID":"a@north","name":"a","deviceID":"d","server":"north","recallS":120,"maxFileBytes":1,"measures":[]}"#;
    assert_eq!(object("GET", "/client/v1/me", 200, JSON, me), None);
    assert_eq!(object("GET", "/client/v1/me/?x=y", 200, JSON, me), None, "R2");
    let refusal = r#"{"code":1004,"msg":"there is nothing at this path"}"#;
    assert_eq!(object("GET", "/client/v1/nothing", 404, JSON, refusal), None, "R4");
    let cases = [
        ("GET", "/client/v1/me", 200, JSON, me.replace("a@north", ""), "userID"),
        ("GET", "/client/v1/me", 200, JSON, me.replace("\"name\"", "\"nick\""), "nick"),
        ("GET", "/client/v1/me", 200, JSON, refusal.replace("1004", "1103"), "1103"),
        ("GET", "/client/v1/me", 418, JSON, refusal.to_owned(), "the status is not described"),
        ("GET", "/client/v1/me", 200, "text/html", me.to_owned(), "text/html"),
        ("PUT", "/client/v1/me", 200, JSON, me.to_owned(), "the method is not described"),
        ("GET", "/client/v1/you", 200, JSON, me.to_owned(), "the path is not described"),
        ("GET", "/client/v1/you", 404, JSON, "{}".to_owned(), "code"),
        ("GET", "/client/v1/me", 200, JSON, "me".to_owned(), "no JSON"),
    ];
    for (method, path, status, media_type, body, word) in cases {
        let objection = object(method, path, status, media_type, &body);
        assert!(
            objection.as_ref().is_some_and(|words| words.contains(word)),
            "{method} {path} {status} {body}: {objection:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_whoever_asks() {
    let world = World::one().await;
    let (status, served) = world.north().api().call(Method::GET, "/client/v1/openapi.json", None).await.unwrap();
    assert_eq!((status, &served), (200, CLIENT.root()));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "answers that no document describes")]
async fn a_world_in_which_something_undescribed_was_answered_fails_its_test() {
    let world = World::one().await;
    let north = world.north();
    // Another interface's answers, taken for the clients'.
    let admin = north.admin(Role::System).watched(north.ledger().watcher(&CLIENT));
    admin.get("/admin/v1/users").await.unwrap();
    world.finish().await;
}
