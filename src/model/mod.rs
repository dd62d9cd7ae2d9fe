//! The seam to language models: one request in, one complete answer out. One backend a file.

pub mod anthropic;
pub mod autofix;
pub mod catalog;
mod failure;
pub mod http;
mod ids;
pub mod openai;
pub mod plain;
pub mod resolve;
pub mod retry;
pub mod scripted;

use async_trait::async_trait;
use serde_json::Value;

use crate::event::ModelFailure;
use crate::message::{ModelRequest, ModelResponse};

#[async_trait]
pub trait Model: Send + Sync {
    /// `provider/model`, `autofix` or `scripted:<file>`.
    fn id(&self) -> &str;

    /// Sends one request and returns the complete answer. Retries within its own bounds; what comes back as an error
    /// is final for this turn.
    ///
    /// Every call has an id of its own within the conversation; input that was no JSON is a string. An answer cut off
    /// by its length (`MaxTokens`) holds no calls. `input_tokens` counts the whole prompt, its cached part included.
    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError>;

    /// US dollars for this usage, where the price is known.
    fn cost_usd(&self, _usage: &crate::message::Usage) -> Option<f64> {
        None
    }

    /// Whether it has words of its own, to keep notes with.
    fn writes(&self) -> bool {
        true
    }

    /// What the model can take and give, where that is known.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Prompt and answer together.
    pub context_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

impl Limits {
    /// What to ask for, where `wanted` is the request's limit and 0 means none.
    fn output_tokens_max(self, wanted: u32) -> Option<u64> {
        let wanted = Some(u64::from(wanted)).filter(|tokens| *tokens > 0)?;
        Some(self.output_tokens.map_or(wanted, |most| wanted.min(most)))
    }
}

/// Marks opaque data that a Chat Completions server attached to a call and wants back with it (Gemini's thought
/// signatures): it travels as `RedactedThinking` before the call, and no other provider gets to see it.
const EXTRA_CONTENT: &str = "extra_content:";

/// A call's input as wire formats take it, which is an object and nothing else: what a model sent instead goes back
/// to it inside one.
fn wire_input(input: &Value) -> Value {
    match input {
        Value::Object(_) => input.clone(),
        Value::Null => Value::Object(Default::default()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            serde_json::json!({"malformed_arguments": input})
        }
    }
}

/// Why a model gave no answer, in the classes that decide what happens next.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Network, 5xx, overload, truncated stream: retried until the budget for it was used up.
    #[error("{model} cannot be reached: {detail}")]
    Unavailable { model: String, detail: String },
    #[error("{model} refused the credentials: {detail}")]
    Authentication { model: String, detail: String },
    /// Paid quota or a rate limit beyond what may be waited for.
    #[error("{model} is out of quota: {detail}")]
    Quota { model: String, detail: String },
    #[error("the request is too long for {model}: {detail}")]
    ContextOverflow { model: String, detail: String },
    /// The provider says the request is wrong (unknown model, bad parameter).
    #[error("{model} rejected the request: {detail}")]
    BadRequest { model: String, detail: String },
    /// A scripted answer that cannot be read, and the like.
    #[error("{model}: {detail}")]
    Invalid { model: String, detail: String },
}

impl ModelError {
    pub fn class(&self) -> ModelFailure {
        match self {
            ModelError::Unavailable { .. } => ModelFailure::Unavailable,
            ModelError::Authentication { .. } => ModelFailure::Authentication,
            ModelError::Quota { .. } => ModelFailure::Quota,
            ModelError::ContextOverflow { .. } => ModelFailure::ContextOverflow,
            ModelError::BadRequest { .. } => ModelFailure::BadRequest,
            ModelError::Invalid { .. } => ModelFailure::Invalid,
        }
    }
}
