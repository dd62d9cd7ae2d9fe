//! Go's coverage: what `go test -cover` adds to a package's line, `go tool cover -func`, and the profile itself.

use std::collections::BTreeMap;

use super::{Kind, LineShape, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Metric, MetricKind};

pub(super) const TOOL: Tool = Tool {
    name: "go-cover",
    kind: Kind::Generic,
    anchors: &["mode: set", "mode: count", "mode: atomic", "total:\t"],
    shapes: &[LineShape::Location],
    reader: || Box::new(GoCover::default()),
    ..Tool::DEFAULT
};

const FILES_MAX: usize = 5_000;

#[derive(Default)]
struct GoCover {
    /// Statements of each file: executed, and all of them.
    files: BTreeMap<String, (u64, u64)>,
    in_profile: bool,
}

impl Reader for GoCover {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(percent) = line.strip_prefix("total:").and_then(|rest| rest.trim().strip_prefix("(statements)")) {
            let Some(percent) = percent.trim().strip_suffix('%').and_then(|text| text.parse().ok()) else { return 0 };
            sink.metric(Metric { percent: Some(percent), ..metric(None) });
            return 1;
        }
        // `shop/shop.go:3:	Total		66.7%`: of functions, which have no metric.
        if line.ends_with('%') && line.contains(".go:") && line.contains(":\t") {
            return 1;
        }
        if matches!(line, "mode: set" | "mode: count" | "mode: atomic") {
            let read =
                (1..=Lines::AHEAD_MAX).take_while(|&n| lines.ahead(n).is_some_and(|line| self.block(line))).count();
            self.in_profile = read == Lines::AHEAD_MAX;
            return 1 + read;
        }
        usize::from(self.in_profile && self.block(line))
    }

    /// Only a profile that is longer than what can be looked ahead at.
    fn is_open(&self) -> bool {
        self.in_profile
    }

    fn finish(&mut self, sink: &mut Sink) {
        let (mut covered, mut total) = (0u64, 0u64);
        for (file, (hit, all)) in &self.files {
            covered = covered.saturating_add(*hit);
            total = total.saturating_add(*all);
            sink.metric(Metric { covered: Some(*hit), total: Some(*all), ..metric(Some(file)) });
        }
        if total > 0 {
            sink.metric(Metric { covered: Some(covered), total: Some(total), ..metric(None) });
        }
    }
}

pub(super) fn metric(file: Option<&str>) -> Metric {
    Metric {
        source: TOOL.name.to_owned(),
        kind: MetricKind::Statements,
        file: file.map(str::to_owned),
        percent: None,
        covered: None,
        total: None,
        missing_lines: Vec::new(),
    }
}

impl GoCover {
    /// `shop/shop.go:3.23,4.11 1 1`: a block, its statements, how often it ran.
    fn block(&mut self, line: &str) -> bool {
        let mut words = line.trim_end().split(' ');
        let (Some(place), Some(statements), Some(hits), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        let numbers = statements.parse::<u64>().ok().zip(hits.parse::<u64>().ok());
        let (Some((file, span)), Some((statements, hits))) = (place.rsplit_once(':'), numbers) else { return false };
        if !span.contains(',') || !(self.files.contains_key(file) || self.files.len() < FILES_MAX) {
            return false;
        }
        let (covered, total) = self.files.entry(file.to_owned()).or_default();
        *total = total.saturating_add(statements);
        *covered = covered.saturating_add(if hits > 0 { statements } else { 0 });
        true
    }
}
