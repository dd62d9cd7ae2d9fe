//! RuboCop and Standard: the clang, emacs, simple and JSON forms, and the closing count.

use super::place::{Place, marks, number};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "rubocop",
    kind: Kind::Linter,
    commands: &["rubocop", "standardrb"],
    anchors: &[
        ": C: ",
        ": R: ",
        ": W: ",
        ": E: ",
        ": F: ",
        "== ",
        " no offenses detected",
        " offenses detected",
        " offense detected",
        "standard: Use Ruby Standard Style",
    ],
    json: &["\"rubocop_version\""],
    reader: || Box::new(Rubocop),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 10;
const FINDINGS_MAX: usize = 1_500;

struct Rubocop;

impl Reader for Rubocop {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some((count, rest)) = line.split_once(" inspected, ") {
            if !count.ends_with(" file") && !count.ends_with(" files") || !rest.contains(" detected") {
                return 0;
            }
            if rest.starts_with("no offenses detected") && !count.starts_with("0 ") {
                sink.evidence(Evidence::SaysPassed);
            }
            return 1;
        }
        if let Some(file) = line.strip_prefix("== ").and_then(|rest| rest.strip_suffix(" ==")) {
            return simple(file, lines, sink);
        }
        if line.starts_with("standard: Use Ruby Standard Style") {
            return standard(lines, sink);
        }
        clang(line, lines, sink)
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Output>() else { return false };
        let clean = output.files.iter().all(|file| file.offenses.is_empty());
        if clean && !output.files.is_empty() {
            sink.evidence(Evidence::SaysPassed);
        }
        for file in output.files {
            for offense in file.offenses {
                let (code, message) = cop(&offense.message);
                let at = offense.location;
                let end = at.last_column.filter(|_| at.length > 0).and_then(|column| column.checked_add(1));
                sink.diagnostic(Diagnostic {
                    severity: severity(offense.severity.get(..1).unwrap_or("").to_ascii_uppercase().as_str()),
                    code: offense.cop_name.or_else(|| code.map(str::to_owned)),
                    message: message.lines().next().unwrap_or("").to_owned(),
                    file: Some(file.path.clone()),
                    line: Some(at.line),
                    column: Some(at.column),
                    end_line: end.and(at.last_line),
                    end_column: end,
                    ..Diagnostic::default()
                });
            }
        }
        true
    }
}

/// `app.rb:5:11: C: [Correctable] Layout/X: message`, then the code and its marks.
fn clang(line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let split = [": C: ", ": R: ", ": W: ", ": E: ", ": F: "].iter().find_map(|tag| {
        let at = line.find(tag)?;
        Some((&line[..at], &tag[2..3], &line[at + tag.len()..]))
    });
    let Some((place, letter, text)) = split else { return 0 };
    let Some(place) = Place::colons(place).filter(|place| place.column.is_some()) else { return 0 };
    let (code, message) = cop(text);
    if code.is_none() {
        return 0;
    }
    let mut found = finding(place, letter, text);
    found.message = message.to_owned();
    // The message may go on; the code and the marks below it end it.
    let below = (1..MESSAGE_LINES_MAX)
        .take_while(|&n| {
            lines.ahead(n).is_some_and(|line| !line.trim().is_empty() && Place::before_text(line, ".rb").is_none())
        })
        .find_map(|n| marks(lines.ahead(n)?).map(|(_, width)| (n, width)));
    let Some((n, width)) = below else {
        sink.diagnostic(found);
        return 1;
    };
    found.end_line = found.line;
    found.end_column = found.column.and_then(|column| column.checked_add(width));
    sink.diagnostic(found);
    n + 1
}

/// `C:  5: 11: Layout/X: message`, below `== app.rb ==`
fn simple(file: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < FINDINGS_MAX) {
        let mut parts = line.splitn(4, ':');
        let (letter, row, column, text) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(letter), Some(text)) = (letter.filter(|letter| severity(letter).is_some()), text) else { break };
        let at = |text: Option<&str>| text.map(str::trim).and_then(number);
        let (Some(row), Some(column)) = (at(row), at(column)) else { break };
        sink.diagnostic(finding(Place { file, line: row, column: Some(column) }, letter, text.trim()));
        read += 1;
        // `(Using Ruby 2.6 parser; …)`
        read += usize::from(lines.ahead(read).is_some_and(|line| line.starts_with("(Using Ruby ")));
    }
    if read > 1 { read } else { 0 }
}

/// `  app.rb:5:11: Layout/X: message`, below Standard's head line; it has no severities.
fn standard(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let mut read = 1;
    read += usize::from(lines.ahead(1).is_some_and(|line| line.starts_with("standard: Run ")));
    while let Some(line) = lines.ahead(read).filter(|_| read < FINDINGS_MAX) {
        let found = line.strip_prefix("  ").and_then(|line| Place::before_text(line, ".rb"));
        let Some((place, text)) = found else { break };
        let finding = finding(place, "", text.trim());
        sink.diagnostic(Diagnostic { source: "standard".to_owned(), ..finding });
        read += 1;
    }
    read
}

fn finding(place: Place<'_>, letter: &str, text: &str) -> Diagnostic {
    let (code, message) = cop(text);
    Diagnostic {
        severity: severity(letter),
        code: code.map(str::to_owned),
        message: message.to_owned(),
        ..place.diagnostic()
    }
}

/// `[Correctable] Layout/X: message`
fn cop(text: &str) -> (Option<&str>, &str) {
    let marks = ["[Correctable] ", "[Corrected] ", "[Todo] "];
    let text = marks.iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
    let name = |name: &str| {
        name.contains('/')
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_'))
    };
    match text.split_once(": ").filter(|(code, _)| name(code)) {
        Some((code, message)) => (Some(code), message),
        None => (None, text),
    }
}

/// Convention and refactoring are what RuboCop ranks below a warning.
fn severity(letter: &str) -> Option<Severity> {
    match letter {
        "E" | "F" => Some(Severity::Error),
        "W" => Some(Severity::Warning),
        "C" | "R" | "I" => Some(Severity::Info),
        _ => None,
    }
}

#[derive(serde::Deserialize)]
struct Output {
    files: Vec<File>,
}

#[derive(serde::Deserialize)]
struct File {
    path: String,
    offenses: Vec<Offense>,
}

#[derive(serde::Deserialize)]
struct Offense {
    severity: String,
    message: String,
    cop_name: Option<String>,
    location: Location,
}

#[derive(serde::Deserialize)]
struct Location {
    line: u32,
    column: u32,
    last_line: Option<u32>,
    last_column: Option<u32>,
    #[serde(default)]
    length: u64,
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    /// From Standard's documentation.
    #[test]
    fn standard_names_its_cops() {
        let text = b"standard: Use Ruby Standard Style (https://github.com/standardrb/standard)\n\
            standard: Run `standardrb --fix` to automatically fix some problems.\n  \
            /workspace/lib/a.rb:3:14: Style/StringLiterals: Prefer double-quoted strings.\n";
        let command = Some("standardrb");
        let report = parse(&ToolOutput { text, command, ..ToolOutput::default() });
        assert_eq!(report.diagnostics.len(), 1, "{report:?}");
        assert_eq!(report.diagnostics[0].code.as_deref(), Some("Style/StringLiterals"));
        assert_eq!((report.diagnostics[0].line, report.diagnostics[0].column), (Some(3), Some(14)));
    }
}
