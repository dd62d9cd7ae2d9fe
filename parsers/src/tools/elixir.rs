//! Elixir: the compiler's warnings and errors, old form and new, and uncaught exceptions.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "elixir",
    kind: Kind::Compiler,
    commands: &["elixirc", "mix compile", "mix format", "mix credo"],
    anchors: &["** (", "warning: ", "error: ", "== Compilation error in file "],
    reader: || Box::new(Elixir),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 60;
const FRAMES_MAX: usize = 200;
const MESSAGE_LINES_MAX: usize = 60;

struct Elixir;

impl Reader for Elixir {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("== Compilation error in file ") && line.ends_with(" ==") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if let Some(text) = line.strip_prefix("** (") {
            return raised(text, lines, sink);
        }
        compiler(line, lines, sink)
    }
}

/// `warning: message` and below it `  lib/a.ex:3: A.run/1`; since 1.16 the code in a frame of bars, then
/// `    └─ lib/a.ex:3:5: A.run/1`.
fn compiler(line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let text = line.trim_start();
    let (severity, message) = match text.strip_prefix("warning: ") {
        Some(message) => (Severity::Warning, message),
        None => match text.strip_prefix("error: ") {
            Some(message) => (Severity::Error, message),
            None => return 0,
        },
    };
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut message = message.to_owned();
    let mut framed = false;
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
        let below = line.trim();
        let frame = below.strip_prefix("└─ ").or_else(|| below.strip_prefix("├─ "));
        if let Some(place) = place(frame.unwrap_or(below)).filter(|_| frame.is_some() || line.starts_with("  ")) {
            places.push(place);
        } else if !places.is_empty() || below.starts_with("warning: ") || below.starts_with("error: ") {
            break;
        } else if below.starts_with('│') || below.contains(" │ ") {
            // `    │     ^^^`: marks whose column the place repeats.
            framed = true;
        } else if below.is_empty() {
            if lines.ahead(read + 1).is_none_or(|next| !next.starts_with("  ")) {
                break;
            }
        } else {
            if framed || !line.starts_with(' ') {
                break;
            }
            message.push('\n');
            message.push_str(below);
        }
        read += 1;
    }
    let Some((first, others)) = places.split_first() else { return 0 };
    let at = |place: &Place<'_>| Diagnostic { ..place.diagnostic() };
    let related = others.iter().map(|place| Diagnostic { severity: Some(Severity::Note), ..at(place) }).collect();
    sink.diagnostic(Diagnostic { severity: Some(severity), message, related, ..at(first) });
    // The places end it; an empty line may follow.
    read
}

/// `lib/a.ex:3: A.run/1`, `lib/a.ex:3:5: A.run/1`, `lib/a.ex:3`
pub(super) fn place(text: &str) -> Option<Place<'_>> {
    [".ex", ".exs", ".eex", ".heex", ".leex"].iter().find_map(|end| {
        let found = Place::before_text(text, end)
            .map(|(place, _)| place)
            .or_else(|| Place::colons(text).filter(|place| place.file.ends_with(end)));
        found.filter(|place| !place.file.contains(' '))
    })
}

/// `(ArgumentError) too much: 5` with its stack; of a compiler's exceptions the place stands in the message.
fn raised(text: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let Some((exception, message)) = text.split_once(") ").or_else(|| Some((text.strip_suffix(')')?, ""))) else {
        return 0;
    };
    let named = exception.starts_with(|c: char| c.is_ascii_uppercase()) || matches!(exception, "exit" | "throw");
    if !named
        || exception.contains(|c: char| c.is_whitespace() && exception != "EXIT from")
            && !exception.starts_with("EXIT from")
    {
        return 0;
    }
    let mut said = message.to_owned();
    let mut read = 1;
    let mut frames = Vec::new();
    while let Some(line) =
        lines.ahead(read).filter(|line| line.starts_with("  ") || frames.is_empty() && line.is_empty())
    {
        match frame(line) {
            Some(frame) if frames.len() < FRAMES_MAX => frames.push(frame),
            Some(_) => {}
            None if !frames.is_empty() || read > MESSAGE_LINES_MAX => break,
            None if !line.trim().is_empty() => {
                said.push('\n');
                said.push_str(line.trim_end());
            }
            // An empty line inside a message has more of it behind.
            None if lines.ahead(read + 1).is_none_or(|next| !next.starts_with("    ")) => break,
            None => {}
        }
        read += 1;
    }
    if let Some(found) = syntax(exception, message, &said) {
        sink.diagnostic(found);
        return read;
    }
    if exception == "Mix" {
        sink.diagnostic(Diagnostic { severity: Some(Severity::Error), message: said, ..Diagnostic::default() });
        return read;
    }
    sink.evidence(Evidence::Crashed);
    sink.trace(Trace {
        language: "elixir".to_owned(),
        exception: Some(exception.to_owned()),
        message: Some(said).filter(|text| !text.is_empty()),
        frames,
        ..Trace::default()
    });
    read
}

/// `CompileError`, `SyntaxError`, `TokenMissingError`: `lib/a.ex:4:3: message`; newer ones name the place below.
fn syntax(exception: &str, message: &str, said: &str) -> Option<Diagnostic> {
    let known = ["CompileError", "SyntaxError", "TokenMissingError", "MismatchedDelimiterError", "EEx.SyntaxError"];
    if !known.contains(&exception) {
        return None;
    }
    let (at, text) = [".ex", ".exs", ".eex", ".heex"]
        .iter()
        .find_map(|end| Place::before_text(message, end))
        .map_or((None, message), |(place, text)| (Some(place), text));
    let newer = said.lines().find_map(|line| place(line.trim().strip_prefix("└─ ")?));
    let told = said.lines().find_map(|line| line.trim().strip_prefix("error: "));
    let at = newer.or(at);
    Some(Diagnostic {
        severity: Some(Severity::Error),
        message: told.unwrap_or(text.trim()).to_owned(),
        file: at.map(|at| at.file.to_owned()),
        line: at.map(|at| at.line),
        column: at.and_then(|at| at.column),
        ..Diagnostic::default()
    })
}

/// `    (shop 0.1.0) lib/shop.ex:5: Shop.withdraw/2`, `    test/shop_test.exs:13: (test)`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix("    ")?.trim();
    let text = match text.strip_prefix('(') {
        Some(rest) => rest.split_once(") ")?.1,
        None => text,
    };
    let (head, function) = text.split_once(": ")?;
    let place = Place::colons(head).filter(|place| {
        [".ex", ".exs", ".erl", ".eex", ".heex"].iter().any(|end| place.file.ends_with(end))
            && !place.file.contains(' ')
    })?;
    Some(Frame {
        function: Some(function.to_owned()),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        ..Frame::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    /// From Elixir's change log for 1.16.
    #[test]
    fn the_framed_form_names_its_place_last() {
        let text = "    error: undefined variable \"unknown_var\"\n    │\n  5 │     a - unknown_var\n    │         ^^^^^^^^^^^\n    │\n    \
            └─ lib/sample.ex:5:9: Sample.foo/1\n\n\n== Compilation error in file lib/sample.ex ==\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!(error.message, "undefined variable \"unknown_var\"");
        assert_eq!((error.file.as_deref(), error.line, error.column), (Some("lib/sample.ex"), Some(5), Some(9)));
    }
}
