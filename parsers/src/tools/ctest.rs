//! CTest: one line a test, totals, and the list of what failed.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "ctest",
    kind: Kind::TestRunner,
    commands: &["ctest"],
    anchors: &[" Test #", "% tests passed", "Test project ", "Errors while running CTest", "No tests were found!!!"],
    reader: || Box::new(Ctest::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Ctest {
    started: bool,
}

impl Reader for Ctest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("Test project ") {
            self.start(sink);
            return 1;
        }
        if line == "No tests were found!!!" {
            sink.evidence(Evidence::SaysNoTests);
            return 1;
        }
        if line == "Errors while running CTest" {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        if let Some(counts) = totals(line) {
            self.start(sink);
            sink.printed(&counts);
            sink.evidence(Evidence::RunEnded);
            self.started = false;
            return 1;
        }
        let Some(test) = result(line) else { return 0 };
        self.start(sink);
        sink.test(test);
        1
    }
}

impl Ctest {
    fn start(&mut self, sink: &mut Sink) {
        if !self.started {
            self.started = true;
            sink.evidence(Evidence::RunStarted);
        }
    }
}

/// `50% tests passed, 2 tests failed out of 4`. Skipped tests count as passed there.
fn totals(line: &str) -> Option<PrintedCounts> {
    let (_, rest) = line.split_once("% tests passed, ")?;
    let (failed, rest) = rest.split_once(' ')?;
    let (_, total) = rest.split_once(" out of ")?;
    total.trim().parse::<u64>().ok()?;
    Some(PrintedCounts { failed: Some(failed.parse().ok()?), ..PrintedCounts::default() })
}

/// ` 2/14 Test  #2: bad ..............................***Failed    0.00 sec`
fn result(line: &str) -> Option<TestCase> {
    let (count, rest) = line.trim_start().split_once(" Test ")?;
    count.split_once('/')?.0.parse::<u64>().ok()?;
    let (_, rest) = rest.trim_start().strip_prefix('#')?.split_once(": ")?;
    let (name, rest) = rest.split_once(" ..").or_else(|| rest.split_once(' '))?;
    let rest = rest.trim_start_matches(['.', ' ', '*']);
    let (word, time) = rest.split_once("  ").unwrap_or((rest, ""));
    let status = match word.trim() {
        "Passed" => TestStatus::Passed,
        "Timeout" => TestStatus::Timeout,
        "Skipped" | "Disabled" => TestStatus::Skipped,
        "Not Run" | "Not Run (Disabled)" => TestStatus::Skipped,
        word if word.starts_with("Failed") => TestStatus::Failed,
        word if word.starts_with("Exception") || word.starts_with("Subprocess") || word.contains("SEGFAULT") => {
            TestStatus::Error
        }
        _ => return None,
    };
    let seconds: Option<f64> = time.trim().strip_suffix(" sec").and_then(|time| time.trim().parse().ok());
    let message = (status == TestStatus::Error).then(|| word.trim().to_owned());
    Some(TestCase {
        id: name.to_owned(),
        status,
        duration_ms: seconds.map(|s| s * 1_000.0),
        message,
        ..TestCase::default()
    })
}
