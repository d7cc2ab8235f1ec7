//! The platform's authorities on disk, and their roll-over.
//!
//! The folder itself is the first authority; each later one has a folder in it. `authorities.json` says which of them signs
//! and which are trusted beside it. A roll-over is three steps, with as much time between them as servers need: a new root is
//! trusted beside the old one, then it signs, then the old one is trusted no more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::files::{self, Pair};
use super::permitted::Permitted;
use super::{Ca, CaError, issue};

const BOOK: &str = "authorities.json";
const FIRST: &str = ".";

/// Which authorities there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    /// Whose issuer signs.
    active: String,
    /// Whose roots are trusted, the active one among them.
    trusted: Vec<String>,
}

impl Book {
    fn read(dir: &Path) -> Result<Self, CaError> {
        let path = dir.join(BOOK);
        match files::read(&path)? {
            None => Ok(Self { active: FIRST.to_owned(), trusted: vec![FIRST.to_owned()] }),
            Some(text) => {
                serde_json::from_str(&text).map_err(|error| CaError::Broken { path, reason: error.to_string() })
            }
        }
    }

    fn write(&self, dir: &Path) -> Result<(), CaError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CaError::Broken { path: dir.join(BOOK), reason: error.to_string() })?;
        files::write_new(&dir.join(BOOK), &text, 0o644)
    }

    fn others(&self) -> impl Iterator<Item = &String> {
        self.trusted.iter().filter(|name| **name != self.active)
    }
}

/// What stands in a platform's authority folder.
#[derive(Clone, Debug)]
pub struct AuthorityFacts {
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it signs.
    pub active: bool,
    /// Whether the root's private key is on this machine.
    pub root_online: bool,
    /// End of the root.
    pub root_end: SystemTime,
    /// End of the issuer.
    pub issuer_end: SystemTime,
    /// SHA-256 of the root certificate, lower-case hex.
    pub fingerprint: String,
}

impl Ca {
    /// Opens the platform's authorities in `dir`, or makes the first: a root, and an issuer below it that signs. The root's key
    /// may be missing. `permitted`: where servers may be, if that is limited; counts when an issuer is signed.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open_platform(
        dir: &Path,
        domain: &str,
        permitted: Option<&Permitted>,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        let book = Book::read(dir)?;
        let open = |name: &String| Authority::open(&dir.join(name), &domain, permitted, now);
        let active = open(&book.active)?;
        let others = book.others().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { domain, active, others })
    }

    /// What the folder holds, the signing authority first.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn inspect(dir: &Path, domain: &str, now: SystemTime) -> Result<Vec<AuthorityFacts>, CaError> {
        if !Pair::root(dir).cert.exists() {
            return Err(CaError::Nothing(dir.to_owned()));
        }
        let book = Book::read(dir)?;
        let facts = |name: &String| {
            let folder = dir.join(name);
            let authority = Authority::open(&folder, domain, None, now)?;
            let fingerprint = super::fingerprint(&authority.root_pem);
            Ok(AuthorityFacts {
                folder: if name == FIRST { dir.to_owned() } else { folder },
                active: *name == book.active,
                root_online: authority.root_online,
                root_end: authority.root_end,
                issuer_end: authority.not_after,
                fingerprint,
            })
        };
        std::iter::once(&book.active).chain(book.others()).map(facts).collect()
    }

    /// First step of a roll-over: a new root with an issuer of its own, trusted beside the present one.
    ///
    /// # Errors
    /// [`CaError::Step`] if one is under way already.
    pub fn roll_over(
        dir: &Path,
        domain: &str,
        permitted: Option<&Permitted>,
        now: SystemTime,
    ) -> Result<PathBuf, CaError> {
        let mut book = Book::read(dir)?;
        if book.others().next().is_some() {
            return Err(CaError::Step("a roll-over is under way already: activate it, or retire what is not active"));
        }
        let taken = |name: &String| dir.join(name).exists();
        let name = (2..).map(|number: u32| format!("root-{number}")).find(|name| !taken(name));
        let name = name.unwrap_or_default();
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        Authority::open(&dir.join(&name), &domain, permitted, now)?;
        book.trusted.push(name.clone());
        book.write(dir)?;
        Ok(dir.join(name))
    }

    /// Second step: the new root's issuer signs from now on.
    ///
    /// # Errors
    /// [`CaError::Step`] if no roll-over is under way.
    pub fn activate(dir: &Path) -> Result<(), CaError> {
        let mut book = Book::read(dir)?;
        let next = book.trusted.last().filter(|name| **name != book.active).cloned();
        book.active = next.ok_or(CaError::Step("no roll-over is under way: begin one with `rollover`"))?;
        book.write(dir)
    }

    /// Last step: what does not sign is trusted no more. Its files stay.
    ///
    /// # Errors
    /// [`CaError::Step`] if only one root is trusted.
    pub fn retire(dir: &Path) -> Result<(), CaError> {
        let mut book = Book::read(dir)?;
        if book.others().next().is_none() {
            return Err(CaError::Step("only one root is trusted: there is nothing to retire"));
        }
        book.trusted = vec![book.active.clone()];
        book.write(dir)
    }

    /// The active root, key and certificate, as PEM: what is put away when the root goes offline. Secret.
    ///
    /// # Errors
    /// [`CaError::KeyMissing`] if the key is not here.
    pub fn export_root(dir: &Path) -> Result<String, CaError> {
        let root = Pair::root(&dir.join(&Book::read(dir)?.active));
        let missing = || CaError::KeyMissing { cert: root.cert.clone(), key: root.key.clone() };
        let key = root.key()?.ok_or_else(missing)?;
        Ok(key.serialize_pem() + &root.certificate()?.unwrap_or_default())
    }

    /// Takes the active root's key from this machine. Only once an issuer can do its work.
    ///
    /// # Errors
    /// [`CaError::Step`] if there is no issuer yet.
    pub fn remove_root_key(dir: &Path) -> Result<(), CaError> {
        let folder = dir.join(&Book::read(dir)?.active);
        let (root, issuer) = (Pair::root(&folder), Pair::issuer(&folder));
        if issuer.key()?.is_none() || issuer.certificate()?.is_none() {
            return Err(CaError::Step("there is no issuer yet: run `init` first"));
        }
        fs::remove_file(&root.key).map_err(|source| files::fail("remove", &root.key, source))
    }

    /// Brings a root's key back (with its certificate, as [`Ca::export_root`] wrote it), or a root made elsewhere where none is.
    ///
    /// # Errors
    /// [`CaError::Broken`] for a text that holds no key, or another root's.
    pub fn import_root(dir: &Path, domain: &str, pem: &str) -> Result<(), CaError> {
        let folder = dir.join(&Book::read(dir)?.active);
        let root = Pair::root(&folder);
        let broken = |reason: &str| CaError::Broken { path: root.cert.clone(), reason: reason.to_owned() };
        let key = KeyPair::from_pem(pem).map_err(|_| broken("the import holds no private key that we can use"))?;
        let begin = pem.find("-----BEGIN CERTIFICATE-----");
        let given = begin.map(|begin| pem[begin..].to_owned());
        let certificate = root.certificate()?.or(given).ok_or_else(|| broken("the import holds no certificate"))?;
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        // The key must be the certificate's own.
        Authority::of_root(&root.cert, certificate.clone(), key, &domain)?;
        if !root.cert.exists() {
            root.put_certificate(&certificate)?;
        }
        let key = KeyPair::from_pem(pem).map_err(CaError::Make)?;
        root.put_key(&key.serialize_pem())
    }
}
