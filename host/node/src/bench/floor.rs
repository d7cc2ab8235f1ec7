//! The floor: bare hyper, mutual TLS, HTTP/2, a POST of a message's size, and nothing else; both ends in this process.

use std::time::Duration;

use isthmus_net::floor::{Rig, Way};

use super::error::BenchError;
use super::figures::Floor;

/// The JSON around a text on the wire between two servers.
const ENVELOPE: usize = 200;
/// Enough to guess the rate from.
const SAMPLE: usize = 5_000;

/// Runs it for about this long, with `in_flight` requests at a time.
///
/// # Errors
/// [`BenchError::Driver`].
pub(super) async fn measure(time: Duration, text_bytes: usize, in_flight: usize) -> Result<Floor, BenchError> {
    let rig = Rig::new(Way::Bare, text_bytes + ENVELOPE).await.map_err(failed)?;
    let sample = rig.run(SAMPLE, in_flight).await.map_err(failed)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
    let requests = (SAMPLE as f64 * time.as_secs_f64() / sample.as_secs_f64()) as usize;
    let floor = rig.measure(requests.max(SAMPLE), in_flight).await.map_err(failed)?;
    Ok(Floor { requests_per_second: floor.per_second, cpu_micros_per_request: floor.cpu_micros.unwrap_or_default() })
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> BenchError {
    BenchError::Driver(format!("bare hyper: {error}"))
}
