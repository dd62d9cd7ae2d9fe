//! Keeps a request within its tokens: what can be fetched again leaves first, oldest before newest.

use crate::agent::window::{tokens_of, tokens_of_text};
use crate::message::{Block, Message, ModelRequest, ToolSpec};

/// A tool result this short stays: the note in its place would not be shorter.
const WORTH_CUTTING_BYTES: usize = 200;
/// The newest messages are never shortened unless nothing else is left.
const RECENT_MESSAGES: usize = 6;
/// Of a list in a call's arguments that must be shortened.
const ITEMS_MAX: usize = 20;

/// Tokens that a request will be charged for, roughly and not too low.
pub fn estimated_tokens(request: &ModelRequest) -> u64 {
    overhead(&request.system, &request.tools) + request.messages.iter().map(tokens_of).sum::<u64>()
}

/// What stands in each request before the first message.
pub(super) fn overhead(system: &str, tools: &[ToolSpec]) -> u64 {
    let of_tool = |tool: &ToolSpec| {
        tokens_of_text(tool.name) + tokens_of_text(tool.description) + tokens_of_text(&tool.input_schema.to_string())
    };
    tokens_of_text(system) + tools.iter().map(of_tool).sum::<u64>()
}

/// Shortens until it fits: old tool results, then old turns, then recent tool results and turns, at last what was said
/// and called. The first message stays.
pub(super) fn fit(messages: &mut Vec<Message>, tokens_max: u64) {
    let mut total: u64 = messages.iter().map(tokens_of).sum();
    let recent = messages.len().saturating_sub(RECENT_MESSAGES).max(1);
    shorten_results(messages, 1..recent, &mut total, tokens_max);
    while total > tokens_max && messages.len() > 1 + RECENT_MESSAGES {
        // A turn is an assistant message and the results that answer it: they leave together.
        let pair: u64 = messages[1..3].iter().map(tokens_of).sum();
        messages.drain(1..3);
        total -= pair;
    }
    let all = 1..messages.len();
    shorten_results(messages, all, &mut total, tokens_max);
    while total > tokens_max && messages.len() > 3 {
        let pair: u64 = messages[1..3].iter().map(tokens_of).sum();
        messages.drain(1..3);
        total -= pair;
    }
    for message in messages.iter_mut().skip(1) {
        if total > tokens_max {
            let before = tokens_of(message);
            message.content.iter_mut().for_each(shorten);
            total = total + tokens_of(message) - before;
        }
    }
}

/// A call keeps its form; what is signed or sealed by the provider stays or goes whole.
fn shorten(block: &mut Block) {
    match block {
        Block::Text { text } => shorten_text(text),
        Block::Thinking { thinking, signature: None } => shorten_text(thinking),
        Block::ToolUse(call) => shorten_value(&mut call.input),
        Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolResult { .. } => {}
    }
}

fn shorten_value(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => shorten_text(text),
        serde_json::Value::Array(items) => {
            items.truncate(ITEMS_MAX);
            items.iter_mut().for_each(shorten_value);
        }
        serde_json::Value::Object(fields) => fields.values_mut().for_each(shorten_value),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

fn shorten_text(text: &mut String) {
    if text.len() > WORTH_CUTTING_BYTES {
        let left_out = text.len() - WORTH_CUTTING_BYTES;
        text.truncate(text.floor_char_boundary(WORTH_CUTTING_BYTES));
        text.push_str(&format!("[{left_out} bytes left out; `recall` finds them]"));
    }
}

fn shorten_results(messages: &mut [Message], range: std::ops::Range<usize>, total: &mut u64, tokens_max: u64) {
    for message in &mut messages[range] {
        if *total <= tokens_max {
            return;
        }
        let before = tokens_of(message);
        for block in &mut message.content {
            if let Block::ToolResult { content, .. } = block
                && content.len() > WORTH_CUTTING_BYTES
            {
                let first = content.lines().next().unwrap_or_default();
                let first: String = first.chars().take(100).collect();
                *content =
                    format!("{first}\n[{} bytes left out; call the tool again, or `recall` them]", content.len());
            }
        }
        *total = *total + tokens_of(message) - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Role, ToolUse};

    fn turn(n: usize, output: &str) -> [Message; 2] {
        let id = n.to_string();
        let call = ToolUse { id: id.clone(), name: "bash".into(), input: serde_json::json!({"command": "ls"}) };
        let result = Block::ToolResult { tool_use_id: id, content: output.into(), is_error: false };
        [
            Message { role: Role::Assistant, content: vec![Block::ToolUse(call)] },
            Message { role: Role::User, content: vec![result] },
        ]
    }

    fn conversation(turns: usize) -> Vec<Message> {
        let mut messages = vec![Message::user("the task")];
        messages.extend((0..turns).flat_map(|n| turn(n, &"x".repeat(3000))));
        messages
    }

    #[test]
    fn a_request_is_never_over_its_budget() {
        for tokens_max in [700, 2_000, 5_000, 20_000] {
            let mut messages = conversation(50);
            fit(&mut messages, tokens_max);
            let total: u64 = messages.iter().map(tokens_of).sum();
            assert!(total <= tokens_max, "{total} > {tokens_max}");
            assert_eq!(messages[0], Message::user("the task"));
        }
    }

    #[test]
    fn a_huge_argument_and_a_flood_of_words_do_not_make_a_request_too_long() {
        for tokens_max in [1_000, 3_000] {
            let mut messages = vec![Message::user("the task")];
            for n in 0..5 {
                let [mut call, result] = turn(n, "ok");
                if let Block::ToolUse(call) = &mut call.content[0] {
                    call.input =
                        serde_json::json!({"path": "a", "content": "é".repeat(60_000), "more": vec!["x"; 9_000]});
                }
                call.content.insert(0, Block::Text { text: "word ".repeat(9_000) });
                messages.extend([call, result]);
            }
            fit(&mut messages, tokens_max);
            let total: u64 = messages.iter().map(tokens_of).sum();
            assert!(total <= tokens_max, "{total} > {tokens_max}");
            assert_eq!(messages.len(), 3);
        }
    }

    #[test]
    fn every_result_keeps_its_call() {
        let mut messages = conversation(50);
        fit(&mut messages, 700);
        for pair in messages[1..].chunks(2) {
            assert_eq!(pair.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::Assistant, Role::User]);
        }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let mut messages = conversation(3);
        fit(&mut messages, 100_000);
        assert_eq!(messages, conversation(3));
    }
}
