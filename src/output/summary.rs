//! The end of a run for a person: outcome, checks before and after, what was changed and why, what it cost, what to type.

use greenroom_parsers::Verdict;

use super::escape::name_in_line;
use super::human::style::{BOLD, DIM, GREEN, RED, RESET, YELLOW};
use super::jsonl::RunResult;
use super::report::{verdict_colour, verdict_name};
use crate::cli::values::show_duration;
use crate::event::RunStatus;

const FINDINGS_MAX: usize = 10;
const FILES_MAX: usize = 12;
const SUMMARY_LINES_MAX: usize = 15;

pub fn render(result: &RunResult, patch: Option<&[u8]>) -> String {
    let (colour, status) = status_word(result.status);
    let mut text = format!("{colour}{BOLD}{status}{RESET}: {}\n", result.reason);
    if let Some(run) = &result.run {
        row(&mut text, "run", run.as_str());
    }
    for check in &result.checks {
        let runs = match (check.runs, check.red_runs) {
            (0, _) => String::new(),
            (1, red) => format!("{DIM} (1 run in between, {red} red){RESET}"),
            (runs, red) => format!("{DIM} ({runs} runs in between, {red} red){RESET}"),
        };
        let change = format!("{} → {}", verdict(check.baseline), verdict(check.last));
        row(&mut text, "check", &format!("`{}` {change}{runs}", check.command));
    }
    for (index, finding) in result.findings.iter().take(FINDINGS_MAX).enumerate() {
        let colour = if finding.is_objection() { RED } else { DIM };
        row(&mut text, if index == 0 { "found" } else { "" }, &format!("{colour}{finding}{RESET}"));
    }
    if result.findings.len() > FINDINGS_MAX {
        row(&mut text, "", &format!("{DIM}and {} more{RESET}", result.findings.len() - FINDINGS_MAX));
    }
    if let Some(score) = result.score {
        let parts = result.score_parts.iter().map(|part| match part.value {
            Some(value) => format!("{} {value:.1}", part.name.word()),
            None => format!("{DIM}{} not measured{RESET}", part.name.word()),
        });
        row(&mut text, "score", &format!("{BOLD}{score:.1}{RESET} {}", parts.collect::<Vec<_>>().join(", ")));
    }
    for (index, line) in thrift(result).iter().enumerate() {
        row(&mut text, if index == 0 { "spared" } else { "" }, line);
    }
    if !result.files_changed.is_empty() {
        let (added, removed) = patch.map_or((0, 0), count_lines);
        let shown =
            result.files_changed.iter().take(FILES_MAX).map(|path| name_in_line(path)).collect::<Vec<_>>().join(", ");
        let more = result.files_changed.len().saturating_sub(FILES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        row(&mut text, "changed", &format!("{shown}{more} {GREEN}+{added}{RESET} {RED}-{removed}{RESET}"));
    }
    if let Some(summary) = result.summary.as_deref().filter(|summary| !summary.trim().is_empty()) {
        for (index, line) in summary.trim().lines().take(SUMMARY_LINES_MAX).enumerate() {
            row(&mut text, if index == 0 { "why" } else { "" }, line);
        }
    }
    if let Some(runtime) = &result.runtime {
        row(&mut text, "runtime", runtime);
    }
    if !result.weaker.is_empty() {
        row(&mut text, "weaker", &format!("{YELLOW}without{RESET} {}, as you accepted", result.weaker.join(", ")));
    }
    row(&mut text, "spent", &spent(result));
    if result.helpers.count > 0 {
        let helpers = result.helpers;
        let taken = format!("{}, {} of them", count(helpers.steps, "step"), count(helpers.tokens, "token"));
        row(&mut text, "helpers", &format!("{} took {taken}", helpers.count));
    }
    if let Some(head) = &result.head {
        row(&mut text, "head", &format!("{DIM}{head}{RESET}"));
    }
    if let Some(run) = &result.run {
        if matches!(result.status, Some(RunStatus::Parked) | None) {
            row(&mut text, "next", &format!("greenroom resume {run}"));
            row(&mut text, "", &format!("greenroom show {run}"));
        } else {
            row(&mut text, "next", &format!("greenroom show {run}"));
        }
        if !result.files_changed.is_empty() {
            row(&mut text, "", &format!("greenroom diff {run}"));
            row(&mut text, "", &format!("greenroom apply {run}"));
        }
    }
    text
}

/// What the run went without, a line each.
pub(super) fn thrift(result: &RunResult) -> Vec<String> {
    let (first, reflex) = (&result.failing_first, &result.reflex);
    let mut lines = Vec::new();
    if first.runs > 0 {
        let saved = match first.saved_ms {
            saved if saved >= 0 => format!("about {} saved", show_duration(saved as u64)),
            spent => format!("{} more for it", show_duration(spent.unsigned_abs())),
        };
        lines.push(format!("{} of {} check runs ended with the failing tests alone, {saved}", first.alone, first.runs));
    }
    if !first.unsteady.is_empty() {
        let names: Vec<&str> = first.unsteady.iter().take(FINDINGS_MAX).map(String::as_str).collect();
        lines.push(format!("unsteady: {}", names.join(", ")));
    }
    if reflex.answers > 0 {
        lines.push(format!(
            "{} suggestions of tools helped, {} did not and were taken back; about {} tokens not asked of the model",
            reflex.kept, reflex.undone, reflex.tokens_saved
        ));
    }
    lines
}

pub fn status_word(status: Option<RunStatus>) -> (&'static str, &'static str) {
    match status {
        Some(RunStatus::Verified) => (GREEN, "verified"),
        Some(RunStatus::Unverified) => (RED, "unverified"),
        Some(RunStatus::Infeasible) => (YELLOW, "infeasible"),
        Some(RunStatus::Limit) => (YELLOW, "limit"),
        Some(RunStatus::Parked) => (YELLOW, "parked"),
        Some(RunStatus::Failed) => (RED, "failed"),
        Some(RunStatus::Answered) => (GREEN, "answered"),
        None => (DIM, "unfinished"),
    }
}

fn count(number: u64, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

fn spent(result: &RunResult) -> String {
    let cost = match result.cost_usd {
        Some(cost) if cost > 0.0 => format!(", ${cost:.4}"),
        Some(_) => String::new(),
        None => ", price unknown".into(),
    };
    let (steps, turns) = (count(result.steps, "step"), count(result.turns, "turn"));
    let cached = match (100 * result.cache_read_tokens).checked_div(result.input_tokens) {
        Some(percent) if percent > 0 => format!(" ({percent} % of the input cached)"),
        Some(_) | None => String::new(),
    };
    format!("{steps}, {turns}, {}{cached}{cost}, {}", count(result.tokens, "token"), show_duration(result.wall_ms))
}

fn verdict(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(verdict) => format!("{}{}{RESET}", verdict_colour(verdict), verdict_name(verdict)),
        None => format!("{DIM}not run{RESET}"),
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("  {DIM}{name:<8}{RESET} {value}\n"));
}

/// Added and removed lines of a unified diff: hunk bodies only, counted by their headers.
fn count_lines(patch: &[u8]) -> (u64, u64) {
    let (mut added, mut removed) = (0, 0);
    let (mut old_left, mut new_left) = (0u64, 0u64);
    for line in patch.split(|byte| *byte == b'\n') {
        if old_left == 0 && new_left == 0 {
            (old_left, new_left) = hunk_lengths(line).unwrap_or((0, 0));
            continue;
        }
        match line.first() {
            Some(b'+') => (added, new_left) = (added + 1, new_left.saturating_sub(1)),
            Some(b'-') => (removed, old_left) = (removed + 1, old_left.saturating_sub(1)),
            Some(b'\\') => {}
            Some(_) | None => (old_left, new_left) = (old_left.saturating_sub(1), new_left.saturating_sub(1)),
        }
    }
    (added, removed)
}

/// `@@ -1,3 +1,4 @@`: 3 and 4. A missing length is 1.
fn hunk_lengths(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line.strip_prefix(b"@@ -")?).ok()?;
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let length = |range: &str| range.split_once(',').map_or(Some(1), |(_, length)| length.parse().ok());
    Some((length(old)?, length(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_in_hunks_only() {
        let patch = b"--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n a\n--- b\n+++ c\n+d\n--- a/y\n+++ b/y\n@@ -1 +0,0 @@\n-z\n";
        assert_eq!(count_lines(patch), (2, 2));
    }

    #[test]
    fn a_files_name_begins_no_line() {
        let mut result = RunResult::failed(&crate::error::Error::internal("x"));
        result.files_changed = vec!["a\n  head     forged".into()];
        let text = render(&result, None);
        assert!(text.contains("a\\n  head     forged"), "{text}");
    }
}
