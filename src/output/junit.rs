//! A report's tests as JUnit XML, for CI services. Diagnostics stand as cases of their own, so that a broken build is red.

use greenroom_parsers::{Diagnostic, Report, Severity, TestCase, TestStatus};

pub fn render(report: &Report) -> String {
    let errors: Vec<&Diagnostic> = report.diagnostics.iter().filter(|d| d.severity == Some(Severity::Error)).collect();
    let count = |wanted: &[TestStatus]| report.tests.iter().filter(|test| wanted.contains(&test.status)).count();
    let failures = count(&[TestStatus::Failed, TestStatus::Timeout, TestStatus::Xpassed]);
    let skipped = count(&[TestStatus::Skipped, TestStatus::Xfailed, TestStatus::NotRun]);
    let broken = count(&[TestStatus::Error]) + errors.len();
    let name = attribute(&report.tools.join(" "));
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{broken}\" skipped=\"{skipped}\"",
        report.tests.len() + errors.len()
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n<testsuite name=\"{name}\" {counts}>\n"
    );
    report.tests.iter().for_each(|test| push_test(&mut xml, test));
    errors.iter().for_each(|diagnostic| push_diagnostic(&mut xml, diagnostic));
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

fn push_test(xml: &mut String, test: &TestCase) {
    let (class, name) = test.id.rsplit_once("::").unwrap_or(("", &test.id));
    xml.push_str(&format!("<testcase classname=\"{}\" name=\"{}\"", attribute(class), attribute(name)));
    if let Some(file) = &test.file {
        xml.push_str(&format!(" file=\"{}\"", attribute(file)));
    }
    if let Some(line) = test.line {
        xml.push_str(&format!(" line=\"{line}\""));
    }
    if let Some(duration_ms) = test.duration_ms {
        xml.push_str(&format!(" time=\"{:.3}\"", duration_ms / 1000.0));
    }
    let message = test.message.as_deref().unwrap_or_default();
    let element = match test.status {
        TestStatus::Passed => return xml.push_str("/>\n"),
        TestStatus::Failed | TestStatus::Timeout | TestStatus::Xpassed => "failure",
        TestStatus::Error => "error",
        TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => "skipped",
    };
    let first_line = message.lines().next().unwrap_or_default();
    xml.push_str(&format!("><{element} message=\"{}\">{}", attribute(first_line), content(message)));
    if let (Some(expected), Some(actual)) = (&test.expected, &test.actual) {
        xml.push_str(&format!("\nexpected: {}\nactual: {}", content(expected), content(actual)));
    }
    xml.push_str(&format!("</{element}></testcase>\n"));
}

fn push_diagnostic(xml: &mut String, diagnostic: &Diagnostic) {
    let file = diagnostic.file.as_deref().unwrap_or_default();
    let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
    xml.push_str(&format!(
        "<testcase classname=\"{}\" name=\"{}\"><error message=\"{}\" type=\"{}\"></error></testcase>\n",
        attribute(&diagnostic.source),
        attribute(&format!("{file}{line}")),
        attribute(&diagnostic.message),
        attribute(diagnostic.code.as_deref().unwrap_or_default()),
    ));
}

fn attribute(text: &str) -> String {
    content(text).replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}

/// XML 1.0 has no way to hold most control characters, not even escaped: they become U+FFFD.
fn content(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\n' | '\t' => safe.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let report = Report {
            tools: vec!["pytest".into()],
            tests: vec![
                TestCase {
                    id: "t.py::ok".into(),
                    status: TestStatus::Passed,
                    duration_ms: Some(1500.0),
                    ..TestCase::default()
                },
                TestCase {
                    id: "t.py::bad[\"<x>\"]".into(),
                    status: TestStatus::Failed,
                    message: Some("</failure>\x1b[31m & so on".into()),
                    ..TestCase::default()
                },
            ],
            ..Report::default()
        };
        insta::assert_snapshot!(render(&report), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="2" failures="1" errors="0" skipped="0">
        <testsuite name="pytest" tests="2" failures="1" errors="0" skipped="0">
        <testcase classname="t.py" name="ok" time="1.500"/>
        <testcase classname="t.py" name="bad[&quot;&lt;x&gt;&quot;]"><failure message="&lt;/failure&gt;�[31m &amp; so on">&lt;/failure&gt;�[31m &amp; so on</failure></testcase>
        </testsuite>
        </testsuites>
        "#);
    }
}
