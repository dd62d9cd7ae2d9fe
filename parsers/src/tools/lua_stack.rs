//! Lua's `stack traceback:` with the message above it.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "lua-stack",
    kind: Kind::Runtime,
    commands: &["lua", "luajit", "busted", "resty"],
    anchors: &["stack traceback:", "lua: ", "luajit: ", "lua5."],
    reader: || Box::new(LuaStack),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 20;
const FRAMES_MAX: usize = 400;
const HEADER: &str = "stack traceback:";

struct LuaStack;

impl Reader for LuaStack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        if lines.first().trim() == HEADER {
            // What a program logged of an error that it caught.
            let head = lines.back(1).and_then(|line| line.rsplit('\t').next()).unwrap_or("").trim();
            let (trace, read) = traceback(lines, 0, head);
            if trace.frames.is_empty() {
                return 0;
            }
            sink.trace(trace);
            return read;
        }
        let Some(head) = uncaught(lines.first()) else { return 0 };
        let below = (1..MESSAGE_LINES_MAX).find(|n| lines.ahead(*n).is_some_and(|line| line.trim() == HEADER));
        let Some(at) = below else { return 0 };
        let (mut trace, read) = traceback(lines, at, head);
        if trace.frames.is_empty() {
            return 0;
        }
        for line in (1..at).filter_map(|n| lines.ahead(n)) {
            let message = trace.message.get_or_insert_default();
            message.push('\n');
            message.push_str(line);
        }
        sink.evidence(Evidence::Crashed);
        let (place, message) = located(head);
        let at = place.map(|place| (place.file, place.line));
        let at = at.or_else(|| trace.frames.first().and_then(|frame| Some((frame.file.as_deref()?, frame.line?))));
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: message.to_owned(),
            file: at.map(|(file, _)| file.to_owned()),
            line: at.map(|(_, line)| line),
            ..Diagnostic::default()
        });
        sink.trace(trace);
        read
    }
}

/// What follows the interpreter's name: `lua: a.lua:3: message`, `lua5.4: …`, `luajit: …`
fn uncaught(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(": ")?;
    let name = name.rsplit('/').next().unwrap_or(name);
    let version = name.strip_prefix("luajit").or_else(|| name.strip_prefix("lua"))?;
    version.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')).then_some(rest)
}

/// `a.lua:3: message`
fn located(head: &str) -> (Option<Place<'_>>, &str) {
    match head.split_once(": ") {
        Some((place, message)) => match Place::colons(place).filter(|place| place.column.is_none()) {
            Some(place) => (Some(place), message),
            None => (None, head),
        },
        None => (None, head),
    }
}

fn traceback(lines: Lines<'_>, header: usize, head: &str) -> (Trace, usize) {
    let (_, message) = located(head);
    let mut trace = Trace {
        language: "lua".to_owned(),
        message: (!message.is_empty()).then(|| message.to_owned()),
        ..Trace::default()
    };
    let mut read = header + 1;
    while let Some(text) = lines.ahead(read).and_then(|line| line.strip_prefix(['\t', ' '])).map(str::trim) {
        if let Some(frame) = frame(text) {
            if trace.frames.len() < FRAMES_MAX {
                trace.frames.push(frame);
            }
        } else if !is_passed_over(text) {
            break;
        }
        read += 1;
    }
    (trace, read)
}

/// Functions in C have no place; calls and levels that are left out have nothing.
fn is_passed_over(text: &str) -> bool {
    ["[C]: ", "(tail call)", "(...tail calls...)", "..."].iter().any(|start| text.starts_with(start))
}

/// `a.lua:28: in function 'name'`, `a.lua:9: in main chunk`, `a.lua:9: in function <a.lua:3>`
fn frame(text: &str) -> Option<Frame> {
    let (place, what) = text.split_once(": in ")?;
    let place = Place::colons(place).filter(|place| place.column.is_none())?;
    let name = match what.split_once(' ') {
        Some(("function" | "method" | "upvalue" | "local" | "field" | "global" | "metamethod", name)) => name,
        Some(_) | None => what,
    };
    let name = name.trim_matches(['\'', '`', '<', '>']);
    Some(Frame {
        function: (name != "?").then(|| name.to_owned()),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        ..Frame::default()
    })
}
