//! Commands to a CI system that tools print among their output: GitHub's `::error file=…::`, Azure's `##vso[…]`,
//! TeamCity's `##teamcity[…]`.

use super::position::Position;
use super::{Kind, Reader, Tool, ruff};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "log-commands",
    kind: Kind::Linter,
    anchors: &[
        "::error",
        "::warning",
        "::notice",
        "##vso[task.logissue",
        "##[error]",
        "##[warning]",
        "##teamcity[",
        "ERROR: Job failed",
    ],
    reader: || Box::new(LogCommands::default()),
    ..Tool::DEFAULT
};

/// Tests that have begun and not ended, per TeamCity flow or nesting.
const OPEN_TESTS_MAX: usize = 256;

#[derive(Default)]
struct LogCommands {
    open: Vec<TestCase>,
    suites: Vec<String>,
    tests_ended: bool,
}

impl Reader for LogCommands {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let text = line.trim_start();
        if let Some(command) = text.strip_prefix("##teamcity[") {
            return usize::from(self.teamcity(command, sink));
        }
        if is_over(text) {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        let found = github(text).or_else(|| azure(text, sink)).or_else(|| {
            // What GitHub and Azure make of a command when they print the log.
            let (severity, message) = match text.strip_prefix("##[error]") {
                Some(message) => (Severity::Error, message),
                None => (Severity::Warning, text.strip_prefix("##[warning]")?),
            };
            Some(with_place_in_text(Diagnostic {
                severity: Some(severity),
                message: message.to_owned(),
                ..Diagnostic::default()
            }))
        });
        match found {
            Some(found) => {
                sink.diagnostic(found);
                1
            }
            None => 0,
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        for test in self.open.drain(..) {
            sink.test(TestCase { status: TestStatus::Error, ..test });
        }
        if self.tests_ended {
            sink.evidence(Evidence::RunEnded);
        }
    }
}

/// What a runner says when a command has failed. Why it did stands above.
fn is_over(text: &str) -> bool {
    if text.starts_with("ERROR: Job failed: ") {
        return true;
    }
    let Some(message) = text.strip_prefix("##[error]").or_else(|| text.strip_prefix("::error::")) else { return false };
    [
        "Process completed with exit code ",
        "Bash exited with code '",
        "PowerShell exited with code '",
        "Cmd.exe exited with code '",
    ]
    .iter()
    .any(|start| message.starts_with(start))
}

/// `::error file=a.py,line=1,col=2,endLine=3,endColumn=4,title=x::message`
fn github(text: &str) -> Option<Diagnostic> {
    let rest = text.strip_prefix("::")?;
    let (head, message) = rest.split_once("::")?;
    let (word, properties) = head.split_once(' ').unwrap_or((head, ""));
    let severity = match word {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "notice" => Severity::Note,
        _ => return None,
    };
    let mut found = Diagnostic { severity: Some(severity), message: percent(message), ..Diagnostic::default() };
    let mut title = None;
    for (name, value) in properties.split(',').filter_map(|property| property.split_once('=')) {
        let number = || value.trim().parse().ok().filter(|n: &u32| *n > 0);
        match name.trim() {
            "file" => found.file = Some(percent(value)),
            "line" => found.line = number(),
            "col" => found.column = number(),
            "endLine" => found.end_line = number(),
            "endColumn" => found.end_column = number(),
            "title" => title = Some(percent(value)),
            _ => {}
        }
    }
    let mut found = with_place_in_text(found);
    // `ruff (undocumented-public-module)`, `F401`
    if let Some(title) = title {
        let code = title.rsplit_once(" (").and_then(|(tool, code)| Some((tool, code.strip_suffix(')')?)));
        if let Some((tool, code)) = code.filter(|(_, code)| !code.contains(' ')) {
            found.source = tool.to_lowercase();
            found.code = Some(code.to_owned());
            found.message = found.message.strip_prefix(&format!("{code}: ")).unwrap_or(&found.message).to_owned();
        } else if super::named(&title).is_some() {
            found.source = title;
        } else if !title.contains(' ') && !title.is_empty() {
            found.code = Some(title);
        }
    }
    Some(found)
}

/// `##vso[task.logissue type=error;sourcepath=a;linenumber=1;columnnumber=2;code=E;]message`
fn azure(text: &str, sink: &Sink) -> Option<Diagnostic> {
    let (properties, message) = text.strip_prefix("##vso[task.logissue")?.split_once(']')?;
    let mut found = Diagnostic { message: message.trim().to_owned(), ..Diagnostic::default() };
    for (name, value) in properties.split(';').filter_map(|property| property.split_once('=')) {
        let number = || value.trim().parse().ok().filter(|n: &u32| *n > 0);
        match name.trim() {
            "type" if value == "error" => found.severity = Some(Severity::Error),
            "type" if value == "warning" => found.severity = Some(Severity::Warning),
            "sourcepath" => found.file = Some(value.to_owned()),
            "linenumber" => found.line = number(),
            "columnnumber" => found.column = number(),
            "code" if !value.is_empty() => found.code = Some(value.to_owned()),
            _ => {}
        }
    }
    if sink.expects(ruff::TOOL.name) {
        found.code = found.code.map(|code| ruff::rules::code(&code).to_owned());
    }
    Some(with_place_in_text(found))
}

/// Many tools write the place into the message as well, and some only there.
fn with_place_in_text(mut found: Diagnostic) -> Diagnostic {
    // yamllint's `3:7 [rule] message`
    if let (Some(line), Some(column)) = (found.line, found.column)
        && let Some(rest) = found.message.strip_prefix(&format!("{line}:{column} "))
    {
        let ruled = rest.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let (code, message) =
            ruled.filter(|(code, _)| !code.contains(' ')).map_or((None, rest), |(code, rest)| (Some(code), rest));
        found.code = found.code.or(code.map(str::to_owned));
        found.message = message.to_owned();
    } else if let Some((position, rest)) = Position::cut(&found.message) {
        let same = found.line.is_none_or(|line| line == position.line) && !position.file.contains(' ');
        if same {
            let (file, line, column) = (position.file.to_owned(), position.line, position.column);
            let rest = rest.to_owned();
            found.file.get_or_insert(file);
            found.line = Some(line);
            found.column = found.column.or(column);
            found.message = rest;
        }
    }
    found
}

fn percent(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    text.replace("%0A", "\n").replace("%0D", "\r").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}

impl LogCommands {
    fn teamcity(&mut self, command: &str, sink: &mut Sink) -> bool {
        let Some(body) = command.trim_end().strip_suffix(']') else { return false };
        let (word, rest) = body.split_once(' ').unwrap_or((body, ""));
        let get = |name: &str| attribute(rest, name);
        let name = get("name").unwrap_or_default();
        match word {
            "testSuiteStarted" => self.suites.push(name),
            "testSuiteFinished" => {
                if let Some(at) = self.suites.iter().rposition(|suite| *suite == name) {
                    self.suites.truncate(at);
                }
            }
            "testStarted" if self.open.len() < OPEN_TESTS_MAX => {
                if !self.tests_ended {
                    sink.evidence(Evidence::RunStarted);
                    self.tests_ended = true;
                }
                self.open.push(TestCase { id: name, status: TestStatus::Passed, ..TestCase::default() });
            }
            "testFailed" | "testIgnored" => {
                let status = if word == "testFailed" { TestStatus::Failed } else { TestStatus::Skipped };
                if self.open.iter().all(|test| test.id != name) && self.open.len() < OPEN_TESTS_MAX {
                    self.open.push(TestCase { id: name.clone(), ..TestCase::default() });
                }
                if let Some(test) = self.open.iter_mut().rfind(|test| test.id == name) {
                    test.status = status;
                    test.message = get("message").or_else(|| get("details"));
                    test.expected = get("expected");
                    test.actual = get("actual");
                }
            }
            "testFinished" => {
                if let Some(at) = self.open.iter().rposition(|test| test.id == name) {
                    let mut test = self.open.remove(at);
                    test.duration_ms = get("duration").and_then(|text| text.parse().ok());
                    sink.test(test);
                }
            }
            "inspection" => {
                let severity = match get("SEVERITY").as_deref() {
                    Some("ERROR") => Some(Severity::Error),
                    Some("WARNING" | "WEAK WARNING") => Some(Severity::Warning),
                    Some("INFO") => Some(Severity::Info),
                    Some(_) | None => None,
                };
                sink.diagnostic(Diagnostic {
                    severity,
                    code: get("typeId"),
                    message: get("message").unwrap_or_default(),
                    file: get("file"),
                    line: get("line").and_then(|line| line.parse().ok()).filter(|line| *line > 0),
                    ..Diagnostic::default()
                });
            }
            "buildProblem" => sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                message: get("description").unwrap_or_default(),
                ..Diagnostic::default()
            }),
            "message" if matches!(get("status").as_deref(), Some("ERROR" | "FAILURE")) => {
                sink.diagnostic(Diagnostic {
                    severity: Some(Severity::Error),
                    message: get("text").unwrap_or_default(),
                    ..Diagnostic::default()
                });
            }
            _ => {}
        }
        true
    }
}

/// `name='value'`, in which `|` escapes.
fn attribute(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("='")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '\'') => break at,
                (_, '|') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    // `|0xABCD` is a character by its number.
                    '0' => {
                        let at = chars.offset();
                        let code = after.get(at..at + 5).and_then(|hex| hex.strip_prefix('x'));
                        let c = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32)?;
                        value.push(c);
                        chars.nth(4);
                    }
                    other => value.push(other),
                },
                (_, c) => value.push(c),
            }
        };
        if name.trim() == wanted {
            return Some(value);
        }
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    #[test]
    fn the_end_of_a_job_is_no_finding_and_no_pass() {
        for text in ["##[error]Process completed with exit code 2.\n", "ERROR: Job failed: exit code 1\n"] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            assert_eq!((report.verdict, report.diagnostics.len()), (Verdict::Error, 0), "{text}");
        }
    }
}
