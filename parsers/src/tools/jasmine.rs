//! Jasmine, by itself or in Karma: what failed, by number, and the count of specs.

use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "jasmine",
    kind: Kind::TestRunner,
    commands: &["jasmine"],
    anchors: &["  Message:", " specs, ", "1 spec, ", "Incomplete: "],
    reader: || Box::new(Jasmine),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 200;

struct Jasmine;

impl Reader for Jasmine {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line == "  Message:" {
            return failure(lines, sink);
        }
        if line.starts_with("Incomplete: ") && sink.expects(TOOL.name) {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        let Some(counts) = counts(line) else { return 0 };
        sink.evidence(Evidence::RunStarted);
        sink.evidence(Evidence::RunEnded);
        sink.printed(&counts);
        1
    }
}

/// `1) math subtracts` above; the message, `  Stack:` and its frames below.
fn failure(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let title = lines.back(1).and_then(|above| above.split_once(") "));
    let Some((_, title)) = title.filter(|(number, _)| super::place::number(number).is_some()) else { return 0 };
    let mut test = TestCase { id: title.to_owned(), status: TestStatus::Failed, ..TestCase::default() };
    let mut message = Vec::new();
    let mut read = 1;
    while read < BLOCK_LINES_MAX
        && let Some(line) = lines.ahead(read).filter(|line| line.starts_with("  "))
    {
        match v8_stack::frame(line) {
            Some(frame) if test.line.is_none() => (test.file, test.line) = (frame.file, frame.line),
            None if line.starts_with("    ") && test.line.is_none() && !line.contains("at <Jasmine>") => {
                message.push(line.trim());
            }
            Some(_) | None => {}
        }
        read += 1;
    }
    test.message = Some(message.join("\n"));
    sink.test(test);
    read
}

/// `3 specs, 1 failure, 1 pending spec`
fn counts(line: &str) -> Option<PrintedCounts> {
    let mut parts = line.trim_end().split(", ");
    let count = |part: &str, words: &[&str]| {
        let (number, word) = part.split_once(' ')?;
        words.contains(&word).then(|| super::place::number(number).map(u64::from))?
    };
    let all = count(parts.next()?, &["spec", "specs"])?;
    let failed = count(parts.next()?, &["failure", "failures"])?;
    let pending = parts.next().map_or(Some(0), |part| count(part, &["pending spec", "pending specs"]))?;
    Some(PrintedCounts {
        passed: Some(all.saturating_sub(failed + pending)),
        failed: Some(failed),
        skipped: Some(pending),
        ..PrintedCounts::default()
    })
}
