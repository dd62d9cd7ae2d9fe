//! Perl's prove: Test::More's comments on what failed, then prove's summary; with `-v` the tests themselves are TAP.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "prove",
    kind: Kind::TestRunner,
    commands: &["prove"],
    anchors: &["#   Failed test", " subtests", "Files=", "Result: ", "# Looks like you "],
    reader: || Box::new(Prove::default()),
    ..Tool::DEFAULT
};

const COMMENTS_MAX: usize = 200;

#[derive(Default)]
struct Prove {
    failed: u64,
    tests: Option<u64>,
}

impl Reader for Prove {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("#   Failed test") {
            return failed(lines, sink);
        }
        // `Failed 1/3 subtests`
        if let Some(counts) = line.strip_prefix("Failed ").and_then(|rest| rest.split_once(" subtests")).map(|(n, _)| n)
        {
            let Some(failed) = counts.split_once('/').and_then(|(failed, _)| number(failed)) else { return 0 };
            self.failed += u64::from(failed);
            return 1;
        }
        // `Files=1, Tests=3,  2 wallclock secs (…)`
        if let Some(rest) = line.strip_prefix("Files=") {
            self.tests =
                rest.split_once(", Tests=").and_then(|(_, rest)| number(rest.split(',').next()?)).map(u64::from);
            return usize::from(self.tests.is_some());
        }
        let Some(tests) = self.tests else { return usize::from(line.starts_with("# Looks like you ")) };
        match line {
            "Result: PASS" => sink.evidence(Evidence::RunEnded),
            "Result: FAIL" => sink.evidence(Evidence::SaysFailed),
            "Result: NOTESTS" => sink.evidence(Evidence::SaysNoTests),
            _ => return 0,
        }
        self.tests = None;
        let failed = std::mem::take(&mut self.failed);
        sink.printed(&PrintedCounts {
            passed: Some(tests.saturating_sub(failed)),
            failed: Some(failed),
            ..PrintedCounts::default()
        });
        1
    }
}

/// `#   Failed test 'sum'`, then `#   at t/a.t line 2.` (or both on one line) and what was compared.
fn failed(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let comment = |n: usize| {
        let text = lines.ahead(n)?.trim_end().strip_prefix('#')?;
        let ended = text.starts_with("   Failed test") || text.starts_with(" Looks like you ");
        (n == 0 || !ended).then_some(text)
    };
    let mut message: Vec<&str> = Vec::new();
    let mut place = None;
    let mut read = 0;
    while let Some(text) = comment(read).filter(|_| read < COMMENTS_MAX) {
        let text = text.trim();
        let at = text.strip_prefix("at ").or_else(|| Some(text.rsplit_once(" at ")?.1)).filter(|_| place.is_none());
        match at.and_then(|at| at.strip_suffix('.')?.rsplit_once(" line ")) {
            Some((file, line)) if number(line).is_some() => {
                place = number(line).map(|line| (file, line));
                let before = text.rsplit_once(" at ").map(|(before, _)| before);
                message.extend(before.filter(|_| !text.starts_with("at ")));
            }
            Some(_) | None => message.push(text),
        }
        read += 1;
    }
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        message: message.join("\n"),
        ..Diagnostic::default()
    });
    read
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Exit, Report, ToolOutput, Verdict, parse};

    fn report(text: &str, code: i32) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(code)), ..ToolOutput::default() })
    }

    #[test]
    fn a_failure_is_told_with_its_place_and_values() {
        let text = "\n#   Failed test 'sum'\n#   at t/a.t line 2.\n#          got: '2'\n#     expected: '3'\n\
            # Looks like you failed 1 test of 3.\nt/a.t .. \nDubious, test returned 1 (wstat 256, 0x100)\n\
            Failed 1/3 subtests \n\nFiles=1, Tests=3,  0 wallclock secs ( 0.01 usr)\nResult: FAIL\n";
        let report = report(text, 1);
        let [found] = report.diagnostics.as_slice() else { panic!("{:?}", report.diagnostics) };
        assert_eq!((found.file.as_deref(), found.line), (Some("t/a.t"), Some(2)));
        assert_eq!(found.message, "Failed test 'sum'\ngot: '2'\nexpected: '3'");
        assert_eq!((report.summary.passed, report.summary.failed, report.verdict), (2, 1, Verdict::Failed));
    }

    #[test]
    fn a_pass_takes_the_summary() {
        let text = "t/a.t .. ok\nAll tests successful.\nFiles=1, Tests=3,  0 wallclock secs ( 0.01 usr)\n";
        assert_eq!(report(&format!("{text}Result: PASS\n"), 0).verdict, Verdict::Passed);
        assert_eq!(report(text, 0).verdict, Verdict::Unknown);
        assert_eq!(report("Result: PASS\n", 0).verdict, Verdict::Unknown);
    }
}
