//! What tools suggest, carried out before a model is asked: when that is due, whether it helped, and what it spared.

use super::{Phase, RunState};
use crate::id::BlobId;
use crate::message::ModelResponse;
use crate::task::CheckResult;
use crate::thrift::{Reflex, ReflexTally};

/// Answers of the reflex in one run.
const ANSWERS_MAX: u64 = 100;

/// What the reflex of a run remembers.
#[derive(Debug, Clone, Default)]
pub struct Reflexes {
    pub tally: ReflexTally,
    round: Option<Round>,
    /// Of answers since the last round ended.
    tokens: u64,
}

/// Edits that are made and not yet judged, or that did not help.
#[derive(Debug, Clone)]
struct Round {
    standing: Standing,
    before: Vec<(String, BlobId)>,
    /// Their checks came back, and were no better.
    in_vain: bool,
}

/// Better is more: checks that pass, then tests that pass, then findings that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    checks: usize,
    tests: u64,
    findings: std::cmp::Reverse<usize>,
}

/// What is to be done in the place of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReflexDue {
    /// Carry out what is suggested, if anything is.
    Suggest,
    /// Put these files back.
    Undo(Vec<(String, BlobId)>),
}

impl Reflexes {
    /// What was read for edits that never came has spared nothing.
    pub(super) fn model_asked(&mut self) {
        self.tokens = 0;
        self.round = None;
    }
}

impl RunState {
    /// While the checks are red and nothing has changed since.
    pub fn reflex_due(&self) -> Option<ReflexDue> {
        let red = self.last_checks.as_ref().is_some_and(|checks| checks.iter().any(|check| !check.passed()));
        let waits = self.phase == Phase::AwaitModel && self.harvest.is_empty();
        if !self.task.rules.reflex || !red || !waits || self.changed_since_checks {
            return None;
        }
        match &self.reflex.round {
            Some(round) if round.in_vain => Some(ReflexDue::Undo(round.before.clone())),
            Some(_) => None,
            None => (self.reflex.tally.answers < ANSWERS_MAX).then_some(ReflexDue::Suggest),
        }
    }

    /// In the place of a model's answer; nobody was asked, so nothing is charged.
    pub(super) fn take_reflex(&mut self, response: &ModelResponse, reflex: &Reflex) {
        self.reflex.tally.answers += 1;
        if reflex.undoes {
            self.reflex.tally.undone += 1;
            self.reflex.round = None;
            self.reflex.tokens = 0;
        } else {
            self.reflex.tokens += reflex.tokens;
            let edits = !reflex.before.is_empty();
            let standing = standing(self.last_checks.as_deref().unwrap_or_default(), self.last_alone);
            let before = reflex.before.clone();
            self.reflex.round = edits.then_some(Round { standing, before, in_vain: false });
        }
        self.take_answer(response);
    }

    /// Before the results become the newest ones. `alone`: they are of failing tests and no others.
    pub(super) fn judge_reflex(&mut self, checks: &[CheckResult], alone: bool) {
        let partly = alone || self.last_alone;
        self.last_alone = alone;
        let Some(round) = &mut self.reflex.round else { return };
        let mut before = round.standing;
        if partly {
            before.tests = 0;
        }
        if standing(checks, partly) > before {
            self.reflex.tally.kept += 1;
            self.reflex.tally.tokens_saved += std::mem::take(&mut self.reflex.tokens);
            self.reflex.round = None;
        } else {
            round.in_vain = true;
        }
    }
}

/// `partly`: how many tests pass is not comparable.
fn standing(checks: &[CheckResult], partly: bool) -> Standing {
    let red = checks.iter().filter(|check| !check.passed());
    Standing {
        checks: checks.iter().filter(|check| check.passed()).count(),
        tests: if partly { 0 } else { checks.iter().map(|check| check.report.summary.passed).sum() },
        findings: std::cmp::Reverse(red.map(|check| crate::feedback::findings(&check.report).len()).sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Check, Outcome};
    use greenroom_parsers::{Diagnostic, Report, Severity, Verdict};

    fn check(code: i32, passed: u64, errors: usize) -> Vec<CheckResult> {
        let error = Diagnostic { severity: Some(Severity::Error), ..Diagnostic::default() };
        let mut report = Report { diagnostics: vec![error; errors], verdict: Verdict::Unknown, ..Report::default() };
        report.summary.passed = passed;
        vec![CheckResult {
            check: Check { command: "make test".into() },
            outcome: Outcome::Exited { code },
            duration_ms: 1,
            report,
            output: BlobId::of(b""),
            tail: String::new(),
        }]
    }

    #[test]
    fn better_is_more_that_passes_and_then_less_that_is_wrong() {
        let of = |code, passed, errors| standing(&check(code, passed, errors), false);
        assert!(of(0, 3, 0) > of(1, 3, 0));
        assert!(of(1, 3, 1) > of(1, 3, 2));
        assert!(of(1, 4, 9) > of(1, 0, 1), "behind a broken import there are tests that fail");
        assert!(of(1, 2, 1) < of(1, 3, 1), "a test that passed does not any more");
        assert_eq!(of(1, 3, 1), of(1, 3, 1));
        assert_eq!(standing(&check(1, 7, 1), true), standing(&check(1, 9, 1), true), "of a part nobody can say");
    }
}
