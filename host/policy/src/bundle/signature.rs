//! `policy.sig`: who vouches for a bundle.
//!
//! Each line reads `ed25519 KEY-ID SIGNATURE`: the signature, in base64, is over the text
//! `isthmus-policy-bundle-v1 ` followed by the bundle's blake3 in hex. One valid line of a
//! trusted key suffices. It is verified before anything else of the bundle is parsed.

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

/// # Errors
/// Why the bundle is not trusted.
pub(crate) fn verify(files: &Files, trusted: &[TrustedKey], allow_unsigned: bool) -> Result<(), Diagnostic> {
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
    let text = signed_text(files.digest().to_hex().as_str());
    let mut unknown = Vec::new();
    for line in files.text(SIGNATURE)?.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["ed25519", id, signature] => match trusted.iter().find(|key| key.id == id) {
                Some(key) if valid(key, text.as_bytes(), signature) => return Ok(()),
                Some(_) => {
                    return Err(Diagnostic::error(
                        SIGNATURE,
                        format!("the signature of `{id}` does not fit these files: they were changed after it"),
                    ));
                }
                None => unknown.push(id.to_owned()),
            },
            _ => return Err(Diagnostic::error(SIGNATURE, "a line is not `ed25519 KEY-ID SIGNATURE`")),
        }
    }
    if allow_unsigned {
        return Ok(());
    }
    Err(Diagnostic::error(
        SIGNATURE,
        format!("no trusted key has signed this bundle; it is signed by: {}", unknown.join(", ")),
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
            let verified = verify(&bundle(signature), &trusted, allow_unsigned);
            assert_eq!(verified.is_ok(), expected, "{signature:?} {allow_unsigned}: {verified:?}");
        }
        assert!(verify(&bundle(Some("hello")), &trusted, true).is_err());
    }
}
