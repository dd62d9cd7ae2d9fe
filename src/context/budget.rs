//! Keeps a request within its tokens: what can be fetched again leaves first, oldest before newest.

use super::text_bytes;
use crate::message::{Block, Message, ModelRequest};

/// Bytes a token stands for, on the safe side: source code measures 4 to 5.
const BYTES_PER_TOKEN: u64 = 3;
/// Of every message, for role and separators.
const TOKENS_PER_MESSAGE: u64 = 8;
/// A tool result this short stays: the note in its place would not be shorter.
const WORTH_CUTTING_BYTES: usize = 200;
/// The newest messages are never shortened unless nothing else is left.
const RECENT_MESSAGES: usize = 6;

pub(super) fn tokens_of_text(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

fn tokens_of(message: &Message) -> u64 {
    text_bytes(message).div_ceil(BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE
}

/// Tokens that a request will be charged for, roughly and not too low.
pub fn estimated_tokens(request: &ModelRequest) -> u64 {
    tokens_of_text(&request.system)
        + request.tools.iter().map(|tool| tokens_of_text(&tool.input_schema.to_string())).sum::<u64>()
        + request.messages.iter().map(tokens_of).sum::<u64>()
}

/// Where the turns begin that could stay within so many tokens, were everything shortened that can be: [`fit`] drops all
/// before it, and comes to the same without them. Looks no further back than that.
pub(super) fn may_stay_from(transcript: &[Message], tokens_max: u64) -> usize {
    /// Shorter than any note that takes the place of a result.
    const SHORTENED_BYTES: usize = 45;
    let at_least = |message: &Message| {
        let results = message.content.iter().map(|block| match block {
            Block::ToolResult { content, .. } => content.len().saturating_sub(SHORTENED_BYTES) as u64,
            Block::Text { .. } | Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolUse(_) => 0,
        });
        (text_bytes(message) - results.sum::<u64>()).div_ceil(BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE
    };
    let (mut from, mut total) = (transcript.len(), 0);
    while from > 0 && (total <= tokens_max || transcript.len() - from <= RECENT_MESSAGES + 1) {
        from -= 1;
        total += at_least(&transcript[from]);
    }
    // A turn is two messages, and is left whole.
    from - from % 2
}

/// Shortens until it fits: old tool results, then old turns, then recent tool results. The first message stays.
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
                *content = format!("{first}\n[{} bytes left out; call the tool again to see them]", content.len());
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
    fn every_result_keeps_its_call() {
        let mut messages = conversation(50);
        fit(&mut messages, 700);
        for pair in messages[1..].chunks(2) {
            assert_eq!(pair.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::Assistant, Role::User]);
        }
    }

    #[test]
    fn turns_that_could_not_stay_make_no_difference() {
        let all = conversation(300);
        for tokens_max in [100, 700, 2_000, 5_000, 20_000, 1_000_000] {
            let from = may_stay_from(&all[1..], tokens_max);
            let mut few = [&all[..1], &all[1 + from..]].concat();
            let mut whole = all.clone();
            fit(&mut few, tokens_max);
            fit(&mut whole, tokens_max);
            assert_eq!(few, whole, "{tokens_max}");
            assert_eq!(from == 0, tokens_max >= 20_000, "{tokens_max}: from {from}");
        }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let mut messages = conversation(3);
        fit(&mut messages, 100_000);
        assert_eq!(messages, conversation(3));
    }
}
