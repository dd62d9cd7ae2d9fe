//! Cadence's simulators (Incisive, Xcelium): `ncvlog: *E,EXPSMC (./a.v,12|3): message`, with `[File:a.v, Line:12].` at the
//! end where an elaborator speaks.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "xcelium",
    kind: Kind::Compiler,
    commands: &["xrun", "irun", "xmvlog", "ncvlog", "xmelab", "ncelab", "xmsim", "ncsim"],
    anchors: &[": *E,", ": *W,", ": *F,", ": *N,"],
    reader: || Box::new(Xcelium),
    ..Tool::DEFAULT
};

struct Xcelium;

impl Reader for Xcelium {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        match finding(lines.first().trim()) {
            Some(found) => {
                sink.diagnostic(found);
                1
            }
            None => 0,
        }
    }
}

fn finding(line: &str) -> Option<Diagnostic> {
    let (program, rest) = line.split_once(": *")?;
    if program.is_empty() || !program.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return None;
    }
    let (letter, rest) = rest.split_once(',')?;
    let severity = match letter {
        "E" | "F" => Severity::Error,
        "W" => Severity::Warning,
        "N" => Severity::Note,
        _ => return None,
    };
    let end = rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')?;
    let (code, rest) = rest.split_at(end);
    let (place, message) = match rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once("): ")) {
        Some((place, message)) => (place_of(place), message),
        None => (None, rest.trim_start().strip_prefix(": ").or_else(|| rest.strip_prefix(": "))?),
    };
    let (message, place) = match place {
        Some(place) => (message, Some(place)),
        None => at_end(message).map_or((message, None), |(message, place)| (message, Some(place))),
    };
    let (file, line, column) =
        place.map_or((None, None, None), |(file, line, column)| (Some(file), Some(line), column));
    (!code.is_empty()).then(|| Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.trim().to_owned(),
        file: file.map(str::to_owned),
        line,
        column,
        ..Diagnostic::default()
    })
}

type Place<'a> = (&'a str, u32, Option<u32>);

/// `./a.v,12|3`
fn place_of(text: &str) -> Option<Place<'_>> {
    let (file, numbers) = text.rsplit_once(',')?;
    let (line, column) = numbers.split_once('|').map_or((numbers, None), |(line, column)| (line, number(column)));
    Some((file, number(line)?, column))
}

/// `message [File:a.vhd, Line:310].`
fn at_end(text: &str) -> Option<(&str, Place<'_>)> {
    let (message, place) = text.trim_end_matches('.').strip_suffix(']')?.rsplit_once(" [File:")?;
    let (file, line) = place.split_once(", Line:")?;
    Some((message, (file, number(line)?, None)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_stand_in_front_or_at_the_end() {
        let found = finding("ncvlog: *E,EXPSMC (./a.v,12|3): expecting a semicolon").unwrap();
        assert_eq!((found.file.as_deref(), found.line, found.column), (Some("./a.v"), Some(12), Some(3)));
        assert_eq!((found.code.as_deref(), found.message.as_str()), (Some("EXPSMC"), "expecting a semicolon"));
        let found = finding("ncelab: *W,CUNOTB: not bound (a:b) [File:b.vhd, Line:31].").unwrap();
        assert_eq!((found.file.as_deref(), found.line), (Some("b.vhd"), Some(31)));
        assert_eq!(found.message, "not bound (a:b)");
        let found = finding("ncelab: *W,CUSRCH: Resolved 'a' to 'b'.").unwrap();
        assert_eq!((found.file, found.severity), (None, Some(Severity::Warning)));
        assert_eq!(finding("see: *E, for more"), None);
    }
}
