//! Search over the audit log, the newest records first (design §5), and its verification.

use std::path::Path;

use isthmus_domain::AuditRecord;
use isthmus_store::audit::Report;
use isthmus_store::{Store, StoreError};
use serde_json::{Value, json};

use crate::clock;
use crate::reply::Problem;
use crate::request::{number, param};

/// Records read at once.
const STEP: u64 = 1024;

/// What is looked for; all that is given must hold.
#[derive(Default)]
pub(crate) struct Filter {
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    user: Option<String>,
    peer: Option<String>,
    operation: Option<String>,
    outcome: Option<String>,
    text: Option<String>,
    /// Only records before this leaf: the next page.
    before: Option<u64>,
}

impl Filter {
    /// From a query: `from_ms`, `to_ms`, `user`, `peer`, `operation` (a trailing `*` stands for any rest), `outcome`, `text`,
    /// `before` (a leaf's `index`).
    pub(crate) fn parse(query: &str) -> Result<Filter, Problem> {
        let text = |name: &str| param(query, name);
        Ok(Filter {
            from_ms: number(query, "from_ms")?,
            to_ms: number(query, "to_ms")?,
            user: text("user")?,
            peer: text("peer")?,
            operation: text("operation")?,
            outcome: text("outcome")?,
            text: text("text")?,
            before: number(query, "before")?,
        })
    }

    fn fits(&self, record: &AuditRecord<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w.eq_ignore_ascii_case(found));
        let operation = self.operation.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => record.operation.starts_with(prefix),
            None => record.operation == wanted,
        });
        let user = self.user.as_deref().is_none_or(|wanted| record.actor == wanted || record.target == wanted);
        let text = self.text.as_deref().is_none_or(|wanted| record.fields.values().any(|value| value.contains(wanted)));
        operation
            && user
            && text
            && is(&self.peer, &record.peer)
            && is(&self.outcome, &record.outcome)
            && self.from_ms.is_none_or(|from| record.time_ms >= from)
            && self.to_ms.is_none_or(|to| record.time_ms <= to)
    }
}

/// At most `limit` records that fit, the newest first, as JSON with their leaf `index`.
pub(crate) fn matching(
    store: &Store,
    filter: &Filter,
    limit: usize,
    also: impl Fn(&AuditRecord<'_>) -> bool,
) -> Result<Vec<Value>, StoreError> {
    let mut found = Vec::new();
    let mut end = filter.before.unwrap_or(u64::MAX).min(store.stats().audit_size);
    while end > 0 && found.len() < limit {
        let start = end.saturating_sub(STEP);
        let records = store.audit_records(start, usize::try_from(end - start).unwrap_or(usize::MAX))?;
        for numbered in records.iter().rev() {
            let Some(bytes) = &numbered.record else { continue };
            let Ok(record) = AuditRecord::parse(bytes) else { continue };
            if filter.fits(&record) && also(&record) {
                let mut value: Value = serde_json::from_slice(bytes).unwrap_or_default();
                value["index"] = numbered.index.into();
                found.push(value);
                if found.len() >= limit {
                    break;
                }
            }
        }
        end = start;
    }
    Ok(found)
}

/// Signs what there is, computes the whole log anew and compares.
pub(crate) fn verified(store: &Store, data_dir: &Path, keyring: &Path) -> Result<Report, StoreError> {
    store.checkpoint(clock::now_ms())?;
    isthmus_store::audit::verify(&data_dir.join("audit"), Some(keyring))
}

/// What a verification found, in the words of its record.
pub(crate) fn outcome(report: &Report) -> &'static str {
    if report.is_whole() { "whole" } else { "not whole" }
}

/// What it found, for the administrator.
pub(crate) fn shown(report: &Report) -> Value {
    let problem = |p: &isthmus_store::audit::Problem| json!({"file": p.file, "index": p.index, "what": p.what});
    json!({
        "whole": report.is_whole(), "origin": report.origin, "size": report.size, "root": hex::encode(report.root),
        "records": report.records, "erased": report.erased, "witnesses": report.witnesses,
        "problems": report.problems.iter().take(100).map(problem).collect::<Vec<_>>(),
    })
}

/// Work that may take a while, off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::fault)
}
