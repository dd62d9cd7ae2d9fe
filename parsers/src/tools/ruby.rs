//! Ruby: an uncaught exception with its frames and causes, a file that does not parse.

use super::place::{Place, marks, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "ruby",
    kind: Kind::Runtime,
    anchors: &[
        "Error)",
        "Exception)",
        "(fatal)",
        "Interrupt)",
        "SystemExit)",
        ": syntax error",
        "Syntax OK",
        "(unhandled exception)",
    ],
    reader: || Box::new(Ruby),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 30;
const FRAMES_MAX: usize = 400;
const CAUSES_MAX: usize = 20;

struct Ruby;

impl Reader for Ruby {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == "Syntax OK" {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if let Some((place, message)) = line.split_once(": syntax error") {
            return syntax(place, message, lines, sink);
        }
        let mut chain: Vec<Trace> = Vec::new();
        let mut read = 0;
        while let Some((trace, took)) = thrown(lines, read).filter(|_| chain.len() < CAUSES_MAX) {
            chain.push(trace);
            read += took;
        }
        if chain.is_empty() {
            return 0;
        }
        let mut cause = None;
        for mut trace in chain.into_iter().rev() {
            trace.cause = cause.map(Box::new);
            cause = Some(trace);
        }
        cause.into_iter().for_each(|trace| sink.trace(trace));
        read
    }
}

/// `bad.rb:2: syntax error, unexpected …`, the line and its mark; since 3.4 `bad.rb:2: syntax errors found (SyntaxError)`
/// with the code and what is wrong with it.
fn syntax(place: &str, message: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let place = place.rsplit(": ").next().unwrap_or(place);
    let Some(place) = Place::colons(place).filter(|place| place.file.ends_with(".rb") || place.file == "-e") else {
        return 0;
    };
    let mut found = Diagnostic {
        severity: Some(Severity::Error),
        message: format!("syntax error{message}").trim_end_matches(" (SyntaxError)").to_owned(),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        ..Diagnostic::default()
    };
    let mut read = 1;
    if let Some((column, width)) = lines.ahead(2).and_then(marks) {
        // Both are indented alike, by as much as the file's own line is and no more.
        found.column = Some(column);
        found.end_line = found.line;
        found.end_column = column.checked_add(width);
        read = 3;
    }
    while let Some(text) = lines.ahead(read).filter(|_| read < MESSAGE_LINES_MAX) {
        let text = text.trim_start_matches('>').trim_start();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let Some(code) = text[digits..].trim_start().strip_prefix('|') else { break };
        // `    | ^ unexpected end-of-input`
        if let Some((_, what)) =
            code.trim_start().split_once(' ').filter(|(marks, _)| digits == 0 && marks.starts_with('^'))
        {
            found.related.push(Diagnostic {
                severity: Some(Severity::Note),
                message: what.trim().to_owned(),
                ..Diagnostic::default()
            });
        }
        read += 1;
    }
    sink.evidence(Evidence::SaysError);
    sink.diagnostic(found);
    read
}

/// `a.rb:8:in 'run': message (RuntimeError)`, perhaps with the code, then `from a.rb:11:in '<main>'`.
fn thrown(lines: Lines<'_>, at: usize) -> Option<(Trace, usize)> {
    let line = lines.ahead(at)?.trim_end();
    let (top, rest) = frame(line)?;
    let message = rest.strip_prefix(": ")?;
    let (message, class) = message.strip_suffix(')')?.rsplit_once('(')?;
    let named = class.starts_with(|c: char| c.is_ascii_uppercase()) || class == "fatal";
    if !named || !class.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_')) {
        return None;
    }
    let mut trace = Trace {
        language: "ruby".to_owned(),
        exception: Some(class.to_owned()),
        message: Some(message.trim_end().to_owned()).filter(|text| !text.is_empty()),
        frames: vec![top],
        ..Trace::default()
    };
    let from = |n: usize| lines.ahead(n).and_then(|line| line.trim_start().strip_prefix("from ")).and_then(frame);
    // The rest of the message and the code it points at stand between.
    let mut read = at + 1;
    let mut ahead = read;
    while ahead < at + MESSAGE_LINES_MAX && from(ahead).is_none() && lines.ahead(ahead).is_some() {
        ahead += 1;
    }
    if from(ahead).is_some() {
        read = ahead;
    }
    while let Some((frame, _)) = from(read) {
        if trace.frames.len() < FRAMES_MAX {
            trace.frames.push(frame);
        }
        read += 1;
    }
    if lines.ahead(read).is_some_and(|line| line.trim_start().starts_with("... ") && line.contains(" levels...")) {
        read += 1;
    }
    Some((trace, read - at))
}

/// `a.rb:8:in 'run'`, in quotes of one kind or the other, and what follows.
fn frame(text: &str) -> Option<(Frame, &str)> {
    let (place, rest) = text.split_once(":in ")?;
    let (file, row) = place.rsplit_once(':')?;
    let (function, rest) = rest.strip_prefix(['`', '\''])?.split_once('\'')?;
    if file.is_empty() || file.contains(' ') && !file.starts_with('<') {
        return None;
    }
    let frame = Frame {
        function: Some(function.to_owned()),
        file: Some(file.to_owned()),
        line: Some(number(row)?),
        ..Frame::default()
    };
    Some((frame, rest))
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From the release notes of Ruby 3.4, which changed the quotes.
    #[test]
    fn both_quotes_are_read() {
        for quote in ["`", "'"] {
            let text = format!("a.rb:2:in {quote}inner': too much (ArgumentError)\n\tfrom a.rb:6:in {quote}run'\n");
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            let [trace] = report.traces.as_slice() else { panic!("{report:?}") };
            assert_eq!((trace.exception.as_deref(), trace.frames.len()), (Some("ArgumentError"), 2));
            assert_eq!(report.verdict, Verdict::Error);
        }
    }
}
