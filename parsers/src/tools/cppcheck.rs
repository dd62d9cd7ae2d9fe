//! cppcheck's default form, which looks like gcc's but has severities and rule names of its own.

use super::place::{Place, marks};
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "cppcheck",
    kind: Kind::Linter,
    commands: &["cppcheck"],
    anchors: &[": error: ", ": warning: ", ": style: ", ": performance: ", ": portability: ", ": information: "],
    reader: || Box::new(Cppcheck),
    ..Tool::DEFAULT
};

const NOTES_MAX: usize = 100;
const EXTENSIONS: &[&str] =
    &[".c", ".cc", ".cpp", ".cxx", ".c++", ".C", ".h", ".hh", ".hpp", ".hxx", ".ipp", ".txx", ".tpp", ".ino"];

struct Cppcheck;

impl Reader for Cppcheck {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        // A finding ends with its rule's name, and compilers print the same form far more often.
        if !lines.first().trim_end().ends_with(']') {
            return 0;
        }
        let Some((mut found, mut read)) = finding(lines, 0) else { return 0 };
        if found.code.is_none() {
            return 0;
        }
        while read < NOTES_MAX
            && let Some((note, took)) = finding(lines, read).filter(|(note, _)| note.severity == Some(Severity::Note))
        {
            found.related.push(note);
            read += took;
        }
        sink.diagnostic(found);
        read
    }
}

/// `a.cpp:7:9: error: Array … out of bounds. [arrayIndexOutOfBounds]`, perhaps with the code and a caret below.
fn finding(lines: Lines<'_>, at: usize) -> Option<(Diagnostic, usize)> {
    let line = lines.ahead(at)?.trim_end();
    let (place, severity, text) =
        ["error", "warning", "style", "performance", "portability", "information", "note"].iter().find_map(|word| {
            let (place, rest) = line.split_once(&format!(": {word}: "))?;
            Some((Place::colons(place)?, *word, rest))
        })?;
    let whole_run = place.file == "nofile";
    if !whole_run && !EXTENSIONS.iter().any(|extension| place.file.ends_with(extension)) {
        return None;
    }
    let (message, code) = match rule(text) {
        Some((message, code)) => (message, Some(code)),
        None if severity == "note" => (text, None),
        None => return None,
    };
    let severity = match severity {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "note" => Severity::Note,
        _ => Severity::Info,
    };
    let position = |number: u32| Some(number).filter(|number| *number > 0 && !whole_run);
    let found = Diagnostic {
        severity: Some(severity),
        code: code.map(str::to_owned),
        message: message.to_owned(),
        file: Some(place.file.to_owned()).filter(|_| !whole_run),
        line: position(place.line),
        column: place.column.and_then(position),
        ..Diagnostic::default()
    };
    let caret = lines.ahead(at + 2).and_then(marks).is_some();
    // `nofile:0:0` has an empty line of code.
    Some((found, if caret { 3 } else { 1 }))
}

/// `message [memleak]`: one word without the hyphens that clang-tidy's and compilers' names have.
fn rule(text: &str) -> Option<(&str, &str)> {
    let (message, code) = text.strip_suffix(']')?.rsplit_once(" [")?;
    let named = code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && code.len() > 3;
    named.then_some((message, code))
}
