//! The interfaces' descriptions (`docs/openapi`), held against what the servers really answer.
//!
//! Every answer that a test gets through the harness is looked up in its document: the path, the method, the HTTP status, the
//! media type and the body's schema have to stand there. What does not is kept in the world's [`Ledger`], and
//! [`World::finish`](crate::World::finish) fails the test with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use isthmus_node::client::{Exchange, Watcher};
use jsonschema::Validator;
use serde_json::{Value, json};

/// `/client/v1`
pub static CLIENT: LazyLock<Document> =
    LazyLock::new(|| Document::parse("client.json", include_str!("../../docs/openapi/client.json")));
/// `/sns`
pub static SNS: LazyLock<Document> =
    LazyLock::new(|| Document::parse("sns.json", include_str!("../../docs/openapi/sns.json")));
/// `/admin/v1` of a server
pub static ADMIN: LazyLock<Document> =
    LazyLock::new(|| Document::parse("admin.json", include_str!("../../docs/openapi/admin.json")));
/// `/admin/v1` of the platform
pub static PLATFORM: LazyLock<Document> =
    LazyLock::new(|| Document::parse("platform.json", include_str!("../../docs/openapi/platform.json")));

/// An answer on its way to a test.
pub struct Answer<'a> {
    pub method: &'a str,
    /// With or without a query.
    pub path: &'a str,
    pub status: u16,
    pub media_type: &'a str,
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    #[must_use]
    pub fn of(
        method: &'a Method,
        path: &'a str,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Answer<'a> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Answer { method: method.as_str(), path, status: status.as_u16(), media_type, body }
    }
}

/// An OpenAPI 3.1 document.
pub struct Document {
    name: &'static str,
    root: Value,
    paths: matchit::Router<String>,
    /// By JSON pointer of the schema.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    fn parse(name: &'static str, text: &str) -> Document {
        let root: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("docs/openapi/{name}: {error}"));
        let mut paths = matchit::Router::new();
        for path in root["paths"].as_object().unwrap().keys() {
            paths.insert(path, path.clone()).unwrap();
        }
        Document { name, root, paths, validators: Mutex::default() }
    }

    /// The document itself.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Every operation that is described: method, path, description.
    pub fn operations(&self) -> Vec<(Method, &str, &Value)> {
        let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH, Method::HEAD];
        let paths = self.root["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| {
                let of_path = methods.clone().into_iter();
                of_path.filter_map(|method| {
                    let operation = item.get(method.as_str().to_ascii_lowercase())?;
                    Some((method, path.as_str(), operation))
                })
            })
            .collect()
    }

    /// What the document does not say of this answer; none if it says all of it.
    pub fn objection(&self, answer: &Answer<'_>) -> Option<String> {
        let wrong = self.judge(answer).err()?;
        let shown: String = String::from_utf8_lossy(answer.body).chars().take(300).collect();
        let Answer { method, path, status, .. } = answer;
        Some(format!("docs/openapi/{}: {method} {path}: HTTP {status}: {wrong}\n    {shown}", self.name))
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<(), String> {
        let path = answer.path.split('?').next().unwrap_or_default();
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        // R4: what has no route is answered too, and in the one form.
        let responses = match self.paths.at(path) {
            Err(_) if answer.status == 404 => return self.refusal(answer),
            Err(_) => return Err("the path is not described".to_owned()),
            Ok(hit) => self.root["paths"][hit.value].get(answer.method.to_ascii_lowercase()),
        };
        let Some(operation) = responses else {
            let free = answer.status == 405;
            return if free { self.refusal(answer) } else { Err("the method is not described".to_owned()) };
        };
        let described = operation["responses"].get(answer.status.to_string());
        let response = described.ok_or("the status is not described")?;
        self.fits(self.resolved(response), answer)
    }

    fn refusal(&self, answer: &Answer<'_>) -> Result<(), String> {
        self.valid(&json!({"$ref": "#/components/schemas/Refusal"}), answer)
    }

    fn fits(&self, response: &Value, answer: &Answer<'_>) -> Result<(), String> {
        let Some(content) = response.get("content") else {
            return if answer.body.is_empty() { Ok(()) } else { Err("no body is described".to_owned()) };
        };
        let media = content.get(answer.media_type).or_else(|| content.get("*/*"));
        let media = media.ok_or_else(|| format!("the media type {:?} is not described", answer.media_type))?;
        match media.get("schema") {
            Some(schema) if answer.media_type.contains("json") => self.valid(schema, answer),
            Some(_) | None => Ok(()),
        }
    }

    fn valid(&self, schema: &Value, answer: &Answer<'_>) -> Result<(), String> {
        let body: Value = serde_json::from_slice(answer.body).map_err(|error| format!("no JSON: {error}"))?;
        self.conforms(schema, &body)
    }

    /// Whether a value is as a schema of this document says.
    ///
    /// # Errors
    /// Where it is not.
    pub fn conforms(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = self.validator(schema);
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|e| format!("{} (at {:?})", e, e.instance_path().to_string())).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut known = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = known.entry(schema.to_string()).or_insert_with(|| {
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema],
                "components": self.root["components"],
            });
            let made = jsonschema::draft202012::new(&whole);
            Arc::new(made.unwrap_or_else(|error| panic!("docs/openapi/{}: {error}", self.name)))
        });
        Arc::clone(made)
    }

    pub fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(pointer) = value["$ref"].as_str() else { return value };
        let found = self.root.pointer(pointer.trim_start_matches('#'));
        found.unwrap_or_else(|| panic!("docs/openapi/{}: {pointer} names nothing", self.name))
    }
}

/// What servers answered and no document describes, in one world.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeSet<String>>>);

impl Ledger {
    /// Looks an answer up.
    pub fn look(&self, document: &Document, answer: &Answer<'_>) {
        if let Some(objection) = document.objection(answer) {
            self.note(objection);
        }
    }

    /// For an [`Api`](isthmus_node::client::Api) whose answers `document` describes.
    pub fn watcher(&self, document: &'static Document) -> Watcher {
        let ledger = self.clone();
        Arc::new(move |exchange: &Exchange<'_>| {
            let Exchange { method, path, answer } = exchange;
            ledger.look(document, &Answer::of(method, path, answer.status(), answer.headers(), answer.body()));
        })
    }

    fn note(&self, objection: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(objection);
    }

    /// Everything that was not described.
    #[must_use]
    pub fn objections(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
