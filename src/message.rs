//! What goes to a model and what comes back, in the terms of the Messages API: roles, content blocks,
//! tool use and tool results. Every backend converts to its own wire format at its own edge.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: Vec<Block>,
}

impl Message {
    pub fn user(text: impl Into<String>) -> Self {
        Message { role: Role::User, content: vec![Block::Text { text: text.into() }] }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Text {
        text: String,
    },
    /// Reasoning the provider wants back unchanged. `signature` is byte-exact (Anthropic); `None` where the provider
    /// has none (`reasoning_content` of OpenAI-compatible servers).
    Thinking {
        thinking: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse(ToolUse),
    ToolResult {
        tool_use_id: String,
        content: String,
        #[serde(default)]
        is_error: bool,
    },
}

/// A call the model asks for. `input` is what it sent, valid or not: tools answer malformed input as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    #[serde(default)]
    pub id: String,
    pub name: String,
    pub input: serde_json::Value,
}

/// One tool as the model is told of it. `input_schema` is JSON Schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    pub name: &'static str,
    pub description: &'static str,
    pub input_schema: serde_json::Value,
}

/// One request, already within its budget.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
    pub system: String,
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    pub output_tokens_max: u32,
    /// Which of several proposals for the same turn this is, from 0.
    pub candidate: u32,
    /// `None`: the provider's own.
    pub temperature: Option<f32>,
    /// Answers given before this one, whatever of them the messages still hold; `None`: as many as they hold.
    pub answers_before: Option<u64>,
    /// The newest failing evidence in structured form, for backends that read structure rather than prose.
    pub findings: Option<std::sync::Arc<greenroom_parsers::Report>>,
}

/// One complete answer. A backend never returns a truncated one: that is an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelResponse {
    pub content: Vec<Block>,
    #[serde(default)]
    pub stop_reason: StopReason,
    #[serde(default)]
    pub usage: Usage,
}

impl ModelResponse {
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| match block {
            Block::ToolUse(call) => Some(call),
            Block::Text { .. } | Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolResult { .. } => {
                None
            }
        })
    }

    /// The visible text, blocks joined by newlines.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|block| match block {
                Block::Text { text } => Some(text.as_str()),
                Block::ToolUse(_)
                | Block::Thinking { .. }
                | Block::RedactedThinking { .. }
                | Block::ToolResult { .. } => None,
            })
            .collect();
        texts.join("\n")
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    #[default]
    EndTurn,
    ToolUse,
    MaxTokens,
    Refusal,
    /// The backend has nothing more to offer (a script's end, autofix without a suggestion): asking again is useless.
    GaveUp,
}

/// Tokens as the provider counts them; `None` where it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    #[serde(default)]
    pub cache_read_tokens: Option<u64>,
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
}
