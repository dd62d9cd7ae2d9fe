//! What a result says of the run: whether it moves, what its checks came to, how good its work is.

use std::sync::Arc;

use super::RunState;
use crate::agent::progress::{Observed, Standing};
use crate::event::ToolOutcome;
use crate::feedback::{self, score::Measured};
use crate::message::ToolUse;
use crate::score::{Score, StyleRules};
use crate::task::CheckResult;

impl RunState {
    /// Whether the step led anywhere; the reason to end the run where none has for long.
    pub(super) fn take_standing(&mut self, call: &ToolUse, result: &ToolOutcome, wrote: bool) -> Option<String> {
        if result.submitted.is_some() || self.limits.may_idle {
            return None;
        }
        let failing = result.checks.as_ref().filter(|checks| checks.iter().any(|check| !check.passed()));
        let failures = failing.map(|checks| feedback::fingerprint(checks.iter().map(|check| &check.report)));
        let wrote_by_name = result.may_write && result.outcome.is_none() && !result.is_error;
        let refuted_again = result.hypothesis.as_ref().is_some_and(|note| self.notebook.refutes_again(note));
        let content = &result.content;
        match self.progress.observe(Observed { call, result: content, wrote_by_name, wrote, failures, refuted_again }) {
            Standing::Moving => None,
            Standing::Tell(remark) => {
                self.stuck = true;
                self.remarks.push(remark);
                None
            }
            Standing::Fresh(reason) => {
                self.stuck = true;
                self.notebook.verdict(&reason);
                self.window.wanted = Some(reason);
                None
            }
            Standing::Stop(reason) => Some(format!("no progress: {reason}")),
        }
    }

    pub(super) fn note_checks(&mut self, checks: &[CheckResult]) {
        self.findings = checks.iter().find(|check| !check.passed()).map(|check| Arc::new(check.report.clone()));
        self.last_checks = Some(checks.to_vec());
    }

    /// A runner from before there were scores left none.
    pub(super) fn note_score(&mut self, score: Option<&Score>) {
        if let Some(score) = score {
            self.score = Some(Box::new(score.clone()));
        }
    }
}

/// Of the tree before anything was changed.
pub(super) fn score_untouched(checks: &[CheckResult]) -> Score {
    let coverage: Vec<_> = checks.iter().flat_map(|check| check.report.metrics.clone()).collect();
    feedback::score::score(&Measured {
        checks,
        baseline: checks,
        files: &[],
        files_left_out: 0,
        coverage: &coverage,
        reports_seen: true,
        rules: &StyleRules::default(),
        last: None,
    })
}
