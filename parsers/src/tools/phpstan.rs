//! PHPStan: the table, `--error-format raw` and JSON.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "phpstan",
    kind: Kind::Linter,
    commands: &["phpstan", "phpstan.phar"],
    anchors: &["  Line   ", " [OK] No errors", " [ERROR] Found ", ".php:"],
    json: &["\"file_errors\""],
    reader: || Box::new(Phpstan),
    ..Tool::DEFAULT
};

const ROWS_MAX: usize = 1_900;

struct Phpstan;

impl Reader for Phpstan {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == " [OK] No errors" {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if let Some(rest) = line.strip_prefix(" [ERROR] Found ") {
            let own = rest.ends_with(" error") || rest.ends_with(" errors");
            if own {
                sink.evidence(Evidence::SaysFailed);
            }
            return usize::from(own);
        }
        if let Some(file) = line.strip_prefix("  Line   ") {
            return table(file.trim(), lines, sink);
        }
        raw(line, sink)
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<serde_json::Value>() else { return false };
        let (Some(total), general) = (output["totals"]["file_errors"].as_u64(), output["errors"].as_array()) else {
            return false;
        };
        // Without a finding PHP writes the empty map as a list.
        for (file, entry) in output["files"].as_object().into_iter().flatten() {
            for message in entry["messages"].as_array().into_iter().flatten() {
                let text = |name: &str| message[name].as_str().map(str::to_owned);
                sink.diagnostic(Diagnostic {
                    severity: Some(Severity::Error),
                    code: text("identifier"),
                    message: text("message").unwrap_or_default(),
                    file: Some(file.split(" (in context").next().unwrap_or(file).to_owned()),
                    line: message["line"].as_u64().and_then(|line| u32::try_from(line).ok()),
                    ..Diagnostic::default()
                });
            }
        }
        for error in general.into_iter().flatten().filter_map(serde_json::Value::as_str) {
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                message: error.to_owned(),
                ..Diagnostic::default()
            });
        }
        if total == 0 && general.is_none_or(Vec::is_empty) {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

/// Between rules of hyphens: `  12     message`, which goes on indented, then `🪪  identifier` and tips.
fn table(file: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let is_rule = |line: &str| line.starts_with(" ---") && line.trim_end().bytes().all(|b| matches!(b, b'-' | b' '));
    if file.is_empty() || !lines.ahead(1).is_some_and(is_rule) {
        return 0;
    }
    let mut open: Option<Diagnostic> = None;
    let mut read = 2;
    while let Some(line) = lines.ahead(read).filter(|_| read < ROWS_MAX) {
        read += 1;
        if is_rule(line) {
            break;
        }
        let text = line.trim();
        let (head, rest) = text.split_once("  ").unwrap_or((text, ""));
        let starts = line.starts_with("  ") && !line.starts_with("     ");
        if let Some(row) = number(head).filter(|_| starts) {
            open.take().into_iter().for_each(|found| sink.diagnostic(found));
            open = Some(finding(file, row, rest.trim()));
        } else if let Some(found) = &mut open {
            if let Some(code) = text.strip_prefix("🪪") {
                found.code = Some(code.trim().to_owned());
            } else if found.code.is_none() && !text.starts_with("💡") && !text.starts_with("✏") && !text.is_empty()
            {
                found.message.push(' ');
                found.message.push_str(text);
            }
        }
    }
    open.into_iter().for_each(|found| sink.diagnostic(found));
    read
}

fn finding(file: &str, line: u32, message: &str) -> Diagnostic {
    // A trait's code is judged once in each class that uses it.
    let file = file.split(" (in context").next().unwrap_or(file);
    Diagnostic {
        severity: Some(Severity::Error),
        message: message.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line),
        ..Diagnostic::default()
    }
}

/// `/path/a.php:12:Message`: no blank after the colon, unlike everybody else.
fn raw(line: &str, sink: &mut Sink) -> usize {
    let found = Place::before_text(line, ".php").filter(|(place, text)| {
        place.column.is_none() && text.starts_with(|c: char| c.is_ascii_uppercase()) && !place.file.contains(' ')
    });
    let Some((place, text)) = found else { return 0 };
    let (message, code) = match text.strip_suffix(']').and_then(|text| text.rsplit_once(" [identifier=")) {
        Some((message, code)) => (message, Some(code.to_owned())),
        None => (text, None),
    };
    sink.diagnostic(Diagnostic { code, ..finding(place.file, place.line, message) });
    1
}

#[cfg(test)]
mod tests {
    use crate::{Report, ToolOutput, Verdict, parse};

    fn read(text: &str) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() })
    }

    /// From PHPStan's documentation.
    const TABLE: &str = " ------ -----------------------------------------\n  \
        Line   src/Foo.php                              \n \
        ------ -----------------------------------------\n  \
        12     Method Foo::bar() should return int but  \n         returns string.                          \n         \
        🪪  return.type                          \n  \
        15     Call to an undefined method Foo::baz().  \n \
        ------ -----------------------------------------\n\n [ERROR] Found 2 errors\n";

    #[test]
    fn a_wrapped_row_is_one_message() {
        let report = read(TABLE);
        assert_eq!(report.verdict, Verdict::Failed);
        let [first, second] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!(first.message, "Method Foo::bar() should return int but returns string.");
        assert_eq!((first.code.as_deref(), first.line), (Some("return.type"), Some(12)));
        assert_eq!((second.file.as_deref(), second.line), (Some("src/Foo.php"), Some(15)));
    }

    #[test]
    fn raw_and_json_say_the_same() {
        let raw = read("/workspace/a.php:12:Call to an undefined method Foo::baz().\n");
        let json = read(
            r#"{"totals":{"errors":0,"file_errors":1},"files":{"/workspace/a.php":{"errors":1,"messages":[{"message":"Call to an undefined method Foo::baz().","line":12,"ignorable":true}]}},"errors":[]}"#,
        );
        assert_eq!(raw.diagnostics, json.diagnostics);
        assert_eq!(read(r#"{"totals":{"errors":0,"file_errors":0},"files":[],"errors":[]}"#).verdict, Verdict::Passed);
    }

    #[test]
    fn a_cut_clean_run_is_not_a_pass() {
        assert_eq!(read(" [OK] No err\n").verdict, Verdict::Unknown);
        assert_eq!(read(" [OK] No errors\n").verdict, Verdict::Passed);
    }
}
