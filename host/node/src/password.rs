//! Passwords: argon2id in a bounded pool, so that log-ins cannot starve messages.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::clock::random_bytes;

/// Hashes and checks passwords, a few at a time (a user's costs 19 MiB and 25 ms of a core).
#[derive(Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    /// Checked for users that do not exist, so that they answer as slowly as those who do.
    dummy: Arc<str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The server stops.
    #[error("password hashing was cut off: the server is stopping")]
    Stopped,
    /// The hash could not be made or read.
    #[error("password hashing: {0}")]
    Hash(argon2::password_hash::Error),
}

fn hasher() -> Argon2<'static> {
    // OWASP's floor for argon2id: 19 MiB, two passes, one lane.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let salt = SaltString::encode_b64(&random_bytes::<16>()).map_err(PasswordError::Hash)?;
    Ok(hasher().hash_password(password.as_bytes(), &salt).map_err(PasswordError::Hash)?.to_string())
}

impl Passwords {
    /// `at_once`: hashes computed in parallel.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] if argon2 refuses its parameters.
    pub fn new(at_once: usize) -> Result<Passwords, PasswordError> {
        let dummy = hash_now("no user has this password")?;
        Ok(Passwords { places: Arc::new(Semaphore::new(at_once.max(1))), dummy: dummy.into() })
    }

    /// The PHC string to store for a new password.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash_now(&password)).await
    }

    /// Whether the password fits `stored`; always false, and as slow, without one.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, PasswordError> {
        let dummy = self.dummy.clone();
        self.run(move || {
            let text = stored.as_deref().unwrap_or(&dummy);
            let hash = PasswordHash::new(text).map_err(PasswordError::Hash)?;
            let fits = hasher().verify_password(password.as_bytes(), &hash).is_ok();
            Ok(fits && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| PasswordError::Stopped)?;
        tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        })
        .await
        .map_err(|_| PasswordError::Stopped)?
    }
}
