//! gcc and clang, and what prints as they do (clang-tidy): `file:line:column: error: message [-Wcode]`, the snippet
//! with its caret, include and instantiation chains before it, notes after it.

mod header;
mod suggestion;

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};
use header::Header;

const ANCHORS: &[&str] = &[
    ": error: ",
    ": warning: ",
    ": note: ",
    ": fatal error: ",
    ": remark: ",
    ": internal compiler error: ",
    ": sorry, unimplemented: ",
    "In file included from ",
    "In module imported at ",
    ": In ",
    ": At ",
    "required from ",
    "required by ",
];

pub(super) const TOOL: Tool = Tool {
    name: "gcc",
    kind: Kind::Compiler,
    commands: &["gcc", "g++", "cc", "c++", "cc1", "cc1plus", "gfortran"],
    anchors: ANCHORS,
    reader: || Box::new(Gcc),
    ..Tool::DEFAULT
};

/// Prints as gcc does, so gcc's reader reads it; here for its command lines and its own closing line.
pub(super) const CLANG: Tool = Tool {
    name: "clang",
    kind: Kind::Compiler,
    commands: &["clang", "clang++", "clang-cl"],
    anchors: &[" generated."],
    reader: || Box::new(Clang),
    ..Tool::DEFAULT
};

struct Gcc;

/// Notes on one finding; overload resolution can list very many.
const NOTES_MAX: usize = 400;
const CHAIN_MAX: usize = 60;

impl Reader for Gcc {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(found) = next_finding(lines, 0, sink) else { return 0 };
        let source = source(sink, &found);
        let mut diagnostic = found.diagnostic();
        diagnostic.source = source.to_owned();
        suggestion::add(&found, lines, &mut diagnostic);
        diagnostic.related.extend(found.chain.iter().map(|place| place.related()));
        let mut read = found.end;
        if !matches!(found.header.severity, Severity::Note) {
            // Notes hang on the finding before them.
            for _ in 0..NOTES_MAX {
                let Some(note) = next_finding(lines, read, sink) else { break };
                if note.header.severity != Severity::Note {
                    break;
                }
                suggestion::add(&note, lines, &mut diagnostic);
                diagnostic.related.push(note.diagnostic());
                read = note.end;
            }
        }
        sink.diagnostic(diagnostic);
        read
    }
}

struct Clang;

impl Reader for Clang {
    fn read(&mut self, lines: Lines<'_>, _sink: &mut Sink) -> usize {
        // `2 warnings and 1 error generated.`
        let Some(counts) = lines.first().strip_suffix(" generated.") else { return 0 };
        let words = counts.split(' ').all(|word| {
            matches!(word, "error" | "errors" | "warning" | "warnings" | "and") || word.parse::<u64>().is_ok()
        });
        usize::from(words && counts.starts_with(|c: char| c.is_ascii_digit()))
    }
}

/// One header line with the chain before it and the snippet after it.
struct Finding<'a> {
    header: Header<'a>,
    chain: Vec<ChainPlace<'a>>,
    /// Lines from the one on offer to the header, and to the end of the snippet.
    at: usize,
    end: usize,
    /// Columns the caret line underlines from the caret on.
    underlined: Option<u32>,
}

/// `In file included from a.h:3:`, `a.C:5:3:   required from here`
struct ChainPlace<'a> {
    file: &'a str,
    line: u32,
    column: Option<u32>,
    message: &'a str,
}

fn next_finding<'a>(lines: Lines<'a>, from: usize, sink: &Sink) -> Option<Finding<'a>> {
    let mut chain = Vec::new();
    let mut at = from;
    loop {
        let line = lines.ahead(at)?;
        if let Some(header) = Header::parse(line, |tool| sink.expects(tool)) {
            let (end, underlined) = snippet(lines, at, &header);
            return Some(Finding { header, chain, at, end, underlined });
        }
        if at - from >= CHAIN_MAX || !chain_line(line, &mut chain) {
            return None;
        }
        at += 1;
    }
}

/// Whether `line` leads up to a finding; places it names are added to `chain`.
fn chain_line<'a>(line: &'a str, chain: &mut Vec<ChainPlace<'a>>) -> bool {
    let text = line.trim_start();
    for start in ["In file included from ", "In module imported at ", "from "] {
        if let Some(rest) = text.strip_prefix(start)
            && (start != "from " || line.starts_with("     "))
        {
            return match header::place(rest.trim_end_matches([':', ','])) {
                Some((file, line, column)) => {
                    chain.push(ChainPlace { file, line, column, message: "included from here" });
                    true
                }
                None => false,
            };
        }
    }
    if text.ends_with(':') && (text.contains(": In ") || text.contains(": At ")) {
        return true;
    }
    if let Some((head, message)) = text.split_once(":   ")
        && (message.contains("required ")
            || message.contains("in ‘constexpr’ expansion of")
            || message.starts_with('['))
        && let Some((file, line, column)) = header::place(head)
    {
        chain.push(ChainPlace { file, line, column, message });
        return true;
    }
    false
}

impl ChainPlace<'_> {
    fn related(&self) -> Diagnostic {
        Diagnostic {
            severity: Some(Severity::Note),
            message: self.message.to_owned(),
            file: Some(self.file.to_owned()),
            line: Some(self.line),
            column: self.column,
            ..Diagnostic::default()
        }
    }
}

/// The snippet below the header at `at`: where it ends, and how far the caret's line goes on from the caret.
fn snippet(lines: Lines<'_>, at: usize, header: &Header<'_>) -> (usize, Option<u32>) {
    let mut end = at + 1;
    let mut underlined = None;
    // gcc's rows have a gutter: `   34 |   code`, `      |   ^~~`.
    while let Some(row) = lines.ahead(end).and_then(gutter_row) {
        if underlined.is_none() {
            underlined = caret_length(row);
        }
        end += 1;
    }
    if end > at + 1 || header.line.is_none() {
        return (end, underlined);
    }
    // clang's have none: the code as it is, then a line of carets, then perhaps a fix-it.
    let (Some(code), Some(marks)) = (lines.ahead(end), lines.ahead(end + 1)) else { return (end, None) };
    if code.trim().is_empty() || !is_caret_line(marks) {
        return (end, None);
    }
    underlined = caret_length(marks);
    end += 2;
    if lines.ahead(end).is_some_and(|line| is_fix_it(line, marks)) {
        end += 1;
    }
    while lines.ahead(end).is_some_and(|line| line.starts_with("fix-it:\"")) {
        end += 1;
    }
    (end, underlined)
}

/// What stands after `   34 | ` or `      | `.
fn gutter_row(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '+');
    if line.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with("fix-it:\"") {
        return text.starts_with("fix-it:\"").then_some("");
    }
    let row =
        rest.strip_prefix(" |").or_else(|| (rest.len() == text.len()).then(|| rest.strip_prefix('|')).flatten())?;
    line.starts_with(' ').then_some(row)
}

fn is_caret_line(line: &str) -> bool {
    line.contains(['^', '~']) && line.bytes().all(|b| matches!(b, b' ' | b'\t' | b'^' | b'~'))
}

fn caret_length(row: &str) -> Option<u32> {
    let marks = row.trim_end();
    if !is_caret_line(row) && !marks.trim_start().starts_with(['^', '~']) {
        return None;
    }
    let caret = marks.find('^')?;
    u32::try_from(1 + marks[caret + 1..].bytes().take_while(|b| *b == b'~').count()).ok()
}

/// clang writes what it would insert below the carets: it starts at or right of the first mark.
fn is_fix_it(line: &str, marks: &str) -> bool {
    let indent = |text: &str| text.len() - text.trim_start().len();
    !line.trim().is_empty()
        && line.starts_with([' ', '\t'])
        && indent(line) + 1 >= indent(marks)
        && !line.contains(": error: ")
        && !line.contains(": warning: ")
}

impl Finding<'_> {
    fn diagnostic(&self) -> Diagnostic {
        let header = &self.header;
        let end = header.range_end.or_else(|| {
            let (line, column) = (header.line?, header.column?);
            Some((line, column.checked_add(self.underlined?)?))
        });
        Diagnostic {
            severity: Some(header.severity),
            code: header.code.map(str::to_owned),
            message: header.message.to_owned(),
            file: header.file.map(str::to_owned),
            line: header.line,
            column: header.column,
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            ..Diagnostic::default()
        }
    }
}

fn source(sink: &Sink, found: &Finding<'_>) -> &'static str {
    match found.header.code {
        // `bugprone-use-after-move`; the compilers' own begin with a dash.
        Some(code) if !code.starts_with('-') => "clang-tidy",
        Some(_) | None if sink.expects(CLANG.name) => CLANG.name,
        Some(_) | None => TOOL.name,
    }
}
