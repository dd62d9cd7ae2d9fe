//! `--reflex`: what tools suggest is carried out as steps like any other before a model is asked, and taken back where
//! the checks are no better for it.

use serde_json::json;

use super::driver::{Run, no_sandbox};
use super::state::ReflexDue;
use crate::context;
use crate::event::Event;
use crate::id::BlobId;
use crate::message::{Block, ModelResponse, StopReason, ToolUse, Usage};
use crate::model::autofix;
use crate::sandbox::WORKSPACE;
use crate::thrift::Reflex;
use crate::tools::{self, ToolFailure};

/// A larger file is not edited without being asked.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What a token is taken to be in the calls of an answer.
const BYTES_A_TOKEN: u64 = 4;

impl Run<'_> {
    /// Whether there was something to do: then nobody is asked this time.
    pub(super) async fn reflex(&mut self) -> Result<bool, ToolFailure> {
        let answer = match self.state.reflex_due() {
            None => None,
            Some(ReflexDue::Undo(before)) => Some(self.put_back(&before)?),
            Some(ReflexDue::Suggest) => self.suggested().await?,
        };
        let Some((response, reflex)) = answer else { return Ok(false) };
        let (turn, reflex) = (self.state.turns, Some(Box::new(reflex)));
        self.commit(Event::ModelResponded { turn, response, cost_usd: Some(0.0), elapsed_ms: 0, reflex })?;
        Ok(true)
    }

    async fn suggested(&self) -> Result<Option<(ModelResponse, Reflex)>, ToolFailure> {
        let request = context::build(&self.state, tools::specs(false));
        let number = self.state.reflex.tally.answers as usize;
        let Some(found) = autofix::reflex(&request, number) else { return Ok(None) };
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let mut before = Vec::new();
        for file in found.edits {
            let Ok(content) = sandbox.read(&format!("{WORKSPACE}/{file}"), FILE_BYTES_MAX).await? else {
                return Ok(None);
            };
            // Put back as text: what is none stays as it is.
            if std::str::from_utf8(&content).is_err() {
                return Ok(None);
            }
            before.push((file, self.parts.store.put_blob(&content)?));
        }
        let said = serde_json::to_vec(&found.response.content).map_or(0, |bytes| bytes.len() as u64);
        let tokens = context::estimated_tokens(&request) + said / BYTES_A_TOKEN;
        Ok(Some((found.response, Reflex { tokens, before, undoes: false })))
    }

    fn put_back(&self, before: &[(String, BlobId)]) -> Result<(ModelResponse, Reflex), ToolFailure> {
        let text = "The checks are no better for it: putting the files back as they were.".to_owned();
        let mut content = vec![Block::Text { text }];
        let mut call = |name: &str, input| {
            let id = format!("reflex_{}_{}", self.state.reflex.tally.answers, content.len());
            content.push(Block::ToolUse(ToolUse { id, name: name.into(), input }));
        };
        for (path, id) in before {
            let text = String::from_utf8_lossy(&self.parts.store.blob(id)?).into_owned();
            call("write_file", json!({"path": path, "content": text}));
        }
        call("run_checks", json!({}));
        let response = ModelResponse { content, stop_reason: StopReason::ToolUse, usage: Usage::default() };
        Ok((response, Reflex { undoes: true, ..Reflex::default() }))
    }
}
