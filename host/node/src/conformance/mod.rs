//! `isthmus conformance`: tests any implementation of T/CIIA 003—2019 from outside, as a peer server with a certificate of its own.
//!
//! | module | holds |
//! |---|---|
//! | `case` | what a case is: data that says what is demanded and why, and a short function |
//! | `cases` | all of them, by clause |
//! | `lab` | what they work with: target, peer, second server, listener, platform |
//! | [`line`] | a caller that shows what a case wants shown |
//! | `stage` | the kit's own listener, which records and misbehaves |
//! | `driver` | how users of the target are made to act |
//! | `sample` | one good request of every call, and its mandatory fields |
//! | [`enroll`] | how the kit comes to its certificate |
//! | `report` | the table, JSON, JUnit |

mod case;
mod cases;
mod driver;
mod enroll;
mod lab;
mod line;
mod report;
mod sample;
mod stage;
mod trust;

use std::time::{Duration, Instant};

pub use case::{Case, Complaint, Level, Need};
pub use cases::all;
pub use driver::{Driver, IsthmusUsers};
pub use enroll::{Applicant, Enrolled, enroll};
pub use lab::{Lab, Setup, SetupError};
pub use report::{CaseResult, Report, State};
pub use trust::Pair;

use case::{Stop, Trial};

/// Longer than any case should take: a target that hangs fails the case, not the run.
const CASE_MAX: Duration = Duration::from_secs(180);

/// Which cases shall be tried.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names or beginnings of names (`tls`, `message.out`), or clauses (`7.4`); none: all.
    pub only: Vec<String>,
    /// Levels; none: all.
    pub levels: Vec<Level>,
}

impl Selection {
    /// Whether a case is among them.
    #[must_use]
    pub fn takes(&self, case: &Case) -> bool {
        let under = |whole: &str, part: &str| {
            whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let named = |part: &String| {
            let part = part.trim_end_matches(['.', '*']);
            under(&case.name, part) || under(case.clause, part)
        };
        (self.only.is_empty() || self.only.iter().any(named))
            && (self.levels.is_empty() || self.levels.contains(&case.level))
    }
}

/// The cases of a selection, in the order in which they are tried.
#[must_use]
pub fn selected(selection: &Selection) -> Vec<Case> {
    all().into_iter().filter(|case| selection.takes(case)).collect()
}

/// Tries the selected cases one after the other; `told` hears of each as it ends.
pub async fn run(lab: &Lab, selection: &Selection, mut told: impl FnMut(&CaseResult)) -> Report {
    let began = Instant::now();
    let mut results = Vec::new();
    for case in selected(selection) {
        let result = try_case(lab, &case).await;
        told(&result);
        results.push(result);
    }
    lab.quieten().await;
    Report::new(lab, results, began.elapsed())
}

/// Nothing was heard for so long: nothing more comes.
const QUIET: Duration = Duration::from_millis(500);
/// How long the end waits for that.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

impl Lab {
    /// Answers what the target still has to say, so that no letter of its waits for a server that is gone.
    async fn quieten(&self) {
        let Ok(stage) = self.stage() else { return };
        let began = Instant::now();
        let mut mark = 0;
        while mark != stage.mark() && began.elapsed() < QUIET_WITHIN {
            mark = stage.mark();
            tokio::time::sleep(QUIET).await;
        }
    }
}

async fn try_case(lab: &Lab, case: &Case) -> CaseResult {
    let missing: Vec<&str> = case.needs.iter().filter(|need| !lab.has(**need)).map(|need| need.flag()).collect();
    if !missing.is_empty() {
        return CaseResult::of(
            case,
            State::Skipped,
            format!("needs {}", missing.join("; ")),
            Vec::new(),
            Duration::ZERO,
        );
    }
    lab.calm();
    let began = Instant::now();
    let trial = Trial::new(lab, case);
    let outcome = tokio::time::timeout(CASE_MAX, (case.run)(&trial)).await;
    lab.calm();
    let (state, reason) = match outcome {
        Ok(Ok(()) | Err(Stop::Failed)) if trial.has_complaints() => (State::Failed, String::new()),
        Ok(Ok(())) => (State::Passed, String::new()),
        Ok(Err(Stop::Skip(_))) if trial.has_complaints() => (State::Failed, String::new()),
        Ok(Err(Stop::Skip(why))) => (State::Skipped, why),
        Ok(Err(Stop::Failed)) => (State::Failed, "failed without saying why".to_owned()),
        Err(_) => {
            let _ = trial.fail(format!("an end within {CASE_MAX:?}"), "none");
            (State::Failed, String::new())
        }
    };
    CaseResult::of(case, state, reason, trial.into_complaints(), began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_takes_whole_parts_of_names_and_of_clauses() {
        let only = |part: &str| Selection { only: vec![part.to_owned()], levels: Vec::new() };
        let names = |part: &str| selected(&only(part)).into_iter().map(|case| case.name).collect::<Vec<_>>();
        assert!(names("tls").iter().all(|name| name.starts_with("tls.")) && !names("tls").is_empty());
        assert!(names("tl").is_empty());
        assert_eq!(names("tls.no-certificate"), ["tls.no-certificate"]);
        assert!(selected(&only("7.4")).iter().all(|case| case.clause.starts_with("7.4")));
        let extensions = Selection { only: Vec::new(), levels: vec![Level::Extension] };
        assert!(selected(&extensions).iter().all(|case| case.level == Level::Extension));
    }
}
