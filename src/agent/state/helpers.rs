//! Helpers as the fold knows them: what a run may give to one, what those it had took, and how a helper's own run ends.

use super::{Phase, RunState};
use crate::event::{Limits, RunOutcome, RunStatus};
use crate::helper::{DEPTH_MAX, HelperReport};
use crate::planted::{self, Planted};

/// What helpers took; their tokens and money are in the run's own counts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Helpers {
    /// Those of helpers among them.
    pub count: u32,
    pub steps: u64,
    pub tokens: u64,
}

impl RunState {
    /// How many levels below a run that nobody asked for this one is.
    pub fn depth(&self) -> u32 {
        self.helper.as_ref().map_or(0, |of| of.depth)
    }

    /// Whether the model is told that there are helpers.
    pub fn may_have_helpers(&self) -> bool {
        self.depth() < DEPTH_MAX && self.helpers.count < self.limits.helpers_max
    }

    /// Whether every request must fit into what is left at its worst.
    pub(crate) fn is_shared(&self) -> bool {
        self.helper.is_some() || self.limits.helpers_max > 0
    }

    /// The limits of one more helper: at most so many steps, and this share of the tokens and the money that are left.
    /// Or why there is none, for the model.
    pub(crate) fn grant(&self, steps: u64, percent: u64) -> Result<Limits, String> {
        let limits = &self.limits;
        if self.depth() >= DEPTH_MAX {
            return Err(format!(
                "helpers are at most {DEPTH_MAX} levels deep, and you are on the last: do it yourself"
            ));
        }
        if self.helper.is_none() && limits.helpers_max == 0 {
            return Err("this run has no helpers: its operator allowed none (`--helpers N` does)".into());
        }
        if self.helpers.count >= limits.helpers_max {
            return Err("no helper is left: do it yourself".into());
        }
        // The call itself is a step too.
        let left = limits.steps_max.saturating_sub(self.steps + self.helpers.steps + 1);
        if left == 0 {
            return Err("no step is left for a helper".into());
        }
        let (pending_tokens, pending_usd) = self.writer.pending_worst();
        let spent = self.input_tokens + self.output_tokens + pending_tokens;
        let share = |max: u64| (u128::from(max.saturating_sub(spent)) * u128::from(percent) / 100) as u64;
        let money = |max: f64| (max - self.cost_usd - pending_usd).max(0.0) * percent as f64 / 100.0;
        Ok(Limits {
            steps_max: steps.min(left),
            tokens_max: limits.tokens_max.map(share),
            cost_usd_max: limits.cost_usd_max.map(money),
            helpers_max: limits.helpers_max - self.helpers.count - 1,
            review: false,
            ..limits.clone()
        })
    }

    pub(super) fn take_helper(&mut self, report: &HelperReport) {
        self.helpers.count += report.helpers;
        self.helpers.steps += report.steps;
        if planted::has(Planted::ForgiveHelper) {
            return;
        }
        self.helpers.tokens += report.input_tokens + report.output_tokens;
        self.input_tokens += report.input_tokens;
        self.output_tokens += report.output_tokens;
        match report.cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.cost_known = false,
        }
    }

    /// The agent says that it is done: a helper's work is looked at by who asked for it, any other is verified.
    pub(super) fn hand_in(&self) -> Phase {
        match &self.helper {
            None => Phase::CaptureToVerify,
            Some(_) => {
                let reason = "it has answered; what it did is verified with the run that asked".to_owned();
                Phase::CaptureToFinish(RunOutcome { status: RunStatus::Answered, reason })
            }
        }
    }
}
