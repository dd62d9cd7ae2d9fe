//! The conversation as a Messages body: blocks in their order, thinking byte for byte, two cache marks.

use serde_json::{Value, json};

use crate::message::{Block, Message, ModelRequest, Role};
use crate::model::{EXTRA_CONTENT, wire_input};

pub(super) fn body(request: &ModelRequest, model: &str, tokens_max: u64) -> Value {
    let mut messages: Vec<Value> = request.messages.iter().filter_map(message).collect();
    // One mark after the fixed part, one after everything so far: the next turn reads both from the cache.
    let last_user = messages.iter_mut().rfind(|message| message["role"] == "user");
    if let Some(block) = last_user.and_then(|message| message["content"].as_array_mut()?.last_mut()) {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
    let mut body = json!({"model": model, "max_tokens": tokens_max, "messages": messages, "stream": true});
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if !request.system.is_empty() {
        body["system"] = json!([{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}]);
    }
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}))
            .collect();
        body["tools"] = tools.into();
    }
    body
}

/// The protocol refuses empty messages and empty text, and wants results before anything else in their message.
fn message(message: &Message) -> Option<Value> {
    let (results, others): (Vec<&Block>, Vec<&Block>) =
        message.content.iter().partition(|block| matches!(block, Block::ToolResult { .. }));
    let content: Vec<Value> = results.into_iter().chain(others).filter_map(block).collect();
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    (!content.is_empty()).then(|| json!({"role": role, "content": content}))
}

fn block(block: &Block) -> Option<Value> {
    Some(match block {
        Block::Text { text } if text.trim().is_empty() => return None,
        Block::Text { text } => json!({"type": "text", "text": text}),
        Block::Thinking { thinking, signature: Some(signature) } => {
            json!({"type": "thinking", "thinking": thinking, "signature": signature})
        }
        // Without a signature it is another provider's, and would be refused.
        Block::Thinking { signature: None, .. } => return None,
        Block::RedactedThinking { data } if data.starts_with(EXTRA_CONTENT) => return None,
        Block::RedactedThinking { data } => json!({"type": "redacted_thinking", "data": data}),
        Block::ToolUse(call) => {
            json!({"type": "tool_use", "id": wire_id(&call.id), "name": call.name, "input": wire_input(&call.input)})
        }
        Block::ToolResult { tool_use_id, content, is_error } => {
            let mut result = json!({"type": "tool_result", "tool_use_id": wire_id(tool_use_id)});
            if !content.is_empty() {
                result["content"] = content.as_str().into();
            }
            if *is_error {
                result["is_error"] = true.into();
            }
            result
        }
    })
}

/// Ids of other servers (`functions.bash:0`) hold characters that this protocol refuses.
fn wire_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToolUse;

    #[test]
    fn blocks_keep_their_order_and_bytes_and_the_cache_marks_stand_where_they_help() {
        let signature = "EqQB+/=\u{00e9}";
        let request = ModelRequest {
            system: "be brief".into(),
            messages: vec![
                Message::user("go"),
                Message {
                    role: Role::Assistant,
                    content: vec![
                        Block::Thinking { thinking: "one ".into(), signature: Some(signature.into()) },
                        Block::RedactedThinking { data: "xyz==".into() },
                        Block::Thinking { thinking: "foreign".into(), signature: None },
                        Block::Text { text: " ".into() },
                        Block::ToolUse(ToolUse {
                            id: "functions.bash:0".into(),
                            name: "bash".into(),
                            input: json!({"command": "ls"}),
                        }),
                    ],
                },
                Message {
                    role: Role::User,
                    content: vec![
                        Block::Text { text: "note".into() },
                        Block::ToolResult {
                            tool_use_id: "functions.bash:0".into(),
                            content: String::new(),
                            is_error: true,
                        },
                    ],
                },
            ],
            ..ModelRequest::default()
        };
        let body = body(&request, "m", 100);
        let ephemeral = json!({"type": "ephemeral"});
        assert_eq!(body["system"][0]["cache_control"], ephemeral);
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"type": "text", "text": "go"}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "one ", "signature": signature},
                    {"type": "redacted_thinking", "data": "xyz=="},
                    {"type": "tool_use", "id": "functions_bash_0", "name": "bash", "input": {"command": "ls"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "functions_bash_0", "is_error": true},
                    {"type": "text", "text": "note", "cache_control": ephemeral},
                ]},
            ])
        );
    }
}
