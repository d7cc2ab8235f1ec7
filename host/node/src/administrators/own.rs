//! What administrators do to accounts: the own password and second factor, and a new beginning for the own role's account.

use std::net::IpAddr;

use isthmus_domain::Error;
use isthmus_domain::administrator::{self, Totp};
use isthmus_store::{StoreError, Tx};
use isthmus_wire::code::{Code, Refusal};
use serde_json::{Value, json};

use super::consoles::Seat;
use super::first::{mint, one_time};
use super::{Administrators, ChangePassword, Proof, TotpCode, Who, no_session};
use crate::clock::{self, random_bytes};
use crate::reply::Problem;
use crate::totp;

const PASSWORD_MIN: usize = 12;
pub(super) const PASSWORD_MAX: usize = 1024;

/// A password that will do for whoever administers.
fn check(name: &str, password: &str) -> Result<(), Refusal> {
    let wrong = if password.is_empty() {
        return Err(Refusal::field(Code::MISSING_FIELD, "new", "is missing or empty"));
    } else if password.chars().count() < PASSWORD_MIN {
        "needs at least 12 characters"
    } else if password.len() > PASSWORD_MAX {
        "is longer than 1024 bytes"
    } else if password.to_lowercase().contains(name) {
        "may not contain your name"
    } else {
        return Ok(());
    };
    Err(Refusal::field(Code::INVALID_FIELD, "new", wrong))
}

impl Administrators {
    pub(super) async fn change_own_password(
        &self,
        who: &Who,
        ask: ChangePassword,
        from: IpAddr,
    ) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        check(&seat.name, &ask.new)?;
        if ask.old == ask.new {
            return Err(Refusal::field(Code::INVALID_FIELD, "new", "is the present password").into());
        }
        self.prove_again(seat, "old", ask.old, from).await?;
        let phc = self.passwords.hash(ask.new).await.map_err(Problem::fault)?;
        let now = clock::now_ms();
        self.of_account("admin.password", who, seat, move |tx, name| administrator::set_password(tx, name, phc, now))
            .await?;
        self.consoles.end_others(&seat.name, Some(seat));
        self.consoles.settled(seat);
        self.forget_first(&seat.name);
        Ok(json!({}))
    }

    /// Changes the account of a session, with the record of it.
    async fn of_account(
        &self,
        operation: &'static str,
        who: &Who,
        seat: &Seat,
        change: impl FnOnce(&mut Tx<'_>, &str) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Problem> {
        let record = self.record(operation, &who.actor(), &seat.name);
        let name = seat.name.clone();
        let rule = move |tx: &mut Tx<'_>| {
            change(tx, &name)?;
            tx.audit(record);
            Ok::<_, Error>(())
        };
        Ok(self.store.write(rule).await?)
    }

    /// A secret for an authenticator; it counts once the authenticator has shown a code of it.
    pub(super) fn offer_totp(&self, who: &Who) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        if self.account(seat)?.totp.is_some() {
            return Err(Problem::refused(Code::WRONG_STATE, "there is a second factor already: remove it first"));
        }
        let secret = random_bytes();
        self.consoles.offer(seat, Some(secret));
        let (letters, of) = (totp::letters(&secret), &self.name);
        let uri = format!("otpauth://totp/Isthmus%20{of}:{}?secret={letters}&issuer=Isthmus%20{of}", seat.name);
        Ok(json!({"secret": letters, "uri": uri}))
    }

    pub(super) async fn confirm_totp(&self, who: &Who, ask: TotpCode) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        let none = || Problem::refused(Code::WRONG_STATE, "no second factor is being set up: begin again");
        let secret = self.consoles.offered(seat).ok_or_else(none)?;
        let wrong = || Refusal::field(Code::INVALID_FIELD, "code", "does not fit: is the clock of both right?");
        let step = totp::step(&secret, &ask.code, clock::now_ms()).ok_or_else(wrong)?;
        let own = Some(Totp { secret, step });
        self.of_account("admin.totp.set", who, seat, move |tx, name| administrator::set_totp(tx, name, own)).await?;
        self.consoles.offer(seat, None);
        Ok(json!({}))
    }

    pub(super) async fn remove_totp(&self, who: &Who, ask: Proof, from: IpAddr) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        self.prove_again(seat, "password", ask.password, from).await?;
        self.of_account("admin.totp.remove", who, seat, |tx, name| administrator::set_totp(tx, name, None)).await?;
        Ok(json!({}))
    }

    /// A new one-time password, for an account of the caller's own role; its second factor goes, its sessions end.
    pub(super) async fn reset(&self, who: &Who, name: &str) -> Result<Value, Problem> {
        let nobody = || Problem::refused(Code::NOT_FOUND, "there is no such administrator");
        let known = self.store.read(|view| administrator::find(view, name))?.ok_or_else(nobody)?;
        if known.role != who.role {
            let words = format!("that is for the {} administrator's token", known.role.as_str());
            return Err(Problem::refused(Code::NOT_PERMITTED, words));
        }
        let password = mint();
        let record = self.record("admin.reset", &who.actor(), &known.name);
        let (hash, now, of) = (one_time(&password), clock::now_ms(), known.clone());
        self.store
            .write(move |tx| {
                administrator::appoint(tx, &of.name, of.role, hash, now);
                tx.audit(record);
                Ok::<_, StoreError>(())
            })
            .await?;
        self.consoles.end_others(&known.name, None);
        self.consoles.clear(&known.name, None);
        Ok(json!({"name": known.name, "password": password}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrators_password_is_longer_than_a_users_and_does_not_hold_the_name() {
        let check = |password| check("sysadmin", password).map_err(|refusal| refusal.message);
        assert!(check("quite a long one").is_ok());
        assert!(check("十二个汉字的口令也可以的啊").is_ok());
        for (password, words) in [("", "missing"), ("short", "12"), ("my SysAdmin word", "name")] {
            assert!(check(password).is_err_and(|said| said.contains(words)), "{password}");
        }
        assert!(check(&"x".repeat(1025)).is_err());
    }
}
