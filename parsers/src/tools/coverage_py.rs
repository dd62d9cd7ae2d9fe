//! coverage.py (and pytest-cov, gcovr): the table, JSON, and a threshold that was missed.

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "coverage.py",
    kind: Kind::Generic,
    anchors: &[
        "Name  ",
        "File                                       Lines    Exec  Cover",
        "Coverage failure: total of ",
        "FAIL Required test coverage of ",
    ],
    json: &["\"percent_covered\""],
    reader: || Box::new(CoveragePy),
    ..Tool::DEFAULT
};

const ROWS_MAX: usize = 1_900;

struct CoveragePy;

impl Reader for CoveragePy {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("Coverage failure: total of ") || line.starts_with("FAIL Required test coverage of ") {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        let Some(columns) = Columns::parse(line) else { return 0 };
        let is_rule = |line: &str| line.len() > 10 && line.bytes().all(|b| b == b'-');
        if !lines.ahead(1).is_some_and(|line| is_rule(line.trim_end())) {
            return 0;
        }
        let mut read = 2;
        while let Some(line) = lines.ahead(read).map(str::trim_end).filter(|_| read < ROWS_MAX) {
            if !is_rule(line) {
                let Some(row) = columns.row(line) else { break };
                let last = row.file.is_none();
                sink.metric(row);
                if last {
                    return read + 1;
                }
            }
            read += 1;
        }
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Value>() else { return false };
        let Some(files) = output["files"].as_object() else { return false };
        let items = files.iter().map(|(file, item)| (Some(file.as_str()), item)).chain([(None, &Value::Null)]);
        for (file, item) in items {
            let summary = if file.is_some() { &item["summary"] } else { &output["totals"] };
            let count = |name: &str| summary[name].as_u64();
            let metric = |kind, covered, total| Metric {
                source: String::new(),
                kind,
                file: file.map(str::to_owned),
                percent: None,
                covered,
                total,
                missing_lines: Vec::new(),
            };
            let missing = item["missing_lines"].as_array().into_iter().flatten();
            let missing = missing.filter_map(|line| line.as_u64().and_then(|line| u32::try_from(line).ok()));
            sink.metric(Metric {
                missing_lines: runs(missing),
                ..metric(MetricKind::Statements, count("covered_lines"), count("num_statements"))
            });
            if let Some(total) = count("num_branches").filter(|total| *total > 0) {
                sink.metric(metric(MetricKind::Branches, count("covered_branches"), Some(total)));
                sink.metric(Metric {
                    percent: summary["percent_covered"].as_f64(),
                    ..metric(MetricKind::Combined, None, None)
                });
            }
        }
        true
    }
}

/// Ascending numbers as the first and last of each run of them.
pub(super) fn runs(lines: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(line) => *last = line,
            Some(_) | None => runs.push((line, line)),
        }
    }
    runs
}

/// Which table it is.
struct Columns {
    branches: bool,
    gcovr: bool,
}

impl Columns {
    /// `Name  Stmts  Miss Branch BrPart  Cover  Missing`, gcovr's `File  Lines  Exec  Cover  Missing`
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Name", "Stmts", "Miss", "Cover", rest @ ..] => {
                rest.len().le(&1).then_some(Self { branches: false, gcovr: false })
            }
            ["Name", "Stmts", "Miss", "Branch", "BrPart", "Cover", ..] => Some(Self { branches: true, gcovr: false }),
            ["File", "Lines", "Exec", "Cover", ..] => Some(Self { branches: false, gcovr: true }),
            _ => None,
        }
    }

    /// `shop.py   6   2   2   1   62%   3, 8-9`
    fn row(&self, line: &str) -> Option<Metric> {
        let (head, missing) = line.split_once('%')?;
        let mut words: Vec<&str> = head.split_whitespace().collect();
        let percent: f64 = words.pop()?.parse().ok()?;
        let numbers = if self.branches { 4 } else { 2 };
        let at = words.len().checked_sub(numbers).filter(|at| *at > 0)?;
        let count = |n: usize| words.get(at + n)?.parse::<u64>().ok();
        let (total, second) = (count(0)?, count(1)?);
        let covered = if self.gcovr { second } else { total.checked_sub(second)? };
        let name = words[..at].join(" ");
        let ranges = missing.split(',').filter_map(|text| {
            let (first, last) = text.trim().split_once('-').unwrap_or((text.trim(), text.trim()));
            // `12->14` is a branch.
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Some(Metric {
            source: if self.gcovr { "gcovr".to_owned() } else { String::new() },
            kind: if self.branches {
                MetricKind::Combined
            } else if self.gcovr {
                MetricKind::Lines
            } else {
                MetricKind::Statements
            },
            file: Some(name).filter(|name| name != "TOTAL"),
            percent: Some(percent),
            covered: (!self.branches).then_some(covered),
            total: (!self.branches).then_some(total),
            missing_lines: ranges.collect(),
        })
    }
}
