//! llvm-cov: the table of `report` and the JSON of `export`.

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "llvm-cov",
    kind: Kind::Generic,
    anchors: &["Missed Regions"],
    json: &["\"llvm.coverage.json.export\""],
    reader: || Box::new(LlvmCov),
    ..Tool::DEFAULT
};

const ROWS_MAX: usize = 1_900;

struct LlvmCov;

impl Reader for LlvmCov {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let head = lines.first();
        if !head.starts_with("Filename ") {
            return 0;
        }
        let branches = head.contains("Missed Branches");
        let mut read = 1;
        while let Some(line) = lines.ahead(read).map(str::trim_end).filter(|_| read < ROWS_MAX) {
            read += 1;
            if line.starts_with("---") {
                continue;
            }
            let Some(metrics) = row(line, branches) else { return read - 1 };
            let last = metrics.iter().all(|metric| metric.file.is_none());
            metrics.into_iter().for_each(|metric| sink.metric(metric));
            if last {
                break;
            }
        }
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Value>() else { return false };
        let Some(data) = output["data"].as_array() else { return false };
        for export in data {
            let files = export["files"].as_array().into_iter().flatten();
            let items = files.map(|file| (file["filename"].as_str(), &file["summary"]));
            for (file, summary) in items.chain([(None, &export["totals"])]) {
                for (name, kind) in [
                    ("lines", MetricKind::Lines),
                    ("functions", MetricKind::Functions),
                    ("regions", MetricKind::Regions),
                    ("branches", MetricKind::Branches),
                ] {
                    let item = &summary[name];
                    if let (Some(total), Some(covered)) = (item["count"].as_u64(), item["covered"].as_u64())
                        && total > 0
                    {
                        sink.metric(metric(kind, file, covered, total));
                    }
                }
            }
        }
        true
    }
}

fn metric(kind: MetricKind, file: Option<&str>, covered: u64, total: u64) -> Metric {
    Metric {
        source: String::new(),
        kind,
        file: file.map(str::to_owned),
        percent: None,
        covered: Some(covered),
        total: Some(total),
        missing_lines: Vec::new(),
    }
}

/// `a.c  6  2  66.67%  3  1  66.67%  3  1  66.67%  2  1  50.00%`: how many, how many missed, how much.
fn row(line: &str, branches: bool) -> Option<Vec<Metric>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let kinds: &[MetricKind] = &[MetricKind::Regions, MetricKind::Functions, MetricKind::Lines, MetricKind::Branches];
    let kinds = if branches { kinds } else { &kinds[..3] };
    let at = words.len().checked_sub(3 * kinds.len()).filter(|at| *at > 0)?;
    let name = words[..at].join(" ");
    let file = Some(name.as_str()).filter(|name| *name != "TOTAL");
    let mut found = Vec::new();
    for (n, kind) in kinds.iter().enumerate() {
        let count = |offset: usize| words[at + 3 * n + offset].parse::<u64>().ok();
        let (total, missed) = (count(0)?, count(1)?);
        if total > 0 {
            found.push(metric(*kind, file, total.checked_sub(missed)?, total));
        }
    }
    Some(found)
}
