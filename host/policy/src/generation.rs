//! An activated bundle: immutable, numbered, kept.

/// An activated bundle.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) digest: String,
}
