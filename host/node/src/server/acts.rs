//! Acts on what judges, and their audit records.
//!
//! The policy keeps its generations and lists in files of its own, before a swap; the record of it is written to the store
//! after. A process that is killed between the two finds at its next start which acts have no record, and writes it: a row
//! that names the act is written in one transaction with its record, so that each has exactly one.

use isthmus_domain::table::META;
use isthmus_policy::{Event, Policy};
use isthmus_store::{Reader, Store, StoreError, Tx, WriteError};

use super::Server;
use super::accounts::internal;
use super::trail::Trail;
use crate::reply::chain;

/// Its row says that acts are noted since then; what is older was recorded or is lost.
const SINCE: &[u8] = b"policy act";

/// Something that changed what judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The generation that it made.
    Swap(u64),
    /// The revision of the lists that it made.
    List(u64),
}

impl Act {
    fn key(self) -> Vec<u8> {
        let (kind, number) = match self {
            Act::Swap(number) => (b'g', number),
            Act::List(revision) => (b'l', revision),
        };
        [SINCE, &[0, kind], &number.to_be_bytes()].concat()
    }

    /// In the transaction of its record.
    fn note(self, tx: &mut Tx<'_>) {
        tx.put(META, &self.key(), b"");
    }

    fn is_noted(self, reader: &impl Reader) -> Result<bool, StoreError> {
        Ok(reader.get(META, &self.key())?.is_some())
    }
}

impl Server {
    /// Writes the record of an act that was carried out.
    pub(crate) async fn note_act(&self, trail: &Trail, act: Act) {
        let record = trail.record();
        let noted = self.store.write(move |tx| {
            act.note(tx);
            tx.audit(record);
            Ok::<_, StoreError>(())
        });
        if let Err(error) = noted.await {
            tracing::error!(
                error = chain(&error),
                ?act,
                "an act's record could not be written; the next start tries again"
            );
        }
    }
}

/// Writes the records that an earlier run did not come to write. Before anything is served.
///
/// # Errors
/// The store's.
pub(crate) async fn catch_up(store: &Store, policy: &Policy) -> Result<usize, StoreError> {
    let first = store.read(|view| view.get(META, SINCE))?.is_none();
    let mut missing = Vec::new();
    for (act, event) in all(policy) {
        if first {
            missing.push((act, None));
        } else if !store.read(|view| act.is_noted(view))? {
            missing.push((act, Some(Trail::of_event(&policy.begin(), event).record())));
        }
    }
    let written = missing.iter().filter(|(_, record)| record.is_some()).count();
    if written > 0 {
        tracing::warn!(
            acts = written,
            "acts on the policy had no audit record, the process had ended before; written now"
        );
    }
    let noted = store.write(move |tx| {
        tx.put(META, SINCE, b"");
        for (act, record) in missing {
            act.note(tx);
            if let Some(record) = record {
                tx.audit(record);
            }
        }
        Ok::<_, StoreError>(())
    });
    match noted.await {
        Ok(()) => Ok(written),
        Err(WriteError::Refused(error) | WriteError::Fault(error)) => Err(error),
    }
}

/// All acts that the policy remembers, as they would be recorded now.
fn all(policy: &Policy) -> Vec<(Act, Event)> {
    let field = |name: &str, value: String| (name.to_owned(), value);
    let late = |at_ms: u64, why: String| {
        vec![field("why", why), field("atMs", at_ms.to_string()), field("late", "true".into())]
    };
    let swaps = policy.history().into_iter().map(|entry| {
        let operation = match (&*entry.by, entry.restores) {
            ("breaker", _) => "policy.breaker",
            (_, Some(_)) => "policy.rollback",
            (_, None) => "policy.activate",
        };
        let mut fields = late(entry.at_ms, entry.why);
        fields.extend([field("generation", entry.number.to_string()), field("digest", entry.digest)]);
        let target = entry.restores.map_or(entry.name, |number| number.to_string());
        (Act::Swap(entry.number), event(operation, &entry.by, &target, fields))
    });
    let lists =
        policy.lists().into_iter().flat_map(|list| list.edits.into_iter().map(move |edit| (list.name.clone(), edit)));
    let lists = lists.map(|(name, edit)| {
        let mut fields = late(edit.at_ms, edit.why);
        fields.extend(
            [("revision", edit.revision), ("added", edit.added as u64), ("removed", edit.removed as u64)]
                .map(|(name, number)| field(name, number.to_string())),
        );
        (Act::List(edit.revision), event("policy.list.change", &edit.by, &name, fields))
    });
    swaps.chain(lists).collect()
}

fn event(operation: &'static str, by: &str, target: &str, fields: Vec<(String, String)>) -> Event {
    Event { call: internal(operation, by, target), outcome: "allowed".into(), code: 0, fields }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::path::Path;
    use std::sync::Arc;

    use isthmus_policy::{Breaker, BundleSource, ListChange, NoServices, PolicyOptions};
    use isthmus_store::Options;

    use super::*;

    const FOLDER: &str = "ISTHMUS_TEST_ACTS";

    fn open(dir: &Path) -> (Store, Policy) {
        let store = Store::open(&Options::new(dir.join("data"), dir.join("keys"), "north", "north/t")).unwrap();
        let text = "name = \"open\"\n[defaults]\naccess = \"allow\"\n";
        let files = |text: &str| vec![("policy.toml".to_owned(), text.as_bytes().to_vec())];
        let policy = Policy::open(PolicyOptions {
            dir: dir.join("policy"),
            key: [7; 32],
            trusted_keys: Vec::new(),
            signatures_needed: 1,
            allow_unsigned: true,
            builtins: &[],
            default_bundle: BundleSource::Files(files(text)),
            services: Arc::new(NoServices),
            redaction_key: [9; 32],
            breaker: Breaker::default(),
        });
        (store, policy.unwrap())
    }

    fn next() -> BundleSource {
        let files =
            [("policy.toml", "name = \"next\"\n[defaults]\naccess = \"deny\"\n"), ("lists/black.txt", "north\n")];
        BundleSource::Files(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
    }

    /// What the test below runs in a process of its own, which dies between the acts and their records.
    #[test]
    fn one_who_dies() {
        let Ok(dir) = std::env::var(FOLDER) else { return };
        let (_store, policy) = open(Path::new(&dir));
        policy.activate(next(), "security", "ticket 4711").unwrap();
        policy.change_list("black", ListChange::Add(vec!["south".into()]), None, "security", "ticket 4712").unwrap();
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    #[tokio::test]
    async fn an_act_whose_process_was_killed_before_its_record_has_one_after_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let (store, policy) = open(dir.path());
        assert_eq!(catch_up(&store, &policy).await.unwrap(), 0, "what was before is not told");
        drop((store, policy));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "server::acts::tests::one_who_dies"]).env(FOLDER, dir.path());
        assert!(!child.output().unwrap().status.success(), "it was killed");

        let (store, policy) = open(dir.path());
        assert_eq!(policy.begin().generation(), 2);
        assert_eq!(catch_up(&store, &policy).await.unwrap(), 2);
        assert_eq!(catch_up(&store, &policy).await.unwrap(), 0, "each has one record");
        let records = store.audit_records(0, 10).unwrap();
        let records: Vec<_> = records.into_iter().map(|numbered| numbered.record.unwrap()).collect();
        let told: Vec<_> = records.iter().map(|record| String::from_utf8_lossy(record)).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        for (record, words) in told.iter().zip([
            ["policy.activate", "security", "ticket 4711", "\"generation\":\"2\""],
            ["policy.list.change", "security", "ticket 4712", "\"revision\":\"1\""],
        ]) {
            assert!(words.iter().all(|word| record.contains(word)), "{words:?}: {record}");
        }
    }
}
