//! An administrator's console: log-in, session cookie, and what the page sends beside it.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use isthmus_node::client::Api;
use serde_json::{Value, json};

/// The password that [`Console::settled`] chooses.
pub const OWN: &str = "a password of my own";

/// A browser with the console open.
pub struct Console {
    pub api: Api,
    pub cookie: Option<String>,
}

impl Console {
    /// Before the log-in; `api` knows no token.
    #[must_use]
    pub fn of(api: Api) -> Console {
        Console { api, cookie: None }
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
        with: &[(&'static str, &str)],
    ) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        for (name, value) in with {
            headers.insert(*name, value.parse().unwrap());
        }
        let bytes = if method == Method::GET { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = self.api.exchange(method, path, headers, bytes).await.unwrap();
        if let Some(set) = answer.headers().get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    pub async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &body, &[("x-isthmus-console", "act")]).await
    }

    pub async fn get(&mut self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &json!(null), &[("x-isthmus-console", "act")]).await
    }

    pub async fn log_in(&mut self, name: &str, password: &str) -> (u16, Value) {
        self.post("/admin/v1/session", json!({"name": name, "password": password})).await
    }

    /// Logged in with a password of one's own.
    pub async fn settled(api: Api, data_dir: &Path, name: &str) -> Console {
        let mut console = Console::of(api);
        let first = first_password(data_dir, name);
        assert_eq!(console.log_in(name, &first).await.0, 200);
        let changed = console.post("/admin/v1/session/password", json!({"old": first, "new": OWN})).await;
        assert_eq!(changed.1["code"], 0, "{changed:?}");
        console
    }
}

/// The one-time passwords that nobody has changed yet, by account.
#[must_use]
pub fn first_passwords(data_dir: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(data_dir.join("admin-passwords.json")).ok()?;
    serde_json::from_str(&text).ok()
}

#[must_use]
pub fn first_password(data_dir: &Path, name: &str) -> String {
    first_passwords(data_dir).unwrap()[name].as_str().unwrap().to_owned()
}
