//! A Rust panic: `thread 'main' panicked at file:line:column:`, its message and, where asked for, its backtrace.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "rust-panic",
    kind: Kind::Runtime,
    anchors: &["' panicked at ", ") panicked at "],
    reader: || Box::new(RustPanic),
    ..Tool::DEFAULT
};

struct RustPanic;

impl Reader for RustPanic {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(panic) = Panic::read(lines) else { return 0 };
        let read = panic.lines;
        sink.trace(panic.into_trace());
        read
    }
}

const MESSAGE_LINES_MAX: usize = 200;
const FRAMES_MAX: usize = 400;

pub(super) struct Panic {
    pub(super) thread: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    /// Of `assert_eq!`: the right side is what was expected by custom, the left what came.
    pub(super) left: Option<String>,
    pub(super) right: Option<String>,
    pub(super) lines: usize,
    frames: Vec<Frame>,
}

impl Panic {
    pub(super) fn read(lines: Lines<'_>) -> Option<Self> {
        let first = lines.first();
        let (_, head) = first.split_once("thread '")?;
        let (who, place) = head.split_once(" panicked at ")?;
        let thread = who.split_once('\'').map_or(who, |(name, _)| name).to_owned();
        let mut panic = match place.trim_end().strip_suffix(':').and_then(position) {
            Some((file, line, column)) => Self {
                thread,
                file: file.to_owned(),
                line,
                column,
                message: String::new(),
                left: None,
                right: None,
                lines: 1,
                frames: Vec::new(),
            },
            // Before Rust 1.73: 'message', file:line:column
            None => Self::old_form(lines, thread, place)?,
        };
        panic.read_message(lines);
        panic.read_backtrace(lines);
        Some(panic)
    }

    fn old_form(lines: Lines<'_>, thread: String, place: &str) -> Option<Self> {
        let mut message = place.strip_prefix('\'')?.to_owned();
        let mut read = 1;
        // The message may go on for some lines; its end is `', file:line:column`.
        while read < MESSAGE_LINES_MAX {
            let closed = message.rsplit_once("', ").and_then(|(text, place)| {
                position(place.trim_end()).map(|(file, line, column)| (text, file, line, column))
            });
            if let Some((text, file, line, column)) = closed {
                return Some(Self {
                    thread,
                    file: file.to_owned(),
                    line,
                    column,
                    left: side(text, "  left: `").map(|s| s.trim_end_matches(['`', ',']).to_owned()),
                    right: side(text, " right: `").map(|s| s.trim_end_matches(['`', ',']).to_owned()),
                    message: text.to_owned(),
                    lines: read,
                    frames: Vec::new(),
                });
            }
            message.push('\n');
            message.push_str(lines.ahead(read)?);
            read += 1;
        }
        None
    }

    fn read_message(&mut self, lines: Lines<'_>) {
        if !self.message.is_empty() {
            return;
        }
        let mut text = Vec::new();
        while let Some(line) = lines.ahead(self.lines) {
            let ends = line.trim().is_empty()
                || line.starts_with("note: run with `RUST_BACKTRACE")
                || line.starts_with("stack backtrace:")
                || line.contains("' panicked at ")
                || line.starts_with("---- ")
                || (line.starts_with("test ") && line.contains(" ... "));
            if ends || text.len() >= MESSAGE_LINES_MAX {
                break;
            }
            text.push(line);
            self.lines += 1;
        }
        self.left = sides(&text, "  left: ", " right: ");
        self.right = sides(&text, " right: ", "\u{0}");
        self.message = text.join("\n");
    }

    fn read_backtrace(&mut self, lines: Lines<'_>) {
        if lines.ahead(self.lines).is_some_and(|line| line.starts_with("stack backtrace:")) {
            self.lines += 1;
            while let Some(line) = lines.ahead(self.lines) {
                let text = line.trim();
                if let Some(place) = text.strip_prefix("at ") {
                    if let (Some(frame), Some((file, row, column))) = (self.frames.last_mut(), position(place)) {
                        frame.file = Some(file.to_owned());
                        frame.line = Some(row);
                        frame.column = Some(column);
                    }
                } else if let Some(function) = frame_function(text) {
                    if self.frames.len() < FRAMES_MAX {
                        self.frames.push(Frame { function: Some(function.to_owned()), ..Frame::default() });
                    }
                } else {
                    break;
                }
                self.lines += 1;
            }
        }
        if lines.ahead(self.lines).is_some_and(|line| {
            line.starts_with("note: run with `RUST_BACKTRACE") || line.starts_with("note: Some details are omitted")
        }) {
            self.lines += 1;
        }
    }

    pub(super) fn into_trace(self) -> Trace {
        let mut frames = self.frames;
        if frames.is_empty() {
            frames.push(Frame {
                file: Some(self.file),
                line: Some(self.line),
                column: Some(self.column),
                ..Frame::default()
            });
        }
        Trace {
            language: "rust".into(),
            exception: Some("panic".into()),
            message: Some(self.message),
            frames,
            cause: None,
        }
    }
}

/// `file:line:column`
fn position(text: &str) -> Option<(&str, u32, u32)> {
    let (rest, column) = text.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// `  12: name` or, in full, `  12:  0x55d0 - name`
fn frame_function(text: &str) -> Option<&str> {
    let (number, name) = text.split_once(':')?;
    number.parse::<u32>().ok()?;
    let name = name.trim();
    Some(match name.split_once(" - ") {
        Some((address, name)) if address.starts_with("0x") => name,
        Some(_) | None => name,
    })
}

fn side<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.split_once(label).map(|(_, rest)| rest.lines().next().unwrap_or(""))
}

/// The value after `label`, which may take several lines (`{:#?}`), up to the line that starts with `until`.
fn sides(text: &[&str], label: &str, until: &str) -> Option<String> {
    let at = text.iter().position(|line| line.starts_with(label))?;
    let mut value = text[at][label.len()..].to_owned();
    for line in text[at + 1..].iter().take_while(|line| !line.starts_with(until)) {
        value.push('\n');
        value.push_str(line);
    }
    Some(value)
}
