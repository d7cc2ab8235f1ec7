//! What a small server of the standard answers: its users, its files, its groups.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use isthmus_wire::call;
use serde_json::{Map, Value, json};

use super::Heard;

/// A file that the peer's user sends.
#[derive(Debug, Clone)]
pub(in crate::conformance) struct Shelf {
    pub(in crate::conformance) bytes: Bytes,
    pub(in crate::conformance) media_type: &'static str,
}

/// A group whose owner's server the peer is.
#[derive(Debug, Clone, Default)]
pub(in crate::conformance) struct Group {
    pub(in crate::conformance) info: Value,
    pub(in crate::conformance) grpset: Value,
    /// (userType, userInfo).
    pub(in crate::conformance) members: Vec<(i64, Value)>,
    /// messageInfos, the oldest first.
    pub(in crate::conformance) messages: Vec<Value>,
}

/// What the peer's server knows.
#[derive(Debug, Clone, Default)]
pub(in crate::conformance) struct People {
    /// userInfos by userID.
    pub(in crate::conformance) users: BTreeMap<String, Value>,
    pub(in crate::conformance) files: BTreeMap<String, Shelf>,
    pub(in crate::conformance) groups: BTreeMap<String, Group>,
}

pub(super) type Reply = Response<Full<Bytes>>;

impl People {
    /// The polite answer.
    pub(super) fn answer(&mut self, heard: &Heard) -> Reply {
        let name = heard.call.unwrap_or_default();
        let is = |spec: &call::CallSpec| spec.name == name;
        if heard.call.is_none() {
            return json(404, &json!({"code": 1004, "msg": "there is nothing at this path"}));
        }
        if is(&call::FILE_DOWNLOAD) {
            return self.file(heard);
        }
        let fields = match () {
            () if is(&call::USER_SEARCH) => Some(self.found(heard.param("query"))),
            () if is(&call::USER_DETAILS) => Some(self.details(heard.param("userID"))),
            () if is(&call::USER_IS_FRIEND) => Some(json!({"isFriend": 2})),
            () if is(&call::GROUP_SEARCH) => Some(json!({})),
            () if is(&call::GROUP_INFO) => {
                self.of_group(heard, |group| json!({"groupInfo": group.info, "grpset": group.grpset}))
            }
            () if is(&call::GROUP_MEMBERS) => self.of_group(heard, Group::member_list),
            () if is(&call::GROUP_HISTORY) => self.of_group(heard, |group| group.history(heard)),
            () => Some(json!({})),
        };
        match fields {
            Some(fields) => success(&fields),
            None => json(200, &json!({"code": 1004, "msg": "groupID: not found"})),
        }
    }

    fn found(&self, query: &str) -> Value {
        let wanted = query.trim_matches('"').to_lowercase();
        let fits = |info: &&Value| info["name"].as_str().unwrap_or_default().to_lowercase().contains(&wanted);
        let users: Vec<&Value> = self.users.values().filter(fits).collect();
        json!({"pages": 1, "page": 0, "userInfos": users})
    }

    fn details(&self, id: &str) -> Value {
        self.users.get(id).map_or_else(|| json!({}), |info| json!({"userInfo": info}))
    }

    fn of_group(&self, heard: &Heard, fields: impl FnOnce(&Group) -> Value) -> Option<Value> {
        self.groups.get(heard.param("groupID")).map(fields)
    }

    fn file(&self, heard: &Heard) -> Reply {
        let Some(shelf) = self.files.get(heard.param("mediaID")) else {
            return json(200, &json!({"code": 1004, "msg": "mediaID: not found"}));
        };
        let whole = shelf.bytes.len();
        let from = range_start(heard).filter(|from| *from < whole);
        let status = if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let from = from.unwrap_or(0);
        let mut reply = Response::new(Full::new(shelf.bytes.slice(from..)));
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shelf.media_type));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, HeaderValue::from_static("\"shelf\""));
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {from}-{}/{whole}", whole - 1);
            if let Ok(range) = HeaderValue::from_str(&range) {
                headers.insert(header::CONTENT_RANGE, range);
            }
        }
        reply
    }
}

fn range_start(heard: &Heard) -> Option<usize> {
    let range = heard.headers.get(header::RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

impl Group {
    fn member_list(&self) -> Value {
        let members: Vec<Value> =
            self.members.iter().map(|(kind, info)| json!({"userType": kind, "userInfo": info})).collect();
        json!({"members": members})
    }

    /// §7.7.9: after or before the cursor, at most 200.
    fn history(&self, heard: &Heard) -> Value {
        let id = |message: &Value| message["messageID"].as_str().unwrap_or_default().to_owned();
        let size: i64 = heard.param("size").parse().unwrap_or(0);
        let many = usize::try_from(size.unsigned_abs().min(200)).unwrap_or(0);
        let at = self.messages.iter().position(|message| id(message) == heard.param("messageID"));
        let page: Vec<&Value> = if size > 0 {
            self.messages.iter().skip(at.map_or(0, |at| at + 1)).take(many).collect()
        } else {
            let before = &self.messages[..at.unwrap_or(self.messages.len())];
            before.iter().skip(before.len().saturating_sub(many)).collect()
        };
        let end = |message: Option<&Value>| message.map_or_else(|| "-1".to_owned(), id);
        json!({"maxMessageID": end(self.messages.last()), "minMessageID": end(self.messages.first()), "messages": page})
    }
}

fn success(fields: &Value) -> Reply {
    let mut answer = Map::from_iter([("code".to_owned(), json!(0)), ("msg".to_owned(), json!("success"))]);
    answer.extend(fields.as_object().cloned().unwrap_or_default());
    json(200, &Value::Object(answer))
}

pub(super) fn json(status: u16, body: &Value) -> Reply {
    json_text(status, body.to_string())
}

pub(super) fn json_text(status: u16, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(isthmus_wire::JSON_TYPE));
    reply
}

/// As the annex prints answers: `"code" : ""`.
pub(super) async fn numbers_as_strings(reply: Reply) -> Reply {
    let (head, body) = reply.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
        return Response::from_parts(head, Full::new(body));
    };
    stringify(&mut value);
    Response::from_parts(head, Full::new(Bytes::from(value.to_string())))
}

fn stringify(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(stringify),
        Value::Object(members) => members.values_mut().for_each(stringify),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
