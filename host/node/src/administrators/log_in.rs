//! The log-in: what is believed, and what guessing costs.

use std::net::IpAddr;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use isthmus_domain::Error;
use isthmus_domain::administrator::{self, Administrator, Secret};
use isthmus_wire::code::Code;
use serde_json::{Value, json};

use super::consoles::{NAME_MAX, Seat};
use super::first::one_time;
use super::own::PASSWORD_MAX;
use super::{Act, Administrators, LogIn, WRONG, Who, no_session, not_the_present, view, wrong};
use crate::reply::Problem;
use crate::{clock, totp};

/// What a log-in comes to.
pub(super) enum Entered {
    /// A session: its `Set-Cookie`, and who it is.
    Session(String, Value),
    /// The password is right; the code of the second factor is missing.
    CodeNeeded,
}

impl Administrators {
    pub(super) async fn log_in(&self, ask: LogIn, from: IpAddr) -> Result<Entered, Problem> {
        self.admit_attempt(&ask.name, from)?;
        let known = self.named(&ask.name)?;
        let proved = self.proves(known.as_ref(), ask.password).await?;
        let Some(seen) = known.filter(|_| proved) else {
            return Err(self.not_let_in(&ask.name, from).await);
        };
        let step = match &seen.totp {
            None => None,
            Some(_) if ask.code.trim().is_empty() => {
                self.consoles.forgive(&ask.name, from);
                return Ok(Entered::CodeNeeded);
            }
            Some(own) => match totp::step(&own.secret, &ask.code, clock::now_ms()) {
                None => return Err(self.not_let_in(&ask.name, from).await),
                step => step,
            },
        };
        let (account, actor) = (seen.clone(), format!("admin:{}", seen.name));
        let record = self.record("admin.login", &actor, &from.to_string());
        let let_in = self.store.write(move |tx| {
            administrator::let_in(tx, &account, step)?;
            tx.audit(record);
            Ok::<_, Error>(())
        });
        if let Err(error) = let_in.await {
            let problem = Problem::from(error);
            if !matches!(problem, Problem::Refused(_)) {
                return Err(problem);
            }
            return Err(self.not_let_in(&seen.name, from).await);
        }
        self.consoles.clear(&seen.name, Some(from));
        let cookie = self.consoles.open(&seen, Instant::now());
        Ok(Entered::Session(cookie, view(&seen)))
    }

    fn named(&self, name: &str) -> Result<Option<Administrator>, Problem> {
        if name.len() > NAME_MAX {
            return Ok(None);
        }
        Ok(self.store.read(|view| administrator::find(view, name))?)
    }

    fn admit_attempt(&self, name: &str, from: IpAddr) -> Result<(), Problem> {
        let tried = self.consoles.attempt(name, from, Instant::now());
        tried.map_err(|seconds| Problem::Later(seconds, "too many failed log-ins; wait and try again".to_owned()))
    }

    /// Whether a password is the account's; as slow without an account.
    async fn proves(&self, known: Option<&Administrator>, password: String) -> Result<bool, Problem> {
        if password.len() > PASSWORD_MAX {
            return Ok(false);
        }
        let phc = match known.map(|one| &one.secret) {
            Some(Secret::Password(phc)) => Some(phc.clone()),
            Some(Secret::OneTime(hash)) => {
                return Ok(verify_slices_are_equal(hash.as_bytes(), one_time(&password).as_bytes()).is_ok());
            }
            None => None,
        };
        self.passwords.verify(password, phc).await.map_err(Problem::fault)
    }

    /// Recorded without the name where there is no such account: people type passwords into the wrong field.
    async fn not_let_in(&self, name: &str, from: IpAddr) -> Problem {
        let known = matches!(self.named(name), Ok(Some(_)));
        let actor = if known { format!("admin:{name}") } else { "admin:unknown".to_owned() };
        let target = from.to_string();
        let failed = Some((Code::NO_IDENTITY, WRONG));
        self.note(Act { operation: "admin.login", actor: &actor, target: &target, failed }).await;
        wrong()
    }

    /// The present password, once more: an unattended screen is no proof.
    pub(super) async fn prove_again(
        &self,
        seat: &Seat,
        field: &str,
        password: String,
        from: IpAddr,
    ) -> Result<(), Problem> {
        self.admit_attempt(&seat.name, from)?;
        let account = self.account(seat)?;
        if !self.proves(Some(&account), password).await? {
            return Err(not_the_present(field));
        }
        self.consoles.clear(&seat.name, Some(from));
        Ok(())
    }

    pub(super) async fn log_out(&self, who: &Who) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        self.consoles.end(seat);
        let actor = who.actor();
        self.note(Act { operation: "admin.logout", actor: &actor, target: &seat.name, failed: None }).await;
        Ok(json!({}))
    }
}
