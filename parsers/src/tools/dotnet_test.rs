//! `dotnet test`: VSTest's console and the testing platform's, results with message and stack, totals of each assembly.

use super::place::number;
use super::{Kind, Reader, Tool, dotnet_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "dotnet-test",
    kind: Kind::TestRunner,
    commands: &["dotnet test", "dotnet vstest", "vstest.console"],
    anchors: &[
        "Starting test execution, please wait...",
        "Failed!  - Failed: ",
        "Passed!  - Failed: ",
        "Skipped! - Failed: ",
        "  Passed ",
        "  Failed ",
        "  Skipped ",
        "Test Run Failed.",
        "Test Run Successful.",
        "Test Run Aborted",
        "Total tests: ",
        "Test run summary: ",
        "No test is available in ",
        "No test matches the given testcase filter",
        "The active test run was aborted.",
    ],
    reader: || Box::new(DotnetTest::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 200;

#[derive(Default)]
struct DotnetTest {
    started: bool,
}

impl Reader for DotnetTest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.ends_with("Starting test execution, please wait...") {
            self.start(sink);
            return 1;
        }
        if line.starts_with("No test is available in ") || line.starts_with("No test matches the given testcase filter")
        {
            sink.evidence(Evidence::SaysNoTests);
            self.end(sink);
            return 1;
        }
        if line.starts_with("Test Run Failed.") {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        if line.starts_with("Test Run Aborted") || line.starts_with("The active test run was aborted.") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if let Some(counts) = one_line(line) {
            self.total(&counts, sink);
            return 1;
        }
        if line.starts_with("Total tests: ")
            && let Some((counts, read)) = listed(line, lines)
        {
            self.total(&counts, sink);
            return read;
        }
        if let Some(word) = line.strip_prefix("Test run summary: ") {
            let Some((counts, read)) = platform(lines) else { return 0 };
            if word.starts_with("Failed") {
                sink.evidence(Evidence::SaysFailed);
            }
            self.total(&counts, sink);
            return read;
        }
        if line == "Test Run Successful." {
            return 1;
        }
        let Some((test, read)) = result(line, lines) else { return 0 };
        self.start(sink);
        sink.test(test);
        read
    }
}

impl DotnetTest {
    fn start(&mut self, sink: &mut Sink) {
        if !self.started {
            self.started = true;
            sink.evidence(Evidence::RunStarted);
        }
    }

    fn end(&mut self, sink: &mut Sink) {
        self.start(sink);
        self.started = false;
        sink.evidence(Evidence::RunEnded);
    }

    fn total(&mut self, counts: &PrintedCounts, sink: &mut Sink) {
        self.end(sink);
        sink.printed(counts);
    }
}

/// `Failed!  - Failed:     1, Passed:     1, Skipped:     1, Total:     3, Duration: 8 ms - app.dll (net8.0)`
fn one_line(line: &str) -> Option<PrintedCounts> {
    let (word, rest) = line.split_once('!')?;
    let rest = rest.trim_start().strip_prefix("- ")?;
    let mut counts = PrintedCounts::default();
    for part in rest.split(", ") {
        let (name, count) = part.split_once(':')?;
        let count = || count.trim().parse().ok();
        match name {
            "Failed" => counts.failed = count(),
            "Passed" => counts.passed = count(),
            "Skipped" => counts.skipped = count(),
            _ => {}
        }
    }
    let own = matches!(word, "Failed" | "Passed" | "Skipped") && counts.failed.is_some() && counts.passed.is_some();
    own.then_some(counts)
}

/// `Total tests: 3`, then `     Passed: 1`, `     Failed: 1`, ` Total time: 1.2 Seconds`; what is 0 is left out.
fn listed(line: &str, lines: Lines<'_>) -> Option<(PrintedCounts, usize)> {
    let total: u64 = line.strip_prefix("Total tests: ")?.trim().parse().ok()?;
    let mut counts = PrintedCounts { passed: Some(0), failed: Some(0), ..PrintedCounts::default() };
    let mut read = 1;
    while let Some((name, value)) = lines.ahead(read).and_then(|line| line.trim().split_once(": ")) {
        let Ok(count) = value.trim().parse::<u64>() else { break };
        match name {
            "Passed" => counts.passed = Some(count),
            "Failed" => counts.failed = Some(count),
            "Skipped" => counts.skipped = Some(count),
            _ => break,
        }
        read += 1;
    }
    let sum = [counts.passed, counts.failed, counts.skipped].into_iter().flatten().fold(0, u64::saturating_add);
    (sum == total).then_some((counts, read))
}

/// The testing platform: `  total: 3`, `  failed: 1`, `  succeeded: 2`, `  skipped: 0`, `  duration: 1s 20ms`.
fn platform(lines: Lines<'_>) -> Option<(PrintedCounts, usize)> {
    let mut counts = PrintedCounts::default();
    let mut read = 1;
    while let Some((name, value)) = lines.ahead(read).and_then(|line| line.trim().split_once(": ")) {
        let count = value.trim().parse().ok();
        match name {
            "failed" => counts.failed = count,
            "succeeded" => counts.passed = count,
            "skipped" => counts.skipped = count,
            "total" | "duration" | "error" => {}
            _ => break,
        }
        read += 1;
    }
    (counts.passed.is_some() && counts.failed.is_some()).then_some((counts, read))
}

/// `  Failed Shop.CalcTests.Fails [3 ms]`, then `  Error Message:`, the message, `  Stack Trace:`, the frames.
fn result(line: &str, lines: Lines<'_>) -> Option<(TestCase, usize)> {
    let (word, rest) = line.strip_prefix("  ")?.split_once(' ')?;
    let status = match word {
        "Passed" => TestStatus::Passed,
        "Failed" => TestStatus::Failed,
        "Skipped" => TestStatus::Skipped,
        _ => return None,
    };
    let (name, time) = match rest.strip_suffix(']').and_then(|rest| rest.rsplit_once(" [")) {
        Some((name, time)) => (name, duration_ms(time)),
        // A skipped test has no time with some adapters.
        None if status == TestStatus::Skipped => (rest, None),
        None => return None,
    };
    if name.is_empty() || name.starts_with(' ') || time.is_none() && status != TestStatus::Skipped {
        return None;
    }
    let mut test = TestCase { id: name.to_owned(), status, duration_ms: time, ..TestCase::default() };
    let mut read = 1;
    if status == TestStatus::Failed {
        read += details(lines, &mut test);
    }
    Some((test, read))
}

fn details(lines: Lines<'_>, test: &mut TestCase) -> usize {
    let mut message: Vec<&str> = Vec::new();
    let (mut in_message, mut in_stack) = (false, false);
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < MESSAGE_LINES_MAX) {
        let text = line.trim();
        match text {
            "Error Message:" => (in_message, in_stack) = (true, false),
            "Stack Trace:" => (in_message, in_stack) = (false, true),
            _ if in_stack => {
                let frame = dotnet_stack::frame(line);
                let other = text.starts_with("--- ") || text.starts_with("Standard Output Messages:");
                if frame.is_none() && !other {
                    break;
                }
                // The last frame with a place is the test's own, but for what calls it.
                if let Some(frame) = frame.filter(|frame| frame.line.is_some()) {
                    (test.file, test.line) = (frame.file, frame.line);
                }
            }
            _ if in_message => {
                // Another result can stand here if the message was cut off.
                if result(line, lines).is_some_and(|(other, _)| other.status == TestStatus::Passed) {
                    break;
                }
                message.push(text);
            }
            _ => break,
        }
        read += 1;
    }
    let after = |names: &[&str]| {
        let value = |line: &&str| {
            names.iter().find_map(|name| line.trim().strip_prefix(name)).map(|text| text.trim().to_owned())
        };
        message.iter().find_map(value)
    };
    test.expected = after(&["Expected: "]);
    test.actual = after(&["Actual: ", "But was: "]);
    test.message = Some(message.join("\n").trim().to_owned()).filter(|text| !text.is_empty());
    read - 1
}

/// `3 ms`, `< 1 ms`, `1 s`, `1 m 2 s`
fn duration_ms(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut words = text.trim_start_matches("< ").split(' ');
    let mut any = false;
    while let Some(count) = words.next() {
        let unit = match words.next()? {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        total += f64::from(number(count)?) * unit;
        any = true;
    }
    any.then_some(total)
}

#[cfg(test)]
mod tests {
    use crate::{Report, TestStatus, ToolOutput, Verdict, parse};

    fn read(text: &str) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() })
    }

    /// From VSTest's documentation.
    const RUN: &str = "Starting test execution, please wait...\nA total of 1 test files matched the specified pattern.\n  \
        Failed Shop.CalcTests.Fails [3 ms]\n  Error Message:\n   Assert.Equal() Failure: Values differ\nExpected: 4\n\
        Actual:   3\n  Stack Trace:\n     at Shop.CalcTests.Fails() in /w/CalcTests.cs:line 12\n   \
        at System.RuntimeMethodHandle.InvokeMethod(Object target)\n  Passed Shop.CalcTests.Adds [< 1 ms]\n\n\
        Failed!  - Failed:     1, Passed:     1, Skipped:     0, Total:     2, Duration: 8 ms - app.dll (net8.0)\n";

    #[test]
    fn a_failure_keeps_its_place_and_both_values() {
        let report = read(RUN);
        assert_eq!(report.verdict, Verdict::Failed);
        let [failed, passed] = report.tests.as_slice() else { panic!("{report:?}") };
        assert_eq!((failed.status, passed.status), (TestStatus::Failed, TestStatus::Passed));
        assert_eq!((failed.file.as_deref(), failed.line), (Some("/w/CalcTests.cs"), Some(12)));
        assert_eq!((failed.expected.as_deref(), failed.actual.as_deref()), (Some("4"), Some("3")));
        assert!(report.traces.is_empty(), "the stack is the test's own");
    }

    #[test]
    fn no_prefix_of_a_failing_run_passes() {
        for end in 0..RUN.len() {
            assert_ne!(read(&RUN[..end]).verdict, Verdict::Passed, "cut at {end}");
        }
    }

    #[test]
    fn each_form_of_the_totals_counts() {
        for text in [
            "Passed!  - Failed:     0, Passed:     4, Skipped:     0, Total:     4, Duration: 3 ms - app.dll (net8.0)\n",
            "Test Run Successful.\nTotal tests: 4\n     Passed: 4\n Total time: 1.2 Seconds\n",
            "Test run summary: Passed! - app.dll\n  total: 4\n  failed: 0\n  succeeded: 4\n  skipped: 0\n  duration: 1s\n",
        ] {
            let report = read(text);
            assert_eq!((report.verdict, report.summary.passed), (Verdict::Passed, 4), "{text}");
        }
    }
}
