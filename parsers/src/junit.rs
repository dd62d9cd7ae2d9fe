//! A report's tests as JUnit XML, in the form that CI systems read.

use std::fmt::Write;

use crate::{Report, TestCase, TestStatus};

/// One suite with every listed test; the suite's totals are the report's, so unlisted tests count.
///
/// ```
/// use greenroom_parsers::{ToolOutput, parse, to_junit};
/// let text = b"running 1 test\ntest a::b ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
/// let xml = to_junit(&parse(&ToolOutput { text, ..ToolOutput::default() }));
/// assert!(xml.contains("<testcase classname=\"a\" name=\"b\"/>"));
/// ```
pub fn to_junit(report: &Report) -> String {
    let summary = &report.summary;
    let tests = summary.passed + summary.failed + summary.errors + summary.skipped + summary.xfailed + summary.xpassed;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = attribute(&report.tools.join(" "));
    let totals = format!(
        "tests=\"{tests}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        summary.failed,
        summary.errors,
        summary.skipped + summary.xfailed
    );
    push(&mut out, format_args!("<testsuites {totals}>\n  <testsuite name=\"{name}\" {totals}>\n"));
    for test in &report.tests {
        case(&mut out, test);
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, test: &TestCase) {
    // The last part of the id is the test, what is before it the class; both separators are in use.
    let (class, name) = test.id.rsplit_once("::").or_else(|| test.id.rsplit_once(" > ")).unwrap_or(("", &test.id));
    push(out, format_args!("    <testcase classname=\"{}\" name=\"{}\"", attribute(class), attribute(name)));
    if let Some(file) = &test.file {
        push(out, format_args!(" file=\"{}\"", attribute(file)));
    }
    if let Some(line) = test.line {
        push(out, format_args!(" line=\"{line}\""));
    }
    if let Some(duration_ms) = test.duration_ms {
        push(out, format_args!(" time=\"{:.3}\"", duration_ms / 1_000.0));
    }
    let element = match test.status {
        TestStatus::Passed | TestStatus::Xpassed => return out.push_str("/>\n"),
        TestStatus::Failed | TestStatus::Timeout => "failure",
        TestStatus::Error => "error",
        TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => "skipped",
    };
    let message = test.message.as_deref().unwrap_or("");
    let first = message.lines().next().unwrap_or("");
    push(out, format_args!(">\n      <{element} message=\"{}\">{}", attribute(first), text(message)));
    push(out, format_args!("</{element}>\n    </testcase>\n"));
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string does not fail");
}

fn attribute(value: &str) -> String {
    text(value).replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}

/// XML 1.0 has no place for most control characters, not even escaped.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        let mut report = Report::default();
        report.summary.failed = 1;
        report.tests.push(TestCase {
            id: "a::\"><x>&\u{1}".into(),
            status: TestStatus::Failed,
            message: Some("]]></failure>".into()),
            ..TestCase::default()
        });
        let xml = to_junit(&report);
        assert!(xml.contains("classname=\"a\" name=\"&quot;&gt;&lt;x&gt;&amp;\u{fffd}\""));
        assert!(xml.contains("<failure message=\"]]&gt;&lt;/failure&gt;\">]]&gt;&lt;/failure&gt;</failure>"));
        assert!(xml.contains("tests=\"1\" failures=\"1\""));
    }
}
