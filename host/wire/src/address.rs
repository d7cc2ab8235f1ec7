//! `serverAddress` (§7.2.1): `https://host[:port]`, nothing else.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a server's interconnect listener is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A DNS name in lower case, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// 443 where none was given.
    pub port: u16,
}

/// Why a text is no address; reads after "serverAddress: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be https://host[:port]")]
pub struct InvalidAddress;

impl Address {
    /// Reads `https://host[:port]`; one trailing slash is let through.
    ///
    /// # Errors
    /// Another scheme, user, path, query, no host, a port that is none.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let scheme = text.get(..8).filter(|s| s.eq_ignore_ascii_case("https://"));
        let rest = scheme.and(text.get(8..)).ok_or(InvalidAddress)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, port) = bracketed.split_once(']').ok_or(InvalidAddress)?;
            host.parse::<Ipv6Addr>().map_err(|_| InvalidAddress)?;
            (host.to_owned(), port)
        } else {
            let (host, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            (name(host)?, port)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 443,
            None => return Err(InvalidAddress),
            Some(digits) => number(digits)?,
        };
        Ok(Self { host, port })
    }

    /// The host as it stands in a URL, with brackets around IPv6, and the port.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

fn number(digits: &str) -> Result<u16, InvalidAddress> {
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let port = decimal.then(|| digits.parse::<u16>().ok()).flatten();
    port.filter(|p| *p != 0).ok_or(InvalidAddress)
}

fn name(host: &str) -> Result<String, InvalidAddress> {
    let label = |l: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = l.as_bytes();
        bytes.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
    };
    // A name whose last label is a number can only be meant as IPv4.
    let numeric = host.rsplit('.').next().is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit()));
    let valid =
        if numeric { host.parse::<Ipv4Addr>().is_ok() } else { host.len() <= 253 && host.split('.').all(label) };
    if valid { Ok(host.to_ascii_lowercase()) } else { Err(InvalidAddress) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_host_and_perhaps_a_port() {
        let cases = [
            ("https://restApi.abc.com", Some(("restapi.abc.com", 443))),
            ("https://127.0.0.1:8443", Some(("127.0.0.1", 8443))),
            ("HTTPS://localhost:1/", Some(("localhost", 1))),
            ("https://[::1]:8443", Some(("::1", 8443))),
            ("https://[::1]", Some(("::1", 443))),
            ("https://im_1.example", Some(("im_1.example", 443))),
            ("https://xn--fiqs8s", Some(("xn--fiqs8s", 443))),
            ("http://a", None),
            ("https://", None),
            ("https://:8443", None),
            ("https://a:", None),
            ("https://a:0", None),
            ("https://a:65536", None),
            ("https://a:+1", None),
            ("https://a/b", None),
            ("https://a?b", None),
            ("https://a#b", None),
            ("https://u@a", None),
            ("https://a b", None),
            ("https://256.0.0.1", None),
            ("https://1.2.3", None),
            ("https://[::g]", None),
            ("https://[::1]x", None),
            ("https://-a", None),
            ("https://a..b", None),
            ("https://例子", None),
            ("例子例子", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = Address::parse(text).ok();
            let read = read.as_ref().map(|a| (a.host.as_str(), a.port));
            assert_eq!(read, expected, "{text}");
        }
        let v6 = Address { host: "::1".into(), port: 8443 };
        assert_eq!(v6.to_string(), "https://[::1]:8443");
    }
}
