//! A stack trace of V8 (Node.js): `TypeError: message`, then `    at f (/path/file.js:3:9)`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "v8-stack",
    kind: Kind::Runtime,
    anchors: &["    at "],
    reader: || Box::new(V8Stack),
    ..Tool::DEFAULT
};

struct V8Stack;

const MESSAGE_LINES_MAX: usize = 30;
const FRAMES_MAX: usize = 400;

impl Reader for V8Stack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let mut trace = Trace { language: "javascript".into(), ..Trace::default() };
        let mut read = 0;
        while let Some(frame) = lines.ahead(read).and_then(frame) {
            if trace.frames.len() < FRAMES_MAX {
                trace.frames.push(frame);
            }
            read += 1;
        }
        if read == 0 {
            return 0;
        }
        // A cause's frames do not belong to the exception above the frames before them.
        let above = (1..MESSAGE_LINES_MAX).take_while(|&n| lines.back(n).is_some_and(|line| frame(line).is_none()));
        let head = above.into_iter().find_map(|n| Some((n, exception(unlabelled(lines.back(n)?))?)));
        if let Some((n, (name, message))) = head {
            trace.exception = Some(name.to_owned());
            let rest = (1..n).rev().filter_map(|n| lines.back(n));
            let text = std::iter::once(message).chain(rest).collect::<Vec<_>>().join("\n");
            trace.message = Some(text.trim_end().to_owned()).filter(|text| !text.is_empty());
        }
        // Node says so when it gives up.
        let died = (read..read + MESSAGE_LINES_MAX).filter_map(|n| lines.ahead(n)).any(|l| l.starts_with("Node.js v"));
        if died {
            sink.evidence(Evidence::Crashed);
        }
        sink.trace(trace);
        read
    }
}

/// `  [cause]: Error: message`
fn unlabelled(line: &str) -> &str {
    let line = line.trim_start();
    line.strip_prefix("[cause]: ").unwrap_or(line)
}

/// `TypeError: message`, `Error [ERR_X]: message`
fn exception(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("Uncaught ").unwrap_or(line);
    let (head, message) = line.split_once(": ").unwrap_or((line.trim_end(), ""));
    let name = head.split(" [").next()?;
    let thrown = name.ends_with("Error") || name.ends_with("Exception");
    (thrown && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))).then_some((name, message))
}

/// `    at f (/path/file.js:3:9)`, `    at /path/file.js:3:9`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix([' ', '\t'])?.trim().strip_prefix("at ")?;
    let (function, place) = match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((function, place)) => (Some(function), place),
        None => (None, text.strip_prefix("async ").unwrap_or(text)),
    };
    let place = Place::colons(place);
    if place.is_none() && !text.ends_with("<anonymous>") && !text.ends_with("<anonymous>)") && !text.contains("(index ")
    {
        return None;
    }
    Some(Frame {
        function: function.map(|function| function.strip_prefix("async ").unwrap_or(function).to_owned()),
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        column: place.and_then(|place| place.column),
        ..Frame::default()
    })
}
