//! `openai/<id>` and everything that speaks like it: Chat Completions, streamed, at any base URL.

mod request;
mod stream;

use std::sync::Mutex;

use async_trait::async_trait;
use secrecy::SecretString;

use super::catalog::Known;
use super::failure::{Class, Failure};
use super::http::{HttpOptions, KeyHeader, Wire};
use super::{Limits, Model, ModelError, ids, plain};
use crate::message::{ModelRequest, ModelResponse, Usage};

pub use request::ReasoningEcho;

pub struct OpenAi {
    id: String,
    model: String,
    wire: Wire,
    reasoning: ReasoningEcho,
    known: Known,
    /// What this server turned out to accept; learned from its refusals, kept for the life of the process.
    dialect: Mutex<Dialect>,
}

/// Where servers of this protocol differ in ways that only their refusal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dialect {
    tools: ToolMode,
    output_limit: OutputLimit,
    usage_option: UsageOption,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolMode {
    Native,
    /// One fenced `bash` block a turn: see `plain.rs`.
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimit {
    MaxTokens,
    MaxCompletionTokens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UsageOption {
    Asked,
    NotAsked,
}

pub struct OpenAiConfig {
    /// As the user writes it: `openai/gpt-5.2`.
    pub id: String,
    /// As the server knows it: `gpt-5.2`.
    pub model: String,
    /// With the version, without `/chat/completions`.
    pub base_url: String,
    pub key: Option<SecretString>,
    pub reasoning: ReasoningEcho,
    pub output_limit: OutputLimit,
    pub known: Known,
}

impl OpenAi {
    pub fn new(config: OpenAiConfig, options: HttpOptions) -> Result<Self, ModelError> {
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let key = config.key.map(|key| (KeyHeader::Bearer, key));
        let wire = Wire::new(&url, key, Default::default(), options).map_err(|error| error.into_error(&config.id))?;
        let dialect =
            Dialect { tools: ToolMode::Native, output_limit: config.output_limit, usage_option: UsageOption::Asked };
        Ok(OpenAi {
            id: config.id,
            model: config.model,
            wire,
            reasoning: config.reasoning,
            known: config.known,
            dialect: Mutex::new(dialect),
        })
    }

    fn dialect(&self) -> Dialect {
        *self.dialect.lock().expect("no code panics while it holds the dialect")
    }
}

#[async_trait]
impl Model for OpenAi {
    fn id(&self) -> &str {
        &self.id
    }

    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError> {
        let mut budget = self.wire.budget();
        let mut dialect = self.dialect();
        loop {
            let answer = match dialect.tools {
                ToolMode::Native => self.wire.ask::<stream::Answer>(&mut budget, &self.body(request, dialect)).await,
                ToolMode::Plain => {
                    let body = self.body(&plain::encode(request), dialect);
                    let answer = self.wire.ask::<stream::Answer>(&mut budget, &body).await;
                    answer.map(|answer| plain::decode(request, answer))
                }
            };
            match answer {
                Ok(mut answer) => {
                    ids::complete(request, &mut answer);
                    return Ok(answer);
                }
                Err(failure) => match dialect.after(&failure) {
                    Some(learned) => {
                        tracing::info!(model = self.id, ?learned, "the server refused a parameter; adapting");
                        dialect = learned;
                        *self.dialect.lock().expect("no code panics while it holds the dialect") = learned;
                    }
                    None => return Err(failure.into_error(&self.id)),
                },
            }
        }
    }

    fn cost_usd(&self, usage: &Usage) -> Option<f64> {
        self.known.cost_usd(usage)
    }

    fn limits(&self) -> Limits {
        self.known.limits
    }
}

impl OpenAi {
    fn body(&self, request: &ModelRequest, dialect: Dialect) -> serde_json::Value {
        let mut body = request::body(request, &self.model, self.reasoning);
        let tokens_max = self.limits().output_tokens_max(request.output_tokens_max);
        if let Some(tokens_max) = tokens_max {
            let field = match dialect.output_limit {
                OutputLimit::MaxTokens => "max_tokens",
                OutputLimit::MaxCompletionTokens => "max_completion_tokens",
            };
            body[field] = tokens_max.into();
        }
        if dialect.usage_option == UsageOption::Asked {
            body["stream_options"] = serde_json::json!({"include_usage": true});
        }
        body
    }
}

impl Dialect {
    /// The dialect to try after this refusal, or `None` when it teaches nothing new. Every field moves one way and
    /// once, so a conversation with a stubborn server ends.
    fn after(self, failure: &Failure) -> Option<Self> {
        let mut learned = self;
        match failure.class {
            Class::ToolsRejected => learned.tools = ToolMode::Plain,
            Class::BadRequest if failure.detail.contains("max_completion_tokens") => {
                learned.output_limit = OutputLimit::MaxCompletionTokens;
            }
            Class::BadRequest if failure.detail.contains("stream_options") => {
                learned.usage_option = UsageOption::NotAsked;
            }
            Class::BadRequest
            | Class::Transient
            | Class::RateLimited
            | Class::Quota
            | Class::Authentication
            | Class::ContextOverflow
            | Class::Invalid => {}
        }
        (learned != self).then_some(learned)
    }
}
