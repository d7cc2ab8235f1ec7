//! The administrators' interfaces as the demo uses them: each act with the token of the role that may do it.

use std::path::Path;

use serde_json::{Value, json};

use super::record::{PlatformRecord, ServerRecord};
use crate::client::{Api, ClientError};

/// The administrators of one server.
#[derive(Clone)]
pub struct Admin {
    system: Api,
    security: Api,
}

/// A generation as `activate` and `rollback` answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Microseconds from the request to the drained swap; 0 if the server does not say.
    pub micros: u64,
}

impl Admin {
    /// The administrators of `server`.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Ca`].
    pub fn of(server: &ServerRecord) -> Result<Admin, ClientError> {
        let api = Api::new(&server.admin, &server.ca)?;
        Ok(Admin {
            system: api.with_token(&server.admin_tokens.system),
            security: api.with_token(&server.admin_tokens.security),
        })
    }

    /// Creates a user; a user that exists already is left as it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_user(&self, local: &str, name: &str, password: &str) -> Result<(), ClientError> {
        let body = json!({"userID": local, "name": name, "password": password});
        match self.system.post("/admin/v1/users", &body).await {
            Ok(_) => Ok(()),
            Err(ClientError::Refused { code: ALREADY, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The active generation and its plugins, as `GET /admin/v1/policy` has them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy(&self) -> Result<Value, ClientError> {
        self.security.get("/admin/v1/policy").await
    }

    /// The number of the active generation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn generation(&self) -> Result<u64, ClientError> {
        number(&self.policy().await?)
    }

    /// Activates the bundle in `dir`.
    ///
    /// # Errors
    /// [`ClientError`]; refused with the diagnostics in its words.
    pub async fn activate(&self, dir: &Path, why: &str) -> Result<Generation, ClientError> {
        let body = json!({"dir": dir.display().to_string(), "why": why});
        activated(&self.security.post("/admin/v1/policy/activate", &body).await?)
    }

    /// Goes back to the generation before the active one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollback(&self, why: &str) -> Result<Generation, ClientError> {
        activated(&self.security.post("/admin/v1/policy/rollback", &json!({"why": why})).await?)
    }

    /// IDs of the messages that wait for a decision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn held(&self) -> Result<Vec<String>, ClientError> {
        let answer = self.security.get("/admin/v1/held").await?;
        Ok(texts(&answer, "held", "id"))
    }

    /// Lets a held message go on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release(&self, id: &str) -> Result<(), ClientError> {
        self.security.post(&format!("/admin/v1/held/{id}/release"), &json!({})).await.map(|_| ())
    }
}

/// Already exists or is already decided (R5).
const ALREADY: i64 = 1201;

/// Approves what waits for review at the platform. Returns the serverIds.
///
/// # Errors
/// [`ClientError`].
pub(super) async fn approve_all(platform: &PlatformRecord) -> Result<Vec<String>, ClientError> {
    let api = Api::new(&platform.admin_url, &platform.ca)?.with_token(&platform.admin_token);
    let answer = api.get("/admin/v1/applications").await?;
    let mut approved = Vec::new();
    for application in list(&answer, "applications").filter(|a| a["state"] == "pending") {
        let id = application["applicationId"].as_str().unwrap_or_default();
        match api.post(&format!("/admin/v1/applications/{id}/approve"), &json!({})).await {
            Ok(_) => approved.push(application["serverInfo"]["serverId"].as_str().unwrap_or(id).to_owned()),
            Err(ClientError::Refused { code: ALREADY, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(approved)
}

fn list<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer[name].as_array().into_iter().flatten()
}

fn texts(answer: &Value, name: &str, field: &str) -> Vec<String> {
    list(answer, name).filter_map(|item| item[field].as_str().map(str::to_owned)).collect()
}

fn number(answer: &Value) -> Result<u64, ClientError> {
    ["number", "generation"]
        .iter()
        .find_map(|name| answer[name].as_u64())
        .ok_or_else(|| ClientError::Answer(format!("no generation in {answer}")))
}

fn activated(answer: &Value) -> Result<Generation, ClientError> {
    Ok(Generation { number: number(answer)?, micros: answer["micros"].as_u64().unwrap_or_default() })
}
