//! The seam to language models: one request in, one complete answer out. One backend a file.

use async_trait::async_trait;

use crate::event::ModelFailure;
use crate::message::{ModelRequest, ModelResponse};

#[async_trait]
pub trait Model: Send + Sync {
    /// `provider/model`, `autofix` or `scripted:<file>`.
    fn id(&self) -> &str;

    /// Sends one request and returns the complete answer. Retries within its own bounds; what comes back as an error
    /// is final for this turn.
    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError>;

    /// US dollars for this usage, where the price is known.
    fn cost_usd(&self, _usage: &crate::message::Usage) -> Option<f64> {
        None
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
