//! The TypeScript compiler, plain (`file(1,2): error TS2304: …`) and `--pretty` (`file:1:2 - error TS2304: …`, with
//! the code, what it underlines and the places that go with it).

use super::place::{Place, number, quoted};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "tsc",
    kind: Kind::Compiler,
    commands: &["tsc", "vue-tsc", "tsgo"],
    anchors: &[
        "error TS",
        "warning TS",
        "message TS",
        "suggestion TS",
        "Found ",
        "Errors  Files",
        " in watch mode...",
        "File change detected. ",
    ],
    reader: || Box::new(Tsc::default()),
    ..Tool::DEFAULT
};

/// Lines one message explains itself with, and places that go with it.
const EXPLANATION_MAX: usize = 60;
const RELATED_MAX: usize = 60;
/// tsc shows at most five lines of code, each with a row of marks, and dots between them.
const SNIPPET_ROWS_MAX: usize = 12;

#[derive(Default)]
struct Tsc {
    read_errors: bool,
}

impl Reader for Tsc {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let Some(header) = Header::parse(line) else {
            return closing_lines(lines, self.read_errors, sink);
        };
        let mut diagnostic = header.diagnostic();
        let mut read = 1;
        // Why it is so, one step deeper a line.
        while read < EXPLANATION_MAX
            && let Some(text) = lines.ahead(read).filter(|text| is_explanation(text))
        {
            diagnostic.related.push(note(text.trim()));
            read += 1;
        }
        if header.form == Form::Pretty {
            read = snippet_and_related(lines, read, &mut diagnostic);
        }
        self.read_errors |= diagnostic.severity == Some(Severity::Error);
        diagnostic.suggestions.extend(did_you_mean(&diagnostic));
        sink.diagnostic(diagnostic);
        read
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Pretty,
}

struct Header<'a> {
    form: Form,
    place: Option<Place<'a>>,
    severity: Option<Severity>,
    code: &'a str,
    message: &'a str,
}

impl<'a> Header<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        const CATEGORIES: &[(&str, Option<Severity>)] = &[
            ("error ", Some(Severity::Error)),
            ("warning ", Some(Severity::Warning)),
            ("message ", Some(Severity::Info)),
            ("suggestion ", Some(Severity::Hint)),
        ];
        let (at, category, severity) = memchr::memchr_iter(b'T', line.as_bytes()).find_map(|code| {
            let before = line[code..].starts_with("TS").then(|| &line[..code])?;
            let (category, severity) = CATEGORIES.iter().find(|(category, _)| before.ends_with(category))?;
            Some((code - category.len(), *category, *severity))
        })?;
        let (code, message) = line[at + category.len()..].split_once(':')?;
        number(code.strip_prefix("TS")?)?;
        let head = &line[..at];
        let (form, place) = if head.is_empty() {
            (Form::Plain, None)
        } else if let Some(place) = head.strip_suffix(": ").and_then(Place::brackets) {
            (Form::Plain, Some(place))
        } else {
            (Form::Pretty, Some(head.strip_suffix(" - ").and_then(Place::colons)?))
        };
        Some(Self { form, place, severity, code, message: message.trim() })
    }

    fn diagnostic(&self) -> Diagnostic {
        Diagnostic {
            severity: self.severity,
            code: Some(self.code.to_owned()),
            message: self.message.to_owned(),
            file: self.place.map(|place| place.file.to_owned()),
            line: self.place.map(|place| place.line),
            column: self.place.and_then(|place| place.column),
            ..Diagnostic::default()
        }
    }
}

fn is_explanation(line: &str) -> bool {
    line.starts_with("  ") && !line.trim().is_empty() && Place::colons(line.trim()).is_none()
}

fn note(message: &str) -> Diagnostic {
    Diagnostic { severity: Some(Severity::Note), message: message.to_owned(), ..Diagnostic::default() }
}

/// What stands below a pretty header from line `from` on; answers the line after it.
fn snippet_and_related(lines: Lines<'_>, from: usize, diagnostic: &mut Diagnostic) -> usize {
    let mut read = from;
    if lines.ahead(read) == Some("")
        && let Some(line) = diagnostic.line
        && let Some(snippet) = Snippet::read(lines, read + 1, 0, line)
    {
        snippet.mark_end(diagnostic);
        read += 1 + snippet.rows;
    }
    let mut at = read + usize::from(lines.ahead(read) == Some(""));
    while diagnostic.related.len() < RELATED_MAX
        && let Some(text) = lines.ahead(at).and_then(|line| line.strip_prefix("  "))
        && let Some(place) = Place::colons(text).filter(|place| !place.file.starts_with(' '))
    {
        let mut related = note("");
        related.file = Some(place.file.to_owned());
        related.line = Some(place.line);
        related.column = place.column;
        at += 1;
        if let Some(snippet) = Snippet::read(lines, at, 4, place.line) {
            snippet.mark_end(&mut related);
            at += snippet.rows;
        }
        if let Some(message) = lines.ahead(at).filter(|line| line.starts_with("    ")) {
            related.message = message.trim().to_owned();
            at += 1;
            while lines.ahead(at).is_some_and(|line| line.starts_with("      ")) && at - read < EXPLANATION_MAX {
                at += 1;
            }
        }
        diagnostic.related.push(related);
        read = at;
        at += usize::from(lines.ahead(at) == Some(""));
    }
    read
}

/// `12   code` and below it the marks, for each line of the span.
struct Snippet {
    rows: usize,
    end: Option<(u32, u32)>,
}

impl Snippet {
    fn read(lines: Lines<'_>, from: usize, indent: usize, first_line: u32) -> Option<Self> {
        let mut snippet = Self { rows: 0, end: None };
        // Number of the code row and the column of its text.
        let mut code: Option<(u32, usize)> = None;
        while snippet.rows < SNIPPET_ROWS_MAX {
            let Some(row) = lines.ahead(from + snippet.rows) else { break };
            let Some(row) = row.get(indent..).filter(|_| row.bytes().take(indent).all(|b| b == b' ')) else { break };
            if code.is_some() && !row.is_empty() && row.bytes().all(|b| matches!(b, b' ' | b'~')) {
                let (line, gutter) = code?;
                if row.contains('~') {
                    snippet.end = u32::try_from(row.trim_end().len() + 1 - gutter.min(row.trim_end().len()))
                        .ok()
                        .map(|column| (line, column));
                }
            } else if code.is_some() && row.trim() == "..." {
                // The middle of a long span is left out.
            } else if let Some((line, gutter)) = numbered(row)
                && (code.is_some() || line == first_line)
            {
                code = Some((line, gutter));
            } else {
                break;
            }
            snippet.rows += 1;
        }
        (snippet.rows > 0).then_some(snippet)
    }

    fn mark_end(&self, diagnostic: &mut Diagnostic) {
        diagnostic.end_line = self.end.map(|(line, _)| line);
        diagnostic.end_column = self.end.map(|(_, column)| column);
    }
}

/// ` 12 code`: the number, and how far in the code starts.
fn numbered(row: &str) -> Option<(u32, usize)> {
    let text = row.trim_start_matches(' ');
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let separated = text.len() == digits || text[digits..].starts_with(' ');
    let line = number(text.get(..digits).filter(|digits| !digits.is_empty() && separated)?)?;
    Some((line, row.len() - text.len() + digits + 1))
}

/// The name tsc would rather see: `Property 'lenght' does not exist on type 'X'. Did you mean 'length'?`
fn did_you_mean(diagnostic: &Diagnostic) -> Option<Suggestion> {
    let (problem, advice) = diagnostic.message.split_once(" Did you mean ")?;
    let advice = ["to write ", "the static member ", "the instance member "]
        .iter()
        .find_map(|words| advice.strip_prefix(words))
        .unwrap_or(advice);
    let replacement = advice.strip_prefix('\'')?.strip_suffix("'?")?;
    // A module stands before the name it does not export; elsewhere the type or module comes after the name.
    let original = match problem.split_once(" named '") {
        Some((_, rest)) => rest.split('\'').next()?,
        None => quoted(problem).next()?,
    };
    if replacement.is_empty() || original.is_empty() || replacement.contains('\'') {
        return None;
    }
    // A literal's column is that of what it is assigned to.
    let column = diagnostic.column.filter(|_| !original.starts_with('"'));
    Some(Suggestion {
        message: format!("Did you mean '{replacement}'?"),
        applicability: Applicability::MaybeIncorrect,
        edits: vec![Edit::Substitute {
            file: diagnostic.file.clone()?,
            line: diagnostic.line?,
            column,
            original: original.to_owned(),
            replacement: replacement.to_owned(),
        }],
    })
}

/// `Found 3 errors in 2 files.` with its table, and what `--watch` says.
fn closing_lines(lines: Lines<'_>, read_errors: bool, sink: &mut Sink) -> usize {
    let line = lines.first();
    if line == "Errors  Files" {
        let row = |line: &&str| line.trim_start().split_once("  ").is_some_and(|(count, _)| number(count).is_some());
        return 1 + (1..RELATED_MAX).map_while(|n| lines.ahead(n)).take_while(row).count();
    }
    let clock = line.split_once("] ").filter(|(clock, _)| clock.starts_with('[')).map_or(line, |(_, text)| text);
    let clock = clock.rsplit_once(" - ").map_or(clock, |(_, text)| text);
    if clock.ends_with(" in watch mode...") || clock.starts_with("File change detected. ") {
        return 1;
    }
    let Some(rest) = clock.strip_prefix("Found ") else { return 0 };
    let Some((count, rest)) = rest.split_once(" error").filter(|(count, _)| number(count).is_some()) else { return 0 };
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    let watching = rest.ends_with(". Watching for file changes.");
    if !(watching || rest == "." || rest.starts_with(" in ")) {
        return 0;
    }
    match count {
        "0" if watching || sink.expects(TOOL.name) => sink.evidence(Evidence::SaysPassed),
        "0" => return 0,
        // Where none was read, they are in a part of the output that is missing.
        _ if read_errors => {}
        _ if sink.expects(TOOL.name) => sink.evidence(Evidence::SaysError),
        _ => return 0,
    }
    1
}
