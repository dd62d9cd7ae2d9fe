//! Erlang: the compiler with its code below, EUnit's results, a node that dies while it boots.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, PrintedCounts, Severity, TestCase, TestStatus, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "erlang",
    kind: Kind::Compiler,
    commands: &["erlc", "rebar3 compile"],
    anchors: &[
        ".erl:",
        ".hrl:",
        "init terminating in do_boot",
        "...*failed*",
        "...ok",
        "  Test passed.",
        " tests passed.",
        "  Failed: ",
        "=== EUnit ===",
        "There were no tests to run.",
    ],
    reader: || Box::new(Erlang::default()),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 60;
const FRAMES_MAX: usize = 100;

#[derive(Default)]
struct Erlang {
    started: bool,
    died: bool,
}

impl Reader for Erlang {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.contains("init terminating in do_boot") {
            return self.boot(line, sink);
        }
        if line.contains("=== EUnit ===") {
            self.start(sink);
            return 1;
        }
        if let Some(counts) = totals(line, lines) {
            self.start(sink);
            sink.evidence(Evidence::RunEnded);
            sink.printed(&counts);
            self.started = false;
            return 1;
        }
        if line.trim() == "There were no tests to run." {
            sink.evidence(Evidence::SaysNoTests);
            return 1;
        }
        if let Some(name) = line.trim_start().strip_suffix("...*failed*") {
            self.start(sink);
            let (test, read) = failure(name, lines);
            sink.test(test);
            return read;
        }
        if self.started
            && let Some(name) = line.trim_start().strip_suffix("...ok").and_then(test_name)
        {
            sink.test(TestCase { id: name, status: TestStatus::Passed, ..TestCase::default() });
            return 1;
        }
        compiler(line, lines, sink)
    }
}

impl Erlang {
    fn start(&mut self, sink: &mut Sink) {
        if !self.started {
            self.started = true;
            sink.evidence(Evidence::RunStarted);
        }
    }

    /// Printed twice, once for the log and once for a person; the first has the frames.
    fn boot(&mut self, line: &str, sink: &mut Sink) -> usize {
        sink.evidence(Evidence::Crashed);
        if self.died {
            return 1;
        }
        self.died = true;
        let reason =
            line.split_once("do_boot\",").or_else(|| line.split_once("do_boot (")).map_or("", |(_, rest)| rest);
        let exception = reason.trim_start_matches('{').split([',', '}', ')']).next().unwrap_or("");
        let mut frames = Vec::new();
        let mut rest = reason;
        while let Some((head, after)) = rest.split_once(",[{file,\"").filter(|_| frames.len() < FRAMES_MAX) {
            // `{calc2,add,2,[{file,"calc2.erl"},{line,5}]}`
            let call = head.rsplit('{').next().unwrap_or("").replacen(',', ":", 1).replacen(',', "/", 1);
            let Some((file, after)) = after.split_once('"') else { break };
            let row = after.strip_prefix("},{line,").and_then(|text| text.split('}').next()?.parse().ok());
            frames.push(Frame { function: Some(call), file: Some(file.to_owned()), line: row, ..Frame::default() });
            rest = after;
        }
        sink.trace(Trace {
            language: "erlang".to_owned(),
            exception: Some(exception.trim_matches('"').to_owned()).filter(|name| !name.is_empty()),
            frames,
            ..Trace::default()
        });
        1
    }
}

/// `calc2: adds_test (module 'calc2')`, `calc2: wrong_test`, `calc2:12: adds_test_`
fn test_name(text: &str) -> Option<String> {
    let text = text.rsplit_once(" (module ").map_or(text, |(name, _)| name);
    let (module, name) = text.split_once(": ")?;
    let name = name.split("...").next().unwrap_or(name);
    (!module.contains(' ') && !name.is_empty())
        .then(|| format!("{}:{name}", module.split(':').next().unwrap_or(module)))
}

/// The place of the test's own function, and `**error:{assertEqual,[…]}` with both values.
fn failure(name: &str, lines: Lines<'_>) -> (TestCase, usize) {
    let id = test_name(name).unwrap_or_else(|| name.to_owned());
    let module = id.split(':').next().unwrap_or("").to_owned();
    let mut test = TestCase { status: TestStatus::Failed, ..TestCase::default() };
    let mut message: Vec<&str> = Vec::new();
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
        let text = line.trim();
        if text.is_empty() || text.starts_with("output:<<") {
            read += usize::from(!text.is_empty());
            break;
        }
        let frame = text.strip_prefix("in function ").or_else(|| text.strip_prefix("in call from "));
        if let Some((call, place)) = frame.and_then(|frame| frame.strip_suffix(')')?.rsplit_once(" (")) {
            let (file, row) = place.split_once(", line ").unwrap_or((place, ""));
            if test.file.is_none() && call.starts_with(&format!("{module}:")) {
                test.file = Some(file.to_owned());
                test.line = row.parse().ok();
            }
        } else if text.starts_with("**") || !message.is_empty() {
            message.push(text);
        }
        read += 1;
    }
    let text = message.join(" ");
    let value = |name: &str| {
        let (_, rest) = text.split_once(&format!("{{{name},"))?;
        Some(rest.split("},").next()?.trim_end_matches(['}', ']']).trim().to_owned())
    };
    (test.expected, test.actual) = (value("expected"), value("value"));
    test.message = Some(text.trim_start_matches('*').to_owned()).filter(|text| !text.is_empty());
    (TestCase { id, ..test }, read)
}

/// `  All 3 tests passed.`, `  Test passed.`, `  Failed: 2.  Skipped: 0.  Passed: 1.`: below a rule of equals signs.
fn totals(line: &str, lines: Lines<'_>) -> Option<PrintedCounts> {
    let text = line.trim();
    let below_rule = lines.back(1).is_some_and(|above| above.len() > 20 && above.trim().bytes().all(|b| b == b'='));
    if !below_rule {
        return None;
    }
    let all = |passed: u64| PrintedCounts { passed: Some(passed), failed: Some(0), ..PrintedCounts::default() };
    if text == "Test passed." {
        return Some(all(1));
    }
    if let Some(count) = text.strip_prefix("All ").and_then(|rest| rest.strip_suffix(" tests passed.")) {
        return Some(all(count.parse().ok()?));
    }
    if text == "2 tests passed." {
        return Some(all(2));
    }
    let mut counts = [0u64; 3];
    for (count, name) in counts.iter_mut().zip(["Failed: ", "Skipped: ", "Passed: "]) {
        let (_, rest) = text.split_once(name)?;
        *count = rest.split('.').next()?.parse().ok()?;
    }
    let [failed, skipped, passed] = counts;
    let counts = PrintedCounts { passed: Some(passed), failed: Some(failed), ..PrintedCounts::default() };
    Some(PrintedCounts { skipped: Some(skipped), ..counts })
}

/// `calc.erl:6:18: function undefined_fun/1 undefined`, then `%    6| code` and `%     |   ^`.
fn compiler(line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let found = Place::before_text(line, ".erl").or_else(|| Place::before_text(line, ".hrl"));
    let Some((place, text)) = found.filter(|(place, _)| !place.file.contains(' ')) else { return 0 };
    let text = text.trim();
    let (severity, message) = match text.strip_prefix("Warning: ") {
        Some(message) => (Severity::Warning, message),
        None => (Severity::Error, text),
    };
    if message.is_empty() {
        return 0;
    }
    let is_code = |line: &str| line.starts_with("% ") && line.contains('|');
    let code = (1..BLOCK_LINES_MAX).take_while(|&n| lines.ahead(n).is_some_and(is_code)).count();
    // Without the code it is Erlang's only if somebody else said so.
    if code == 0 && !sink.expects(TOOL.name) && severity == Severity::Error {
        return 0;
    }
    let marked = (1..=code).find_map(|n| {
        let text = lines.ahead(n)?.trim_end();
        let marks = text.rsplit([' ', '|']).next()?;
        (marks.starts_with('^') && marks.bytes().all(|b| b == b'^')).then_some(marks.len())
    });
    let end = marked.and_then(|width| place.column?.checked_add(u32::try_from(width).ok()?));
    sink.diagnostic(Diagnostic {
        severity: Some(severity),
        message: message.to_owned(),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        column: place.column,
        end_line: end.map(|_| place.line),
        end_column: end,
        ..Diagnostic::default()
    });
    1 + code
}
