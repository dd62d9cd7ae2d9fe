//! pytest's machine formats: pytest-reportlog's JSON Lines and pytest-json-report's document.

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "pytest-json",
    kind: Kind::TestRunner,
    json: &["\"$report_type\"", "\"exitcode\""],
    reader: || Box::new(PytestJson),
    ..Tool::DEFAULT
};

/// What pytest exits with when it found no test.
const NO_TESTS: u64 = 5;

struct PytestJson;

impl Reader for PytestJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(value) = document.json::<Value>() else { return false };
        match value["$report_type"].as_str() {
            Some("SessionStart") => sink.evidence(Evidence::RunStarted),
            Some("SessionFinish") => ended(value["exitstatus"].as_u64(), sink),
            Some("CollectReport") => collected(&value, sink),
            Some("TestReport") => phase(&value, sink),
            Some(_) => {}
            None if value["tests"].is_array() && value["summary"].is_object() => whole(&value, sink),
            None => return false,
        }
        true
    }
}

fn ended(status: Option<u64>, sink: &mut Sink) {
    sink.evidence(Evidence::RunEnded);
    match status {
        Some(0) => {}
        Some(1) => sink.evidence(Evidence::SaysFailed),
        Some(NO_TESTS) => sink.evidence(Evidence::SaysNoTests),
        Some(_) | None => sink.evidence(Evidence::SaysError),
    }
}

/// A module that could not be imported.
fn collected(report: &Value, sink: &mut Sink) {
    if report["outcome"] == "failed" {
        let text = report["longrepr"].as_str().or_else(|| report["longrepr"]["reprcrash"]["message"].as_str());
        sink.test(TestCase {
            id: report["nodeid"].as_str().unwrap_or("").to_owned(),
            status: TestStatus::Error,
            message: text.map(str::to_owned),
            ..TestCase::default()
        });
    }
}

/// One of a test's three phases: `setup`, `call`, `teardown`.
fn phase(report: &Value, sink: &mut Sink) {
    let called = report["when"] == "call";
    let expected_to_fail = !report["wasxfail"].is_null();
    let status = match report["outcome"].as_str() {
        Some("passed") if called && expected_to_fail => TestStatus::Xpassed,
        Some("passed") if called => TestStatus::Passed,
        Some("failed") if called => TestStatus::Failed,
        Some("failed") => TestStatus::Error,
        Some("skipped") if expected_to_fail => TestStatus::Xfailed,
        Some("skipped") => TestStatus::Skipped,
        Some(_) | None => return,
    };
    let mut test = test(report, status);
    test.duration_ms = report["duration"].as_f64().map(|seconds| seconds * 1_000.0);
    let crash = &report["longrepr"]["reprcrash"];
    blame(&mut test, &crash["path"], &crash["lineno"], &crash["message"]);
    if test.message.is_none() {
        let reason = &report["longrepr"];
        blame(&mut test, &reason[0], &reason[1], &reason[2]);
    }
    sink.test(test);
}

fn test(report: &Value, status: TestStatus) -> TestCase {
    TestCase { id: report["nodeid"].as_str().unwrap_or("").to_owned(), status, ..TestCase::default() }
}

fn blame(test: &mut TestCase, path: &Value, line: &Value, message: &Value) {
    test.file = path.as_str().map(str::to_owned);
    test.line = line.as_u64().and_then(|line| u32::try_from(line).ok());
    test.message = message.as_str().map(str::to_owned);
}

/// pytest-json-report writes everything at once.
fn whole(report: &Value, sink: &mut Sink) {
    sink.evidence(Evidence::RunStarted);
    for item in report["tests"].as_array().into_iter().flatten() {
        let status = match item["outcome"].as_str() {
            Some("passed") => TestStatus::Passed,
            Some("failed") => TestStatus::Failed,
            Some("error") => TestStatus::Error,
            Some("skipped") => TestStatus::Skipped,
            Some("xfailed") => TestStatus::Xfailed,
            Some("xpassed") => TestStatus::Xpassed,
            Some(_) | None => TestStatus::NotRun,
        };
        let mut test = test(item, status);
        let phases = ["setup", "call", "teardown"].map(|name| &item[name]);
        let seconds: f64 = phases.iter().filter_map(|phase| phase["duration"].as_f64()).sum();
        test.duration_ms = Some(seconds * 1_000.0);
        if let Some(crash) = phases.iter().map(|phase| &phase["crash"]).find(|crash| crash.is_object()) {
            blame(&mut test, &crash["path"], &crash["lineno"], &crash["message"]);
        }
        sink.test(test);
    }
    for collector in report["collectors"].as_array().into_iter().flatten().filter(|item| item["outcome"] == "failed") {
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: collector["longrepr"].as_str().unwrap_or("").to_owned(),
            file: collector["nodeid"].as_str().map(str::to_owned),
            ..Diagnostic::default()
        });
    }
    let count = |name: &str| report["summary"][name].as_u64();
    sink.printed(&PrintedCounts {
        passed: count("passed"),
        failed: count("failed"),
        errors: count("error"),
        skipped: count("skipped"),
        xfailed: count("xfailed"),
        xpassed: count("xpassed"),
    });
    ended(report["exitcode"].as_u64(), sink);
}
