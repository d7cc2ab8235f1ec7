//! Bodies with bounds, and answers in the standard's form (T/CIIA 003—2019 §7.1).

mod body;
pub mod reply;

pub(crate) use body::collect;
pub use body::{Body, BodyError, read_body};
