//! `zig test`: `1/2 a.test.adds...OK`, what a failing test said, and its return trace; the compiler's errors are read
//! by the generic reader.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "zig",
    kind: Kind::TestRunner,
    commands: &["zig test", "zig build test"],
    anchors: &[".test", ".decltest", " tests passed.", " failed."],
    reader: || Box::new(Zig::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Zig {
    test: Option<TestCase>,
}

impl Reader for Zig {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some((id, said)) = started(line) {
            self.close(sink);
            let (status, message) = match said {
                "OK" => (TestStatus::Passed, None),
                "SKIP" => (TestStatus::Skipped, None),
                "" => (TestStatus::NotRun, None),
                said => (TestStatus::NotRun, Some(said.to_owned())),
            };
            self.test = Some(TestCase { id: id.to_owned(), status, message, ..TestCase::default() });
            return 1;
        }
        if let Some(test) = &mut self.test {
            // The test's own output may stand between its name and its result.
            match line {
                "OK" if test.status == TestStatus::NotRun => {
                    test.status = TestStatus::Passed;
                    return 1;
                }
                "SKIP" if test.status == TestStatus::NotRun => {
                    test.status = TestStatus::Skipped;
                    return 1;
                }
                _ => {}
            }
            if let Some(error) = line.strip_prefix("FAIL (").and_then(|rest| rest.strip_suffix(')')) {
                test.status = TestStatus::Failed;
                test.message = Some(test.message.take().map_or(error.to_owned(), |said| format!("{error}: {said}")));
                return 1;
            }
            if let Some((place, function)) = frame(line) {
                // The outermost frame is the test's own.
                if test.id.ends_with(function) || test.file.is_none() {
                    test.file = Some(place.file.to_owned());
                    test.line = Some(place.line);
                }
                return 1 + drawn(lines);
            }
        }
        match counts(line) {
            Some(printed) => {
                self.close(sink);
                sink.printed(&printed);
                sink.evidence(Evidence::RunEnded);
                1
            }
            None => 0,
        }
    }

    fn is_open(&self) -> bool {
        self.test.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
    }
}

impl Zig {
    fn close(&mut self, sink: &mut Sink) {
        if let Some(test) = self.test.take() {
            sink.test(test);
        }
    }
}

/// `1/2 a.test.adds...`, and what follows.
fn started(line: &str) -> Option<(&str, &str)> {
    let (counts, rest) = line.split_once(' ')?;
    let (which, all) = counts.split_once('/')?;
    let counted = [which, all].iter().all(|text| !text.is_empty() && number(text).is_some());
    let (id, said) = rest.split_once("...")?;
    (counted && (id.contains(".test") || id.contains(".decltest"))).then_some((id, said))
}

/// `/a/t.zig:2:15: 0x124efbb in test.adds (t.zig)`
fn frame(line: &str) -> Option<(Place<'_>, &str)> {
    let (place, rest) = line.split_once(": 0x")?;
    let (_, function) = rest.split_once(" in ")?;
    Some((Place::colons(place).filter(|place| place.column.is_some())?, function.split(" (").next()?))
}

/// The source line and the caret under a frame.
fn drawn(lines: Lines<'_>) -> usize {
    let caret = lines.ahead(2).is_some_and(|line| line.trim() == "^");
    if caret { 2 } else { 0 }
}

/// `All 2 tests passed.`, `1 passed; 0 skipped; 1 failed.`
fn counts(line: &str) -> Option<PrintedCounts> {
    if let Some(all) = line.strip_prefix("All ").and_then(|rest| rest.strip_suffix(" tests passed.")) {
        return Some(PrintedCounts { passed: Some(number(all)?.into()), ..PrintedCounts::default() });
    }
    let mut parts = line.strip_suffix('.')?.split("; ").map(|part| {
        let (count, word) = part.split_once(' ')?;
        Some((u64::from(number(count)?), word))
    });
    let ((passed, "passed"), (skipped, "skipped"), (failed, "failed")) =
        (parts.next()??, parts.next()??, parts.next()??)
    else {
        return None;
    };
    Some(PrintedCounts {
        passed: Some(passed),
        skipped: Some(skipped),
        failed: Some(failed),
        ..PrintedCounts::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Exit, TestStatus, ToolOutput, Verdict, parse};

    #[test]
    fn a_failing_test_has_its_own_frames_place() {
        let text = "1/2 t.test.adds...expected 4, found 3\nFAIL (TestExpectedEqual)\n\
            /lib/std/testing.zig:93:17: 0x124ef04 in expectEqualInner (std.zig)\n    return error.X;\n    ^\n\
            /src/t.zig:2:15: 0x124efbb in test.adds (t.zig)\n  try f();\n  ^\n2/2 t.test.ok...OK\n\
            1 passed; 0 skipped; 1 failed.\nerror: the following test command failed with exit code 1:\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(1)), ..ToolOutput::default() });
        let [adds, ok] = report.tests.as_slice() else { panic!("{:?}", report.tests) };
        assert_eq!((adds.id.as_str(), adds.status, ok.status), ("t.test.adds", TestStatus::Failed, TestStatus::Passed));
        assert_eq!((adds.file.as_deref(), adds.line), (Some("/src/t.zig"), Some(2)));
        assert_eq!(adds.message.as_deref(), Some("TestExpectedEqual: expected 4, found 3"));
        assert_eq!((report.diagnostics.len(), report.verdict), (0, Verdict::Failed));
    }

    #[test]
    fn a_pass_takes_the_summary() {
        let verdict = |text: &str| {
            let exit = Some(Exit::Code(0));
            parse(&ToolOutput { text: text.as_bytes(), exit, ..ToolOutput::default() }).verdict
        };
        assert_eq!(verdict("1/1 t.test.ok...OK\nAll 1 tests passed.\n"), Verdict::Passed);
        assert_ne!(verdict("1/2 t.test.ok...OK\n"), Verdict::Passed);
    }
}
