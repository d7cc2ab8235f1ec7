//! `/admin/v1/policy/…`: the life of policies, for the security administrator (design §2).

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use isthmus_policy::{
    ActivateError, Activation, BundleSource, Diagnostics, Event, ListChange, ListChanged, ListError, Trip,
};
use isthmus_wire::code::{Code, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::accounts::internal;
use super::acts::Act;
use super::audit_search::blocking;
use super::replays::Range;
use super::trail::Trail;
use crate::admin_token::Role;
use crate::administrators::Who;
use crate::reply::Problem;
use crate::request::{param, parse, parse_or_default};
use crate::telemetry::BREAKER;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Show,
    History,
    Check,
    Activate,
    Rollback,
    Stage,
    Upload,
    Canary,
    Diff,
    ShadowStart,
    Shadow,
    ShadowStop,
    ReplayStart,
    Replay,
    ReplayStop,
    Explain,
    WhatIf,
    Lists,
    List,
    ChangeList,
}

/// This family's part of the listener's table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 20] = [
    (Method::GET, "/admin/v1/policy", Endpoint::Show),
    (Method::GET, "/admin/v1/policy/history", Endpoint::History),
    (Method::POST, "/admin/v1/policy/check", Endpoint::Check),
    (Method::POST, "/admin/v1/policy/activate", Endpoint::Activate),
    (Method::POST, "/admin/v1/policy/rollback", Endpoint::Rollback),
    (Method::POST, "/admin/v1/policy/stage", Endpoint::Stage),
    (Method::POST, "/admin/v1/policy/upload", Endpoint::Upload),
    (Method::POST, "/admin/v1/policy/canary", Endpoint::Canary),
    (Method::GET, "/admin/v1/policy/diff", Endpoint::Diff),
    (Method::POST, "/admin/v1/policy/shadow", Endpoint::ShadowStart),
    (Method::GET, "/admin/v1/policy/shadow", Endpoint::Shadow),
    (Method::POST, "/admin/v1/policy/shadow/stop", Endpoint::ShadowStop),
    (Method::POST, "/admin/v1/policy/replay", Endpoint::ReplayStart),
    (Method::GET, "/admin/v1/policy/replay", Endpoint::Replay),
    (Method::POST, "/admin/v1/policy/replay/stop", Endpoint::ReplayStop),
    (Method::GET, "/admin/v1/policy/explain/{id}", Endpoint::Explain),
    (Method::POST, "/admin/v1/policy/explain", Endpoint::WhatIf),
    (Method::GET, "/admin/v1/policy/lists", Endpoint::Lists),
    (Method::GET, "/admin/v1/policy/lists/{name}", Endpoint::List),
    (Method::POST, "/admin/v1/policy/lists/{name}", Endpoint::ChangeList),
];

/// Who may do what. Looking at the policy is for all; changing it, and what is on its lists, for one.
pub(crate) fn roles(endpoint: Endpoint) -> &'static [Role] {
    match endpoint {
        Endpoint::Show | Endpoint::History => &Role::ALL,
        Endpoint::Explain | Endpoint::WhatIf => &[Role::Security, Role::Audit],
        Endpoint::Diff | Endpoint::Shadow | Endpoint::Replay => &[Role::Security, Role::Audit],
        Endpoint::Check
        | Endpoint::Stage
        | Endpoint::Upload
        | Endpoint::Canary
        | Endpoint::ShadowStart
        | Endpoint::ShadowStop
        | Endpoint::ReplayStart
        | Endpoint::ReplayStop
        | Endpoint::Activate
        | Endpoint::Rollback
        | Endpoint::Lists
        | Endpoint::List
        | Endpoint::ChangeList => &[Role::Security],
    }
}

/// For metrics.
pub(crate) fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Show => "policy",
        Endpoint::History => "policy.history",
        Endpoint::Check => "policy.check",
        Endpoint::Activate => "policy.activate",
        Endpoint::Rollback => "policy.rollback",
        Endpoint::Stage => "policy.stage",
        Endpoint::Upload => "policy.upload",
        Endpoint::Canary => "policy.canary",
        Endpoint::Diff => "policy.diff",
        Endpoint::ShadowStart => "policy.shadow.start",
        Endpoint::Shadow => "policy.shadow",
        Endpoint::ShadowStop => "policy.shadow.stop",
        Endpoint::ReplayStart => "policy.replay.start",
        Endpoint::Replay => "policy.replay",
        Endpoint::ReplayStop => "policy.replay.stop",
        Endpoint::Explain => "policy.explain",
        Endpoint::WhatIf => "policy.what_if",
        Endpoint::Lists => "policy.lists",
        Endpoint::List => "policy.list",
        Endpoint::ChangeList => "policy.list.change",
    }
}

/// A bundle by exactly one of three names.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Bundle {
    /// A folder on this machine.
    dir: Option<PathBuf>,
    /// The digest of a staged bundle, or its beginning.
    staged: Option<String>,
    /// The number of a kept generation.
    generation: Option<u64>,
    why: String,
}

impl Bundle {
    fn source(&self) -> Result<BundleSource, Problem> {
        match (&self.dir, &self.staged, self.generation) {
            (Some(dir), None, None) => Ok(BundleSource::Dir(dir.clone())),
            (None, Some(digest), None) => Ok(BundleSource::Staged(digest.clone())),
            (None, None, Some(number)) => Ok(BundleSource::Generation(number)),
            _ => Err(Problem::refused(Code::INVALID_FIELD, "say which bundle: one of `dir`, `staged`, `generation`")),
        }
    }
}

/// A bundle, file by file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    files: Vec<UploadedFile>,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadedFile {
    /// Within the bundle, with `/`.
    path: String,
    base64: String,
}

/// A bundle, and which records to judge.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Past {
    dir: Option<PathBuf>,
    staged: Option<String>,
    generation: Option<u64>,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    limit: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Back {
    to: Option<u64>,
    why: String,
}

/// Exactly one of the four.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Change {
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
    set: Option<Vec<String>>,
    reset: bool,
    /// The revision that the caller has seen.
    revision: Option<u64>,
    why: String,
}

pub(crate) async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    who: &Who,
    param: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, Problem> {
    match endpoint {
        Endpoint::Show => value(server.policy.show()),
        Endpoint::History => Ok(json!({"history": server.policy.history(), "staged": server.policy.staged()})),
        Endpoint::Check => server.check_policy(parse(body)?).await,
        Endpoint::Activate => server.activate_policy(who, parse(body)?).await,
        Endpoint::Rollback => server.roll_back_policy(who, parse_or_default(body)?).await,
        Endpoint::Stage => server.stage_policy(who, parse(body)?).await,
        Endpoint::Upload => server.upload_policy(who, parse(body)?).await,
        Endpoint::Canary => server.try_policy(who, parse(body)?).await,
        Endpoint::Diff => server.diff_policies(query).await,
        Endpoint::ShadowStart => server.start_shadow(who, parse(body)?).await,
        Endpoint::Shadow => server.policy.shadow_report().map_or_else(|| Err(no_shadow()), value),
        Endpoint::ShadowStop => server.stop_shadow(who).await,
        Endpoint::ReplayStart => {
            let Past { dir, staged, generation, from_ms, to_ms, limit } = parse(body)?;
            let source = Bundle { dir, staged, generation, why: String::new() }.source()?;
            server.start_replay(source, Range { from_ms, to_ms, limit }).await
        }
        Endpoint::Replay => server.replay_view(),
        Endpoint::ReplayStop => server.stop_replay(),
        Endpoint::Explain => server.explain(param).await,
        Endpoint::WhatIf => server.what_if(parse(body)?).await,
        Endpoint::Lists => Ok(json!({"lists": server.policy.lists()})),
        Endpoint::List => server.list(param),
        Endpoint::ChangeList => server.change_list(who, param, parse(body)?).await,
    }
}

fn value(answer: impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(answer).map_err(Problem::fault)
}

impl Server {
    async fn check_policy(self: &Arc<Self>, ask: Bundle) -> Result<Value, Problem> {
        let (server, source) = (self.clone(), ask.source()?);
        match blocking(move || server.policy.check(source)).await? {
            Ok(report) => value(report),
            Err(diagnostics) => Err(broken(&diagnostics)),
        }
    }

    async fn stage_policy(self: &Arc<Self>, who: &Who, ask: Bundle) -> Result<Value, Problem> {
        let dir =
            ask.dir.ok_or_else(|| Refusal::field(Code::MISSING_FIELD, "dir", "is missing: what is to be staged"))?;
        self.stage(who, BundleSource::Dir(dir), ask.why).await
    }

    /// Stages a bundle that comes with the request.
    async fn upload_policy(self: &Arc<Self>, who: &Who, ask: Upload) -> Result<Value, Problem> {
        let read = |file: UploadedFile| {
            let at = format!("files: {}", file.path);
            let wrong = |what: &str| Refusal::field(Code::INVALID_FIELD, &at, what);
            let plain = |part: &str| !part.is_empty() && part != ".." && part != "." && !part.contains('\\');
            if !file.path.split('/').all(plain) {
                return Err(wrong("is no path within a bundle"));
            }
            let bytes = BASE64.decode(&file.base64).map_err(|_| wrong("its content is no Base64"))?;
            Ok((file.path, bytes))
        };
        let files = ask.files.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        self.stage(who, BundleSource::Files(files), ask.why).await
    }

    async fn stage(self: &Arc<Self>, who: &Who, source: BundleSource, why: String) -> Result<Value, Problem> {
        let (server, target, by, reason) = (self.clone(), source.to_string(), who.actor(), why.clone());
        let done = blocking(move || server.policy.stage(source, &by, &reason)).await?;
        let mut fields = vec![("why".to_owned(), why)];
        if let Ok((staged, _)) = &done {
            fields.push(("digest".to_owned(), staged.digest.clone()));
        }
        let trail = self.policy_act("policy.stage", &who.actor(), &target, fields);
        let (staged, report) = self.recorded(trail, done.map_err(activate_problem)).await?;
        let mut answer = value(staged)?;
        answer["plugins"] = value(report.plugins)?;
        answer["diagnostics"] = value(report.diagnostics)?;
        Ok(answer)
    }

    /// Instantiates a bundle's plugins and runs its own cases.
    async fn try_policy(self: &Arc<Self>, who: &Who, ask: Bundle) -> Result<Value, Problem> {
        let source = ask.source()?;
        let target = source.to_string();
        let server = self.clone();
        let done = blocking(move || server.policy.canary(source)).await?;
        let fields = done.iter().flat_map(|report| {
            let (cases, failed) = (report.cases.len(), report.failed());
            [("cases".to_owned(), cases.to_string()), ("failed".to_owned(), failed.to_string())]
        });
        let trail = self.policy_act("policy.canary", &who.actor(), &target, fields.collect());
        value(self.recorded(trail, done.map_err(|diagnostics| broken(&diagnostics))).await?)
    }

    async fn diff_policies(self: &Arc<Self>, query: &str) -> Result<Value, Problem> {
        let side = |name: &str| -> Result<BundleSource, Problem> {
            let missing =
                || Refusal::field(Code::MISSING_FIELD, name, "is missing: a generation, staged:DIGEST or a folder");
            let text = param(query, name)?.ok_or_else(missing)?;
            Ok(named(&text, self.policy.begin().generation()))
        };
        let (from, to, server) = (side("from")?, side("to")?, self.clone());
        match blocking(move || server.policy.diff(&from, &to)).await? {
            Ok(diff) => value(diff),
            Err(diagnostics) => Err(broken(&diagnostics)),
        }
    }

    async fn start_shadow(self: &Arc<Self>, who: &Who, ask: Bundle) -> Result<Value, Problem> {
        let (source, by) = (ask.source()?, who.actor());
        let (server, target, starter) = (self.clone(), source.to_string(), by.clone());
        let done = blocking(move || server.policy.shadow_start(source, &starter)).await?;
        let mut fields = vec![("why".to_owned(), ask.why)];
        fields.extend(done.iter().map(|report| ("digest".to_owned(), report.digest.clone())));
        let trail = self.policy_act("policy.shadow.start", &by, &target, fields);
        value(self.recorded(trail, done.map_err(|diagnostics| broken(&diagnostics))).await?)
    }

    async fn stop_shadow(self: &Arc<Self>, who: &Who) -> Result<Value, Problem> {
        let report = self.policy.shadow_stop().ok_or_else(|| Problem::refused(Code::NOT_FOUND, "no shadow listens"))?;
        let counts = &report.comparison;
        let fields = [("judged", counts.judged), ("disagreed", counts.disagreed), ("dropped", report.dropped)];
        let fields = fields.map(|(name, count)| (name.to_owned(), count.to_string()));
        let trail = self.policy_act("policy.shadow.stop", &who.actor(), &report.digest, fields.to_vec());
        self.note(&trail).await;
        value(report)
    }

    /// A plugin has failed too often: its generation is taken back, recorded and counted.
    pub(crate) async fn trip(self: &Arc<Self>, trip: Trip) {
        metrics::counter!("isthmus_policy_breaker_trips_total", "plugin" => trip.plugin.clone()).increment(1);
        tracing::error!(
            target: BREAKER,
            generation = trip.generation,
            plugin = trip.plugin,
            faults = trip.faults,
            calls = trip.calls,
            fault = trip.fault,
            "a plugin keeps failing; its generation is taken back"
        );
        let mut fields = vec![
            ("plugin".to_owned(), trip.plugin.clone()),
            ("fault".to_owned(), trip.fault.clone()),
            ("faults".to_owned(), trip.faults.to_string()),
            ("calls".to_owned(), trip.calls.to_string()),
        ];
        let (server, tripped) = (self.clone(), trip.clone());
        let done = blocking(move || server.policy.trip(&tripped)).await;
        let done = done.and_then(|done| done.map_err(activate_problem));
        if let Ok(Some(activation)) = &done {
            fields.push(("generation".to_owned(), activation.number.to_string()));
            fields.push(("digest".to_owned(), activation.digest.clone()));
        }
        let nowhere = || Problem::refused(Code::WRONG_STATE, "there is no good generation to go back to");
        let done = done.and_then(|done| done.ok_or_else(nowhere));
        let trail = self.policy_act("policy.breaker", "breaker", &trip.generation.to_string(), fields);
        let act = |activation: &Activation| Act::Swap(activation.number);
        if let Err(problem) = self.acted(trail, done, act).await {
            let (_, code, words) = problem.public();
            tracing::error!(target: BREAKER, generation = trip.generation, %code, words, "it could not be taken back");
        }
    }

    async fn activate_policy(self: &Arc<Self>, who: &Who, ask: Bundle) -> Result<Value, Problem> {
        value(self.activate(ask.source()?, &who.actor(), &ask.why).await?)
    }

    /// Swaps a bundle in; the act and its failure are recorded. Answers when nothing of the old generation is left.
    pub(crate) async fn activate(
        self: &Arc<Self>,
        source: BundleSource,
        by: &str,
        why: &str,
    ) -> Result<Activation, Problem> {
        let (server, target, who, reason) = (self.clone(), source.to_string(), by.to_owned(), why.to_owned());
        let done = blocking(move || server.policy.activate(source, &who, &reason)).await?;
        self.swapped("policy.activate", by, &target, why, done).await
    }

    async fn roll_back_policy(self: &Arc<Self>, who: &Who, ask: Back) -> Result<Value, Problem> {
        let by = who.actor();
        let target = ask.to.map_or_else(|| "previous".to_owned(), |n| n.to_string());
        let (server, who, reason) = (self.clone(), by.clone(), ask.why.clone());
        let done = blocking(move || server.policy.rollback(ask.to, &by, &ask.why)).await?;
        value(self.swapped("policy.rollback", &who, &target, &reason, done).await?)
    }

    async fn swapped(
        self: &Arc<Self>,
        operation: &'static str,
        by: &str,
        target: &str,
        why: &str,
        done: Result<Activation, ActivateError>,
    ) -> Result<Activation, Problem> {
        let mut fields = vec![("why".to_owned(), why.to_owned())];
        if let Ok(activation) = &done {
            fields.push(("generation".to_owned(), activation.number.to_string()));
            fields.push(("previous".to_owned(), activation.previous.to_string()));
            fields.push(("digest".to_owned(), activation.digest.clone()));
        }
        let trail = self.policy_act(operation, by, target, fields);
        self.acted(trail, done.map_err(activate_problem), |activation| Act::Swap(activation.number)).await
    }

    /// An act on the policy, as it is recorded.
    fn policy_act(&self, operation: &'static str, by: &str, target: &str, fields: Vec<(String, String)>) -> Trail {
        let event = Event { call: internal(operation, by, target), outcome: "allowed".into(), code: 0, fields };
        Trail::of_event(&self.policy.begin(), event)
    }

    /// Records an act, or its failure.
    async fn recorded<T>(&self, mut trail: Trail, done: Result<T, Problem>) -> Result<T, Problem> {
        if let Err(problem) = &done {
            let (_, code, msg) = problem.public();
            trail.failed(code, msg);
        }
        self.note(&trail).await;
        done
    }

    /// Records an act on what judges, or its failure. Peers that are denied now lose their connections.
    async fn acted<T>(
        self: &Arc<Self>,
        trail: Trail,
        done: Result<T, Problem>,
        act: impl FnOnce(&T) -> Act,
    ) -> Result<T, Problem> {
        match done {
            Ok(done) => {
                self.note_act(&trail, act(&done)).await;
                self.cut_denied().await;
                Ok(done)
            }
            failed @ Err(_) => self.recorded(trail, failed).await,
        }
    }

    fn list(&self, name: &str) -> Result<Value, Problem> {
        let (info, entries) = self.policy.list(name).ok_or_else(|| no_list(name))?;
        let mut list = value(info)?;
        list["entries"] = json!(entries);
        Ok(list)
    }

    async fn change_list(self: &Arc<Self>, who: &Who, name: &str, ask: Change) -> Result<Value, Problem> {
        let (expected, why, by) = (ask.revision, ask.why.clone(), who.actor());
        let change = ask.what()?;
        let (server, list, who, reason) = (self.clone(), name.to_owned(), by.clone(), why.clone());
        let done = blocking(move || server.policy.change_list(&list, change, expected, &who, &reason)).await?;
        let mut fields = vec![("why".to_owned(), why)];
        if let Ok(changed) = &done {
            fields.extend(told(changed));
        }
        let trail = self.policy_act("policy.list.change", &by, name, fields);
        value(self.acted(trail, done.map_err(list_problem), |changed| Act::List(changed.edit.revision)).await?)
    }
}

impl Change {
    fn what(self) -> Result<ListChange, Problem> {
        match (self.add, self.remove, self.set, self.reset) {
            (Some(entries), None, None, false) => Ok(ListChange::Add(entries)),
            (None, Some(entries), None, false) => Ok(ListChange::Remove(entries)),
            (None, None, Some(entries), false) => Ok(ListChange::Set(entries)),
            (None, None, None, true) => Ok(ListChange::Reset),
            _ => Err(Problem::refused(
                Code::INVALID_FIELD,
                "say what to do with the list: one of `add`, `remove`, `set`, `reset`",
            )),
        }
    }
}

/// What the audit record says of a change.
fn told(changed: &ListChanged) -> Vec<(String, String)> {
    let edit = &changed.edit;
    let some = |many: usize, some: &[String]| match many.saturating_sub(some.len()) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    };
    let mut fields = vec![("revision".to_owned(), edit.revision.to_string())];
    if edit.added > 0 {
        fields.push(("added".to_owned(), some(edit.added, &edit.some_added)));
    }
    if edit.removed > 0 {
        fields.push(("removed".to_owned(), some(edit.removed, &edit.some_removed)));
    }
    fields
}

fn no_list(name: &str) -> Problem {
    Problem::refused(Code::NOT_FOUND, format!("there is no list `{name}`"))
}

fn no_shadow() -> Problem {
    Problem::refused(Code::NOT_FOUND, "there was no shadow since the server's start: `policy shadow start` begins one")
}

/// A bundle as people name it: `active`, a generation's number, `staged:DIGEST`, or else a folder.
fn named(text: &str, active: u64) -> BundleSource {
    match (text, text.strip_prefix("staged:"), text.parse()) {
        ("active", ..) => BundleSource::Generation(active),
        (_, Some(digest), _) => BundleSource::Staged(digest.to_owned()),
        (_, None, Ok(number)) => BundleSource::Generation(number),
        _ => BundleSource::Dir(text.into()),
    }
}

pub(crate) fn broken(diagnostics: &Diagnostics) -> Problem {
    Problem::refused(Code::INVALID_FIELD, format!("the bundle has errors:\n{diagnostics}"))
}

fn activate_problem(error: ActivateError) -> Problem {
    match error {
        ActivateError::Broken(diagnostics) => broken(&diagnostics),
        ActivateError::NoSuchGeneration(words) => Problem::refused(Code::NOT_FOUND, words),
        ActivateError::Keep { .. } => Problem::fault(error),
    }
}

fn list_problem(error: ListError) -> Problem {
    match error {
        ListError::Activate(error) => activate_problem(error),
        ListError::Nothing(name) => no_list(&name),
        ListError::Name(_) | ListError::Entry { .. } | ListError::Full => {
            Problem::refused(Code::INVALID_FIELD, error.to_string())
        }
        ListError::Meanwhile { .. } => Problem::refused(Code::WRONG_STATE, error.to_string()),
    }
}
