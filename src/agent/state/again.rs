//! Going on after an end: resumed by a later runner, or rewound to an earlier step.

use super::{Phase, RunState};
use crate::event::Limits;
use crate::planted::{self, Planted};

impl RunState {
    /// Whether a tool call is recorded as started and not as finished.
    pub fn in_flight(&self) -> bool {
        matches!(self.phase, Phase::InTool(_))
    }

    /// Whether a later runner has anything to do.
    pub fn can_resume(&self) -> bool {
        self.phase != Phase::Done || self.resume_at.is_some()
    }

    pub(super) fn resume(&mut self, limits: Option<&Limits>) {
        if let Some(limits) = limits {
            self.limits = limits.clone();
            self.review_due = self.review_due.filter(|_| limits.review);
        }
        // The request may have reached the provider: what it can have cost at most is spent.
        if let Some(asked) = self.asked.take()
            && !planted::has(Planted::ForgiveUnanswered)
        {
            self.charge_asked(asked);
        }
        self.lose_writer();
        if planted::has(Planted::ResetBudgetOnResume) {
            (self.input_tokens, self.output_tokens, self.cost_usd) = (0, 0, 0.0);
        }
        if planted::has(Planted::AskAgainWhatIsCommitted) && self.phase == Phase::Tools {
            self.phase = Phase::ModelAsked;
        }
        if let Some(phase) = self.resume_at.take() {
            self.outcome = None;
            self.phase = phase;
        }
        self.stop_at_limit();
    }

    /// What was spent since stays spent; the container is not the one of this point.
    pub(crate) fn rewound_from(&mut self, later: &RunState) {
        self.container = None;
        if planted::has(Planted::RefundOnRewind) {
            return;
        }
        self.steps = later.steps;
        self.turns = later.turns;
        self.input_tokens = later.input_tokens;
        self.output_tokens = later.output_tokens;
        self.cost_usd = later.cost_usd;
        self.cost_known = later.cost_known;
        self.elapsed_ms = later.elapsed_ms;
        self.limits = later.limits.clone();
        self.asked = later.asked;
        self.cache_read_tokens = later.cache_read_tokens;
        self.cache_write_tokens = later.cache_write_tokens;
        self.writer = later.writer.clone();
        self.helpers = later.helpers;
        self.said = later.said.clone();
        if let Some(phase) = self.resume_at.take() {
            self.phase = phase;
        }
        self.stop_at_limit();
    }

    /// A limit that is used up ends the run before it asks or does anything more.
    pub(super) fn stop_at_limit(&mut self) {
        match self.phase {
            Phase::AwaitModel | Phase::ModelAsked | Phase::Tools => self.continue_in(self.phase.clone()),
            Phase::Created
            | Phase::SandboxReady
            | Phase::InTool(_)
            | Phase::CaptureToVerify
            | Phase::Verify
            | Phase::CaptureToFinish(_)
            | Phase::Finish(_)
            | Phase::Done => {}
        }
    }
}
