//! Istanbul (nyc, c8, Jest, Vitest): the table, the text summary, the JSON summary, a threshold that was missed.

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "istanbul",
    kind: Kind::Generic,
    anchors: &[
        "| % Stmts | % Branch | % Funcs | % Lines |",
        "= Coverage summary =",
        "does not meet global threshold (",
        "does not meet threshold (",
        " coverage threshold for ",
    ],
    json: &["\"statements\":{\"total\"", "\"statements\": {\"total\""],
    reader: || Box::new(Istanbul),
    ..Tool::DEFAULT
};

const ROWS_MAX: usize = 1_900;
const KINDS: [MetricKind; 4] = [MetricKind::Statements, MetricKind::Branches, MetricKind::Functions, MetricKind::Lines];

struct Istanbul;

impl Reader for Istanbul {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.starts_with("ERROR: Coverage for ") || line.starts_with("Jest: ") && line.contains(" not met: ") {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        if line.contains("= Coverage summary =") {
            return summary(lines, sink);
        }
        if !line.starts_with("File ") {
            return 0;
        }
        let mut read = 2;
        let mut folder = "";
        while let Some(line) = lines.ahead(read).filter(|line| line.contains('|') && read < ROWS_MAX) {
            read += 1;
            // A rule ends the table; folders stand before their files, less indented.
            if line.starts_with("---") {
                break;
            }
            let mut cells = line.split('|');
            let name = cells.next().unwrap_or("");
            let indent = name.len() - name.trim_start().len();
            let name = name.trim();
            let is_folder = indent <= 1 && lines.ahead(read).is_some_and(|next| next.starts_with("  "));
            if is_folder {
                folder = name;
            }
            if name != "All files" && is_folder {
                continue;
            }
            let file = match name {
                "All files" => None,
                _ if indent > 1 && !folder.is_empty() => Some(format!("{folder}/{name}")),
                _ => Some(name.to_owned()),
            };
            let percents: Vec<Option<f64>> = cells.by_ref().take(4).map(|cell| cell.trim().parse().ok()).collect();
            let mut missing = missing_lines(cells.next().unwrap_or(""));
            for (kind, percent) in KINDS.into_iter().zip(percents) {
                let missing_lines = if kind == MetricKind::Lines { std::mem::take(&mut missing) } else { Vec::new() };
                sink.metric(Metric { percent, missing_lines, ..metric(kind, file.as_deref(), None, None) });
            }
        }
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Value>() else { return false };
        let Some(files) = output.as_object().filter(|files| files.contains_key("total")) else { return false };
        for (file, item) in files {
            for (kind, name) in KINDS.into_iter().zip(["statements", "branches", "functions", "lines"]) {
                let item = &item[name];
                let file = Some(file.as_str()).filter(|file| *file != "total");
                if let Some(total) = item["total"].as_u64().filter(|total| *total > 0) {
                    sink.metric(metric(kind, file, item["covered"].as_u64(), Some(total)));
                }
            }
        }
        true
    }
}

fn metric(kind: MetricKind, file: Option<&str>, covered: Option<u64>, total: Option<u64>) -> Metric {
    let file = file.map(str::to_owned);
    Metric { source: String::new(), kind, file, percent: None, covered, total, missing_lines: Vec::new() }
}

/// `1,4-6,9`; what does not fit is cut off at the front with `...`.
fn missing_lines(text: &str) -> Vec<(u32, u32)> {
    let ranges = text.trim().trim_start_matches("...").split(',');
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    ranges.filter_map(range).filter(|(first, last)| first <= last).collect()
}

/// `Statements   : 100% ( 2/2 )`
fn summary(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let mut read = 1;
    for (kind, name) in KINDS.into_iter().zip(["Statements", "Branches", "Functions", "Lines"]) {
        let Some(rest) = lines.ahead(read).and_then(|line| line.trim().strip_prefix(name)) else { break };
        read += 1;
        let counts = rest.split_once("( ").and_then(|(_, rest)| rest.split_once(" )")?.0.split_once('/'));
        let numbers = counts.and_then(|(covered, total)| Some((covered.parse().ok()?, total.parse().ok()?)));
        if let Some((covered, total)) = numbers.filter(|(_, total)| *total > 0) {
            sink.metric(metric(kind, None, Some(covered), Some(total)));
        }
    }
    read
}
