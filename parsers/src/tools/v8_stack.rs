//! A stack trace of V8 (Node.js): `TypeError: message`, then `    at f (/path/file.js:3:9)`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "v8-stack",
    kind: Kind::Runtime,
    anchors: &["  at ", " (eval at "],
    reader: || Box::new(V8Stack),
    ..Tool::DEFAULT
};

struct V8Stack;

const MESSAGE_LINES_MAX: usize = 30;
const FRAMES_MAX: usize = 400;
const FIELDS_MAX: usize = 60;
const CAUSES_MAX: usize = 16;

impl Reader for V8Stack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let mut trace = Trace { language: "javascript".into(), ..Trace::default() };
        let mut read = frames(lines, 0, &mut trace);
        if read == 0 {
            return 0;
        }
        // A cause's frames do not belong to the exception above the frames before them.
        let above = (1..MESSAGE_LINES_MAX).take_while(|&n| lines.back(n).is_some_and(|line| !is_frame(line)));
        let head = above.into_iter().find_map(|n| Some((n, exception(unlabelled(lines.back(n)?))?)));
        if let Some((n, head)) = head {
            name(&mut trace, head, (1..n).rev().filter_map(|n| lines.back(n)));
        }
        // Node says so when it gives up.
        let died = (read..read + MESSAGE_LINES_MAX).filter_map(|n| lines.ahead(n)).any(|l| l.starts_with("Node.js v"));
        if died {
            sink.evidence(Evidence::Crashed);
        }
        read += causes(lines, read, &mut trace, 0);
        sink.trace(trace);
        read
    }
}

/// Reads frames from `at` lines ahead on and answers how many lines they take.
fn frames(lines: Lines<'_>, at: usize, trace: &mut Trace) -> usize {
    let mut read = 0;
    // Where the first one is not indented, none is.
    let flush = lines.ahead(at).is_some_and(|line| line.starts_with("at "));
    let found = |line: &str| frame(line).or_else(|| call(line.strip_prefix("at ").filter(|_| flush)?));
    let is_next = |line: &str, read: usize| found(line).is_some() || read > 0 && is_left_out(line);
    while let Some(line) = lines.ahead(at + read).filter(|line| is_next(line, read)) {
        // `at <anonymous>` alone says nothing.
        if let Some(frame) = found(line).filter(|frame| frame.function.is_some() || frame.file.is_some())
            && trace.frames.len() < FRAMES_MAX
        {
            trace.frames.push(frame);
        }
        read += 1;
        // The error's own fields follow.
        if line.ends_with(" {") {
            break;
        }
    }
    read
}

/// `    ... 4 lines matching cause stack trace ...`
fn is_left_out(line: &str) -> bool {
    line.trim_start().starts_with("... ") && line.ends_with(" lines matching cause stack trace ...")
}

/// `  [cause]: Error: message` among the fields that follow the frames.
fn causes(lines: Lines<'_>, from: usize, trace: &mut Trace, depth: usize) -> usize {
    let opened = from.checked_sub(1).and_then(|n| lines.ahead(n)).is_some_and(|line| line.ends_with(" {"));
    if !opened || depth >= CAUSES_MAX {
        return 0;
    }
    let is_cause = |line: &str| line.trim_start().starts_with("[cause]: ");
    let at = (from..from + FIELDS_MAX)
        .take_while(|&n| lines.ahead(n).is_some_and(|line| line.starts_with(' ') && !is_frame(line)))
        .find(|&n| lines.ahead(n).is_some_and(is_cause));
    let Some(at) = at else { return 0 };
    let below = (at + 1..at + MESSAGE_LINES_MAX).find(|&n| lines.ahead(n).is_some_and(is_frame));
    let Some((below, head)) = below.zip(lines.ahead(at).and_then(|line| exception(unlabelled(line)))) else {
        return 0;
    };
    let mut cause = Trace { language: "javascript".into(), ..Trace::default() };
    name(&mut cause, head, (at + 1..below).filter_map(|n| lines.ahead(n)));
    let mut end = below + frames(lines, below, &mut cause);
    end += causes(lines, end, &mut cause, depth + 1);
    trace.cause = Some(Box::new(cause));
    end - from
}

fn name<'a>(trace: &mut Trace, (name, message): (&str, &'a str), rest: impl Iterator<Item = &'a str>) {
    trace.exception = Some(name.to_owned());
    let text = std::iter::once(message).chain(rest).collect::<Vec<_>>().join("\n");
    trace.message = Some(text.trim_end().to_owned()).filter(|text| !text.is_empty());
}

/// `  [cause]: Error: message`
fn unlabelled(line: &str) -> &str {
    let line = line.trim_start();
    line.strip_prefix("[cause]: ").unwrap_or(line)
}

/// `TypeError: message`, `Error [ERR_X]: message`
pub(super) fn exception(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("Uncaught ").unwrap_or(line);
    let (head, message) = line.split_once(": ").unwrap_or((line.trim_end(), ""));
    let name = head.split(" [").next()?;
    let thrown = name.ends_with("Error") || name.ends_with("Exception");
    (thrown && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))).then_some((name, message))
}

fn is_frame(line: &str) -> bool {
    frame(line).is_some()
}

/// `    at f (/path/file.js:3:9)`, `    at /path/file.js:3:9`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix([' ', '\t']).or_else(|| line.contains(" (eval at ").then_some(line))?;
    call(text.trim().strip_prefix("at ")?)
}

fn call(text: &str) -> Option<Frame> {
    let evaluated = text.contains(" (eval at ");
    let text = text.strip_suffix(" {").unwrap_or(text);
    let (function, place) = match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        // `at f (eval at g (url:21:17), <anonymous>:1:30)`: the outermost place is one in a file.
        Some(_) if evaluated => {
            let inner = text.rsplit_once('(')?.1;
            (text.split(" (eval at ").next(), inner.split(')').next().unwrap_or(inner))
        }
        Some((function, place)) => (Some(function), place),
        // Some engines leave no blank before the place.
        None => match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((function, place)) if Place::colons(place).is_some_and(|place| place.column.is_some()) => {
                (Some(function), place)
            }
            // `at A.B () [0x00] in a.cs:3` is Mono's.
            Some(_) | None => {
                let place = text.strip_prefix("async ").unwrap_or(text);
                let others = Place::colons(place).is_some_and(|at| at.column.is_none() && at.file.contains(' '));
                (None, if others { return None } else { place })
            }
        },
    };
    let place = Place::colons(place).map(|place| (place.file, place.line, place.column));
    let nowhere = ["<anonymous>", "<anonymous>)", "(native)"].iter().any(|end| text.ends_with(end));
    if place.is_none() && !nowhere && !text.contains("(index ") {
        return None;
    }
    Some(Frame {
        function: function.map(|function| function.strip_prefix("async ").unwrap_or(function).to_owned()),
        file: place.map(|(file, _, _)| file.to_owned()),
        line: place.map(|(_, line, _)| line),
        column: place.and_then(|(_, _, column)| column),
        ..Frame::default()
    })
}
