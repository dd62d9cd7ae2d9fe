//! An exception of .NET or Mono with what caused it: the cause's frames come first, a line ends them.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "dotnet-stack",
    kind: Kind::Runtime,
    anchors: &["   at ", "  at ", "Unhandled exception. ", "Unhandled Exception:", "FATAL UNHANDLED EXCEPTION: "],
    reader: || Box::new(DotnetStack::default()),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 400;
const HEAD_LINES_MAX: usize = 30;
const CAUSES_MAX: usize = 20;

#[derive(Default)]
struct DotnetStack {
    /// Mono says it twice.
    last: Option<String>,
}

impl Reader for DotnetStack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some((head, at)) = unhandled(line, lines) {
            let Some((trace, read)) = trace(head, lines, at) else { return 0 };
            sink.evidence(Evidence::Crashed);
            let said = format!("{:?}{:?}", trace.exception, trace.message);
            if self.last.as_ref() != Some(&said) {
                sink.trace(trace);
            }
            self.last = Some(said);
            return read;
        }
        // Logged by somebody who caught it: the exception stands above its first frame.
        if frame(line).is_none_or(|frame| frame.line.is_none()) {
            return 0;
        }
        let above = |n: usize| lines.back(n).filter(|line| frame(line).is_none());
        let Some(head) = (1..HEAD_LINES_MAX).map_while(above).find(|line| exception(line.trim()).is_some()) else {
            return 0;
        };
        let Some((trace, read)) = trace(head.trim(), lines, 0) else { return 0 };
        sink.trace(trace);
        read
    }
}

/// `Unhandled exception. X: message`, or Mono's `Unhandled Exception:` with it on the next line.
fn unhandled<'a>(line: &'a str, lines: Lines<'a>) -> Option<(&'a str, usize)> {
    for start in ["Unhandled exception. ", "Unhandled Exception: ", "[ERROR] FATAL UNHANDLED EXCEPTION: "] {
        if let Some(head) = line.strip_prefix(start) {
            return Some((head, 1));
        }
    }
    (line == "Unhandled Exception:").then(|| lines.ahead(1).map(|head| (head, 2)))?
}

/// Everything from line `at` on; `head` has the exception, and perhaps `---> ` and what caused it.
fn trace(head: &str, lines: Lines<'_>, at: usize) -> Option<(Trace, usize)> {
    // Outermost first, as printed.
    let mut chain: Vec<Trace> = Vec::new();
    let push = |text: &str, chain: &mut Vec<Trace>| {
        for part in text.split(" ---> ") {
            let (name, message) = exception(part.trim())?;
            if chain.len() < CAUSES_MAX {
                chain.push(Trace {
                    language: "csharp".to_owned(),
                    exception: Some(name.to_owned()),
                    message: Some(message.to_owned()).filter(|text| !text.is_empty()),
                    ..Trace::default()
                });
            }
        }
        Some(())
    };
    push(head, &mut chain)?;
    let mut read = at;
    // Frames belong to the innermost exception that is not ended.
    let mut current = chain.len() - 1;
    let mut frames = 0;
    let between_frames = |n: usize| {
        let next = lines.ahead(n + 1).filter(|_| lines.ahead(n).is_some_and(|line| line.trim().is_empty()));
        next.is_some_and(|next| frame(next).is_some() || is_end(next))
    };
    while let Some(line) = lines.ahead(read) {
        let text = line.trim();
        if let Some(frame) = frame(line) {
            frames += 1;
            if frames <= FRAMES_MAX {
                chain[current].frames.push(frame);
            }
        } else if is_end(line) {
            current = current.saturating_sub(1);
        } else if let Some(rest) = text.strip_prefix("---> ").filter(|_| frames == 0) {
            push(rest, &mut chain)?;
            current = chain.len() - 1;
        } else if text.starts_with("--- End of stack trace from previous location") || between_frames(read) {
        } else if frames == 0 && read - at < HEAD_LINES_MAX && !line.starts_with("Unhandled") {
            // The message goes on, perhaps in paragraphs.
            if let Some(message) = chain[current].message.as_mut().filter(|_| !text.is_empty()) {
                message.push('\n');
                message.push_str(text);
            }
        } else {
            break;
        }
        read += 1;
    }
    let mut cause = None;
    for mut trace in chain.into_iter().rev() {
        trace.cause = cause.map(Box::new);
        cause = Some(trace);
    }
    (frames > 0).then(|| cause.map(|trace| (trace, read)))?
}

fn is_end(line: &str) -> bool {
    line.trim() == "--- End of inner exception stack trace ---"
}

/// `System.ArgumentException: message`
fn exception(text: &str) -> Option<(&str, &str)> {
    let (name, message) = text.split_once(": ").unwrap_or((text.trim_end_matches(':'), ""));
    let class = name.rsplit('.').next()?;
    let plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '`' | '+'));
    (plain && (class.ends_with("Exception") || class.ends_with("Error"))).then_some((name, message))
}

/// `   at Account.Withdraw(Int32 amount) in /w/A.cs:line 4`, Mono's `  at Account.Withdraw (System.Int32 n) [0x00026] in /w/A.cs:6 `
pub(super) fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix("  ")?.trim().strip_prefix("at ")?;
    // Mono's way into native code.
    let wrapped = text.strip_prefix("(wrapper ").and_then(|rest| rest.split_once(") "));
    let text = wrapped.map_or(text, |(_, call)| call);
    let (call, place) = match text.rsplit_once(") in ") {
        Some((call, place)) => (call, Some(place)),
        None => match text.split_once(") [0x").or_else(|| text.split_once(") <0x")) {
            Some((call, rest)) => (call, rest.split_once(" in ").map(|(_, place)| place)),
            None => (text.strip_suffix(')')?, None),
        },
    };
    let (function, arguments) = call.split_once('(')?;
    let function = function.trim_end();
    let plain = |c: char| c.is_alphanumeric() || "._`<>[],|+$~".contains(c) || wrapped.is_some() && c == ':';
    // `(File.java:3)` and `(a.js:3:9)` are others' frames.
    if !function.contains('.') || !function.chars().all(plain) || arguments.contains(':') || arguments.contains('/') {
        return None;
    }
    let placed = place.and_then(|place| {
        let (file, row) = place.rsplit_once(":line ").or_else(|| place.rsplit_once(':'))?;
        Some((file, number(row.trim())?))
    });
    let placed = placed.filter(|(file, _)| !file.starts_with('<'));
    Some(Frame {
        function: Some(function.to_owned()),
        file: placed.map(|(file, _)| file.to_owned()),
        line: placed.map(|(_, row)| row),
        ..Frame::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolOutput, Verdict, parse};

    /// From .NET's documentation.
    #[test]
    fn a_cause_keeps_its_own_frames() {
        let text = b"Unhandled exception. System.InvalidOperationException: cannot run\n \
            ---> System.ArgumentException: too much: 50\n   at Account.Withdraw(Int32 amount) in /w/A.cs:line 4\n   \
            --- End of inner exception stack trace ---\n   at Program.Run(Account a) in /w/A.cs:line 10\n   \
            at Program.Main() in /w/A.cs:line 12\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        assert_eq!(report.verdict, Verdict::Error);
        let [outer] = report.traces.as_slice() else { panic!("{report:?}") };
        let inner = outer.cause.as_deref().cloned().unwrap_or_default();
        assert_eq!((outer.frames.len(), inner.frames.len()), (2, 1));
        assert_eq!(inner.exception.as_deref(), Some("System.ArgumentException"));
        assert_eq!(inner.frames[0].line, Some(4));
    }

    #[test]
    fn a_message_may_be_in_paragraphs_and_mono_may_name_addresses() {
        let text = b"Unhandled exception. System.ArithmeticException: one\n\ntwo\n\n  at Q`1[T].Run (System.Int32[] a) \
            <0x40b745f0 + 0x00122> in /w/A.cs:13\n\n  at (wrapper runtime-invoke) Q.run_void (object,intptr) <0xffffffff>\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [trace] = report.traces.as_slice() else { panic!("{report:?}") };
        assert_eq!(trace.message.as_deref(), Some("one\ntwo"));
        let functions: Vec<_> = trace.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        assert_eq!((functions, trace.frames[0].line), (vec!["Q`1[T].Run", "Q.run_void"], Some(13)));
    }

    #[test]
    fn the_frames_of_others_are_left() {
        for line in ["    at a.b.C.m(File.java:3)", "    at f (/w/a.js:3:9)", "   at noon", "  at the end (of it)"] {
            assert_eq!(frame(line), None, "{line}");
        }
    }
}
