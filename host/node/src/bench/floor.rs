//! The floor: hyper, mutual TLS, HTTP/2, a POST of a message's size, and nothing else.

use std::time::Duration;

use super::error::BenchError;
use super::figures::Floor;

/// Runs it for about this long.
///
/// # Errors
/// [`BenchError`].
pub(super) async fn measure(_time: Duration) -> Result<Floor, BenchError> {
    Err(BenchError::Option("the floor is not there yet".to_owned()))
}
