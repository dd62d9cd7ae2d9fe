//! valgrind's memcheck and its siblings: each error with the stack where it happened.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "valgrind",
    kind: Kind::Linter,
    commands: &["valgrind"],
    anchors: &["==    at 0x"],
    reader: || Box::new(Valgrind),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 256;

struct Valgrind;

impl Reader for Valgrind {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((process, first)) = text(lines.first()) else { return 0 };
        if !first.trim_start().starts_with("at 0x") {
            return 0;
        }
        let Some((_, title)) = lines.back(1).and_then(text).filter(|(id, _)| *id == process) else { return 0 };
        let title = title.trim();
        let mut frames = Vec::new();
        let mut read = 0;
        while let Some(frame) =
            lines.ahead(read).and_then(text).filter(|(id, _)| *id == process).and_then(|(_, row)| frame(row))
        {
            if frames.len() < FRAMES_MAX {
                frames.push(frame);
            }
            read += 1;
        }
        // A second stack tells where the memory came from.
        let explains =
            ["Address ", "Block was ", "by thread", "Uninitialised value was", "at 0x", "This conflicts", "Thread #"];
        if explains.iter().any(|start| title.starts_with(start)) || title.contains(" was alloc'd") || title.is_empty() {
            return read;
        }
        let at = frames
            .iter()
            .find(|frame: &&Frame| frame.line.is_some() && !is_replacement(frame))
            .cloned()
            .unwrap_or_default();
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: title.to_owned(),
            file: at.file,
            line: at.line,
            ..Diagnostic::default()
        });
        sink.trace(Trace {
            language: "native".to_owned(),
            exception: None,
            message: Some(title.to_owned()),
            frames,
            cause: None,
        });
        read
    }
}

/// valgrind's own `malloc` and its like.
fn is_replacement(frame: &Frame) -> bool {
    frame.file.as_deref().is_some_and(|file| file.starts_with("vg_replace_"))
}

/// The process and what follows in `==123== text`.
fn text(line: &str) -> Option<(&str, &str)> {
    let (id, text) = line.strip_prefix("==")?.split_once("==")?;
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())).then_some((id, text))
}

/// `   by 0x10915E: main (a.c:7)`, `at 0x48: malloc (in /usr/lib/x.so)`
fn frame(row: &str) -> Option<Frame> {
    let rest = row.trim().strip_prefix("at 0x").or_else(|| row.trim().strip_prefix("by 0x"))?;
    let (_, rest) = rest.split_once(": ")?;
    let (function, place) = rest.rsplit_once(" (").unwrap_or((rest, ""));
    let place = Place::colons(place.trim_end_matches(')'));
    Some(Frame {
        function: (function != "???").then(|| function.to_owned()),
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        ..Frame::default()
    })
}
