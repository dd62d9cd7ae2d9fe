//! The quality score: what was measured, part by part, and what it comes to. `docs/score.md` is its definition.
//!
//! Pure: reports, both versions of the changed files, and the counts of their functions in; a [`Score`] out.

mod complexity;
mod coverage;
mod lines;
mod render;
mod size;
mod style;
mod tests_part;

#[cfg(test)]
mod tests;

use greenroom_parsers::{Metric, Report};

pub use render::render;
pub use style::check_rules;

use crate::score::{Fact, Function, Part, PartName, RED_MAX, Score, StyleRules};
use crate::task::CheckResult;

/// One file of the patch so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangedFile {
    pub path: String,
    /// `None`: not there, or no text.
    pub before: Option<String>,
    pub after: Option<String>,
    /// `None`: not measured.
    pub functions_before: Option<Vec<Function>>,
    pub functions_after: Option<Vec<Function>>,
    /// It is neither text before nor after, or too large to be looked at.
    pub opaque: bool,
}

/// All that a score is made of.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    pub checks: &'a [CheckResult],
    pub baseline: &'a [CheckResult],
    pub files: &'a [ChangedFile],
    /// Files beyond the limit, which were not looked at.
    pub files_left_out: usize,
    /// From what the checks printed and from the reports they wrote.
    pub coverage: &'a [Metric],
    /// Whether reports that checks wrote could be looked for; where not, the coverage before stands.
    pub reports_seen: bool,
    pub rules: &'a StyleRules,
    /// The one before, of the same run.
    pub last: Option<&'a Score>,
}

/// Facts kept of each part.
const FACTS_MAX: usize = 8;

pub fn score(measured: &Measured<'_>) -> Score {
    let red = measured.checks.iter().any(|check| !check.passed());
    let parts = vec![
        tests_part::part(measured),
        coverage_part(measured),
        complexity::part(measured),
        style::part(measured),
        size::part(measured),
    ];
    let mut parts: Vec<Part> = parts.into_iter().map(|part| once_measured(part, measured.last)).collect();
    for part in &mut parts {
        part.value = part.value.map(tenths);
        part.facts.truncate(FACTS_MAX);
    }
    Score { total: total(&parts, red), red, parts }
}

/// The weighted mean of what was measured; a red check holds it down.
pub fn total(parts: &[Part], red: bool) -> Option<f64> {
    let measured = parts.iter().filter_map(|part| Some((part.value?, part.name.weight())));
    let (sum, weights) =
        measured.fold((0.0, 0.0), |(sum, weights), (value, weight)| (sum + value * weight, weights + weight));
    // How much was changed alone says nothing of how good it is.
    let judged = parts.iter().any(|part| part.value.is_some() && part.name != PartName::Size);
    if !judged {
        return None;
    }
    let mean = sum / weights;
    // In proportion, so that what gets better is seen to.
    Some(tenths(if red { mean * RED_MAX / 100.0 } else { mean }))
}

fn coverage_part(measured: &Measured<'_>) -> Part {
    let part = coverage::part(measured);
    let before = measured.last.and_then(|last| last.part(PartName::Coverage));
    match (part.value, before) {
        (None, Some(before)) if !measured.reports_seen => before.clone(),
        _ => part,
    }
}

/// Whoever stops a measurement gains nothing by it: what could be measured before and cannot any more is worth 0.
fn once_measured(part: Part, last: Option<&Score>) -> Part {
    let before = last.and_then(|last| last.part(part.name)).and_then(|before| before.value);
    match (part.value, before, part.name) {
        (None, Some(_), PartName::Tests | PartName::Coverage) => {
            let why = format!("it was measured before and is not any more: {}", part.why);
            Part { value: Some(0.0), why, ..part }
        }
        _ => part,
    }
}

/// From 100 for nothing to 50 at `half` and never 0: more is always worse, and never a cliff.
fn falling(penalty: f64, half: f64) -> f64 {
    100.0 * half / (half + penalty.max(0.0))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn not_measured(name: PartName, why: impl Into<String>) -> Part {
    Part { name, value: None, why: why.into(), facts: Vec::new() }
}

fn fact(file: &str, line: Option<u32>, text: String) -> Fact {
    Fact { file: Some(file.to_owned()), line, text }
}

fn reports(checks: &[CheckResult]) -> impl Iterator<Item = &Report> {
    checks.iter().map(|check| &check.report)
}

fn counted(count: u64, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}
