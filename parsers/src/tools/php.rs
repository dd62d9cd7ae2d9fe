//! PHP's own messages: parse errors, warnings, uncaught exceptions with their stack and what led to them.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "php",
    kind: Kind::Runtime,
    commands: &["php"],
    anchors: &[
        "Parse error: ",
        "Fatal error: ",
        "Warning: ",
        "Notice: ",
        "Deprecated: ",
        "No syntax errors detected in ",
        "Errors parsing ",
    ],
    reader: || Box::new(Php::default()),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 400;
const MESSAGE_LINES_MAX: usize = 20;
const CAUSES_MAX: usize = 20;

#[derive(Default)]
struct Php {
    /// With two outputs PHP says everything twice: once with `PHP ` before it, once without.
    last: Option<(String, u32, String, bool)>,
}

impl Reader for Php {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(file) = line.strip_prefix("No syntax errors detected in ") {
            if !file.is_empty() {
                sink.evidence(Evidence::SaysPassed);
            }
            return 1;
        }
        if line.starts_with("Errors parsing ") && sink.expects(TOOL.name) {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        // Apache puts its own words before it.
        let line = line.split_once("] PHP ").map_or(line, |(head, _)| &line[head.len() + 2..]);
        let logged = line.starts_with("PHP ");
        let text = line.strip_prefix("PHP ").unwrap_or(line);
        let Some((severity, text)) = level(text) else { return 0 };
        if let Some((trace, file, row, read)) = uncaught(text, lines) {
            sink.evidence(Evidence::Crashed);
            if !self.is_again(file, row, &trace, logged) {
                sink.trace(trace);
            }
            return read;
        }
        let Some((message, file, row)) = place(text) else { return 0 };
        if severity == Severity::Error {
            sink.evidence(Evidence::SaysError);
        }
        if self.said_twice(file, row, message, logged) {
            return 1;
        }
        sink.diagnostic(Diagnostic {
            severity: Some(severity),
            message: message.to_owned(),
            file: Some(file.to_owned()),
            line: Some(row),
            ..Diagnostic::default()
        });
        1
    }
}

impl Php {
    fn is_again(&mut self, file: &str, row: u32, trace: &Trace, logged: bool) -> bool {
        self.said_twice(file, row, trace.message.as_deref().unwrap_or_default(), logged)
    }

    fn said_twice(&mut self, file: &str, row: u32, message: &str, logged: bool) -> bool {
        let again = self.last.as_ref().is_some_and(|(last_file, last_row, last, as_logged)| {
            (last_file.as_str(), *last_row, last.as_str()) == (file, row, message) && *as_logged != logged
        });
        self.last = (!again).then(|| (file.to_owned(), row, message.to_owned(), logged));
        again
    }
}

/// `Parse error:  text`: written to the log there are two blanks.
fn level(text: &str) -> Option<(Severity, &str)> {
    let (word, text) = text.split_once(": ")?;
    let severity = match word {
        "Parse error" | "Fatal error" | "Catchable fatal error" | "Recoverable fatal error" => Severity::Error,
        "Warning" | "Deprecated" => Severity::Warning,
        "Notice" | "Strict Standards" => Severity::Info,
        _ => return None,
    };
    Some((severity, text.trim_start()))
}

/// `message in /path/a.php on line 3`
fn place(text: &str) -> Option<(&str, &str, u32)> {
    let (head, row) = text.rsplit_once(" on line ")?;
    let (message, file) = head.rsplit_once(" in ")?;
    Some((message, file, number(row)?))
}

/// `Uncaught X: message in a.php:5`, `Stack trace:`, `#0 a.php(12): f()`, `Next Y: …`, `  thrown in a.php on line 5`.
/// What is named last was thrown last, so the rest are its causes.
fn uncaught<'a>(text: &'a str, lines: Lines<'a>) -> Option<(Trace, &'a str, u32, usize)> {
    let mut head = text.strip_prefix("Uncaught ")?;
    let mut read = 1;
    let mut current: Option<Trace> = None;
    let mut chain = 0;
    loop {
        let (trace, place) = thrown(head, lines, &mut read)?;
        let (file, row) = place;
        current = Some(Trace { cause: current.map(Box::new), ..trace });
        chain += 1;
        let blank = usize::from(lines.ahead(read).is_some_and(|line| line.trim().is_empty()));
        match lines.ahead(read + blank).and_then(|line| line.strip_prefix("Next ")) {
            Some(next) if chain < CAUSES_MAX => {
                head = next;
                read += blank + 1;
            }
            Some(_) | None => {
                read += usize::from(lines.ahead(read).is_some_and(|line| line.starts_with("  thrown in ")));
                return current.map(|trace| (trace, file, row, read));
            }
        }
    }
}

/// One exception; `read` is the line after its head, and moves behind its frames.
fn thrown<'a>(head: &'a str, lines: Lines<'a>, read: &mut usize) -> Option<(Trace, (&'a str, u32))> {
    let mut message = String::new();
    let mut row = head;
    // A message may take several lines; the place ends it.
    let (file, line) = 'head: {
        for _ in 0..MESSAGE_LINES_MAX {
            let placed = row.rsplit_once(" in ").and_then(|(text, place)| {
                let (file, line) = place.rsplit_once(':')?;
                Some((text, file, number(line)?))
            });
            if let Some((text, file, line)) = placed {
                message.push_str(text);
                break 'head (file, line);
            }
            // Without a trace: `Uncaught X: message in a.php on line 3`.
            if let Some((text, file, line)) = place(row) {
                message.push_str(text);
                break 'head (file, line);
            }
            message.push_str(row);
            message.push('\n');
            row = lines.ahead(*read)?.trim_end();
            *read += 1;
        }
        return None;
    };
    let (exception, text) = message.split_once(": ").map_or((message.as_str(), ""), |(name, text)| (name, text));
    let mut trace = Trace {
        language: "php".to_owned(),
        exception: Some(exception.to_owned()),
        message: Some(text.to_owned()).filter(|text| !text.is_empty()),
        ..Trace::default()
    };
    let top = Frame { file: Some(file.to_owned()), line: Some(line), ..Frame::default() };
    trace.frames.push(top);
    if lines.ahead(*read).is_some_and(|line| line.trim_end() == "Stack trace:") {
        *read += 1;
        while let Some(line) = lines.ahead(*read).filter(|line| line.starts_with('#')) {
            if let Some((function, place)) = frame(line)
                && trace.frames.len() < FRAMES_MAX
            {
                // The place is where the function was called from: it belongs to the next frame outwards.
                if let Some(inner) = trace.frames.last_mut() {
                    inner.function = function.map(str::to_owned);
                }
                if let Some((file, line)) = place {
                    trace.frames.push(Frame { file: Some(file.to_owned()), line: Some(line), ..Frame::default() });
                }
            }
            *read += 1;
        }
    }
    Some((trace, (file, line)))
}

/// What a frame calls, and the file and line that it calls it from.
type FrameText<'a> = (Option<&'a str>, Option<(&'a str, u32)>);

/// `#0 a.php(12): Account->withdraw()`, `#1 [internal function]: f()`, `#2 {main}`
fn frame(line: &str) -> Option<FrameText<'_>> {
    let (_, text) = line.strip_prefix('#')?.split_once(' ')?;
    let (place, call) = match text.split_once("): ") {
        Some((place, call)) => {
            let (file, row) = place.rsplit_once('(')?;
            (Some((file, number(row)?)), call)
        }
        None => (None, text.strip_prefix("[internal function]: ")?),
    };
    Some((call.split('(').next().filter(|name| !name.is_empty()), place))
}
