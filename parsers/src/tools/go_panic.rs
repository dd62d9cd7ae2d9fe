//! A Go panic or fatal error with its goroutines, and the race detector's reports.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "go-panic",
    kind: Kind::Runtime,
    anchors: &["panic: ", "fatal error: ", "WARNING: DATA RACE", "goroutine "],
    reader: || Box::new(GoPanic),
    ..Tool::DEFAULT
};

struct GoPanic;

impl Reader for GoPanic {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(panic) = Panic::read(lines) else { return 0 };
        if panic.trace.exception.as_deref() != Some(RACE) {
            sink.evidence(Evidence::Crashed);
        }
        sink.trace(panic.trace);
        panic.lines
    }
}

const RACE: &str = "DATA RACE";
const MESSAGE_LINES_MAX: usize = 60;
const FRAMES_MAX: usize = 400;

pub(super) struct Panic {
    pub(super) trace: Trace,
    /// Tests that ran when time was up.
    pub(super) timed_out: Vec<String>,
    pub(super) lines: usize,
}

impl Panic {
    pub(super) fn read(lines: Lines<'_>) -> Option<Self> {
        let first = lines.first();
        if first == "WARNING: DATA RACE" {
            return Some(Self::race(lines));
        }
        if is_goroutine(first) {
            let mut panic = Self::new("goroutine", first);
            panic.lines = 0;
            panic.read_goroutines(lines);
            return (!panic.trace.frames.is_empty()).then_some(panic);
        }
        let (exception, message) = ["panic: ", "fatal error: "]
            .iter()
            .find_map(|start| Some((start.trim_end_matches(": "), first.strip_prefix(start)?)))?;
        let mut panic = Self::new(exception, message);
        if !panic.read_message(lines) {
            return None;
        }
        panic.read_goroutines(lines);
        Some(panic)
    }

    fn new(exception: &str, message: &str) -> Self {
        let trace = Trace {
            language: "go".into(),
            exception: Some(exception.to_owned()),
            message: Some(without_recovery(message).to_owned()),
            ..Trace::default()
        };
        Self { trace, timed_out: Vec::new(), lines: 1 }
    }

    /// Everything down to the first goroutine; without one it is no panic of Go's.
    fn read_message(&mut self, lines: Lines<'_>) -> bool {
        let mut at = self.lines;
        let mut running = false;
        while at < MESSAGE_LINES_MAX {
            let Some(line) = lines.ahead(at) else { return false };
            if is_goroutine(line) {
                self.lines = at;
                return true;
            }
            running |= line == "running tests:";
            if let Some(test) = line.strip_prefix('\t') {
                match test.strip_prefix("panic: ") {
                    Some(again) => self.trace.message = Some(without_recovery(again).to_owned()),
                    None if running => {
                        self.timed_out.extend(test.split(" (").next().map(str::to_owned));
                    }
                    None => {}
                }
            }
            at += 1;
        }
        false
    }

    /// Frames of the first goroutine, which is the one that died; the others are passed over.
    fn read_goroutines(&mut self, lines: Lines<'_>) {
        let mut goroutines = 0;
        while let Some(line) = lines.ahead(self.lines) {
            let next = lines.ahead(self.lines + 1);
            if is_goroutine(line) {
                goroutines += 1;
                self.lines += 1;
            } else if let Some(place) = next.and_then(frame_place).filter(|_| !line.is_empty()) {
                if goroutines == 1 && self.trace.frames.len() < FRAMES_MAX {
                    self.trace.frames.push(frame(line, place));
                }
                self.lines += 2;
            } else if (line.is_empty() && next.is_some_and(|next| is_goroutine(next) || is_register(next)))
                || line.starts_with("...additional frames elided...")
                || is_register(line)
                || line.starts_with("goroutine running on other thread")
            {
                self.lines += 1;
            } else {
                break;
            }
        }
        if lines.ahead(self.lines).is_some_and(|line| line == "exit status 2") {
            self.lines += 1;
        }
    }

    /// `Write at 0x00c0 by goroutine 8:` and `Previous read at …`, each with its frames, up to the closing rule.
    fn race(lines: Lines<'_>) -> Self {
        let mut panic = Self::new(RACE, "");
        let mut previous: Option<Trace> = None;
        let mut section = 0;
        while let Some(line) = lines.ahead(panic.lines).filter(|line| !line.starts_with("======")) {
            let place = lines.ahead(panic.lines + 1).and_then(frame_place);
            if let Some(place) = place.filter(|_| line.starts_with("  ")) {
                let frames = match (section, &mut previous) {
                    (1, _) => Some(&mut panic.trace.frames),
                    (2, Some(previous)) => Some(&mut previous.frames),
                    (_, _) => None,
                };
                if let Some(frames) = frames.filter(|frames| frames.len() < FRAMES_MAX) {
                    frames.push(frame(line.trim_start(), place));
                }
                panic.lines += 2;
                continue;
            }
            if !line.is_empty() && !line.starts_with(' ') {
                section += 1;
                match section {
                    1 => panic.trace.message = Some(line.trim_end_matches(':').to_owned()),
                    2 => previous = Some(Self::new(RACE, line.trim_end_matches(':')).trace),
                    _ => {}
                }
            }
            panic.lines += 1;
        }
        panic.lines += usize::from(lines.ahead(panic.lines).is_some());
        panic.trace.cause = previous.map(Box::new);
        panic
    }
}

fn without_recovery(message: &str) -> &str {
    message.strip_suffix(']').and_then(|text| text.rsplit_once(" [recovered")).map_or(message, |(text, _)| text)
}

/// `goroutine 19 [running]:`
fn is_goroutine(line: &str) -> bool {
    line.strip_prefix("goroutine ").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" [") && rest.ends_with("]:")
    })
}

/// `rip    0x45f1e1`: what a signal leaves behind.
fn is_register(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let name = words.next().is_some_and(|name| name.len() <= 6);
    name && words.next().is_some_and(|value| value.starts_with("0x")) && words.next().is_none()
}

/// ` /path/file.go:12 +0x1a`, in full ` /path/file.s:12 fp=0xc0 sp=0xc0 pc=0x4c`
fn frame_place(line: &str) -> Option<Place<'_>> {
    // A tab, and what consoles and logs make of it.
    let text = line.strip_prefix('\t').or_else(|| line.strip_prefix("  "))?.trim_start();
    let end = text.find(" +0x").or_else(|| text.find(" fp=0x")).unwrap_or(text.len());
    let place = Place::colons(text[..end].trim())?;
    let made = place.file.starts_with("_cgo") || place.file == "<autogenerated>";
    (place.file.ends_with(".go") || place.file.ends_with(".s") || made).then_some(place)
}

fn frame(call: &str, place: Place<'_>) -> Frame {
    let call = call.strip_prefix("created by ").unwrap_or(call);
    let call = call.split(" in goroutine ").next().unwrap_or(call);
    let function = match call.rsplit_once('(') {
        Some((function, arguments)) if arguments.ends_with(')') && !arguments.starts_with('*') => function,
        Some(_) | None => call,
    };
    Frame {
        function: Some(function.to_owned()),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        column: place.column,
        ..Frame::default()
    }
}
