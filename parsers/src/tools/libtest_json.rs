//! The JSON Lines of Rust's test harness (`--format json`), which nextest can write too.

use serde::Deserialize;

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "libtest-json",
    kind: Kind::TestRunner,
    json: &["\"event\":"],
    reader: || Box::new(LibtestJson),
    ..Tool::DEFAULT
};

struct LibtestJson;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    stdout: String,
    exec_time: Option<f64>,
    passed: Option<u64>,
    failed: Option<u64>,
    ignored: Option<u64>,
    message: Option<String>,
}

impl Reader for LibtestJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(event) = document.json::<Event>() else { return false };
        match (event.kind.as_str(), event.event.as_str()) {
            ("suite", "started") => sink.evidence(Evidence::RunStarted),
            ("suite", "ok" | "failed") => {
                sink.evidence(Evidence::RunEnded);
                if event.event == "failed" {
                    sink.evidence(Evidence::SaysFailed);
                }
                sink.printed(&PrintedCounts {
                    passed: event.passed,
                    failed: event.failed,
                    skipped: event.ignored,
                    ..PrintedCounts::default()
                });
            }
            ("test", "ok") => sink.test(event.test(TestStatus::Passed)),
            ("test", "failed") => sink.test(event.test(TestStatus::Failed)),
            ("test", "ignored") => sink.test(event.test(TestStatus::Skipped)),
            ("test", "started") => sink.began(&event.name),
            ("test", "timeout") | ("bench", _) => {}
            _ => return false,
        }
        true
    }
}

impl Event {
    fn test(self, status: TestStatus) -> TestCase {
        let mut test = TestCase { id: self.name, status, message: self.message, ..TestCase::default() };
        test.duration_ms = self.exec_time.map(|seconds| seconds * 1_000.0);
        if let Some((_, panic)) = self.stdout.split_once(" panicked at ") {
            let (place, text) = panic.split_once('\n').unwrap_or((panic, ""));
            if let Some(place) = Place::colons(place.trim_end_matches(':')) {
                test.file = Some(place.file.to_owned());
                test.line = Some(place.line);
            }
            let text = text.split("\nnote: run with").next().and_then(|text| text.split("\nstack backtrace:").next());
            let text = text.unwrap_or("").trim_end();
            let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::to_owned);
            (test.actual, test.expected) = (value("left: "), value("right: "));
            test.message = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        test
    }
}
