//! Bearer tokens: 256 random bits with a prefix that secret scanners can know and a checksum that
//! tells a mistyped token from a wrong one. Only their SHA-256 is stored.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::clock::random_bytes;

/// SHA-256 of a token's text: what is stored and compared.
pub type TokenHash = [u8; 32];

/// What a token opens; each kind has its own prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A client's, minutes to hours.
    Access,
    /// A client's, exchanged for a new pair.
    Refresh,
    /// An administrator's.
    Admin,
    /// An administrator's session in a browser.
    Console,
    /// An applicant's (R15).
    Ticket,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::Access => "ist_",
            Kind::Refresh => "isr_",
            Kind::Admin => "isa_",
            Kind::Console => "isc_",
            Kind::Ticket => "isk_",
        }
    }
}

/// A new token's text. It is shown once and never stored.
#[must_use]
pub fn mint(kind: Kind) -> String {
    let secret: [u8; 32] = random_bytes();
    let body = BASE64.encode(secret);
    format!("{}{body}{}", kind.prefix(), checksum(kind, &body))
}

/// The hash of a token of this kind; `None` if the text is no such token (prefix, length, checksum).
#[must_use]
pub fn recognise(kind: Kind, text: &str) -> Option<TokenHash> {
    let rest = text.strip_prefix(kind.prefix())?;
    if rest.len() != 43 + 6 || !rest.is_ascii() {
        return None;
    }
    let (body, sum) = rest.split_at(43);
    (checksum(kind, body) == sum).then(|| hash(text))
}

/// SHA-256 of a token's text.
#[must_use]
pub fn hash(text: &str) -> TokenHash {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    out
}

fn checksum(kind: Kind, body: &str) -> String {
    let sum = digest(&SHA256, format!("isthmus token {}{body}", kind.prefix()).as_bytes());
    let mut short = BASE64.encode(&sum.as_ref()[..5]);
    short.truncate(6);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_only_whole_and_only_as_its_kind() {
        let token = mint(Kind::Access);
        assert_eq!(recognise(Kind::Access, &token), Some(hash(&token)));
        assert_eq!(recognise(Kind::Refresh, &token), None);
        assert_eq!(recognise(Kind::Access, &token[..token.len() - 1]), None);
        let mut wrong = token.into_bytes();
        wrong[10] = if wrong[10] == b'A' { b'B' } else { b'A' };
        assert_eq!(recognise(Kind::Access, &String::from_utf8_lossy(&wrong)), None);
    }
}
