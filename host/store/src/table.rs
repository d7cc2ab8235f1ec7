//! Tables and the store's own among them.

/// A named, ordered set of key–value rows. All tables share one B-tree; the number is the first byte of a row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table {
    /// Unique for ever; `0x00..=0xEF` are free for callers, the rest is the store's own.
    pub id: u8,
    /// For error messages.
    pub name: &'static str,
    /// Whether values are encrypted at rest (§6.2 c). Keys never are: put keyed hashes there
    /// ([`Reader::index_hash`](crate::Reader::index_hash)) where they would tell something.
    pub sealed: bool,
}

impl Table {
    /// The first number that callers may not use.
    pub const RESERVED: u8 = 0xF0;

    /// A table of a caller's. Used in a constant, a reserved number does not compile.
    #[must_use]
    pub const fn new(id: u8, name: &'static str, sealed: bool) -> Table {
        assert!(id < Table::RESERVED, "table numbers from 0xF0 are the store's own");
        Table { id, name, sealed }
    }

    pub(crate) fn key(self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(1 + key.len());
        full.push(self.id);
        full.extend_from_slice(key);
        full
    }
}

const fn own(id: u8, name: &'static str, sealed: bool) -> Table {
    Table { id, name, sealed }
}

/// Format number, database name, index key.
pub(crate) const META: Table = own(0xFF, "meta", false);
/// Data key number (u32) → wrapped data key.
pub(crate) const DATA_KEYS: Table = own(0xFE, "data-keys", false);
/// Counter name → last number given (u64).
pub(crate) const COUNTERS: Table = own(0xFD, "counters", false);
/// First leaf index (u64) → the salted records of one batch.
pub(crate) const AUDIT_PENDING: Table = own(0xFC, "audit-pending", true);
/// `size` and `exported` → compact ranges of the audit tree.
pub(crate) const AUDIT_STATE: Table = own(0xFB, "audit-state", true);
/// Peer, lane, sequence number → letter.
pub(crate) const LETTERS: Table = own(0xFA, "letters", true);
