//! Signed notes (C2SP signed-note, tlog-checkpoint) with Ed25519.

use std::fmt::Write;

use aws_lc_rs::{
    digest::{self, SHA256},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{AuditError, merkle::Hash};
use crate::{KeyRing, StoreError, keyring::KeyRingError};

/// The signature type that the key hash and the verifier key name: Ed25519.
const ED25519_TYPE: u8 = 1;
const DASH: &str = "\u{2014} ";

/// The log's signing key, under the log's name.
pub(crate) struct Signer {
    key: Ed25519KeyPair,
    public: Verifier,
}

/// What checks a log's signature: the contents of `key.pub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    pub(crate) name: String,
    key: [u8; 32],
}

impl Signer {
    pub(crate) fn derive(ring: &KeyRing, name: &str) -> Result<Signer, StoreError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "./-_:".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(AuditError::Origin { origin: name.into() }.into());
        }
        let key = Ed25519KeyPair::from_seed_unchecked(&ring.derive(&format!("audit checkpoint Ed25519 {name}")))
            .map_err(|_| KeyRingError::Crypto("deriving the audit log's signing key"))?;
        let public = key
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyRingError::Crypto("deriving the audit log's signing key"))?;
        Ok(Signer { public: Verifier { name: name.into(), key: public }, key })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.public
    }

    /// `text` (which ends in a new line) with our signature line.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut signature = self.public.hash().to_vec();
        signature.extend_from_slice(self.key.sign(text.as_bytes()).as_ref());
        format!("{text}\n{DASH}{} {}\n", self.public.name, STANDARD.encode(signature))
    }
}

impl Verifier {
    /// The verifier key line: `<name>+<key hash>+<type and key in base64>`.
    pub(crate) fn encode(&self) -> String {
        let typed = [&[ED25519_TYPE][..], &self.key].concat();
        format!("{}+{}+{}\n", self.name, hex::encode(self.hash()), STANDARD.encode(typed))
    }

    pub(crate) fn decode(text: &str) -> Option<Verifier> {
        let (name, rest) = text.strip_suffix('\n')?.split_once('+')?;
        let (hash, key) = rest.split_once('+')?;
        let typed = STANDARD.decode(key).ok()?;
        let verifier = Verifier { name: name.into(), key: typed.strip_prefix(&[ED25519_TYPE])?.try_into().ok()? };
        (hex::encode(verifier.hash()) == hash).then_some(verifier)
    }

    fn hash(&self) -> [u8; 4] {
        let mut context = digest::Context::new(&SHA256);
        for part in [self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.key] {
            context.update(part);
        }
        let mut hash = [0; 4];
        hash.copy_from_slice(&context.finish().as_ref()[..4]);
        hash
    }

    fn accepts(&self, note: &Note) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.key);
        note.signatures
            .iter()
            .filter(|s| s.name == self.name)
            .filter_map(|s| s.bytes.strip_prefix(&self.hash()))
            .any(|signature| key.verify(note.text.as_bytes(), signature).is_ok())
    }
}

struct Signature {
    name: String,
    bytes: Vec<u8>,
}

struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    fn parse(note: &str) -> Option<Note> {
        let (text, lines) = note.rsplit_once("\n\n")?;
        let lines = lines.strip_suffix('\n')?;
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>()?;
        Some(Note { text: format!("{text}\n"), signatures })
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    Some(Signature { name: name.into(), bytes: STANDARD.decode(bytes).ok()? })
}

/// The body of a checkpoint: the log's name, size, root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Body {
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = write!(text, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        text
    }

    /// Further lines (extensions) are allowed and ignored.
    fn decode(text: &str) -> Option<Body> {
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let body = Body {
            origin: origin.into(),
            size: size.parse().ok()?,
            root: STANDARD.decode(root).ok()?.try_into().ok()?,
        };
        (body.size.to_string() == size).then_some(body)
    }
}

/// A checkpoint whose signature was checked: its body, and who else signed.
pub(crate) struct Checked {
    pub(crate) body: Body,
    pub(crate) witnesses: Vec<String>,
}

pub(crate) fn check(note: &str, verifier: &Verifier) -> Result<Checked, &'static str> {
    let note = Note::parse(note).ok_or("is not a signed note")?;
    let body = Body::decode(&note.text).ok_or("is not a checkpoint")?;
    if body.origin != verifier.name {
        return Err("is of another log than the key in key.pub");
    }
    if !verifier.accepts(&note) {
        return Err("has no valid signature of the key in key.pub");
    }
    let witnesses = note.signatures.into_iter().map(|s| s.name).filter(|name| *name != verifier.name).collect();
    Ok(Checked { body, witnesses })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first failure")]
mod tests {
    use super::*;

    /// Key and note of golang.org/x/mod/sumdb/note, the reference for the format.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_of_the_reference_implementation_is_accepted() {
        let verifier = Verifier::decode(KEY).unwrap();
        assert_eq!(verifier.encode(), KEY);
        let note = Note::parse(&format!("{TEXT}\n{SIGNATURE}")).unwrap();
        assert_eq!(note.text, TEXT);
        assert!(verifier.accepts(&note));
        let altered = Note::parse(&format!("{}\n{SIGNATURE}", TEXT.replace("think", "thank"))).unwrap();
        assert!(!verifier.accepts(&altered));
    }

    #[test]
    fn a_checkpoint_with_extension_lines_and_leading_zeros_is_read_as_the_format_says() {
        let root = STANDARD.encode([7; 32]);
        let body = Body::decode(&format!("log.example\n12\n{root}\nan extension\n")).unwrap();
        assert_eq!((body.size, body.root), (12, [7; 32]));
        assert_eq!(Body::decode(&format!("log.example\n012\n{root}\n")), None);
        assert_eq!(Body { origin: "o".into(), size: 1, root: [0; 32] }.encode().lines().count(), 3);
    }
}
