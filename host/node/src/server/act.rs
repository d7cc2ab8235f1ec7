//! What is done at a user's or a server's word: judged by policy, carried out by a rule, recorded in its transaction.
//!
//! Every call of §7.6 and §7.7 goes these steps; messages and files, which may be held, have their own.

use std::sync::Arc;

use isthmus_domain::speaker::{self, Home, Homed};
use isthmus_domain::{Error, Scene};
use isthmus_store::{Tx, WriteError};

use super::Server;
use super::gate::{Cleared, Question, Ruling};
use crate::clock;
use crate::reply::Problem;

impl Server {
    /// Asks the policy. There is no quarantine for acts: what it would hold is refused in its words.
    ///
    /// # Errors
    /// 1102 or 1103, recorded.
    pub(crate) async fn clear<T>(
        &self,
        question: Question,
        value: T,
        rewrite: impl FnMut(&mut T, usize, String),
    ) -> Result<Cleared<T>, Problem> {
        match self.gate.rule(question, value, rewrite).await? {
            Ruling::Cleared(cleared) => Ok(cleared),
            Ruling::Held(cleared, reason) => Err(self.no_quarantine(cleared, reason).await),
            Ruling::Refused(refusal, trail) => Err(self.refused(refusal, &trail).await),
        }
    }

    /// Carries out what was cleared: `rule` gets it together with the audit record, `then` what the rule answered and the
    /// policy's generation, after the commit and in commit order.
    ///
    /// # Errors
    /// The rule's refusal, recorded.
    pub(crate) async fn carry_out<V: Send + 'static, T: Send + 'static>(
        self: &Arc<Self>,
        cleared: Cleared<V>,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>, V, Vec<u8>) -> Result<T, Error> + Send + 'static,
        then: impl FnOnce(&Arc<Server>, &T, u64) + Send + 'static,
    ) -> Result<T, Problem> {
        let (value, mut trail, session) = cleared.into_parts();
        let (server, record, generation) = (self.clone(), trail.record(), session.epoch());
        let rule = self.cleared(&session, clock::now_ms(), move |tx, scene| rule(tx, scene, value, record));
        let pending = self.store.submit(rule, move |outcome| then(&server, outcome, generation)).await?;
        let outcome = pending.done().await;
        drop(session);
        match outcome {
            Err(WriteError::Refused(Error::Refused(refusal))) => Err(self.failed(refusal, &mut trail).await),
            outcome => Ok(outcome?),
        }
    }

    /// Records that something was looked at which policy let through.
    pub(crate) async fn looked<T>(&self, cleared: Cleared<T>) -> T {
        let (value, trail, session) = cleared.into_parts();
        self.note(&trail).await;
        drop(session);
        value
    }

    /// Where a user or group is at home; the platform is asked if that hangs on whether a server is registered (R11).
    ///
    /// # Errors
    /// If storage fails.
    pub(crate) async fn home_of<I: Homed>(&self, id: &I) -> Result<Home, Problem> {
        let look = || self.store.read(|view| speaker::home_of(view, &self.id, id));
        let home = look()?;
        let Home::Ask(named) = home else { return Ok(home) };
        self.addresses.settle(&named).await;
        Ok(look()?)
    }

    /// When a letter written now is given up.
    pub(crate) fn expires_ms(&self) -> u64 {
        clock::now_ms() + self.config.delivery.expire_s * 1000
    }
}
