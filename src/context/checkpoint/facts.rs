//! The runner's half of a checkpoint, from the state alone: what was asked, what the checks say, which files changed,
//! which commands worked, what was refuted, what is left of the budgets.

use std::collections::BTreeSet;
use std::fmt::Write;

use greenroom_parsers::{TestCase, TestStatus};

use crate::agent::RunState;
use crate::checkpoint::{Section, SectionName};
use crate::ledger::{PlanStatus, Verdict};
use crate::message::{Block, Role};
use crate::task::CheckResult;

const RECENT_COMMANDS: usize = 10;
const SAID_CHARS_MAX: usize = 600;
/// Of each kind.
const TESTS_SHOWN: usize = 5;

/// Sections with something in them, in their order.
pub fn sections(state: &RunState) -> Vec<Section> {
    SectionName::ALL
        .into_iter()
        .map(|name| Section { name, text: text(name, state) })
        .filter(|section| !section.text.is_empty())
        .collect()
}

fn text(name: SectionName, state: &RunState) -> String {
    match name {
        SectionName::Intent => intent(state),
        SectionName::NextAction => next_action(state),
        SectionName::Rules => rules(state),
        SectionName::TaskTree => task_tree(state),
        SectionName::CurrentWork => current_work(state),
        SectionName::FilesAndCode => files(state),
        SectionName::DiscoveredFacts => facts(state),
        SectionName::ErrorsAndFixes => errors(state),
        SectionName::LiveResources => resources(state),
        // Nobody but the writer knows these.
        SectionName::Decisions | SectionName::OpenNotes => String::new(),
    }
}

fn intent(state: &RunState) -> String {
    state.task.instruction.clone().unwrap_or_else(|| "Make the checks pass.".into())
}

/// What the model itself said last, and where the checks point.
fn next_action(state: &RunState) -> String {
    let said = state.transcript.iter().rev().filter(|message| message.role == Role::Assistant).find_map(|message| {
        message.content.iter().rev().find_map(|block| match block {
            Block::Text { text } if !text.trim().is_empty() => Some(text.trim()),
            Block::Text { .. }
            | Block::Thinking { .. }
            | Block::RedactedThinking { .. }
            | Block::ToolUse(_)
            | Block::ToolResult { .. } => None,
        })
    });
    said.map(|text| format!("You said last: {}", text.chars().take(SAID_CHARS_MAX).collect::<String>()))
        .unwrap_or_default()
}

fn rules(state: &RunState) -> String {
    let mut text = String::new();
    for said in &state.notebook.said {
        let _ = writeln!(text, "- {said}");
    }
    text
}

fn task_tree(state: &RunState) -> String {
    let mut text = String::new();
    for (number, check) in state.task.checks.iter().enumerate() {
        let verdict = state.last_checks.as_ref().and_then(|checks| checks.get(number)).map(CheckResult::verdict);
        let mark = if state.last_checks.as_ref().and_then(|checks| checks.get(number)).is_some_and(CheckResult::passed)
        {
            "done"
        } else {
            "open"
        };
        let shown = verdict.map_or("not run yet".to_owned(), |verdict| format!("{verdict:?}").to_lowercase());
        let _ = writeln!(text, "- [{mark}] check `{}`: {shown}", check.command);
    }
    for item in &state.notebook.plan {
        let mark = match item.status {
            PlanStatus::Open => "open",
            PlanStatus::Doing => "doing",
            PlanStatus::Done => "done",
            PlanStatus::Dropped => "dropped",
        };
        let _ = writeln!(text, "- [{mark}] {}", item.text);
    }
    text
}

fn current_work(state: &RunState) -> String {
    let mut text = String::new();
    let commands = &state.notebook.commands;
    for note in commands.iter().skip(commands.len().saturating_sub(RECENT_COMMANDS)) {
        let how = if note.worked { "worked" } else { "failed" };
        let _ = writeln!(text, "- step {}: `{}` {how}: {}", note.step + 1, note.command, note.result);
    }
    if !state.notebook.newest_lines.is_empty() {
        text.push_str("The last lines of the newest of them:\n");
        for line in &state.notebook.newest_lines {
            let _ = writeln!(text, "> {line}");
        }
    }
    text
}

fn files(state: &RunState) -> String {
    let mut text = String::new();
    let mut notes: Vec<_> = state.notebook.files.iter().collect();
    notes.sort_by_key(|(_, note)| std::cmp::Reverse(note.written_step.max(note.read_step)));
    for (path, note) in notes.iter().filter(|(_, note)| note.written_step.is_some()) {
        let edit = note.edit.as_ref().map_or(String::new(), |edit| format!("; {edit}"));
        let _ = writeln!(text, "- changed at step {}: {path}{edit}", note.written_step.unwrap_or_default() + 1);
    }
    for (path, note) in notes.iter().filter(|(_, note)| note.written_step.is_none()) {
        let _ = writeln!(text, "- read at step {}: {path}", note.read_step.unwrap_or_default() + 1);
    }
    text
}

fn facts(state: &RunState) -> String {
    let mut text = String::new();
    for (number, check) in state.last_checks.iter().flatten().enumerate() {
        let tally = state.tally.get(number).copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "- `{}`: {} runs so far, {} of them red; last time {}",
            check.check.command, tally.runs, tally.red_runs, check.outcome
        );
        let before = state.baseline.iter().flatten().nth(number);
        text.push_str(&matrix(check, before, state.frozen.as_ref().map_or(&[], |frozen| &frozen.flaky)));
    }
    for known in state.notebook.hypotheses.iter().filter(|known| known.verdict != Verdict::Refuted) {
        let verdict = if known.verdict == Verdict::Confirmed { "confirmed" } else { "open" };
        let _ = writeln!(text, "- hypothesis {} ({verdict}): {} – {}", known.id, known.statement, known.evidence);
    }
    text
}

/// By name where the runner names them: what fails anew, what is mended, what fails as before, what flickers.
fn matrix(check: &CheckResult, before: Option<&CheckResult>, flaky: &[String]) -> String {
    let failing = |check: &CheckResult| -> BTreeSet<String> {
        let failed =
            |test: &&TestCase| matches!(test.status, TestStatus::Failed | TestStatus::Error | TestStatus::Timeout);
        check.report.tests.iter().filter(failed).map(|test| test.id.clone()).collect()
    };
    let (now, then) = (failing(check), before.map(failing).unwrap_or_default());
    let flickers = |id: &&String| flaky.contains(id);
    let mut text = String::new();
    let mut line = |what: &str, ids: Vec<&String>| {
        let shown: Vec<&str> = ids.iter().take(TESTS_SHOWN).map(|id| id.as_str()).collect();
        let more = ids.len().saturating_sub(TESTS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !shown.is_empty() {
            let _ = writeln!(text, "    {what}: {}{more}", shown.join(", "));
        }
    };
    line("new", now.difference(&then).filter(|id| !flickers(id)).collect());
    line("fixed", then.difference(&now).filter(|id| !flickers(id)).collect());
    line("still failing", now.intersection(&then).filter(|id| !flickers(id)).collect());
    line("flaky", now.union(&then).filter(flickers).collect());
    text
}

fn errors(state: &RunState) -> String {
    let mut text = String::new();
    for known in state.notebook.hypotheses.iter().filter(|known| known.verdict == Verdict::Refuted) {
        let _ = writeln!(text, "- refuted: {} – {} (step {})", known.statement, known.evidence, known.step + 1);
    }
    for verdict in &state.notebook.verdicts {
        let _ = writeln!(text, "- {verdict}");
    }
    if let Some(evidence) = &state.notebook.evidence {
        let _ = write!(
            text,
            "The newest failing evidence, word for word (step {}):\n\n{}",
            evidence.step + 1,
            evidence.text
        );
    }
    text
}

fn resources(state: &RunState) -> String {
    let limits = &state.limits;
    let mut text = format!("- steps: {} of {}\n", state.steps, limits.steps_max);
    for (name, command) in &state.notebook.jobs {
        let _ = writeln!(text, "- job `{name}` was started and not stopped: `{command}`");
    }
    let tokens = state.input_tokens + state.output_tokens;
    if let Some(max) = limits.tokens_max {
        let _ = writeln!(text, "- tokens: {tokens} of {max}");
    }
    if let Some(max) = limits.cost_usd_max {
        let _ = writeln!(text, "- cost: ${:.2} of ${max:.2}", state.cost_usd);
    }
    if let Some(max) = limits.wall_time_max_ms {
        let _ = writeln!(text, "- time: {} s of {} s", state.elapsed_ms / 1000, max / 1000);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobId;
    use crate::task::{Check, Outcome};

    fn check(failing: &[&str]) -> CheckResult {
        let test = |id: &&str| TestCase { id: (*id).into(), status: TestStatus::Failed, ..TestCase::default() };
        CheckResult {
            check: Check { command: "pytest".into() },
            outcome: Outcome::Exited { code: 1 },
            duration_ms: 1,
            report: greenroom_parsers::Report { tests: failing.iter().map(test).collect(), ..Default::default() },
            output: BlobId::of(b""),
            tail: String::new(),
        }
    }

    #[test]
    fn tests_are_told_apart_by_what_became_of_them() {
        let (now, before) = (check(&["a", "b", "f"]), check(&["b", "c"]));
        let told = matrix(&now, Some(&before), &["f".to_owned()]);
        assert_eq!(told, "    new: a\n    fixed: c\n    still failing: b\n    flaky: f\n");
        assert_eq!(matrix(&check(&[]), Some(&check(&[])), &[]), "");
    }
}
