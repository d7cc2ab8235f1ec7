//! The order of messages of one lane that come in one request ([`isthmus_wire::letters`]).

use std::sync::Arc;

use isthmus_domain::Error;
use isthmus_wire::code::{Code, Refusal, Retry};
use tokio::sync::watch;

/// A message's place in its lane, where several come in one request: it is looked at once the one before it is in the
/// store's queue, carried out once that one is settled, and not at all if that one is not.
#[derive(Clone)]
pub(crate) struct Turn {
    before: Option<watch::Receiver<Stage>>,
    own: Arc<watch::Sender<Stage>>,
}

/// How far a message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Queued,
    /// It has its end: kept, or refused for good.
    Over,
    /// It must come again.
    Stuck,
    /// It must come again, because one before it must.
    PassedOver,
}

impl Turn {
    /// The first of its lane, or the only one.
    pub(crate) fn first() -> Turn {
        Turn { before: None, own: Arc::new(watch::Sender::new(Stage::Open)) }
    }

    /// The next one of the lane.
    pub(crate) fn next(&self) -> Turn {
        Turn { before: Some(self.own.subscribe()), ..Turn::first() }
    }

    /// Waits for its turn; false: it is passed over.
    pub(crate) async fn comes(&mut self) -> bool {
        let Some(before) = &mut self.before else { return true };
        let came = before.wait_for(|stage| *stage != Stage::Open).await;
        let comes = came.is_ok_and(|stage| matches!(*stage, Stage::Queued | Stage::Over));
        if !comes {
            self.own.send_replace(Stage::PassedOver);
        }
        comes
    }

    /// The message has its end.
    pub(crate) fn over(&self) {
        self.own.send_replace(Stage::Over);
    }

    /// The message must come again.
    pub(crate) fn stuck(&self) {
        self.own.send_replace(Stage::Stuck);
    }

    /// Nothing was done, because one before it has no end.
    pub(crate) fn passed_over(&self) -> bool {
        *self.own.borrow() == Stage::PassedOver
    }

    /// Its rule waits for the writer.
    pub(super) fn queued(&self) {
        self.own.send_if_modified(|stage| {
            let first = *stage == Stage::Open;
            *stage = if first { Stage::Queued } else { *stage };
            first
        });
    }

    /// Runs the rule, on the writer's thread and so in the order of the queue, if the one before it is settled. A rule
    /// that panics settles nothing.
    pub(super) fn take<T>(&self, rule: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.before.as_ref().is_some_and(|before| *before.borrow() != Stage::Over) {
            self.own.send_replace(Stage::PassedOver);
            return Err(Refusal::new(Code::Overloaded, "a message before it is not settled yet; retry").into());
        }
        let result = rule();
        if result.as_ref().err().is_none_or(is_final) {
            self.over();
        }
        result
    }
}

fn is_final(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code.retry() == Retry::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Error {
        isthmus_store::StoreError::Closed.into()
    }

    fn refusal(code: Code) -> Error {
        Refusal::new(code, "no").into()
    }

    #[tokio::test]
    async fn a_letter_follows_one_that_is_kept_or_refused_for_good_and_waits_for_any_other() {
        let cases = [
            (Ok(()), true),
            (Err(refusal(Code::DeniedByAccess)), true),
            (Err(refusal(Code::NotFound)), true),
            (Err(refusal(Code::Overloaded)), false),
            (Err(fault()), false),
        ];
        for (ends, follows) in cases {
            let first = Turn::first();
            let (mut second, says) = (first.next(), format!("{ends:?}"));
            let mut third = second.next();
            first.queued();
            assert!(second.comes().await);
            second.queued();
            assert!(third.comes().await);
            let _ = first.take(|| ends);
            assert_eq!(second.take(|| Ok(())).is_ok(), follows, "{says}");
            assert_eq!(third.take(|| Ok(())).is_ok(), follows, "{says}");
            assert_eq!((second.passed_over(), third.passed_over()), (!follows, !follows), "{says}");
        }
    }

    #[tokio::test]
    async fn a_letter_is_not_looked_at_before_the_one_in_front_is_queued_nor_after_it_got_stuck() {
        let first = Turn::first();
        let mut second = first.next();
        let mut third = second.next();
        assert!(futures_util::FutureExt::now_or_never(second.comes()).is_none());
        first.stuck();
        assert!(!second.comes().await);
        assert!(!third.comes().await);
        assert!(second.passed_over() && third.passed_over() && !first.passed_over());
        let mut next = Turn::first().next();
        assert!(!next.comes().await, "one that was given up lets nobody by");
    }

    #[tokio::test]
    async fn a_rule_that_panics_lets_nobody_by() {
        let first = Turn::first();
        let second = first.next();
        let rule = std::panic::AssertUnwindSafe(|| first.take::<()>(|| std::panic::resume_unwind(Box::new("a fault"))));
        assert!(std::panic::catch_unwind(rule).is_err());
        assert!(second.take(|| Ok(())).is_err());
    }
}
