//! `go test -json`: an event a line. Results are the events'; messages are read from the text they carry.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::go_build::GoBuild;
use super::go_panic::Panic;
use super::go_test::Pending;
use super::{Kind, Reader, Tool, go_test};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::{Lines, Window};
use crate::{TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "go-test-json",
    kind: Kind::TestRunner,
    commands: go_test::TOOL.commands,
    json: &["\"Action\":\""],
    reader: || Box::new(GoTestJson::default()),
    ..Tool::DEFAULT
};

const OUTPUT_BYTES_MAX: usize = 1 << 20;
const PENDING_MAX: usize = 50_000;
/// Tests whose second run replaces the first; each costs a look at all tests.
const AGAIN_MAX: usize = 1_000;

#[derive(Default)]
struct GoTestJson {
    packages: BTreeMap<String, Package>,
    /// Packages that ended with `fail` and did not pass since, and the tests that failed in them: gotestsum runs these
    /// again, and the last run counts.
    failed: BTreeMap<String, BTreeSet<String>>,
    again: usize,
    /// What the compiler said, by import path.
    builds: BTreeMap<String, String>,
}

#[derive(Default)]
struct Package {
    tests: BTreeMap<String, Pending>,
    /// Where a panic is; only kept from the first sign of one on.
    panic: String,
    failed_tests: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    package: Option<String>,
    import_path: Option<String>,
    test: Option<String>,
    elapsed: Option<f64>,
    output: Option<String>,
    failed_build: Option<String>,
}

impl Reader for GoTestJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(event) = document.json::<Event>() else { return false };
        match (&event.package, &event.import_path) {
            (Some(_), _) => self.test_event(&event, sink),
            (None, Some(path)) => self.build_event(path, &event, sink),
            (None, None) => return false,
        }
        true
    }

    fn finish(&mut self, sink: &mut Sink) {
        for (name, mut package) in std::mem::take(&mut self.packages) {
            package.close(&name, sink);
        }
        if !self.failed.is_empty() {
            sink.evidence(Evidence::SaysFailed);
        }
    }
}

impl GoTestJson {
    fn build_event(&mut self, path: &str, event: &Event, sink: &mut Sink) {
        match event.action.as_str() {
            "build-output" => {
                let text = self.builds.entry(path.to_owned()).or_default();
                append(text, event.output.as_deref().unwrap_or(""));
            }
            "build-fail" => {
                let text = self.builds.remove(path).unwrap_or_default();
                let mut reader = GoBuild::default();
                let window = window_of(&text);
                let mut at = 0;
                sink.turn_of(super::go_build::TOOL.name, super::go_build::TOOL.kind);
                while at < window.len() {
                    at += reader.read(Lines::new(&window, at), sink).max(1);
                }
                sink.turn_of(TOOL.name, TOOL.kind);
            }
            _ => {}
        }
    }

    fn test_event(&mut self, event: &Event, sink: &mut Sink) {
        let name = event.package.as_deref().unwrap_or("");
        if !self.packages.contains_key(name) {
            if self.packages.len() >= PENDING_MAX {
                return;
            }
            sink.evidence(Evidence::RunStarted);
            self.packages.insert(name.to_owned(), Package::default());
        }
        let Some(package) = self.packages.get_mut(name) else { return };
        let status = match event.action.as_str() {
            "pass" => TestStatus::Passed,
            "fail" => TestStatus::Failed,
            "skip" => TestStatus::Skipped,
            "run" | "output" => {
                if let ("run", Some(test)) = (event.action.as_str(), &event.test) {
                    sink.began(test);
                }
                package.output(event);
                return;
            }
            _ => return,
        };
        if let Some(test) = &event.test {
            let mut pending = package.tests.remove(test).unwrap_or_else(|| Pending::new(test));
            pending.status = Some(status);
            pending.duration_ms = event.elapsed.map(|seconds| seconds * 1_000.0);
            if status == TestStatus::Failed && package.failed_tests.len() < PENDING_MAX {
                package.failed_tests.insert(test.clone());
            }
            let before = self.failed.get_mut(name).is_some_and(|tests| tests.remove(test));
            if before && self.again < AGAIN_MAX {
                self.again += 1;
                sink.take_back(&format!("{name}::{test}"));
            }
            if status == TestStatus::Failed
                && let Some(panic) = package.read_panic()
            {
                pending.log.blame(&panic);
            }
            sink.test(pending.into_case(Some(name)));
            return;
        }
        sink.evidence(Evidence::RunEnded);
        match status {
            TestStatus::Failed if event.failed_build.is_some() => sink.test(TestCase {
                id: format!("{name}::[build failed]"),
                status: TestStatus::Error,
                message: Some("build failed".into()),
                ..TestCase::default()
            }),
            TestStatus::Failed => {}
            TestStatus::Skipped => sink.evidence(Evidence::SaysNoTests),
            _ => {}
        }
        if let Some(mut package) = self.packages.remove(name) {
            package.close(name, sink);
            if status == TestStatus::Passed {
                // Two runs that have nothing to do with each other look the same: the exit status says which it was.
                if self.failed.remove(name).is_some() {
                    sink.evidence(Evidence::BreaksOff);
                }
            } else if status == TestStatus::Failed && self.failed.len() < PENDING_MAX {
                self.failed.entry(name.to_owned()).or_default().append(&mut package.failed_tests);
            }
        }
    }
}

impl Package {
    fn output(&mut self, event: &Event) {
        let output = event.output.as_deref().unwrap_or("");
        if !self.panic.is_empty() || output.starts_with("panic: ") || output.starts_with("fatal error: ") {
            append(&mut self.panic, output);
        }
        let Some(name) = &event.test else { return };
        if self.tests.len() >= PENDING_MAX {
            return;
        }
        let test = self.tests.entry(name.clone()).or_insert_with(|| Pending::new(name));
        let line = output.strip_suffix('\n').unwrap_or(output);
        if !line.starts_with("=== ") && !line.trim_start().starts_with("--- ") {
            test.log.read(line);
        }
    }

    fn read_panic(&self) -> Option<Panic> {
        if self.panic.is_empty() {
            return None;
        }
        Panic::read(Lines::new(&window_of(&self.panic), 0))
    }

    /// Tests that began and never ended are told as such.
    fn close(&mut self, name: &str, sink: &mut Sink) {
        let panic = self.read_panic();
        for (_, mut test) in std::mem::take(&mut self.tests) {
            if let Some(panic) = &panic {
                if panic.timed_out.contains(&test.name) {
                    test.status = Some(TestStatus::Timeout);
                }
                test.log.blame(panic);
            }
            sink.test(test.into_case(Some(name)));
        }
        if let Some(panic) = panic {
            sink.trace(panic.trace);
        }
    }
}

fn append(text: &mut String, more: &str) {
    if text.len() + more.len() <= OUTPUT_BYTES_MAX {
        text.push_str(more);
    }
}

fn window_of(text: &str) -> Window {
    let mut window = Window::default();
    window.text_mut().push_str(text);
    if !text.ends_with('\n') {
        window.text_mut().push('\n');
    }
    window.index(|_| {});
    window
}
