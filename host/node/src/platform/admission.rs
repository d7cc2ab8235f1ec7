//! Whom the platform can take in: who can be certified, at which address, and how many at once.

use std::time::{Duration, SystemTime};

use isthmus_domain::registry::Issued;
use isthmus_domain::{Error, table};
use isthmus_net::ca::IssueError;
use isthmus_net::peer::{is_private, is_private_host};
use isthmus_store::{Reader, Tx};
use isthmus_wire::{Address, Code, Refusal, ServerId};

use super::State;
use crate::reply::Problem;

/// What the resolver may take for an applicant's address.
const RESOLVE: Duration = Duration::from_secs(2);

/// The certificate of R13, ready to be noted in the registry.
///
/// # Errors
/// 1003 for a CSR or a host that cannot be certified.
pub(super) fn certify(state: &State, id: &ServerId, address: &str, csr: &str) -> Result<Issued, Problem> {
    let field =
        |name: &str, what: &dyn std::fmt::Display| Problem::Refused(Refusal::field(Code::INVALID_FIELD, name, what));
    let host = Address::parse(address).map_err(|error| field("serverInfo.serverAddress", &error))?.host;
    let issued = state.ca.load().issue_server(csr, id, &host, SystemTime::now(), state.config.ca.days);
    let issued = issued.map_err(|error| match error {
        IssueError::Csr(error) => field("csr", &error),
        IssueError::BadHost(_) | IssueError::ReservedHost(_) | IssueError::ForbiddenHost(_) => {
            field("serverInfo.serverAddress", &error)
        }
        IssueError::BadSerial(_) | IssueError::RootExpired | IssueError::Make(_) | IssueError::Random => {
            Problem::fault(error)
        }
    })?;
    let until = issued.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let not_after_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    Ok(Issued {
        chain: issued.chain_pem,
        serial: issued.serial,
        not_after_ms,
        key_algorithm: issued.key_algorithm,
        signature_algorithm: issued.signature_algorithm.to_owned(),
    })
}

/// Anybody may apply, so the queue has a bound.
pub(super) fn room_for_one(tx: &Tx<'_>, most: usize) -> Result<(), Error> {
    if tx.prefix(table::PENDING, b"", most, false)?.len() < most {
        return Ok(());
    }
    Err(Refusal::new(Code::OVERLOADED, "as many applications wait as this platform takes; try again later").into())
}

/// A public platform refuses addresses that would lead whoever asks into a network of its own, by their name or by what it
/// resolves to now. A name that does not resolve is the reviewer's to judge.
pub(super) async fn admit_address(address: &str, private_too: bool) -> Result<(), Problem> {
    let Ok(Address { host, port }) = Address::parse(address) else { return Ok(()) };
    if private_too {
        return Ok(());
    }
    let private = is_private_host(&host) || {
        let resolved = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host.as_str(), port))).await;
        resolved.is_ok_and(|found| found.is_ok_and(|mut found| found.any(|address| is_private(&address.ip()))))
    };
    if private {
        let what = "is a private address, which this platform does not register (registry.allow_private_addresses)";
        return Err(Problem::Refused(Refusal::field(Code::INVALID_FIELD, "serverInfo.serverAddress", what)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_addresses_are_refused_unless_the_configuration_says_otherwise() {
        let cases = [
            ("https://127.0.0.1:7443", false),
            ("https://169.254.169.254", false),
            ("https://[::ffff:10.0.0.1]", false),
            ("https://LocalHost", false),
            ("https://0x7f000001", false),
            ("https://93.184.216.34", true),
            ("https://[2606:2800:220:1::1]", true),
        ];
        for (address, admitted) in cases {
            assert_eq!(admit_address(address, false).await.is_ok(), admitted, "{address}");
            assert!(admit_address(address, true).await.is_ok());
        }
    }
}
