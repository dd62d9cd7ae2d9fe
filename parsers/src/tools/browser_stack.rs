//! Stack traces of browsers other than Chrome: Firefox and Safari (also React Native) write `f@url:line:column`, old
//! Opera `Line 4 of linked script url`.

use super::place::{Place, number};
use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "browser-stack",
    kind: Kind::Runtime,
    anchors: &[
        "@http://",
        "@https://",
        "@file:///",
        "@blob:",
        "@resource://",
        "@chrome://",
        "@webpack",
        "@moz-extension://",
        "@app:///",
        "@/",
        "@[native code]",
        ".bundle:",
        ".js:1:",
        " of linked script ",
        " script in http",
    ],
    reader: || Box::new(BrowserStack),
    ..Tool::DEFAULT
};

struct BrowserStack;

const FRAMES_MAX: usize = 400;
const SCHEMES: &[&str] = &[
    "http://",
    "https://",
    "file://",
    "blob:",
    "resource://",
    "chrome://",
    "webpack",
    "rsc://",
    "moz-extension://",
    "app:///",
    "safari-extension://",
    "[native code]",
];

impl Reader for BrowserStack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let mut trace = Trace { language: "javascript".into(), ..Trace::default() };
        let read = if lines.first().trim_start().starts_with("Line ") {
            opera(lines, &mut trace)
        } else {
            gecko(lines, &mut trace)
        };
        if read == 0 {
            return 0;
        }
        // Nothing marks a place without a function that comes first.
        let first = lines.back(1).and_then(|line| bare(line.trim())).filter(|frame| frame.column.is_some());
        let above = lines.back(1 + usize::from(first.is_some())).unwrap_or("");
        if let Some(first) = first {
            trace.frames.insert(0, first);
        }
        if let Some((name, message)) = v8_stack::exception(above.trim()) {
            trace.exception = Some(name.to_owned());
            trace.message = Some(message.to_owned()).filter(|message| !message.is_empty());
        } else if above == "Backtrace:" {
            let message = lines.back(2).and_then(|line| line.strip_prefix("Statement on line ")?.split_once(": "));
            trace.message = message.map(|(_, message)| message.to_owned());
        }
        sink.trace(trace);
        read
    }
}

/// `f@url:12:3`, one a line; what has no function may leave the `@` out.
fn gecko(lines: Lines<'_>, trace: &mut Trace) -> usize {
    let (mut read, mut placed, mut sure) = (0, 0, false);
    while trace.frames.len() < FRAMES_MAX
        && let Some(line) = lines.ahead(read)
    {
        let text = line.trim();
        match call(text).or_else(|| bare(text)) {
            Some(frame) => {
                placed += u32::from(frame.line.is_some());
                sure |= text.contains('@') && (frame.column.is_some() || frame.line.is_none());
                trace.frames.push(frame);
            }
            // Safari's name for code that has no place.
            None if text == "eval code" && read > 0 => {}
            None => break,
        }
        read += 1;
    }
    if placed > 0 && (sure || placed > 1) && trace.frames.iter().any(|frame| frame.function.is_some() || sure) {
        read
    } else {
        0
    }
}

fn call(text: &str) -> Option<Frame> {
    let known = |at: &usize| SCHEMES.iter().any(|scheme| text[at + 1..].starts_with(scheme));
    let mut marks = text.match_indices('@').map(|(at, _)| at);
    // Names may hold the sign, and so may addresses.
    let at = marks.clone().find(known).or_else(|| marks.find(|at| is_script(&text[at + 1..])))?;
    let name = function(&text[..at])?;
    let place = &text[at + 1..];
    if place == "[native code]" {
        return Some(Frame { function: name, file: Some(place.to_owned()), ..Frame::default() });
    }
    Some(Frame { function: name, ..located(place)? })
}

/// A place without a function.
fn bare(text: &str) -> Option<Frame> {
    if text == "[native code]" {
        return Some(Frame { file: Some(text.to_owned()), ..Frame::default() });
    }
    let is_url = ["http://", "https://", "file://"].iter().any(|scheme| text.starts_with(scheme));
    if text.contains([' ', '@', '(']) || !(is_url || is_script(text)) {
        return None;
    }
    located(text)
}

/// `/path/App.js:125:13`, `index.android.bundle:12:1917`
fn is_script(text: &str) -> bool {
    let Some(place) = Place::colons(text).filter(|place| place.column.is_some()) else { return false };
    let script = [".js", ".jsx", ".ts", ".tsx", ".mjs", ".bundle", ".jsbundle"];
    !place.file.contains(' ') && script.iter().any(|extension| place.file.ends_with(extension))
}

fn located(text: &str) -> Option<Frame> {
    // `url line 25 > eval line 2 > eval:1:30`: the outermost place is one in a file.
    if let Some((file, rest)) = text.split_once(" line ").filter(|(_, rest)| rest.contains(" > ")) {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        return Some(Frame { file: Some(file.to_owned()), line: number(&rest[..digits]), ..Frame::default() });
    }
    let place = Place::colons(text).filter(|place| !place.file.contains(' '))?;
    Some(Frame { file: Some(place.file.to_owned()), line: Some(place.line), column: place.column, ..Frame::default() })
}

/// The name without the arguments that old versions print; `None` inside where there is none.
#[expect(clippy::option_option, reason = "no name and no function call differ")]
fn function(text: &str) -> Option<Option<String>> {
    let name = match text.find('(') {
        Some(at) if text.ends_with(')') => &text[..at],
        Some(_) | None => text,
    };
    let name = match name.strip_prefix("<anonymous function") {
        Some(rest) => rest.strip_prefix(": ").and_then(|rest| rest.strip_suffix('>')).unwrap_or(""),
        None => name,
    };
    let sentence = name.contains(' ') && !name.contains(['"', '\'']);
    (!sentence).then(|| Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// `  Line 18 of linked script url: In function f`, then the source line.
fn opera(lines: Lines<'_>, trace: &mut Trace) -> usize {
    let mut read = 0;
    while trace.frames.len() < FRAMES_MAX
        && let Some(text) = lines.ahead(read).and_then(|line| line.trim_start().strip_prefix("Line "))
    {
        let Some((row, rest)) = text.split_once(" of ") else { break };
        let script = rest.split_once("script in ").or_else(|| rest.split_once("linked script "));
        let (Some(row), Some((_, script))) = (number(row), script) else { break };
        let (file, name) = match script.split_once(": In function ") {
            Some((file, name)) => (file, Some(name.to_owned())),
            None => (script, None),
        };
        let code = lines.ahead(read + 1).map(|line| line.trim().to_owned()).filter(|code| !code.is_empty());
        read += 1 + usize::from(code.is_some());
        trace.frames.push(Frame {
            function: name,
            file: Some(file.to_owned()),
            line: Some(row),
            code,
            ..Frame::default()
        });
    }
    read
}
