//! Sealing: AES-256-GCM with associated data that names database, table and key, so that a value moved elsewhere does
//! not open.
//!
//! A sealed value is: layout (1 byte), data key number (u32), nonce (12 random bytes), ciphertext, tag (16 bytes).

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use crate::{KeyRing, StoreError, keyring, keyring::Secret, random::Random};

const LAYOUT: u8 = 1;
const HEAD: usize = 1 + 4 + 12;
const TAG: usize = 16;
/// Bytes that sealing adds to a value.
pub(crate) const OVERHEAD: usize = HEAD + TAG;

/// Random nonces of 96 bits collide with a chance of 2⁻³² after 2³² uses of a key (NIST SP 800-38D §8.3); a fresh data
/// key takes over well before.
pub(crate) const SEALS_PER_KEY: u64 = 1 << 31;

/// One data key and how often it has sealed.
pub(crate) struct DataKey {
    pub(crate) number: u32,
    pub(crate) wrapped: Vec<u8>,
    key: LessSafeKey,
    seals: AtomicU64,
}

impl DataKey {
    pub(crate) fn open(
        ring: &KeyRing,
        database: &str,
        number: u32,
        wrapped: Vec<u8>,
    ) -> Result<(DataKey, Secret, bool), StoreError> {
        let (secret, current) =
            ring.unwrap(&wrapped, &context(database, number)).ok_or(StoreError::WrongKeyRing { key: number })?;
        Ok((DataKey { number, wrapped, key: keyring::cipher(&secret)?, seals: AtomicU64::new(0) }, secret, current))
    }

    pub(crate) fn wrap(ring: &KeyRing, database: &str, number: u32, secret: &Secret) -> Result<Vec<u8>, StoreError> {
        Ok(ring.wrap(secret, &context(database, number))?)
    }

    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Relaxed)
    }

    pub(crate) fn count_from(&self, seals: u64) {
        self.seals.store(seals, Relaxed);
    }
}

fn context(database: &str, number: u32) -> Vec<u8> {
    [b"isthmus data key\0", database.as_bytes(), b"\0", &number.to_be_bytes()].concat()
}

/// The opened data keys of one database, shared by the writer, readers and the audit export.
pub(crate) struct Seals {
    /// Layout, length of the name, the name: the beginning of all associated data.
    prefix: Vec<u8>,
    keys: RwLock<Keys>,
    index_key: Secret,
}

struct Keys {
    all: HashMap<u32, Arc<DataKey>>,
    current: Arc<DataKey>,
}

impl Seals {
    /// `keys` must not be empty; the one with the highest number seals from now on.
    pub(crate) fn new(database: &str, keys: Vec<DataKey>, index_key: Secret) -> Option<Seals> {
        let all: HashMap<_, _> = keys.into_iter().map(|k| (k.number, Arc::new(k))).collect();
        let current = Arc::clone(all.values().max_by_key(|k| k.number)?);
        let mut prefix = vec![LAYOUT];
        prefix.extend_from_slice(&(database.len() as u64).to_be_bytes());
        prefix.extend_from_slice(database.as_bytes());
        Some(Seals { prefix, keys: RwLock::new(Keys { all, current }), index_key })
    }

    pub(crate) fn current(&self) -> Arc<DataKey> {
        Arc::clone(&self.keys().current)
    }

    pub(crate) fn all(&self) -> Vec<Arc<DataKey>> {
        self.keys().all.values().cloned().collect()
    }

    pub(crate) fn add(&self, key: DataKey) {
        let key = Arc::new(key);
        let mut keys = self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.all.insert(key.number, Arc::clone(&key));
        keys.current = key;
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Seals `plain` into `out`, whose length must be that of `plain` and [`OVERHEAD`]. `place` is where the value will
    /// lie (table byte and key); `aad` is a scratch buffer.
    pub(crate) fn seal_into(
        &self,
        key: &DataKey,
        place: &[u8],
        plain: &[u8],
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), StoreError> {
        let nonce = scratch.random.take::<12>()?;
        let aad = scratch.aad(&self.prefix, place);
        out[0] = LAYOUT;
        out[1..5].copy_from_slice(&key.number.to_be_bytes());
        out[5..HEAD].copy_from_slice(&nonce);
        let (body, tag) = out[HEAD..].split_at_mut(plain.len());
        body.copy_from_slice(plain);
        let sealed = key
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
            .map_err(|_| keyring::KeyRingError::Crypto("sealing a value"))?;
        tag.copy_from_slice(sealed.as_ref());
        key.seals.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Opens a sealed value that lies at `place`; `None` if it was altered, moved, or sealed by a key that is not here.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, body) = sealed.split_at_checked(HEAD)?;
        if head[0] != LAYOUT {
            return None;
        }
        let number = u32::from_be_bytes(head[1..5].try_into().ok()?);
        let nonce: [u8; 12] = head[5..HEAD].try_into().ok()?;
        let key = Arc::clone(self.keys().all.get(&number)?);
        let mut aad = Vec::with_capacity(self.prefix.len() + place.len());
        aad.extend_from_slice(&self.prefix);
        aad.extend_from_slice(place);
        let mut buffer = body.to_vec();
        let length =
            key.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&aad[..]), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }

    /// A keyed hash of `data`, the same for the life of the database, different for each `purpose`.
    pub(crate) fn index_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.index_key);
        hasher.update(&(purpose.len() as u64).to_be_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(data);
        *hasher.finalize().as_bytes()
    }
}

/// What sealing needs again and again on one thread.
pub(crate) struct Scratch {
    pub(crate) random: Random,
    aad: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch { random: Random::new(), aad: Vec::with_capacity(128) }
    }

    fn aad(&mut self, prefix: &[u8], place: &[u8]) -> &[u8] {
        self.aad.clear();
        self.aad.extend_from_slice(prefix);
        self.aad.extend_from_slice(place);
        &self.aad
    }
}
