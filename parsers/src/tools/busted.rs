//! busted: `Failure -> spec.lua @ 2`, the test's name, what failed, and the counts. luacheck's total.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "busted",
    kind: Kind::TestRunner,
    commands: &["busted"],
    anchors: &["Failure -> ", "Error -> ", "Pending -> ", " pending : "],
    reader: || Box::new(Busted),
    ..Tool::DEFAULT
};

/// Its findings are read by the generic reader.
pub(super) const LUACHECK: Tool = Tool {
    name: "luacheck",
    kind: Kind::Linter,
    commands: &["luacheck"],
    anchors: &["Total: "],
    reader: || Box::new(Luacheck),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 200;

struct Busted;
struct Luacheck;

impl Reader for Busted {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(printed) = counts(line) {
            sink.printed(&printed);
            sink.evidence(Evidence::RunEnded);
            return 1;
        }
        let Some((status, file, row)) = header(line) else { return 0 };
        let Some(id) = lines.ahead(1).map(str::trim_end).filter(|id| !id.is_empty()) else { return 0 };
        let text: Vec<&str> = (2..MESSAGE_LINES_MAX)
            .map_while(|n| lines.ahead(n))
            .take_while(|line| header(line).is_none() && !line.trim().is_empty())
            .collect();
        let own = format!("{file}:{row}: ");
        let message = text.join("\n");
        let message = message.strip_prefix(own.as_str()).unwrap_or(&message);
        let values = |name: &str| {
            let at = text.iter().position(|line| *line == name)?;
            text.get(at + 1).map(|value| (*value).to_owned())
        };
        sink.test(TestCase {
            id: id.to_owned(),
            status,
            file: Some(file.to_owned()),
            line: Some(row),
            message: (!message.is_empty()).then(|| message.to_owned()),
            expected: values("Expected:"),
            actual: values("Passed in:"),
            ..TestCase::default()
        });
        2 + text.len()
    }
}

impl Reader for Luacheck {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let total = lines.first().strip_prefix("Total: ").and_then(|rest| rest.split_once(" / "));
        let Some((warnings, rest)) = total else { return 0 };
        let ours = warnings.ends_with(" warnings") || warnings.ends_with(" warning");
        if !ours || !rest.contains(" error") || !rest.contains(" in ") {
            return 0;
        }
        if warnings == "0 warnings" && rest.starts_with("0 errors in ") {
            sink.evidence(Evidence::SaysPassed);
        }
        1
    }
}

/// `Failure -> a_spec.lua @ 2`
fn header(line: &str) -> Option<(TestStatus, &str, u32)> {
    let (word, place) = line.trim_end().split_once(" -> ")?;
    let status = match word {
        "Failure" => TestStatus::Failed,
        "Error" => TestStatus::Error,
        "Pending" => TestStatus::Skipped,
        _ => return None,
    };
    let (file, row) = place.rsplit_once(" @ ")?;
    Some((status, file, number(row).filter(|_| !row.is_empty())?))
}

/// `1 success / 2 failures / 1 error / 0 pending : 0.0009 seconds`
fn counts(line: &str) -> Option<PrintedCounts> {
    let mut parts = line.split(" : ").next()?.split(" / ").map(|part| {
        let (count, word) = part.split_once(' ')?;
        Some((u64::from(number(count).filter(|_| !count.is_empty())?), word))
    });
    let mut next =
        |word: &str| parts.next()?.filter(|(_, found)| found.starts_with(word)).map(|(count, _)| Some(count));
    let (passed, failed, errors, skipped) = (next("success")?, next("failure")?, next("error")?, next("pending")?);
    Some(PrintedCounts { passed, failed, errors, skipped, ..PrintedCounts::default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Exit, TestStatus, ToolOutput, Verdict, parse};

    #[test]
    fn failures_errors_and_counts() {
        let text = "-+*\n1 success / 1 failure / 1 error / 0 pending : 0.0009 seconds\n\nFailure -> a_spec.lua @ 2\nmath adds\n\
            a_spec.lua:2: Expected objects to be equal.\nPassed in:\n(number) 3\nExpected:\n(number) 4\n\n\
            Error -> a_spec.lua @ 4\nmath breaks\na_spec.lua:4: boom\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(2)), ..ToolOutput::default() });
        let [adds, breaks] = report.tests.as_slice() else { panic!("{:?}", report.tests) };
        assert_eq!((adds.id.as_str(), adds.line, adds.actual.as_deref()), ("math adds", Some(2), Some("(number) 3")));
        assert_eq!((breaks.status, breaks.message.as_deref()), (TestStatus::Error, Some("boom")));
        assert_eq!((report.summary.passed, report.diagnostics.len(), report.verdict), (1, 0, Verdict::Failed));
    }

    #[test]
    fn a_pass_takes_the_counts() {
        let verdict = |text: &str| {
            parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(0)), ..ToolOutput::default() }).verdict
        };
        assert_eq!(verdict("++\n2 successes / 0 failures / 0 errors / 0 pending : 0.01 seconds\n"), Verdict::Passed);
        assert_eq!(verdict("Checking a.lua   OK\n\nTotal: 0 warnings / 0 errors in 1 file\n"), Verdict::Passed);
    }
}
