//! Asks the model: what a person said meanwhile goes first, and the most it may cost is charged before.

use std::collections::HashSet;
use std::time::Instant;

use super::driver::{Progress, Run, millis};
use crate::context;
use crate::event::{Event, ModelFailure};
use crate::failpoint::{self, Failpoint};
use crate::message::{Block, ModelResponse, Usage};
use crate::model::ModelError;
use crate::planted::{self, Planted};
use crate::tools::{self, ToolFailure};

impl Run<'_> {
    /// What a person said meanwhile. A message that is committed and still there was left by a runner that died.
    pub(super) fn read_inbox(&mut self) -> Result<(), ToolFailure> {
        for letter in self.parts.store.inbox()? {
            if !self.state.said.contains(&letter.id) {
                self.commit(Event::Said { id: letter.id.clone(), text: letter.text })?;
            }
            failpoint::hit(Failpoint::LetterCommitted)?;
            self.parts.store.letter_read(&letter.id)?;
        }
        Ok(())
    }

    pub(super) async fn call_model(&mut self, turn: u64) -> Result<(), ToolFailure> {
        self.read_inbox()?;
        let request = context::build(&self.state, tools::specs(self.state.may_have_helpers()));
        let estimated_input_tokens = context::estimated_tokens(&request);
        let most = Usage {
            input_tokens: Some(estimated_input_tokens),
            output_tokens: Some(u64::from(request.output_tokens_max)),
            ..Usage::default()
        };
        let requested = Event::ModelRequested {
            turn,
            estimated_input_tokens,
            output_tokens_max: request.output_tokens_max,
            cost_usd_max: self.parts.model.cost_usd(&most),
        };
        if let Some(detail) = self.beyond_budget(&most) {
            return self.commit(Event::ModelFailed { turn, failure: ModelFailure::Budget, detail, elapsed_ms: 0 });
        }
        let charged_late = planted::has(Planted::AskBeforeCharge);
        if !charged_late {
            self.commit(requested.clone())?;
        }
        failpoint::hit(Failpoint::ModelBeforeRequest)?;
        self.observer.progress(&Progress::AskingModel { model: self.parts.model.id().to_owned(), turn });
        let began = Instant::now();
        let model = self.parts.model.clone();
        let asked = model.respond(&request);
        let answer = match self.time_left() {
            Some(left) => tokio::time::timeout(left, asked).await.unwrap_or_else(|_| {
                let detail = "the run's time was used up while it answered".to_owned();
                Err(ModelError::Unavailable { model: model.id().to_owned(), detail })
            }),
            None => asked.await,
        };
        let elapsed_ms = millis(began.elapsed());
        failpoint::hit(Failpoint::ModelAnswered)?;
        if charged_late {
            self.commit(requested)?;
        }
        match answer {
            Ok(response) => {
                let response = with_ids(response, turn);
                let cost_usd = self.parts.model.cost_usd(&response.usage);
                self.commit(Event::ModelResponded { turn, response, cost_usd, elapsed_ms, reflex: None })
            }
            Err(error) => {
                let (failure, detail) = (error.class(), error.to_string());
                self.commit(Event::ModelFailed { turn, failure, detail, elapsed_ms })
            }
        }
    }
}

/// Some servers leave tool ids out or repeat them; results must be told apart.
pub(super) fn with_ids(mut response: ModelResponse, turn: u64) -> ModelResponse {
    let mut seen = HashSet::new();
    for (number, block) in response.content.iter_mut().enumerate() {
        if let Block::ToolUse(call) = block
            && (call.id.is_empty() || !seen.insert(call.id.clone()))
        {
            call.id = format!("call_{turn}_{number}");
        }
    }
    response
}
