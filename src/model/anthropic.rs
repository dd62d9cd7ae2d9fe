//! `anthropic/<id>`: the Messages API, streamed, with tools, thinking and prompt caching.

mod request;
mod stream;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::catalog::Known;
use super::http::{HttpOptions, KeyHeader, Wire};
use super::{Limits, Model, ModelError, ids};
use crate::message::{ModelRequest, ModelResponse, Usage};

/// The protocol wants a limit; this one every model of the last years can meet.
const OUTPUT_TOKENS_DEFAULT: u64 = 8192;

pub struct Anthropic {
    id: String,
    model: String,
    wire: Wire,
    known: Known,
}

pub struct AnthropicConfig {
    /// As the user writes it: `anthropic/claude-sonnet-4-5`.
    pub id: String,
    pub model: String,
    /// With or without `/v1`.
    pub base_url: String,
    pub key: Option<SecretString>,
    pub known: Known,
}

impl Anthropic {
    pub fn new(config: AnthropicConfig, options: HttpOptions) -> Result<Self, ModelError> {
        let base = config.base_url.trim_end_matches('/');
        let url = format!("{}/v1/messages", base.strip_suffix("/v1").unwrap_or(base));
        let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
        let key = config.key.map(|key| (KeyHeader::Named("x-api-key"), key));
        let wire = Wire::new(&url, key, HeaderMap::from_iter([version]), options)
            .map_err(|error| error.into_error(&config.id))?;
        Ok(Anthropic { id: config.id, model: config.model, wire, known: config.known })
    }
}

#[async_trait]
impl Model for Anthropic {
    fn id(&self) -> &str {
        &self.id
    }

    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError> {
        let limits = self.limits();
        let wanted = limits.output_tokens_max(request.output_tokens_max);
        let tokens_max = wanted.or(limits.output_tokens).unwrap_or(OUTPUT_TOKENS_DEFAULT);
        let body = request::body(request, &self.model, tokens_max);
        let mut budget = self.wire.budget();
        let answer = self.wire.ask::<stream::Answer>(&mut budget, &body).await;
        let mut answer = answer.map_err(|failure| failure.into_error(&self.id))?;
        ids::complete(request, &mut answer);
        Ok(answer)
    }

    fn cost_usd(&self, usage: &Usage) -> Option<f64> {
        self.known.cost_usd(usage)
    }

    fn limits(&self) -> Limits {
        self.known.limits
    }
}
