//! hspec: the tree of examples, numbered failures with their place, the closing count.

use super::{Kind, Reader, Tool, ghc};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "hspec",
    kind: Kind::TestRunner,
    anchors: &["  To rerun use: --match \"", " examples, ", "1 example, "],
    reader: || Box::new(Hspec),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 60;

struct Hspec;

impl Reader for Hspec {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(path) = line.strip_prefix("  To rerun use: --match \"") {
            sink.test(failure(path, lines));
            return 1;
        }
        // RSpec counts examples too, below a line of its own.
        let Some((counts, failed)) = totals(line).filter(|_| is_own(lines)) else { return 0 };
        sink.evidence(Evidence::RunStarted);
        sink.evidence(Evidence::RunEnded);
        sink.printed(&counts);
        if failed {
            sink.evidence(Evidence::SaysFailed);
        }
        1
    }
}

/// `Finished in 0.0003 seconds`, perhaps with `, used 0.0005 seconds of CPU time`; RSpec says when its files were loaded.
fn is_own(lines: Lines<'_>) -> bool {
    lines.back(1).is_some_and(|line| line.starts_with("Finished in ") && !line.contains("files took"))
}

/// `4 examples, 2 failures, 1 pending`
fn totals(line: &str) -> Option<(PrintedCounts, bool)> {
    let mut parts = line.split(", ");
    let count = |part: &str| part.split(' ').next()?.parse::<u64>().ok();
    let examples = count(parts.next().filter(|part| part.contains(" example"))?)?;
    let failed = count(parts.next().filter(|part| part.contains(" failure"))?)?;
    let pending = parts.next().filter(|part| part.ends_with(" pending")).and_then(count);
    let passed = examples.checked_sub(failed)?.checked_sub(pending.unwrap_or(0))?;
    let counts =
        PrintedCounts { passed: Some(passed), failed: Some(failed), skipped: pending, ..PrintedCounts::default() };
    Some((counts, failed > 0))
}

/// Above `To rerun`: `  Spec.hs:7:32: `, `  1) total is wrong`, then the message.
fn failure(path: &str, lines: Lines<'_>) -> TestCase {
    let id = path.split('"').next().unwrap_or(path).to_owned();
    let mut test = TestCase { id, status: TestStatus::Failed, ..TestCase::default() };
    let mut message: Vec<&str> = Vec::new();
    for n in 1..MESSAGE_LINES_MAX {
        let Some(line) = lines.back(n) else { break };
        let text = line.trim();
        if text.split_once(") ").is_some_and(|(number, _)| number.parse::<u32>().is_ok()) && !line.starts_with("   ") {
            if let Some(place) = lines.back(n + 1).and_then(|line| ghc::place(line.trim().trim_end_matches(':'))) {
                test.file = Some(place.file.to_owned());
                test.line = Some(place.line);
            }
            break;
        }
        if !text.is_empty() {
            message.push(text);
        }
    }
    message.reverse();
    let value = |name: &str| message.iter().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
    (test.expected, test.actual) = (value("expected: "), value("but got: "));
    test.message = Some(message.join("\n")).filter(|message| !message.is_empty());
    test
}
