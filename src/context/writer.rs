//! What the writer of a checkpoint's notes is asked: the task, the notes so far, and what happened since. No tools.

use std::fmt::Write;

use super::checkpoint::{cut, noted_lines};
use crate::agent::RunState;
use crate::agent::window::{Room, tokens_of_text};
use crate::message::{Block, Message, ModelRequest, Role};

const PROMPT: &str = include_str!("prompts/writer.md");
const ANSWER_TOKENS_MAX: u64 = 2_048;
/// Of one result or text that it is shown; both ends.
const BLOCK_TOKENS_MAX: u64 = 700;
/// Of the task's own words.
const TASK_PERCENT: u64 = 20;

/// The request, and the very text that the writer's exact things are looked for in.
pub fn request(state: &RunState, window_tokens: Option<u64>) -> (ModelRequest, String) {
    let mut limits = state.limits.clone();
    limits.context_tokens_max =
        window_tokens.map_or(limits.context_tokens_max, |most| most.min(limits.context_tokens_max));
    let room = Room::of(&limits, state.shrinks);
    let tokens_max = state.window.estimated(room.request).saturating_sub(tokens_of_text(PROMPT) + 50);
    let task = state.task.instruction.as_deref().unwrap_or("Make the checks pass.");
    let mut text = format!("# Task\n\n{}\n", cut(task, tokens_max * TASK_PERCENT / 100));
    for said in &state.notebook.said {
        let _ = writeln!(text, "The user said later: {}", cut(said, BLOCK_TOKENS_MAX).trim_end());
    }
    if let Some(before) = &state.window.newest {
        let notes = noted_lines(before);
        if !notes.is_empty() {
            let _ = write!(text, "\n# Notes so far\n\n{}", cut(&notes, tokens_max / 5));
        }
    }
    text.push_str("\n# What happened since\n\n");
    let since: String = state.window.unnoted(&state.transcript).iter().map(told).collect();
    let left = tokens_max.saturating_sub(tokens_of_text(&text));
    text.push_str(&cut(&since, left));
    let request = ModelRequest {
        system: PROMPT.into(),
        messages: vec![Message::user(text.clone())],
        tools: Vec::new(),
        output_tokens_max: room.answer.min(ANSWER_TOKENS_MAX) as u32,
        answers_before: Some(state.writer.asked),
        findings: None,
        candidate: 0,
        temperature: None,
    };
    (request, text)
}

/// A message as somebody who only reads sees it.
fn told(message: &Message) -> String {
    let mut text = String::new();
    for block in &message.content {
        match block {
            Block::Text { text: said } => {
                let who = match message.role {
                    Role::Assistant => "engineer",
                    Role::User => "runner",
                };
                let _ = writeln!(text, "{who}: {}", cut(said.trim(), BLOCK_TOKENS_MAX).trim_end());
            }
            Block::ToolUse(call) => {
                let _ =
                    writeln!(text, "call {}: {}", call.name, cut(&call.input.to_string(), BLOCK_TOKENS_MAX).trim_end());
            }
            Block::ToolResult { content, .. } => {
                let _ = writeln!(text, "result: {}", cut(content, BLOCK_TOKENS_MAX).trim_end());
            }
            // The engineer's own, and of no use to anybody else.
            Block::Thinking { .. } | Block::RedactedThinking { .. } => {}
        }
    }
    text
}
