//! lcov: a tracefile, and `lcov --summary`.

use super::coverage_py::runs;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "lcov",
    kind: Kind::Generic,
    anchors: &[
        "SF:",
        "DA:",
        "BRDA:",
        "FNDA:",
        "FNF:",
        "FNH:",
        "LF:",
        "LH:",
        "BRF:",
        "BRH:",
        "FN:",
        "end_of_record",
        "......: ",
    ],
    reader: || Box::new(Lcov::default()),
    ..Tool::DEFAULT
};

const MISSED_MAX: usize = 100_000;

#[derive(Default)]
struct Lcov {
    file: Option<String>,
    missed: Vec<u32>,
    lines: u64,
    lines_hit: u64,
    counts: [Option<u64>; 6],
    totals: [u64; 6],
    files: u64,
}

/// Found and hit, of lines, functions and branches.
const NAMES: [&str; 6] = ["LF", "LH", "FNF", "FNH", "BRF", "BRH"];
const KINDS: [MetricKind; 3] = [MetricKind::Lines, MetricKind::Functions, MetricKind::Branches];

impl Reader for Lcov {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.contains("......: ") {
            return summary(line, sink);
        }
        // A record, or as much of it as can be seen from here.
        let mut read = 0;
        if let Some(file) = line.strip_prefix("SF:") {
            self.begin(file);
            read = 1;
        }
        while let Some(line) = lines.ahead(read).map(str::trim_end).filter(|_| self.file.is_some()) {
            if line == "end_of_record" {
                self.end(sink);
            } else if !self.entry(line) {
                self.file = None;
                break;
            }
            read += 1;
        }
        read
    }

    /// In a record that is longer than what can be looked ahead at.
    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        if self.files < 2 {
            return;
        }
        for (n, kind) in KINDS.into_iter().enumerate() {
            let total = self.totals[2 * n];
            if total > 0 {
                sink.metric(metric(kind, None, self.totals[2 * n + 1], total));
            }
        }
    }
}

fn metric(kind: MetricKind, file: Option<&str>, covered: u64, total: u64) -> Metric {
    Metric {
        source: TOOL.name.to_owned(),
        kind,
        file: file.map(str::to_owned),
        percent: None,
        covered: Some(covered),
        total: Some(total),
        missing_lines: Vec::new(),
    }
}

impl Lcov {
    fn begin(&mut self, file: &str) {
        let (totals, files) = (self.totals, self.files);
        *self = Self { file: Some(file.to_owned()), totals, files, ..Self::default() };
    }

    fn entry(&mut self, line: &str) -> bool {
        let Some((name, rest)) = line.split_once(':') else { return false };
        if name == "DA" {
            let mut numbers = rest.split(',');
            let row = numbers.next().and_then(|row| row.parse::<u32>().ok());
            let hits = numbers.next().and_then(|hits| hits.parse::<u64>().ok());
            let (Some(row), Some(hits)) = (row, hits) else { return false };
            self.lines += 1;
            self.lines_hit += u64::from(hits > 0);
            if hits == 0 && self.missed.len() < MISSED_MAX {
                self.missed.push(row);
            }
            return true;
        }
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            self.counts[at] = rest.parse().ok();
            return true;
        }
        matches!(name, "FN" | "FNDA" | "BRDA" | "FNL" | "FNA" | "VER" | "TN")
    }

    fn end(&mut self, sink: &mut Sink) {
        let Some(file) = self.file.take() else { return };
        // A record need not have the sums.
        let lines = (self.lines > 0).then_some(self.lines);
        self.counts[0] = self.counts[0].or(lines);
        self.counts[1] = self.counts[1].or(lines.map(|_| self.lines_hit));
        self.missed.sort_unstable();
        self.files += 1;
        for (n, kind) in KINDS.into_iter().enumerate() {
            let (Some(total), Some(hit)) = (self.counts[2 * n].filter(|total| *total > 0), self.counts[2 * n + 1])
            else {
                continue;
            };
            self.totals[2 * n] = self.totals[2 * n].saturating_add(total);
            self.totals[2 * n + 1] = self.totals[2 * n + 1].saturating_add(hit);
            let missing_lines = if kind == MetricKind::Lines { runs(self.missed.iter().copied()) } else { Vec::new() };
            sink.metric(Metric { missing_lines, ..metric(kind, Some(&file), hit, total) });
        }
    }
}

/// `  lines......: 66.7% (2 of 3 lines)`
fn summary(line: &str, sink: &mut Sink) -> usize {
    let Some((name, rest)) = line.trim().split_once("..") else { return 0 };
    let kind = match name.trim_end_matches('.') {
        "lines" => MetricKind::Lines,
        "functions" => MetricKind::Functions,
        "branches" => MetricKind::Branches,
        _ => return 0,
    };
    let counts = rest.split_once("% (").and_then(|(_, rest)| rest.split_once(" of "));
    let numbers = counts.and_then(|(hit, total)| Some((hit.parse().ok()?, total.split(' ').next()?.parse().ok()?)));
    if let Some((hit, total)) = numbers {
        sink.metric(metric(kind, None, hit, total));
    }
    1
}
