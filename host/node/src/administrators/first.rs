//! One-time passwords: of a new process's accounts, and of whoever has lost the own one.

use std::collections::BTreeMap;

use isthmus_domain::administrator;

use super::Administrators;
use crate::admin_token::Role;
use crate::clock::{self, random_bytes};
use crate::file::{PRIVATE, write_whole};
use crate::reply::Problem;
use crate::token;

/// No letter or digit is taken for another.
const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The hash of a one-time password: it is random, and needs no slow one.
pub(super) fn one_time(password: &str) -> String {
    hex::encode(token::hash(password))
}

/// Four groups of five, a hundred bits.
pub(super) fn mint() -> String {
    let signs: Vec<char> = random_bytes::<20>().iter().map(|b| char::from(SIGNS[usize::from(b & 31)])).collect();
    signs.chunks(5).map(|five| five.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

impl Administrators {
    /// Makes the accounts of a new process. The passwords are on the disk before anything is compared with them.
    pub(crate) async fn appoint_first(&self) -> Result<(), Problem> {
        if !self.store.read(administrator::list)?.is_empty() {
            return Ok(());
        }
        let made = Role::ALL.map(|role| (role, mint()));
        let plain = made.iter().map(|(role, password)| (role.account().to_owned(), password.clone())).collect();
        self.write_first(&plain).map_err(Problem::fault)?;
        let now = clock::now_ms();
        self.store
            .write(move |tx| {
                for (role, password) in &made {
                    administrator::appoint(tx, role.account(), *role, one_time(password), now);
                }
                Ok::<_, isthmus_store::StoreError>(())
            })
            .await?;
        let file = self.first.display();
        tracing::info!(%file, "administrators' one-time passwords were made: log in and change them");
        Ok(())
    }

    fn write_first(&self, passwords: &BTreeMap<String, String>) -> std::io::Result<()> {
        if passwords.is_empty() {
            return std::fs::remove_file(&self.first);
        }
        write_whole(&self.first, &serde_json::to_string_pretty(passwords)?, PRIVATE)
    }

    /// A one-time password that has served is worth nothing, and goes; the file goes with the last.
    pub(super) fn forget_first(&self, name: &str) {
        let Ok(text) = std::fs::read_to_string(&self.first) else { return };
        let Ok(mut left) = serde_json::from_str::<BTreeMap<String, String>>(&text) else { return };
        if left.remove(name).is_some()
            && let Err(error) = self.write_first(&left)
        {
            tracing::warn!(%error, "a one-time password that was used could not be taken out of its file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_password_is_long_and_has_no_signs_that_look_alike() {
        let password = mint();
        assert_eq!(password.len(), 23);
        assert!(password.chars().all(|c| c == '-' || (c.is_ascii_alphanumeric() && !"lo01".contains(c))), "{password}");
        assert_ne!(password, mint());
    }
}
