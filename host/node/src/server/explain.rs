//! Who decided this, and why: of what was, and of what would be.

use std::sync::Arc;

use isthmus_domain::AuditRecord;
use isthmus_domain::speaker::{self, Home};
use isthmus_policy::{Direction, Origin, Peer, Step};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::{ServerId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::audit_search::Filter;
use super::audit_search::blocking;
use super::gate;
use super::replays::{item, kind_of};
use crate::reply::Problem;

/// A request that nobody makes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhatIf {
    /// Who would act: a userID.
    #[serde(default)]
    from: String,
    /// To whom: a userID, groupID or serverID.
    #[serde(default)]
    to: String,
    operation: String,
    /// Worked out from the two if left out.
    #[serde(default)]
    direction: Option<Direction>,
    /// The other server; worked out if left out.
    #[serde(default)]
    peer: Option<String>,
    /// What would be said.
    #[serde(default)]
    text: Option<String>,
    /// As what; by the operation if left out.
    #[serde(default)]
    kind: Option<String>,
    /// Further facts by name.
    #[serde(default)]
    attributes: std::collections::BTreeMap<String, String>,
}

impl Server {
    /// The decisions about a message, or one decision, with what is known of the policy that made them.
    pub(crate) async fn explain(self: &Arc<Self>, id: &str) -> Result<Value, Problem> {
        let wanted = id.to_owned();
        let records = self.scan(Filter::default(), 50, move |record: &AuditRecord<'_>| {
            record.id.to_string() == wanted || record.fields.get("messageID").is_some_and(|m| *m == wanted)
        });
        let mut records = records.await?;
        if records.is_empty() {
            let words = format!("no decision and no message {id} is in the audit log");
            return Err(Problem::refused(Code::NOT_FOUND, words));
        }
        let server = self.clone();
        let records = blocking(move || {
            records.iter_mut().for_each(|record| server.trace_back(record));
            records
        });
        Ok(json!({"decisions": records.await?}))
    }

    /// Adds who activated the policy that decided, and which setting each plugin names as its reason.
    fn trace_back(&self, record: &mut Value) {
        let Some(origin) = record["generation"].as_u64().and_then(|number| self.policy.origin(number)) else { return };
        if let Some(steps) = record["steps"].as_array_mut() {
            for step in steps {
                let (plugin, code) = (step["plugin"].as_str().unwrap_or_default(), step["reason"].as_str());
                let more = ground(&origin, plugin, code);
                more.into_iter().for_each(|(name, value)| step[name] = value);
            }
        }
        record["policy"] = serde_json::to_value(origin).unwrap_or_default();
    }

    /// What the active policy would say of a request. Changes nothing.
    pub(crate) async fn what_if(self: &Arc<Self>, ask: WhatIf) -> Result<Value, Problem> {
        if ask.operation.is_empty() {
            return Err(Refusal::field(Code::MISSING_FIELD, "operation", "is missing or empty").into());
        }
        let (direction, peer) = self.way(&ask)?;
        let mut call = gate::call(direction, ask.operation.clone(), peer, &ask.from, &ask.to);
        if ask.operation.starts_with("message.") {
            call.attributes.push(("chatScene".into(), "user".into()));
            call.attributes.push(("messageType".into(), "text".into()));
        }
        call.attributes.retain(|(name, _)| !ask.attributes.contains_key(name));
        call.attributes.extend(ask.attributes);
        let kind = ask.kind.unwrap_or_else(|| kind_of(&ask.operation).to_owned());
        let items: Vec<_> = ask.text.iter().map(|text| item(&kind, text)).collect();
        let shown = json!({"operation": ask.operation, "direction": direction, "actor": ask.from, "target": ask.to,
            "peer": call.peer.as_ref().map(|peer| json!({"id": peer.id, "area": peer.area, "product": peer.product})),
            "kind": (!items.is_empty()).then_some(kind)});
        let server = self.clone();
        let (judgement, origin, generation, lists) = blocking(move || {
            let (judgement, generation, lists) = server.policy.what_if(&call, &items);
            (judgement, server.policy.origin(generation), generation, lists)
        })
        .await?;
        let step = |step: &Step| {
            let mut shown = serde_json::to_value(step).unwrap_or_default();
            let code = step.reason.as_ref().map(|reason| reason.code.as_str());
            let more = origin.iter().flat_map(|origin| ground(origin, &step.plugin, code));
            more.for_each(|(name, value)| shown[name] = value);
            shown
        };
        Ok(json!({
            "hypothetical": true,
            "call": shown,
            "outcome": judgement.outcome(),
            "decidedBy": judgement.decided_by().map(|step| step.plugin.to_string()),
            "reason": judgement.reason(),
            "text": judgement.rewritten.first().map(|(_, text)| text),
            "labels": judgement.labels,
            "steps": judgement.steps.iter().map(step).collect::<Vec<_>>(),
            "micros": judgement.micros(),
            "generation": generation,
            "lists": lists,
            "policy": origin,
        }))
    }

    /// Which way a request would go, and by which other server.
    fn way(&self, ask: &WhatIf) -> Result<(Direction, Option<Peer>), Problem> {
        let away = |id: &str| -> Result<Option<ServerId>, Problem> {
            let Ok(user) = UserId::parse(id) else { return Ok(None) };
            let named = match speaker::home_of(&self.store.view()?, &self.id, &user)? {
                Home::Own => return Ok(None),
                Home::Server(peer) | Home::Ask(peer) => return Ok(Some(peer)),
                Home::Unknown => id.rsplit_once('@').map(|(_, server)| server),
            };
            Ok(named.and_then(|server| ServerId::parse(server).ok()))
        };
        let named = ask.peer.as_deref().map(ServerId::parse).transpose();
        let named = named.map_err(|error| Refusal::field(Code::INVALID_FIELD, "peer", error))?;
        let (from, to) = (away(&ask.from)?, away(&ask.to)?);
        let direction = ask.direction.unwrap_or(match (&named, &from, &to) {
            (_, Some(_), _) => Direction::Inbound,
            (Some(_), None, _) | (None, None, Some(_)) => Direction::Outbound,
            (None, None, None) => Direction::Internal,
        });
        let peer = named.or(if direction == Direction::Inbound { from } else { to });
        let peer = peer.filter(|_| direction != Direction::Internal);
        Ok((direction, peer.map(|id| self.peer_facts(&id))))
    }
}

/// What stands behind a plugin's word: its component, and the setting that its reason's code points at (`keyword#/words/3`).
fn ground(origin: &Origin, plugin: &str, code: Option<&str>) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    if let Some(component) = origin.component(plugin) {
        found.push(("component", json!(component)));
    }
    if let Some((_, pointer)) = code.and_then(|code| code.split_once('#')) {
        found.push(("rule", json!(pointer)));
        if let Some(setting) = origin.setting(plugin, pointer) {
            found.push(("setting", setting.clone()));
        }
    }
    found
}
