//! One block under `FAILURES` or `ERRORS`: frames in any `--tb` style, the `E` lines, what was compared.

use super::super::python::{Code, Exception, Raised, SyntaxError, Traceback, add_local, compared, is_own, local};
use crate::{Diagnostic, Frame, Severity, Trace};

const FRAMES_MAX: usize = 400;
const MESSAGE_LINES_MAX: usize = 200;

/// What a block says. `message` is as pytest prints it, type included.
#[derive(Default)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) expected: Option<String>,
    pub(super) actual: Option<String>,
    raised: Option<Raised>,
}

impl Failure {
    pub(super) fn read(body: &[String]) -> Self {
        // `[gw0] linux -- Python 3.13.5 /usr/bin/python3`: which worker it was.
        let body = match body.split_first() {
            Some((worker, rest)) if worker.starts_with("[gw") => rest,
            _ => body,
        };
        if let Some(at) = body.iter().position(|line| is_native(line))
            && let Some(native) = Traceback::read(&|n| body.get(at + n).map(String::as_str))
        {
            return Self::native(native.main);
        }
        let mut reading = Reading::default();
        for line in body {
            reading.line(line);
        }
        reading.into_failure(body)
    }

    /// `/src/test_a.py:36: AssertionError: assert 7 == 8` of `--tb=line`.
    pub(super) fn one_line(line: &str) -> Self {
        let found = line.match_indices(':').filter(|_| !line.starts_with(' ')).find_map(|(at, _)| {
            let (row, message) = line[at + 1..].split_once(": ")?;
            Some((line[..at].to_owned(), row.parse::<u32>().ok()?, message))
        });
        let Some((file, row, message)) = found else {
            return Self { message: line.trim().to_owned(), ..Self::default() };
        };
        let frame = Frame { file: Some(file), line: Some(row), ..Frame::default() };
        let reading = Reading {
            frames: vec![frame],
            code: vec![Code::new()],
            errors: vec![message.trim_end().to_owned()],
            ..Reading::default()
        };
        reading.into_failure(&[])
    }

    /// `--tb=native`, and what is not run by Python's own collector.
    fn native(raised: Raised) -> Self {
        let name = raised.trace.exception.clone().unwrap_or_default();
        let message = match &raised.trace.message {
            Some(message) if !message.is_empty() => format!("{name}: {message}"),
            _ => name,
        };
        let frame = raised.trace.frames.iter().find(|frame| is_own(frame)).or(raised.trace.frames.first()).cloned();
        let (actual, expected) = compared(&message).unzip();
        Self {
            message,
            file: frame.as_ref().and_then(|frame| frame.file.clone()),
            line: frame.and_then(|frame| frame.line),
            expected,
            actual,
            raised: Some(raised),
        }
    }

    /// As a finding of its own, with the edits its message proposes.
    pub(super) fn finding(&self) -> Diagnostic {
        let mut finding = self.raised.as_ref().map(Raised::finding).unwrap_or_default();
        if finding.suggestions.is_empty() {
            finding.file.clone_from(&self.file);
            finding.line = self.line;
        }
        finding.severity = Some(Severity::Error);
        finding.message.clone_from(&self.message);
        finding.source.clear();
        finding
    }

    /// Only where the interpreter proposes an edit.
    pub(super) fn advice(&self) -> Option<Diagnostic> {
        self.raised.as_ref().map(Raised::finding).filter(|finding| !finding.suggestions.is_empty())
    }

    /// The file of the outermost frame, where the test is.
    pub(super) fn test_file(&self) -> Option<&str> {
        self.raised.as_ref()?.trace.frames.last()?.file.as_deref()
    }

    pub(super) fn into_trace(self) -> Option<Trace> {
        self.raised.map(|raised| raised.trace).filter(|trace| !trace.frames.is_empty() || trace.exception.is_some())
    }
}

/// The walk over a block in the long or the short style.
#[derive(Default)]
struct Reading {
    /// Outermost first.
    frames: Vec<Frame>,
    code: Vec<Code>,
    /// The entry whose place has not been printed yet (long style prints it last).
    entry: Entry,
    errors: Vec<String>,
    /// How far the current run of `E` lines is indented.
    error_indent: usize,
    in_errors: bool,
    /// At the end of a long entry: `path:12: AssertionError`.
    named: Option<String>,
    cause: Option<Trace>,
    /// `file /src/test_a.py, line 43`
    place: Option<(String, u32)>,
}

#[derive(Default)]
struct Entry {
    function: Option<String>,
    code: Code,
    in_code: bool,
    locals: Vec<(String, String)>,
    arguments: Vec<(String, String)>,
    /// Short style: the place came first, so details belong to the last frame.
    is_placed: bool,
}

impl Reading {
    fn line(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix('E').filter(|rest| rest.is_empty() || rest.starts_with("   ")) {
            self.error(text);
            return;
        }
        self.in_errors = false;
        if line.starts_with("During handling of the above exception") || line.starts_with("The above exception was") {
            self.chain();
        } else if let Some((file, row, rest)) = place(line) {
            self.place_found(file, row, rest);
        } else if let Some(rest) = line.strip_prefix("file ").and_then(|rest| rest.rsplit_once(", line ")) {
            self.place = rest.1.parse().ok().map(|row| (rest.0.to_owned(), row));
        } else {
            self.detail(line);
        }
    }

    fn error(&mut self, text: &str) {
        if self.errors.len() >= MESSAGE_LINES_MAX {
            return;
        }
        if !self.in_errors {
            self.error_indent = text.len() - text.trim_start().len();
            self.in_errors = true;
            self.entry.in_code = false;
        }
        // The first line of a syntax error is indented deeper than the exception itself.
        let indent = text.len() - text.trim_start().len();
        self.errors.push(text[indent.min(self.error_indent)..].trim_end().to_owned());
    }

    fn chain(&mut self) {
        let done = std::mem::take(self);
        let cause = done.into_raised().map(|raised| raised.trace);
        self.cause = cause;
    }

    fn place_found(&mut self, file: &str, row: u32, rest: &str) {
        let entry = std::mem::take(&mut self.entry);
        let function = rest.strip_prefix("in ").map(str::to_owned);
        let is_short = function.is_some() && entry.code.is_empty();
        if self.frames.len() >= FRAMES_MAX {
            return;
        }
        if !is_short && function.is_none() && !rest.is_empty() {
            self.named = Some(rest.to_owned());
        }
        let locals = if entry.locals.is_empty() { entry.arguments } else { entry.locals };
        let mut frame = Frame {
            function: function.or(entry.function),
            file: Some(file.to_owned()),
            line: Some(row),
            code: entry.code.first().map(|code| code.trim().to_owned()),
            ..Frame::default()
        };
        for (name, value) in &locals {
            add_local(&mut frame, name, value);
        }
        self.frames.push(frame);
        self.code.push(entry.code);
        self.entry.is_placed = is_short;
    }

    fn detail(&mut self, line: &str) {
        let entry = &mut self.entry;
        if let Some(code) = line.strip_prefix('>').filter(|rest| rest.starts_with(' ')) {
            // `> available fixtures: …` stands in blocks without code.
            entry.code = vec![code.trim().to_owned()];
            entry.in_code = true;
            return;
        }
        if entry.is_placed {
            if let (Some(frame), Some(code)) = (self.frames.last_mut(), self.code.last_mut()) {
                short_detail(line, frame, code);
            }
            return;
        }
        let is_carets = line.bytes().all(|b| matches!(b, b' ' | b'^' | b'~'));
        if line.starts_with(' ') {
            let text = line.trim();
            if let Some(rest) = text.strip_prefix("def ").or_else(|| text.strip_prefix("async def "))
                && entry.function.is_none()
                && let Some((name, _)) = rest.split_once('(')
            {
                entry.function = Some(name.to_owned());
            } else if entry.in_code && !is_carets {
                entry.code.push(text.to_owned());
            }
            return;
        }
        if line.trim().is_empty() {
            entry.in_code = false;
            return;
        }
        if entry.code.is_empty() {
            arguments(line, &mut entry.arguments);
        } else if let Some((name, value)) = local(line) {
            entry.locals.push((name.to_owned(), value.to_owned()));
        }
    }

    fn into_raised(self) -> Option<Raised> {
        let syntax = self
            .errors
            .iter()
            .position(|line| line.trim_start().starts_with("File \""))
            .and_then(|at| SyntaxError::read(&|n| self.errors.get(at + n).map(String::as_str)))
            .map(|(error, _)| error);
        let first = self.errors.first().map(String::as_str).unwrap_or("");
        let parsed = Exception::parse(first).filter(|_| !first.starts_with("assert "));
        let (name, message) = match (&parsed, &self.named, &syntax) {
            (_, _, Some(error)) => (Some(error.exception.clone()), Some(error.described())),
            (Some(exception), _, _) => {
                let mut message = exception.message.unwrap_or("").to_owned();
                for more in self.errors.iter().skip(1) {
                    message.push('\n');
                    message.push_str(more);
                }
                (Some(exception.name.to_owned()), Some(message))
            }
            (None, Some(named), _) => (Some(named.clone()), Some(self.errors.join("\n"))),
            // A rewritten assertion prints no type.
            (None, None, _) if first.starts_with("assert") => {
                (Some("AssertionError".to_owned()), Some(self.errors.join("\n")))
            }
            (None, None, _) => (None, Some(self.errors.join("\n"))),
        };
        if self.frames.is_empty() && self.errors.is_empty() {
            return None;
        }
        let mut trace = Trace {
            language: "python".into(),
            exception: name,
            message: message.filter(|message| !message.is_empty()),
            frames: self.frames,
            cause: self.cause.map(Box::new),
        };
        trace.frames.reverse();
        let mut code = self.code;
        code.reverse();
        Some(Raised { trace, code, syntax })
    }

    fn into_failure(self, body: &[String]) -> Failure {
        let text = || body.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim().to_owned();
        let fixture = self.place.clone();
        let named = self.named.clone();
        let headline = self.errors.join("\n");
        let raised = self.into_raised();
        let message = match (headline.is_empty(), body.first()) {
            (true, _) => named.unwrap_or_else(text),
            // The place and its line come before what is wrong there.
            (false, _) if raised.as_ref().is_some_and(|raised| raised.syntax.is_some()) => {
                format!("{}\n{headline}", headline.lines().last().unwrap_or("").trim())
            }
            // pytest's own words tell more: which module, which fixtures there are.
            (false, Some(first)) if fixture.is_some() || first.contains("Error while ") => {
                format!("{}\n{}", headline.trim(), text())
            }
            (false, _) => headline,
        };
        let frames = raised.as_ref().map_or(&[][..], |raised| &raised.trace.frames);
        let frame = frames.iter().find(|frame| is_own(frame) || !is_absolute(frame)).or(frames.first());
        let of_frame = frame.map(|frame| (frame.file.clone(), frame.line));
        // Frames of a syntax error are the importer's.
        let syntax = raised.as_ref().and_then(|raised| raised.syntax.as_ref()).map(SyntaxError::place);
        let known = fixture.or(syntax.map(|(file, line)| (file.to_owned(), line)));
        let (file, line) = known.map(|(file, line)| (Some(file), Some(line))).or(of_frame).unwrap_or_default();
        let (actual, expected) = compared(&message).unzip();
        Failure { message, file, line, expected, actual, raised }
    }
}

/// What Python's own printer wrote: `--tb=native`, and exception groups in any style.
fn is_native(line: &str) -> bool {
    line.starts_with("Traceback (most recent call last):")
        || line.trim_start().starts_with("+ Exception Group Traceback (most recent call last):")
}

fn is_absolute(frame: &Frame) -> bool {
    frame.file.as_deref().is_some_and(|file| file.starts_with(['/', '<', '.']) || file.contains(":\\"))
}

/// Code and locals under `path:12: in function`.
fn short_detail(line: &str, frame: &mut Frame, code: &mut Code) {
    let text = line.trim_end();
    if text.bytes().all(|b| matches!(b, b' ' | b'^' | b'~')) {
        return;
    }
    if let Some(source) = text.strip_prefix("    ") {
        if frame.code.is_none() {
            frame.code = Some(source.trim().to_owned());
        }
        code.push(source.to_owned());
    } else if let Some((name, value)) = local(text) {
        add_local(frame, name, value);
    }
}

/// `path:12: rest`, at the left edge.
fn place(line: &str) -> Option<(&str, u32, &str)> {
    if line.starts_with([' ', '>', 'E']) && !line.starts_with("E:\\") && line.starts_with([' ', '>']) {
        return None;
    }
    let mut from = 0;
    while let Some(at) = line[from..].find(':').map(|at| at + from) {
        let rest = &line[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0
            && at > 0
            && let Some(after) = rest[digits..].strip_prefix(':')
            && (after.is_empty() || after.starts_with(' '))
            && !line[..at].contains(" = ")
        {
            return Some((&line[..at], rest[..digits].parse().ok()?, after.trim()));
        }
        from = at + 1;
    }
    None
}

/// `a = 44, b = [1, 2]`, printed before a function's source.
fn arguments(line: &str, found: &mut Vec<(String, String)>) {
    let mut rest = line;
    while let Some((name, value)) = local(rest) {
        let next = value.match_indices(", ").find(|(at, _)| local(&value[at + 2..]).is_some());
        match next {
            Some((at, _)) if found.len() < 50 => {
                found.push((name.to_owned(), value[..at].to_owned()));
                rest = &value[at + 2..];
            }
            _ => {
                found.push((name.to_owned(), value.to_owned()));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_where_it_is_and_not_where_it_was_met() {
        let body = [
            "/usr/lib/python3.11/ast.py:50: in parse",
            "    return compile(source, filename, mode, flags,",
            "E     File \"/src/test_a.py\", line 1",
            "E       def test_a(:",
            "E                  ^",
            "E   SyntaxError: invalid syntax",
        ];
        let failure = Failure::read(&body.map(str::to_owned));
        assert_eq!((failure.file.as_deref(), failure.line), (Some("/src/test_a.py"), Some(1)));
    }
}
