//! The writer of a checkpoint's notes: a request of its own that runs beside the loop and never holds it up. What it
//! does not say in time, or says wrongly, is only missing.

use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::driver::Run;
use crate::checkpoint::WriterOutcome;
use crate::context;
use crate::event::Event;
use crate::message::{ModelResponse, StopReason, Usage};
use crate::model::ModelError;
use crate::tools::ToolFailure;

const TIME_MAX: Duration = Duration::from_secs(120);

/// One request under way.
pub(super) struct Underway {
    answer: AbortOnDropHandle<Result<ModelResponse, ModelError>>,
    /// What it was shown.
    source: String,
    began: Instant,
}

impl Run<'_> {
    /// After a checkpoint was committed: one writer at a time, and only within what the run has left.
    pub(super) fn ask_writer(&mut self) -> Result<(), ToolFailure> {
        let Some(model) = self.parts.writer.clone() else { return Ok(()) };
        if self.writer.is_some() || self.state.window.unnoted(&self.state.transcript).is_empty() {
            return Ok(());
        }
        let (request, source) = context::writer::request(&self.state, model.limits().context_tokens);
        let estimated_input_tokens = context::estimated_tokens(&request);
        let output_tokens = u64::from(request.output_tokens_max);
        let most = Usage {
            input_tokens: Some(estimated_input_tokens),
            output_tokens: Some(output_tokens),
            ..Usage::default()
        };
        let cost_usd_max = model.cost_usd(&most);
        if !self.state.has_room_for(estimated_input_tokens + output_tokens, cost_usd_max) {
            return Ok(());
        }
        self.commit(Event::WriterAsked {
            version: self.state.window.newest.as_ref().map_or(0, |newest| newest.version),
            estimated_input_tokens,
            output_tokens_max: request.output_tokens_max,
            cost_usd_max,
            shown_messages: self.state.transcript.len() as u64,
        })?;
        let time_max = self.time_left().map_or(TIME_MAX, |left| left.min(TIME_MAX));
        let id = model.id().to_owned();
        let asked = async move {
            tokio::time::timeout(time_max, model.respond(&request)).await.unwrap_or_else(|_| {
                let detail = format!("no answer within {} s", time_max.as_secs());
                Err(ModelError::Unavailable { model: id, detail })
            })
        };
        let answer = AbortOnDropHandle::new(tokio::spawn(asked));
        self.writer = Some(Underway { answer, source, began: Instant::now() });
        Ok(())
    }

    /// Commits what the writer said, if it has.
    pub(super) async fn hear_writer(&mut self) -> Result<(), ToolFailure> {
        let Some(underway) = self.writer.take_if(|writer| writer.answer.is_finished()) else { return Ok(()) };
        let elapsed_ms = underway.began.elapsed().as_millis() as u64;
        let failed = |detail: String| (None, WriterOutcome::Failed { detail });
        let mut usage = Usage::default();
        let (checkpoint, outcome) = match underway.answer.await {
            Ok(Ok(response)) => {
                usage = response.usage;
                match response.stop_reason {
                    StopReason::EndTurn | StopReason::ToolUse => {
                        context::amended(&self.state, &response.text(), &underway.source)
                    }
                    StopReason::MaxTokens => failed("the answer was cut off at the output limit".into()),
                    StopReason::Refusal => failed("the writer refused".into()),
                    StopReason::GaveUp => failed("the writer has nothing more to say".into()),
                }
            }
            Ok(Err(error)) => failed(error.to_string()),
            Err(error) => failed(format!("the request broke off: {error}")),
        };
        let cost_usd = self.parts.writer.as_ref().and_then(|writer| writer.cost_usd(&usage));
        let checkpoint = checkpoint.map(Box::new);
        self.commit(Event::WriterFinished { outcome, checkpoint, usage, cost_usd, elapsed_ms })
    }
}
