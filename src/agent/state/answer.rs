//! What the model's answer, its failure, and the verdict of a clean container lead to.

use super::{Phase, RunState};
use crate::agent::limits;
use crate::event::{ModelFailure, RunOutcome, RunStatus};
use crate::feedback;
use crate::message::{Message, ModelResponse, Role, StopReason};
use crate::planted::{self, Planted};
use crate::task::CheckResult;

/// Unverified submissions after which a run ends.
const SUBMISSIONS_MAX: u32 = 5;
/// Turns in a row without a tool call after which a run ends.
const IDLE_TURNS_MAX: u32 = 3;
/// Answers in a row without a word or a call after which a run parks.
const SILENT_TURNS_MAX: u32 = 3;
/// Rebuilds at a smaller size after the provider says the request is too long.
const SHRINKS_MAX: u32 = 2;

impl RunState {
    pub(super) fn charge(&mut self, response: &ModelResponse, cost_usd: Option<f64>) {
        self.input_tokens += response.usage.input_tokens.unwrap_or(0);
        self.output_tokens += response.usage.output_tokens.unwrap_or(0);
        self.cache_read_tokens += response.usage.cache_read_tokens.unwrap_or(0);
        self.cache_write_tokens += response.usage.cache_write_tokens.unwrap_or(0);
        match cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.cost_known = false,
        }
    }

    /// Of a second reader, or of who decides between equals.
    pub(super) fn charge_reader(&mut self, read: &crate::judgement::Read) {
        self.input_tokens += read.input_tokens;
        self.output_tokens += read.output_tokens;
        match read.cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.cost_known = false,
        }
    }

    pub(super) fn take_answer(&mut self, response: &ModelResponse) {
        self.push(Message { role: Role::Assistant, content: response.content.clone() });
        self.pending = response.tool_uses().cloned().collect();
        let text = response.text();
        match response.stop_reason {
            StopReason::MaxTokens if !planted::has(Planted::ExecuteCutAnswer) => {
                // A call that was cut off may be half of what was meant, so none of the turn is executed.
                self.refuse_pending("not executed: the answer was cut off at the output limit; send less at a time");
                self.idle("Your answer was cut off at the output limit. Continue with smaller steps.");
            }
            StopReason::GaveUp => {
                self.pending.clear();
                self.summary = Some(text.clone());
                if self.helper.is_some() {
                    self.phase = self.hand_in();
                } else if self.checks_may_pass() {
                    self.phase = Phase::CaptureToVerify;
                    self.submissions = SUBMISSIONS_MAX;
                } else {
                    let reason = self.objected.clone().unwrap_or_else(|| first_line(&text));
                    let outcome = RunOutcome { status: RunStatus::Unverified, reason };
                    self.phase = Phase::CaptureToFinish(outcome);
                }
            }
            StopReason::MaxTokens | StopReason::EndTurn | StopReason::ToolUse | StopReason::Refusal => {
                if !self.pending.is_empty() {
                    self.idle_turns = 0;
                    self.silent_turns = 0;
                    self.phase = Phase::Tools;
                } else if response.stop_reason == StopReason::Refusal || text.trim().is_empty() {
                    self.silent();
                } else if self.helper.is_some() || self.checks_may_pass() {
                    self.summary = Some(text);
                    self.phase = self.hand_in();
                } else {
                    self.idle(
                        "The checks do not pass yet. Use the tools to go on; call `submit` when you think it is done.",
                    );
                }
            }
        }
    }

    /// Nothing says that the tree as it is would fail.
    pub(super) fn checks_may_pass(&self) -> bool {
        let green = || self.last_checks.as_ref().is_some_and(|checks| checks.iter().all(CheckResult::passed));
        self.objected.is_none() && (self.changed_since_checks || green())
    }

    pub(super) fn idle(&mut self, reminder: &str) {
        self.idle_turns += 1;
        if self.idle_turns >= IDLE_TURNS_MAX {
            let reason = format!("{IDLE_TURNS_MAX} answers in a row called no tool and the checks do not pass");
            self.close_turn(None);
            self.phase = Phase::CaptureToFinish(RunOutcome { status: RunStatus::Unverified, reason });
        } else {
            self.close_turn(Some(reminder.into()));
            self.continue_in(Phase::AwaitModel);
        }
    }

    /// Refused, empty, or nothing but reasoning: the model is not at work. A person may know why.
    fn silent(&mut self) {
        self.silent_turns += 1;
        if self.silent_turns >= SILENT_TURNS_MAX {
            self.silent_turns = 0;
            let reason = format!("the model refused or said nothing {SILENT_TURNS_MAX} times in a row");
            self.close_turn(None);
            self.resume_at = Some(Phase::AwaitModel);
            self.phase = Phase::CaptureToFinish(RunOutcome { status: RunStatus::Parked, reason });
        } else {
            self.close_turn(Some("Your answer held nothing to act on. Use the tools to go on.".into()));
            self.continue_in(Phase::AwaitModel);
        }
    }

    pub(super) fn take_failure(&mut self, failure: ModelFailure, detail: &str) {
        let end = |status| Phase::CaptureToFinish(RunOutcome { status, reason: detail.to_owned() });
        self.resume_at = Some(Phase::AwaitModel);
        self.phase = match failure {
            ModelFailure::ContextOverflow if self.shrinks < SHRINKS_MAX => {
                self.resume_at = None;
                self.shrinks += 1;
                Phase::AwaitModel
            }
            ModelFailure::Unavailable if limits::reached(self).is_some() => {
                self.continue_in(Phase::AwaitModel);
                return;
            }
            ModelFailure::Unavailable
            | ModelFailure::Authentication
            | ModelFailure::Quota
            | ModelFailure::ContextOverflow
            | ModelFailure::BadRequest => end(RunStatus::Parked),
            ModelFailure::Invalid => end(RunStatus::Failed),
            ModelFailure::Budget => end(RunStatus::Limit),
        };
    }

    fn objections(&self) -> Vec<String> {
        let findings = self.judgement.iter().flat_map(|judgement| &judgement.findings);
        findings.filter(|finding| finding.is_objection()).map(ToString::to_string).collect()
    }

    pub(super) fn take_verdict(&mut self, checks: &[CheckResult]) {
        let missing: Vec<&str> =
            checks.iter().filter(|check| !check.passed()).map(|check| check.check.command.as_str()).collect();
        let objections = self.objections();
        if missing.is_empty() && objections.is_empty() {
            let reason = format!(
                "{} of {} checks pass in a clean container{}",
                checks.len(),
                checks.len(),
                self.added_packages()
            );
            self.phase = Phase::Finish(RunOutcome { status: RunStatus::Verified, reason });
            return;
        }
        self.submissions += 1;
        let green_before = self.last_checks.as_ref().is_some_and(|last| last.iter().all(CheckResult::passed));
        if self.submissions >= SUBMISSIONS_MAX {
            let reason = match missing.is_empty() {
                true => objected(&objections),
                false => format!("in a clean container this does not pass: `{}`", missing.join("`, `")),
            };
            self.phase = Phase::Finish(RunOutcome { status: RunStatus::Unverified, reason });
            return;
        }
        let findings = self.judgement.as_ref().map_or(&[][..], |judgement| &judgement.findings);
        let told = feedback::render_verification(checks, self.baseline.as_deref(), green_before, findings);
        self.objected = missing.is_empty().then(|| objected(&objections));
        self.note_checks(checks);
        self.changed_since_checks = false;
        self.close_turn(Some(told));
        self.continue_in(Phase::AwaitModel);
    }
}

/// In one sentence.
fn objected(objections: &[String]) -> String {
    const SHOWN_MAX: usize = 3;
    let shown = objections.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
    let more = match objections.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("the checks pass, but this stands against the patch: {shown}{more}")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("the model had nothing more to offer").to_owned()
}
