//! What a person said at a checkpoint.

use super::{Phase, RunState};
use crate::event::{Review, RunOutcome, RunStatus};

impl RunState {
    pub(super) fn take_review(&mut self, version: u32, review: &Review) {
        self.review_due = None;
        match review {
            Review::GoOn => {}
            Review::Steer { text } => self.heed(text),
            Review::Stop => {
                let reason = format!("a person did not say yes at checkpoint {version}");
                self.resume_at = Some(Phase::AwaitModel);
                self.phase = Phase::CaptureToFinish(RunOutcome { status: RunStatus::Parked, reason });
            }
        }
    }
}
