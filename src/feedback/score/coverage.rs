//! Coverage: of the lines that changed first, of everything second, as a coverage tool measured it.

use greenroom_parsers::{Metric, MetricKind};

use super::lines::code_lines;
use super::{ChangedFile, Measured, fact, not_measured, tenths};
use crate::score::{Part, PartName};

/// What changed counts more than what was there.
const CHANGED_SHARE: f64 = 0.7;
const RUNS_SHOWN: usize = 4;

pub(super) fn part(measured: &Measured<'_>) -> Part {
    let overall = overall(measured.coverage);
    let mut facts = Vec::new();
    let (mut covered, mut total) = (0u64, 0u64);
    for file in measured.files.iter().filter(|file| file.after.is_some()) {
        let Some(metric) = of_file(measured.coverage, &file.path) else { continue };
        let lines = code_lines(file);
        let missed: Vec<u32> = lines.iter().copied().filter(|line| is_missing(metric, *line)).collect();
        total += lines.len() as u64;
        covered += (lines.len() - missed.len()) as u64;
        for (first, last) in runs(&missed).into_iter().take(RUNS_SHOWN) {
            let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
            facts.push(fact(&file.path, Some(first), format!("changed {lines}: no test runs it")));
        }
    }
    let changed = (total > 0).then(|| 100.0 * covered as f64 / total as f64);
    let (value, why) = match (changed, overall) {
        (None, None) => {
            return not_measured(
                PartName::Coverage,
                "no check printed a coverage or wrote a report that could be read",
            );
        }
        (Some(changed), Some(all)) => (
            changed * CHANGED_SHARE + all * (1.0 - CHANGED_SHARE),
            format!("{covered} of {total} changed lines run, {}% of everything", tenths(all)),
        ),
        (Some(changed), None) => (changed, format!("{covered} of {total} changed lines run")),
        (None, Some(all)) => (all, format!("{}% of everything; no changed line was measured", tenths(all))),
    };
    Part { name: PartName::Coverage, value: Some(value.clamp(0.0, 100.0)), why, facts }
}

/// Of everything: lines before statements before what mixes several.
fn overall(metrics: &[Metric]) -> Option<f64> {
    const KINDS: [MetricKind; 5] = [
        MetricKind::Lines,
        MetricKind::Statements,
        MetricKind::Combined,
        MetricKind::Regions,
        MetricKind::Instructions,
    ];
    let all = |kind: MetricKind| metrics.iter().filter(move |metric| metric.file.is_none() && metric.kind == kind);
    let total = KINDS.iter().find_map(|kind| all(*kind).next_back().and_then(percent));
    total.or_else(|| {
        let files = metrics.iter().filter(|metric| metric.file.is_some() && is_of_lines(metric));
        let (covered, total) = files
            .filter_map(|metric| Some((metric.covered?, metric.total?)))
            .fold((0u64, 0u64), |(c, t), (covered, total)| (c.saturating_add(covered), t.saturating_add(total)));
        (total > 0).then(|| 100.0 * covered as f64 / total as f64)
    })
}

fn percent(metric: &Metric) -> Option<f64> {
    let counts = metric.covered.zip(metric.total.filter(|total| *total > 0));
    counts.map(|(covered, total)| 100.0 * covered as f64 / total as f64).or(metric.percent)
}

fn is_of_lines(metric: &Metric) -> bool {
    matches!(metric.kind, MetricKind::Lines | MetricKind::Statements | MetricKind::Combined)
}

/// The file's own metric, where it tells lines apart: tools name files by a package, a source root or a whole path.
fn of_file<'a>(metrics: &'a [Metric], path: &str) -> Option<&'a Metric> {
    let tells = |metric: &&Metric| is_of_lines(metric) && tells_lines(metric);
    let ends =
        |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let named = |metric: &&Metric| metric.file.as_deref().is_some_and(|file| ends(file, path) || ends(path, file));
    metrics.iter().rev().filter(tells).filter(named).max_by_key(|metric| metric.file.as_ref().map_or(0, String::len))
}

/// Without a list of lines only "all of it" and "none of it" say something of each.
fn tells_lines(metric: &Metric) -> bool {
    !metric.missing_lines.is_empty() || metric.total.is_some() && (metric.covered == metric.total)
}

fn is_missing(metric: &Metric, line: u32) -> bool {
    metric.missing_lines.iter().any(|(first, last)| (*first..=*last).contains(&line))
}

fn runs(lines: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            Some(_) | None => runs.push((*line, *line)),
        }
    }
    runs
}

impl ChangedFile {
    /// Whether there is something to measure in it.
    pub(super) fn is_text(&self) -> bool {
        self.before.is_some() || self.after.is_some()
    }
}
