//! `dart test --reporter json` and `flutter test --machine`: one event a line.

use std::collections::HashMap;

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "dart-json",
    kind: Kind::TestRunner,
    commands: &["dart test", "flutter test"],
    json: &[
        "\"protocolVersion\":",
        "\"testID\":",
        "\"suiteID\":",
        "\"type\":\"done\"",
        "\"type\":\"suite\"",
        "\"type\":\"allSuites\"",
    ],
    reader: || Box::new(DartJson::default()),
    ..Tool::DEFAULT
};

const OPEN_TESTS_MAX: usize = 10_000;

#[derive(Default)]
struct DartJson {
    started: bool,
    open: HashMap<u64, Open>,
}

struct Open {
    test: TestCase,
    began_ms: Option<f64>,
}

impl Reader for DartJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(event) = document.json::<Value>() else { return false };
        let Some(kind) = event["type"].as_str() else { return false };
        if kind == "start" && event["protocolVersion"].is_string() {
            sink.evidence(Evidence::RunStarted);
            self.started = true;
            return true;
        }
        if !self.started {
            return false;
        }
        match kind {
            "testStart" => self.start(&event),
            "error" => {
                if let Some(open) = event["testID"].as_u64().and_then(|id| self.open.get_mut(&id)) {
                    let failure = event["isFailure"].as_bool() == Some(true);
                    open.test.status = if failure { TestStatus::Failed } else { TestStatus::Error };
                    let message = event["error"].as_str().unwrap_or("").trim_end();
                    open.test.expected = side(message, "Expected: ");
                    open.test.actual = side(message, "Actual: ");
                    open.test.message = Some(message.to_owned());
                }
            }
            "testDone" => self.done(&event, sink),
            "done" => {
                if event["success"].as_bool() == Some(false) {
                    sink.evidence(Evidence::SaysFailed);
                }
                if event["success"].as_bool().is_some() {
                    sink.evidence(Evidence::RunEnded);
                }
            }
            _ => {}
        }
        true
    }

    fn finish(&mut self, sink: &mut Sink) {
        let mut left: Vec<(u64, Open)> = self.open.drain().collect();
        left.sort_by_key(|(id, _)| *id);
        for (_, open) in left {
            if open.test.status != TestStatus::Passed {
                sink.test(open.test);
            }
        }
    }
}

impl DartJson {
    fn start(&mut self, event: &Value) {
        let test = &event["test"];
        let Some(id) = test["id"].as_u64().filter(|_| self.open.len() < OPEN_TESTS_MAX) else { return };
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        // Where a helper defines the test, `root_*` is its place in the suite's own file.
        let file = test["root_url"].as_str().or_else(|| test["url"].as_str());
        let case = TestCase {
            id: test["name"].as_str().unwrap_or("").to_owned(),
            status: TestStatus::Passed,
            file: file.map(super::sarif::path),
            line: number(&test["root_line"]).or_else(|| number(&test["line"])),
            ..TestCase::default()
        };
        self.open.insert(id, Open { test: case, began_ms: event["time"].as_f64() });
    }

    fn done(&mut self, event: &Value, sink: &mut Sink) {
        let Some(Open { mut test, began_ms }) = event["testID"].as_u64().and_then(|id| self.open.remove(&id)) else {
            return;
        };
        let result = event["result"].as_str().unwrap_or("");
        let hidden = event["hidden"].as_bool() == Some(true);
        test.status = match result {
            "success" if event["skipped"].as_bool() == Some(true) => TestStatus::Skipped,
            "success" => TestStatus::Passed,
            "failure" => TestStatus::Failed,
            _ => TestStatus::Error,
        };
        // Loading a suite is a hidden test of its own.
        if hidden && test.status == TestStatus::Passed {
            return;
        }
        test.duration_ms = event["time"].as_f64().zip(began_ms).map(|(end, start)| end - start);
        sink.test(test);
    }
}

fn side(message: &str, name: &str) -> Option<String> {
    message.lines().find_map(|line| line.trim_start().strip_prefix(name)).map(str::to_owned)
}
