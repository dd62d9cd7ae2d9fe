//! The conversation as a Chat Completions body.

use serde_json::{Value, json};

use crate::message::{Block, Message, ModelRequest, Role};
use crate::model::{EXTRA_CONTENT, wire_input};

/// Whether a server wants its `reasoning_content` back. Those that do refuse (DeepSeek in thinking mode) or get worse
/// (MiMo) without it, and want the field on every assistant message, empty where there was none; the others would
/// refuse an unknown field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningEcho {
    Omit,
    ReasoningContent,
}

/// Everything but the fields that servers disagree about.
pub(super) fn body(request: &ModelRequest, model: &str, reasoning: ReasoningEcho) -> Value {
    let mut messages = Vec::new();
    if !request.system.is_empty() {
        messages.push(json!({"role": "system", "content": request.system}));
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, &mut messages),
            Role::Assistant => messages.extend(assistant(message, reasoning)),
        }
    }
    let mut body = json!({"model": model, "messages": messages, "stream": true});
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                let function =
                    json!({"name": tool.name, "description": tool.description, "parameters": tool.input_schema});
                json!({"type": "function", "function": function})
            })
            .collect();
        body["tools"] = tools.into();
    }
    body
}

/// Results must follow their calls directly, so they come before the text of the same message.
fn user(message: &Message, messages: &mut Vec<Value>) {
    let mut texts = Vec::new();
    for block in &message.content {
        match block {
            Block::ToolResult { tool_use_id, content, is_error: _ } => {
                messages.push(json!({"role": "tool", "tool_call_id": tool_use_id, "content": content}));
            }
            Block::Text { text } => texts.push(text.as_str()),
            Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolUse(_) => {}
        }
    }
    if !texts.is_empty() {
        messages.push(json!({"role": "user", "content": texts.join("\n\n")}));
    }
}

fn assistant(message: &Message, reasoning: ReasoningEcho) -> Option<Value> {
    let (mut texts, mut thoughts, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    let mut extra = None;
    for block in &message.content {
        match block {
            Block::Text { text } => texts.push(text.as_str()),
            Block::RedactedThinking { data } => extra = data.strip_prefix(EXTRA_CONTENT),
            // A signature marks another provider's thought.
            Block::Thinking { thinking, signature: None } => thoughts.push(thinking.as_str()),
            Block::Thinking { .. } | Block::ToolResult { .. } => {}
            Block::ToolUse(call) => {
                let function = json!({"name": call.name, "arguments": wire_input(&call.input).to_string()});
                let mut wire = json!({"id": call.id, "type": "function", "function": function});
                if let Some(extra) = extra.take().and_then(|extra| serde_json::from_str::<Value>(extra).ok()) {
                    wire["extra_content"] = extra;
                }
                calls.push(wire);
            }
        }
    }
    if texts.is_empty() && calls.is_empty() {
        return None;
    }
    let mut wire = json!({"role": "assistant", "content": null});
    if !texts.is_empty() {
        wire["content"] = texts.join("\n").into();
    }
    if !calls.is_empty() {
        wire["tool_calls"] = calls.into();
    }
    match reasoning {
        ReasoningEcho::ReasoningContent => wire["reasoning_content"] = thoughts.join("\n").into(),
        ReasoningEcho::Omit => {}
    }
    Some(wire)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::ToolUse;

    fn conversation() -> ModelRequest {
        let call = |id: &str, input: Value| Block::ToolUse(ToolUse { id: id.into(), name: "bash".into(), input });
        let result = |id: &str, content: &str| Block::ToolResult {
            tool_use_id: id.into(),
            content: content.into(),
            is_error: false,
        };
        ModelRequest {
            system: "be brief".into(),
            messages: vec![
                Message::user("go"),
                Message {
                    role: Role::Assistant,
                    content: vec![
                        Block::Thinking { thinking: "look first".into(), signature: None },
                        Block::Thinking { thinking: "not mine".into(), signature: Some("sig".into()) },
                        call("a", json!({"command": "ls"})),
                        call("b", Value::String("{half".into())),
                    ],
                },
                Message {
                    role: Role::User,
                    content: vec![Block::Text { text: "hurry".into() }, result("a", "x.py"), result("b", "bad JSON")],
                },
            ],
            ..ModelRequest::default()
        }
    }

    #[test]
    fn results_follow_their_calls_and_arguments_are_always_json() {
        let body = body(&conversation(), "m", ReasoningEcho::Omit);
        let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
        let calls = &body["messages"][2]["tool_calls"];
        assert_eq!(calls[0]["function"]["arguments"], r#"{"command":"ls"}"#);
        assert_eq!(calls[1]["function"]["arguments"], r#"{"malformed_arguments":"{half"}"#);
        assert!(body["messages"][2].get("reasoning_content").is_none());
        assert!(body.get("tools").is_none());
    }

    #[test]
    fn attached_data_goes_back_with_its_call_alone() {
        let mut request = conversation();
        let extra = r#"{"google":{"thought_signature":"Eo+/=="}}"#;
        let data = format!("{EXTRA_CONTENT}{extra}");
        request.messages[1].content.insert(3, Block::RedactedThinking { data });
        let body = body(&request, "m", ReasoningEcho::Omit);
        let calls = &body["messages"][2]["tool_calls"];
        assert!(calls[0].get("extra_content").is_none());
        assert_eq!(calls[1]["extra_content"].to_string(), extra);
    }

    #[test]
    fn reasoning_goes_back_only_where_it_is_wanted_and_only_its_own() {
        let mut request = conversation();
        request.messages.push(Message { role: Role::Assistant, content: vec![Block::Text { text: "ok".into() }] });
        let body = body(&request, "m", ReasoningEcho::ReasoningContent);
        assert_eq!(body["messages"][2]["reasoning_content"], "look first");
        assert_eq!(body["messages"][6]["reasoning_content"], "");
    }
}
