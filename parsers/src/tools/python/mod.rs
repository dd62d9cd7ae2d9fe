//! What the Python interpreter says of an exception: tracebacks with their chains and groups, and syntax errors.

mod exception;
mod suggest;
mod syntax;
mod traceback;

pub(super) use exception::{Exception, compared};
pub(super) use syntax::SyntaxError;
pub(super) use traceback::{Traceback, add_local, local};

use traceback::file_line;

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "python",
    kind: Kind::Runtime,
    anchors: &[traceback::HEADER, "  File \"", "Fatal Python error: "],
    reader: || Box::new(Python),
    ..Tool::DEFAULT
};

/// A frame's source lines as printed, dedented, the first of them on the frame's line; for finding a name in them.
pub(super) type Code = Vec<String>;

struct Python;

impl Reader for Python {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line_at = |n| lines.ahead(n);
        if let Some(traceback) = Traceback::read_in_log(&line_at) {
            let read = traceback.lines;
            let ignored = is_not_fatal(lines);
            for finding in traceback.findings {
                sink.diagnostic(finding);
            }
            for inner in traceback.group.into_iter().chain([traceback.main]) {
                let finding = inner.finding();
                if !ignored || !finding.suggestions.is_empty() {
                    sink.diagnostic(finding);
                }
                sink.trace(inner.trace);
            }
            return read;
        }
        if let Some((error, read)) = SyntaxError::read(&line_at) {
            sink.diagnostic(error.finding());
            sink.trace(error.into_trace());
            return read;
        }
        if let Some((trace, read)) = traceback::fatal_error(&line_at) {
            sink.evidence(Evidence::Crashed);
            sink.trace(trace);
            return read;
        }
        0
    }
}

/// Whether the interpreter itself says that the program went on.
fn is_not_fatal(lines: Lines<'_>) -> bool {
    lines
        .back(1)
        .is_some_and(|before| before.contains("Exception ignored in") || before.contains("--- Logging error ---"))
}

/// One exception with its frames, and what is needed to say where to mend it.
pub(super) struct Raised {
    pub(super) trace: Trace,
    /// Of the frame at the same index of `trace.frames`.
    pub(super) code: Vec<Code>,
    pub(super) syntax: Option<SyntaxError>,
}

impl Raised {
    /// The exception as a finding at the innermost frame of the program's own code.
    pub(super) fn finding(&self) -> Diagnostic {
        if let Some(error) = &self.syntax {
            return error.finding();
        }
        let frames = &self.trace.frames;
        let own = frames.iter().position(is_own);
        let frame = own.map(|index| &frames[index]).or(frames.first());
        let exception = self.trace.exception.clone().unwrap_or_default();
        let message = self.trace.message.as_deref().unwrap_or("");
        let suggestions = match (own, frame) {
            (Some(index), Some(Frame { file: Some(file), line: Some(line), .. })) => {
                let code = self.code.get(index).map_or(&[][..], Vec::as_slice);
                suggest::suggestions(&exception, message, suggest::Place { file, line: *line, code })
            }
            _ => Vec::new(),
        };
        let headline = message.lines().next().unwrap_or("");
        Diagnostic {
            source: TOOL.name.into(),
            severity: Some(Severity::Error),
            message: if headline.is_empty() { exception.clone() } else { headline.to_owned() },
            code: (!exception.is_empty()).then_some(exception),
            file: frame.and_then(|frame| frame.file.clone()),
            line: frame.and_then(|frame| frame.line),
            suggestions,
            ..Diagnostic::default()
        }
    }
}

/// Whether a frame is in a file that is neither the standard library's nor an installed package's.
pub(super) fn is_own(frame: &Frame) -> bool {
    frame.file.as_deref().is_some_and(|file| {
        let library = ["/site-packages/", "/dist-packages/", "/lib/python", "/lib64/python", "\\Lib\\"];
        !file.starts_with('<') && !library.iter().any(|part| file.contains(part))
    })
}
