//! `policy.sig`: who vouches for a bundle.
//!
//! Each line reads `ed25519 KEY-ID SIGNATURE`: the signature, in base64, is over the text
//! `isthmus-policy-bundle-v1 ` followed by the bundle's blake3 in hex. As many trusted keys as the
//! configuration says must have signed. It is verified before anything else of the bundle is parsed.
//! A component's own `FILE.sig` reads alike, for those who hand it on.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SIGNATURE;
use super::diagnostic::Diagnostic;
use super::files::Files;
use crate::options::TrustedKey;

/// The text that is signed.
#[must_use]
pub fn signed_text(bundle_digest: &str) -> String {
    format!("isthmus-policy-bundle-v1 {bundle_digest}")
}

/// The text that is signed for one component.
#[must_use]
pub fn signed_plugin_text(component_digest: &str) -> String {
    format!("isthmus-policy-plugin-v1 {component_digest}")
}

/// Who has signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// IDs of trusted keys whose signatures are good, each once.
    pub trusted: Vec<String>,
    /// IDs of keys that nobody here trusts: their signatures say nothing.
    pub unknown: Vec<String>,
}

/// Reads a signature file's text; `text` is what must have been signed.
///
/// # Errors
/// A line that cannot be read, or a trusted key's signature over something else, in words.
pub fn signers(signatures: &str, text: &str, trusted: &[TrustedKey]) -> Result<Signers, String> {
    let mut found = Signers::default();
    for line in signatures.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let ["ed25519", id, signature] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err("a line is not `ed25519 KEY-ID SIGNATURE`".to_owned());
        };
        let (list, id) = match trusted.iter().find(|key| key.id == id) {
            Some(key) if valid(key, text.as_bytes(), signature) => (&mut found.trusted, id.to_owned()),
            Some(_) => {
                return Err(format!(
                    "the signature of `{id}` does not fit these files: they were changed after it, or one was added"
                ));
            }
            None => (&mut found.unknown, id.to_owned()),
        };
        if !list.contains(&id) {
            list.push(id);
        }
    }
    Ok(found)
}

/// # Errors
/// Why the bundle is not trusted.
pub(crate) fn verify(
    files: &Files,
    trusted: &[TrustedKey],
    needed: usize,
    allow_unsigned: bool,
) -> Result<(), Diagnostic> {
    if !files.0.contains_key(SIGNATURE) {
        return if allow_unsigned {
            Ok(())
        } else {
            Err(Diagnostic::error(
                SIGNATURE,
                "is missing, and this server only takes signed bundles (`allow_unsigned` is off)",
            ))
        };
    }
    let text = signed_text(files.signed_digest().to_hex().as_str());
    let Signers { trusted, unknown } =
        signers(files.text(SIGNATURE)?, &text, trusted).map_err(|said| Diagnostic::error(SIGNATURE, said))?;
    // Nobody configured is nobody who could vouch: 0 signatures never suffice.
    if allow_unsigned || trusted.len() >= needed.max(1) {
        return Ok(());
    }
    let who = |ids: &[String]| if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") };
    Err(Diagnostic::error(
        SIGNATURE,
        format!(
            "{} of the {} trusted keys that are needed have signed this bundle ({}); unknown here: {}",
            trusted.len(),
            needed.max(1),
            who(&trusted),
            who(&unknown)
        ),
    ))
}

fn valid(key: &TrustedKey, text: &[u8], signature: &str) -> bool {
    STANDARD
        .decode(signature)
        .is_ok_and(|signature| UnparsedPublicKey::new(&ED25519, key.key).verify(text, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::options::BundleSource;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    fn bundle(signature: Option<&str>) -> Files {
        let mut files = vec![("policy.toml".to_owned(), b"name = \"x\"".to_vec())];
        if let Some(signature) = signature {
            files.push((SIGNATURE.to_owned(), signature.as_bytes().to_vec()));
        }
        Files::read(&BundleSource::Files(files)).unwrap()
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_trusted() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = |id: &str, key: [u8; 32]| TrustedKey { id: id.to_owned(), key };
        let trusted = [key("ops", pair.public_key().as_ref().try_into().unwrap())];
        let sign = |text: &str| STANDARD.encode(pair.sign(text.as_bytes()).as_ref());
        let digest = bundle(None).digest().to_hex();
        let good = format!("# who\ned25519 ops {}\n", sign(&signed_text(digest.as_str())));
        let bad = format!("ed25519 ops {}", sign("something else"));
        let stranger = format!("ed25519 eve {}", sign(&signed_text(digest.as_str())));
        let cases: [(Option<&str>, bool, bool); 8] = [
            (Some(&good), false, true),
            (Some(&good), true, true),
            (Some(&bad), false, false),
            (Some(&bad), true, false),
            (Some(&stranger), false, false),
            (Some(&stranger), true, true),
            (None, false, false),
            (None, true, true),
        ];
        for (signature, allow_unsigned, expected) in cases {
            let verified = verify(&bundle(signature), &trusted, 1, allow_unsigned);
            assert_eq!(verified.is_ok(), expected, "{signature:?} {allow_unsigned}: {verified:?}");
        }
        assert!(verify(&bundle(Some("hello")), &trusted, 1, true).is_err());
    }

    #[test]
    fn as_many_different_keys_as_are_needed_must_have_signed() {
        let pairs = [7, 8, 9].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
        let id = |n: usize| format!("key{n}");
        let trusted: Vec<TrustedKey> =
            (0..3).map(|n| TrustedKey { id: id(n), key: pairs[n].public_key().as_ref().try_into().unwrap() }).collect();
        let text = signed_text(bundle(None).digest().to_hex().as_str());
        let line = |n: usize| format!("ed25519 {} {}", id(n), STANDARD.encode(pairs[n].sign(text.as_bytes()).as_ref()));
        for (signing, needed, good) in [
            (vec![0], 1, true),
            (vec![0], 2, false),
            (vec![0, 0], 2, false),
            (vec![0, 2], 2, true),
            (vec![0, 1, 2], 3, true),
            (vec![], 1, false),
            (vec![], 0, false),
        ] {
            let lines: Vec<String> = signing.iter().map(|n| line(*n)).collect();
            let verified = verify(&bundle(Some(&lines.join("\n"))), &trusted, needed, false);
            assert_eq!(verified.is_ok(), good, "{signing:?} {needed}: {verified:?}");
        }
    }
}
