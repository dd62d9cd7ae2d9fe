//! Boost.Test: failures by suite and case, and the closing line.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "boost-test",
    kind: Kind::TestRunner,
    anchors: &[
        "rror: in \"",
        "): Entering test ",
        "): Leaving test ",
        "): last checkpoint: ",
        " test cases...",
        " test case...",
        "*** No errors detected",
        "detected in the test module \"",
        "\" has failed with:",
    ],
    reader: || Box::new(BoostTest::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct BoostTest {
    total: Option<u64>,
    failed: Vec<String>,
}

const FAILED_MAX: usize = 10_000;

impl Reader for BoostTest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        if let Some(count) = line.strip_prefix("Running ").and_then(|rest| rest.split_once(" test case")) {
            self.total = count.0.parse().ok().filter(|_| count.1.ends_with("..."));
            if self.total.is_some() {
                sink.evidence(Evidence::RunStarted);
            }
            return usize::from(self.total.is_some());
        }
        if line == "*** No errors detected" {
            sink.evidence(Evidence::RunEnded);
            let counts = crate::PrintedCounts { passed: self.total.take(), failed: Some(0), ..Default::default() };
            sink.printed(&counts);
            return 1;
        }
        if line.starts_with("*** ") && line.contains("detected in the test module \"")
            || line.starts_with("Test module \"") && line.ends_with("\" has failed with:")
        {
            sink.evidence(Evidence::RunEnded);
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        let told = ["): Entering test ", "): Leaving test ", "): last checkpoint: "];
        if told.iter().any(|words| line.contains(words)) {
            return usize::from(self.total.is_some());
        }
        // `t.cpp(6): error: in "sums/wrong": check a == 4 has failed [3 != 4]`
        let Some((head, rest)) = line.split_once("rror: in \"") else { return 0 };
        let Some((name, message)) = rest.split_once("\": ") else { return 0 };
        if self.failed.iter().any(|known| known == name) {
            return 1;
        }
        if self.failed.len() < FAILED_MAX {
            self.failed.push(name.to_owned());
        }
        let place = head.rsplit_once("): ").and_then(|(place, _)| place.rsplit_once('('));
        let place = place
            .and_then(|(file, row)| Some(Place { file, line: row.parse().ok().filter(|row| *row > 0)?, column: None }));
        let sides = message.strip_suffix(']').and_then(|text| text.rsplit_once(" [")?.1.split_once(" != "));
        sink.test(TestCase {
            id: name.to_owned(),
            status: if head.ends_with("fatal e") { TestStatus::Error } else { TestStatus::Failed },
            file: place.map(|place| place.file.to_owned()),
            line: place.map(|place| place.line),
            message: Some(message.to_owned()),
            actual: sides.map(|(left, _)| left.to_owned()),
            expected: sides.map(|(_, right)| right.to_owned()),
            ..TestCase::default()
        });
        1
    }
}
