//! Coverage as XML: Cobertura, JaCoCo and Clover.

use super::coverage_py::runs;
use super::xml::{Event, Tag, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "cobertura",
    kind: Kind::Generic,
    xml_roots: &["coverage", "report"],
    reader: || Box::new(CoverageXml),
    ..Tool::DEFAULT
};

const LINES_MAX: usize = 1_000_000;

struct CoverageXml;

impl Reader for CoverageXml {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let mut found = Found::default();
        for event in Xml::new(text) {
            match event {
                Event::Start(tag) => found.start(tag),
                Event::End(name) => found.end(name),
                Event::Text(_) => {}
            }
        }
        let read = !found.metrics.is_empty();
        found.metrics.into_iter().for_each(|metric| sink.metric(metric));
        read
    }
}

#[derive(Default)]
struct Found {
    metrics: Vec<Metric>,
    /// JaCoCo: a package's name and a source file's in it. Cobertura: a class' file.
    package: String,
    file: Option<String>,
    /// Whether each line of the open file was executed.
    lines: Vec<(u32, bool)>,
    in_methods: bool,
    depth: usize,
}

fn metric(source: &str, kind: MetricKind, file: Option<&str>, covered: Option<u64>, total: Option<u64>) -> Metric {
    let file = file.map(str::to_owned);
    Metric { source: source.to_owned(), kind, file, percent: None, covered, total, missing_lines: Vec::new() }
}

impl Found {
    fn start(&mut self, tag: Tag<'_>) {
        self.depth += usize::from(!tag.empty);
        match tag.name {
            "coverage" => self.cobertura_root(tag),
            "methods" => self.in_methods = !tag.empty,
            "package" => self.package = tag.get("name").map(String::from).unwrap_or_default(),
            "class" => self.file = tag.get("filename").map(String::from).or(self.file.take()),
            "sourcefile" => self.file = tag.get("name").map(|name| format!("{}/{name}", self.package)),
            // Clover's.
            "file" => self.file = tag.get("path").or_else(|| tag.get("name")).map(String::from),
            "line" if !self.in_methods && self.file.is_some() && self.lines.len() < LINES_MAX => {
                let row = tag.number("number").or_else(|| tag.number("num")).or_else(|| tag.number("nr"));
                let hits = tag.number("hits").or_else(|| tag.number("count")).or_else(|| tag.number("ci"));
                if let (Some(row), Some(hits)) = (row.and_then(|row| u32::try_from(row).ok()), hits) {
                    self.lines.push((row, hits > 0));
                }
            }
            "counter" => self.counter(tag),
            "metrics" if tag.number("statements").is_some() && self.depth <= 3 => self.clover(tag),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        match name {
            "methods" => self.in_methods = false,
            "class" | "sourcefile" | "file" => {
                let Some(file) = self.file.take() else { return };
                if self.lines.is_empty() {
                    return;
                }
                let mut lines = std::mem::take(&mut self.lines);
                lines.sort_unstable();
                lines.dedup_by_key(|(row, _)| *row);
                let count = |covered: bool| lines.iter().filter(|(_, hit)| *hit || !covered).count() as u64;
                let source = match name {
                    "sourcefile" => "jacoco",
                    "file" => "clover",
                    _ => "cobertura",
                };
                self.metrics.push(Metric {
                    missing_lines: runs(lines.iter().filter(|(_, hit)| !hit).map(|(row, _)| *row)),
                    ..metric(source, MetricKind::Lines, Some(&file), Some(count(true)), Some(count(false)))
                });
            }
            _ => {}
        }
    }

    /// `<coverage lines-valid="11" lines-covered="9" branches-valid="2" branches-covered="1">`
    fn cobertura_root(&mut self, tag: Tag<'_>) {
        for (kind, covered, total, rate) in [
            (MetricKind::Lines, "lines-covered", "lines-valid", "line-rate"),
            (MetricKind::Branches, "branches-covered", "branches-valid", "branch-rate"),
        ] {
            let (covered, total) = (tag.number(covered), tag.number(total));
            let rate: Option<f64> = tag.get(rate).and_then(|rate| rate.parse().ok());
            if total == Some(0) || total.is_none() && rate.is_none() {
                continue;
            }
            let percent = rate.filter(|_| total.is_none()).map(|rate| (rate * 10_000.0).round() / 100.0);
            self.metrics.push(Metric { percent, ..metric("cobertura", kind, None, covered, total) });
        }
    }

    /// JaCoCo's `<counter type="LINE" missed="2" covered="4"/>`: of the report itself, which has no package open.
    fn counter(&mut self, tag: Tag<'_>) {
        if self.depth > 1 {
            return;
        }
        let kind = match tag.get("type").as_deref() {
            Some("LINE") => MetricKind::Lines,
            Some("BRANCH") => MetricKind::Branches,
            Some("METHOD") => MetricKind::Functions,
            Some("INSTRUCTION") => MetricKind::Instructions,
            Some(_) | None => return,
        };
        let (Some(missed), Some(covered)) = (tag.number("missed"), tag.number("covered")) else { return };
        self.metrics.push(metric("jacoco", kind, None, Some(covered), covered.checked_add(missed)));
    }

    /// Clover's totals of the project.
    fn clover(&mut self, tag: Tag<'_>) {
        for (kind, covered, total) in [
            (MetricKind::Statements, "coveredstatements", "statements"),
            (MetricKind::Branches, "coveredconditionals", "conditionals"),
            (MetricKind::Functions, "coveredmethods", "methods"),
        ] {
            if let Some(total) = tag.number(total).filter(|total| *total > 0) {
                self.metrics.push(metric("clover", kind, None, tag.number(covered), Some(total)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{MetricKind, ToolOutput, parse};

    /// From JaCoCo's documentation of its report.
    #[test]
    fn jacoco_counts_files_and_everything() {
        let text = br#"<?xml version="1.0"?><report name="shop"><package name="shop"><class name="shop/Calc"><method name="add"><counter type="LINE" missed="0" covered="9"/></method></class><sourcefile name="Calc.java"><line nr="3" mi="0" ci="4"/><line nr="4" mi="4" ci="0"/><counter type="LINE" missed="1" covered="1"/></sourcefile></package><counter type="LINE" missed="1" covered="1"/></report>"#;
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [file, all] = report.metrics.as_slice() else { panic!("{report:?}") };
        assert_eq!((file.file.as_deref(), file.percent), (Some("shop/Calc.java"), Some(50.0)));
        assert_eq!(file.missing_lines, [(4, 4)]);
        assert_eq!((all.kind, all.covered, all.total), (MetricKind::Lines, Some(1), Some(2)));
    }
}
