//! RSpec: the list of failures with their places, pending examples, totals.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "rspec",
    kind: Kind::TestRunner,
    commands: &["rspec", "bin/rspec"],
    anchors: &[
        "Failure/Error:",
        " examples, ",
        " example, ",
        "rspec ./",
        "An error occurred while loading ",
        "error occurred outside of examples",
    ],
    reader: || Box::new(Rspec::default()),
    ..Tool::DEFAULT
};

const FAILURE_LINES_MAX: usize = 120;

#[derive(Default)]
struct Rspec {
    failures: Vec<TestCase>,
}

impl Reader for Rspec {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.trim_start().starts_with("Failure/Error:") {
            return self.failure(lines, sink);
        }
        if let Some(counts) = totals(line) {
            self.flush(sink);
            sink.evidence(Evidence::RunStarted);
            sink.printed(&counts);
            if counts.errors.is_some_and(|errors| errors > 0) {
                sink.evidence(Evidence::SaysError);
            }
            sink.evidence(Evidence::RunEnded);
            return 1;
        }
        // `An error occurred while loading ./spec/a_spec.rb.`
        if line.starts_with("An error occurred while loading ") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        // What RSpec takes to run it again; the failure itself is told above.
        usize::from(line.starts_with("rspec ./") && line.contains(" # "))
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.flush(sink);
    }
}

impl Rspec {
    fn flush(&mut self, sink: &mut Sink) {
        self.failures.drain(..).for_each(|test| sink.test(test));
    }

    fn failure(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        // `  1) Sum fails`
        let name = (1..=3).filter_map(|n| lines.back(n)).find_map(|line| {
            let (number, name) = line.trim_start().split_once(") ")?;
            number.parse::<u32>().ok()?;
            Some(name.trim().to_owned())
        });
        let mut message: Vec<&str> = Vec::new();
        let mut place = None;
        let (mut expected, mut actual) = (None, None);
        let mut read = 1;
        while read < FAILURE_LINES_MAX {
            let Some(line) = lines.ahead(read).filter(|line| line.is_empty() || line.starts_with("   ")) else { break };
            let text = line.trim();
            read += 1;
            if let Some(frame) = text.strip_prefix("# ") {
                let at = frame.split(":in ").next().and_then(Place::colons);
                if at.is_some_and(|at| at.file.starts_with("./")) || place.is_none() {
                    place = place.filter(|found: &Place<'_>| found.file.starts_with("./")).or(at);
                }
                // The stack ends the failure.
                if lines.ahead(read).is_none_or(|next| !next.trim_start().starts_with("# ")) {
                    break;
                }
                continue;
            }
            if let Some(value) = text.strip_prefix("expected: ") {
                expected = Some(value.to_owned());
            } else if let Some(value) = text.strip_prefix("got: ") {
                actual = Some(value.to_owned());
            }
            if !text.is_empty() {
                message.push(text);
            }
        }
        let Some(name) = name else {
            sink.evidence(Evidence::SaysError);
            return read;
        };
        self.failures.push(TestCase {
            id: name,
            status: TestStatus::Failed,
            file: place.map(|place| place.file.to_owned()),
            line: place.map(|place| place.line),
            message: Some(message.join("\n")),
            expected,
            actual,
            ..TestCase::default()
        });
        read
    }
}

/// `4 examples, 2 failures, 1 pending, 1 error occurred outside of examples`
fn totals(line: &str) -> Option<PrintedCounts> {
    let (examples, rest) = line.trim().split_once(" example")?;
    let examples: u64 = examples.parse().ok()?;
    let mut counts = PrintedCounts { failed: Some(0), ..PrintedCounts::default() };
    for part in rest.split(", ").skip(1) {
        let (count, what) = part.split_once(' ')?;
        let count: u64 = count.parse().ok()?;
        match what.split(' ').next()? {
            "failure" | "failures" => counts.failed = Some(count),
            "pending" => counts.skipped = Some(count),
            "error" | "errors" => counts.errors = Some(count),
            _ => return None,
        }
    }
    let others = counts.failed.unwrap_or(0).saturating_add(counts.skipped.unwrap_or(0));
    counts.passed = Some(examples.saturating_sub(others));
    rest.contains(" failure").then_some(counts)
}
