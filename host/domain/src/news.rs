//! News: what users' devices are told beside messages and receipts (a friend's request, a group's notice, a file that
//! has come). Kept once, sealed, however many inboxes refer to it.

use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::row;
use crate::scene::{Scene, TimeId};
use crate::table::NEWS;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The record's ID.
    pub id: TimeId,
    /// `friend.request`, `group.notice`, …
    pub kind: String,
    /// Its fields, as clients see them.
    pub body: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    kind: String,
    body: Map<String, Value>,
}

/// Keeps news. `body` must be a JSON object; anything else is kept as an empty one.
pub fn put(tx: &mut Tx<'_>, scene: &mut Scene<'_>, kind: &str, body: Value) -> Arc<News> {
    let Value::Object(body) = body else { return put(tx, scene, kind, Value::Object(Map::new())) };
    let id = scene.mint();
    let row = Row { kind: kind.to_owned(), body };
    tx.put_owned(NEWS, &id.0, row::json(&row));
    Arc::new(News { id, kind: row.kind, body: row.body })
}

/// News of a record, if they are there.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Option<Arc<News>>, StoreError> {
    let Some(value) = reader.get(NEWS, &id.0)? else { return Ok(None) };
    let Row { kind, body } = row::parse(&value, "news")?;
    Ok(Some(Arc::new(News { id: *id, kind, body })))
}
