//! From what a run knows to what the model is asked: pure, and never over its budget.

mod budget;
pub mod checkpoint;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use crate::agent::RunState;
use crate::agent::window::{Room, tokens_of_text};
use crate::checkpoint::{CHECKPOINT_SCHEMA, Checkpoint, WriterOutcome};
use crate::feedback::{self, Delta};
use crate::message::{Message, ModelRequest, ToolSpec};
use crate::task::CheckResult;

pub use budget::estimated_tokens;

const SYSTEM: &str = include_str!("prompts/system.md");

/// The next request, with what the model may call. Never longer than the run's context budget, halved for every time the
/// provider found it too long.
pub fn build(state: &RunState, tools: Vec<ToolSpec>) -> ModelRequest {
    let room = Room::of(&state.limits, state.shrinks);
    let fixed =
        tokens_of_text(SYSTEM) + tools.iter().map(|tool| tokens_of_text(&tool.input_schema.to_string())).sum::<u64>();
    let mut messages = vec![Message::user(opening(state, room))];
    messages.extend(state.transcript.iter().cloned());
    budget::fit(&mut messages, state.window.estimated(room.request).saturating_sub(fixed));
    ModelRequest {
        system: SYSTEM.into(),
        messages,
        tools,
        output_tokens_max: room.answer as u32,
        answers_before: Some(state.answers),
        findings: state.findings.clone(),
    }
}

/// The next version, from what the runner knows and the notes there are.
pub fn checkpoint(state: &RunState) -> Checkpoint {
    let before = state.window.newest.as_deref();
    Checkpoint {
        schema: CHECKPOINT_SCHEMA,
        version: before.map_or(1, |before| before.version + 1),
        turn: state.turns,
        step: state.steps,
        sections: checkpoint::sections(state),
        notes: before.map(|before| before.notes.clone()).unwrap_or_default(),
        writer: WriterOutcome::Absent,
    }
}

/// The first message of every request: task and checks, then the baseline or, in a rebuilt window, the checkpoint.
fn opening(state: &RunState, room: Room) -> String {
    let mut text = String::new();
    match &state.task.instruction {
        Some(words) => drop(writeln!(text, "# Task\n\n{words}\n\nThe checks below must pass at the end.\n")),
        None => text.push_str("# Task\n\nMake the checks pass.\n\n"),
    }
    text.push_str("# Checks\n\n");
    for check in &state.task.checks {
        let _ = writeln!(text, "- `{}`", check.command);
    }
    if let Some(checkpoint) = &state.window.opened_with {
        let tokens_max = room.rebuilt.saturating_sub(room.recent + tokens_of_text(&text));
        text.push('\n');
        text.push_str(&checkpoint::render(checkpoint, state.window.estimated(tokens_max)));
    } else if let Some(baseline) = &state.baseline {
        let reports: Vec<_> = baseline.iter().map(|check| &check.report).collect();
        let _ = writeln!(text, "\n# Before any change\n\n{}", baseline_text(baseline, &Delta::new(&reports, None)));
    }
    text
}

fn baseline_text(baseline: &[CheckResult], delta: &Delta) -> String {
    feedback::render_checks(baseline, delta, &[])
}
