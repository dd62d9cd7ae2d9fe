//! From what a run knows to what the model is asked: pure, and never over its budget.

mod budget;

use std::fmt::Write;

use crate::agent::RunState;
use crate::feedback::{self, Delta};
use crate::message::{Block, Message, ModelRequest, ToolSpec};
use crate::task::CheckResult;

pub use budget::estimated_tokens;

const SYSTEM: &str = include_str!("prompts/system.md");
const OUTPUT_TOKENS_MAX: u32 = 8_192;

/// The next request, with what the model may call. Its estimated length is at most the run's context budget, halved for every time the provider
/// found it too long.
pub fn build(state: &RunState, tools: Vec<ToolSpec>) -> ModelRequest {
    let tokens_max = state.limits.context_tokens_max >> state.shrinks;
    let mut messages = vec![Message::user(opening(state))];
    // Of a long run most turns could not stay: they are not even copied, so that a step costs the same at any length.
    let from = budget::may_stay_from(&state.transcript, tokens_max);
    messages.extend(state.transcript[from..].iter().cloned());
    let fixed = budget::tokens_of_text(SYSTEM)
        + tools.iter().map(|tool| budget::tokens_of_text(&tool.input_schema.to_string())).sum::<u64>()
        + u64::from(OUTPUT_TOKENS_MAX);
    budget::fit(&mut messages, tokens_max.saturating_sub(fixed));
    ModelRequest {
        system: SYSTEM.into(),
        messages,
        tools,
        output_tokens_max: OUTPUT_TOKENS_MAX,
        answers_before: Some(state.answers),
        findings: state.findings.clone(),
    }
}

/// Task, checks and the baseline: the first message of every request.
fn opening(state: &RunState) -> String {
    let mut text = String::new();
    match &state.task.instruction {
        Some(words) => drop(writeln!(text, "# Task\n\n{words}\n\nThe checks below must pass at the end.\n")),
        None => text.push_str("# Task\n\nMake the checks pass.\n\n"),
    }
    text.push_str("# Checks\n\n");
    for check in &state.task.checks {
        let _ = writeln!(text, "- `{}`", check.command);
    }
    if let Some(baseline) = &state.baseline {
        let reports: Vec<_> = baseline.iter().map(|check| &check.report).collect();
        let _ = writeln!(text, "\n# Before any change\n\n{}", baseline_text(baseline, &Delta::new(&reports, None)));
    }
    text
}

fn baseline_text(baseline: &[CheckResult], delta: &Delta) -> String {
    feedback::render_checks(baseline, delta, &[])
}

/// Text of all blocks of a request, for its estimate.
fn text_bytes(message: &Message) -> u64 {
    message
        .content
        .iter()
        .map(|block| match block {
            Block::Text { text } => text.len(),
            Block::Thinking { thinking, signature } => thinking.len() + signature.as_ref().map_or(0, String::len),
            Block::RedactedThinking { data } => data.len(),
            Block::ToolUse(call) => call.name.len() + call.input.to_string().len(),
            Block::ToolResult { content, .. } => content.len(),
        } as u64)
        .sum()
}
