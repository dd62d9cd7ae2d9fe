//! rustc and clippy as people read them: `error[E0425]: …`, ` --> file:line:column`, the drawn snippet, notes and helps.

mod snippet;
mod suggestion;

use super::{Kind, Reader, Tool, ruff};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity, fingerprint};
use snippet::Row;

pub(super) const TOOL: Tool = Tool {
    name: "rustc",
    kind: Kind::Compiler,
    commands: &[
        "rustc",
        "cargo build",
        "cargo check",
        "cargo clippy",
        "cargo rustc",
        "cargo doc",
        "rustdoc",
        "clippy-driver",
    ],
    anchors: &["error[E", "error: ", "warning: ", "warning[E", "note: ", "help: "],
    reader: || Box::new(Rustc),
    ..Tool::DEFAULT
};

struct Rustc;

impl Reader for Rustc {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(header) = Header::parse(lines.first()) else { return 0 };
        if let Some(evidence) = closing_line(&header) {
            let recognised = lines.first().contains("could not compile `")
                || lines.first().contains("aborting due to ")
                || expected(sink);
            if !recognised {
                return 0;
            }
            match evidence {
                Closing::BuildFailed => sink.evidence(Evidence::SaysError),
                Closing::TestsFailed => sink.evidence(Evidence::SaysFailed),
                Closing::Counted => {}
            }
            return 1;
        }
        let block = Block::read(lines);
        // `error: …` alone is anybody's line; an arrow or a code is rustc's.
        let own = block.has_arrow
            || header.code.is_some()
            || (expected(sink) && matches!(header.severity, Severity::Error | Severity::Warning));
        if !own {
            return 0;
        }
        sink.diagnostic(block.diagnostic(&header));
        block.lines
    }
}

fn expected(sink: &Sink) -> bool {
    sink.expects(TOOL.name) || sink.expects("libtest")
}

struct Header<'a> {
    severity: Severity,
    code: Option<&'a str>,
    message: &'a str,
}

impl<'a> Header<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (severity, rest) = [
            ("error", Severity::Error),
            ("warning", Severity::Warning),
            ("note", Severity::Note),
            ("help", Severity::Hint),
        ]
        .into_iter()
        .find_map(|(word, severity)| Some((severity, line.strip_prefix(word)?)))?;
        let (code, rest) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (code, rest) = rest.split_once(']')?;
                (Some(code), rest)
            }
            None => (None, rest),
        };
        let message = rest.strip_prefix(": ")?.trim_end();
        (!message.is_empty()).then_some(Self { severity, code, message })
    }
}

enum Closing {
    BuildFailed,
    TestsFailed,
    Counted,
}

/// Lines that sum up what was printed before; they are no findings of their own.
fn closing_line(header: &Header<'_>) -> Option<Closing> {
    const BUILD_FAILED: &[&str] = &["aborting due to ", "could not compile `", "could not document `", "build failed"];
    const TESTS_FAILED: &[&str] = &["test failed, to rerun pass", "doctest failed, to rerun pass", "bench failed"];
    let message = header.message;
    let starts = |list: &[&str]| list.iter().any(|start| message.starts_with(start));
    let counts = message.starts_with(|c: char| c.is_ascii_digit());
    if starts(BUILD_FAILED) {
        return Some(Closing::BuildFailed);
    }
    match header.severity {
        Severity::Error if starts(TESTS_FAILED) => Some(Closing::TestsFailed),
        Severity::Error if counts && message.contains(" target") && message.contains(" failed") => {
            Some(Closing::TestsFailed)
        }
        Severity::Error => (counts && message.ends_with(" previous errors")).then_some(Closing::BuildFailed),
        Severity::Warning => {
            let emitted = counts && message.contains(" warning") && message.ends_with(" emitted");
            let generated = message.starts_with('`') && message.contains(" generated ") && message.contains(" warning");
            (emitted || generated).then_some(Closing::Counted)
        }
        Severity::Note | Severity::Info | Severity::Hint => None,
    }
}

/// A shorter label repeats a message by chance.
const REPEATED_BYTES_MIN: usize = 8;

/// A header and everything that hangs on it, up to the blank line.
struct Block<'a> {
    lines: usize,
    has_arrow: bool,
    sections: Vec<Section<'a>>,
}

/// The primary section, then one for each note and help.
#[derive(Default)]
pub(super) struct Section<'a> {
    severity: Option<Severity>,
    message: &'a str,
    place: Option<Place<'a>>,
    rows: Vec<Row<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Block<'a> {
    fn read(lines: Lines<'a>) -> Self {
        let mut sections = vec![Section::default()];
        let mut has_arrow = false;
        let mut inside_drawing = false;
        let mut read = 1;
        while let Some(line) = lines.ahead(read) {
            let text = line.trim_start();
            if text.is_empty() {
                break;
            }
            let section = sections.last_mut().expect("it starts with one section");
            if let Some(place) = arrow(text) {
                // ruff's first finding may follow its warnings without an empty line.
                if !has_arrow
                    && read > 1
                    && lines.ahead(read - 1).is_some_and(|line| ruff::is_headline(line, place.file))
                {
                    break;
                }
                has_arrow = true;
                inside_drawing = true;
                if section.place.is_none() {
                    section.place = Some(place);
                }
            } else if text.starts_with("::: ") {
                // The rest of the snippet is of another file.
                section.rows.push(Row::OTHER_FILE);
            } else if let Some(row) = Row::parse(line) {
                inside_drawing = true;
                section.rows.push(row);
            } else if let Some((severity, message)) = attached(text) {
                inside_drawing = true;
                sections.push(Section { severity: Some(severity), message, ..Section::default() });
            } else if let Some(header) = Header::parse(line) {
                match header.severity {
                    Severity::Note | Severity::Hint => {
                        sections.push(Section {
                            severity: Some(header.severity),
                            message: header.message,
                            ..Section::default()
                        });
                    }
                    Severity::Error | Severity::Warning | Severity::Info => break,
                }
            } else if inside_drawing && !line.starts_with([' ', '\t']) {
                break;
            }
            read += 1;
        }
        Self { lines: read, has_arrow, sections }
    }

    fn diagnostic(&self, header: &Header<'_>) -> Diagnostic {
        let mut diagnostic = Diagnostic {
            source: source(header, &self.sections).to_owned(),
            severity: Some(header.severity),
            code: header.code.map(str::to_owned),
            message: header.message.to_owned(),
            ..Diagnostic::default()
        };
        let [primary, children @ ..] = self.sections.as_slice() else { return diagnostic };
        primary.locate(&mut diagnostic);
        primary.prefer_repeated(&mut diagnostic);
        diagnostic.fingerprint = fingerprint::of(&diagnostic);
        primary.labels(&mut diagnostic);
        for child in children {
            // The lint's name is printed with its first finding only, so it is no part of the fingerprint.
            if diagnostic.code.is_none() {
                diagnostic.code = lint_name(child.message).map(str::to_owned);
            }
            let mut related =
                Diagnostic { severity: child.severity, message: child.message.to_owned(), ..Diagnostic::default() };
            child.locate(&mut related);
            if child.severity == Some(Severity::Hint)
                && let Some(suggestion) = suggestion::from_section(child, primary.place)
            {
                diagnostic.suggestions.push(suggestion);
            }
            child.labels(&mut related);
            diagnostic.related.append(&mut related.related);
            diagnostic.related.push(related);
        }
        diagnostic
    }
}

impl Section<'_> {
    fn locate(&self, diagnostic: &mut Diagnostic) {
        let Some(place) = self.place else { return };
        diagnostic.file = Some(place.file.to_owned());
        diagnostic.line = Some(place.line);
        diagnostic.column = Some(place.column);
        if let Some(end) = snippet::end_of_span(&self.rows, place.line, place.column) {
            diagnostic.end_line = Some(end.line);
            diagnostic.end_column = Some(end.column);
        }
    }

    /// Of several spans drawn with `^` the arrow names the first in the file; the one whose label says what the message
    /// says is the place that is meant.
    fn prefer_repeated(&self, diagnostic: &mut Diagnostic) {
        let Some(place) = self.place else { return };
        let labels = snippet::labels(&self.rows, place.line, place.column);
        let mut primaries = labels.iter().filter(|label| label.is_primary);
        let repeats = |text: &str| text.len() >= REPEATED_BYTES_MIN && diagnostic.message.starts_with(text);
        if primaries.clone().count() < 2 {
            return;
        }
        if let Some(label) = primaries.find(|label| repeats(label.text)) {
            (diagnostic.line, diagnostic.column) = (Some(label.line), Some(label.column));
            (diagnostic.end_line, diagnostic.end_column) = (Some(label.line), Some(label.end_column));
        }
    }

    /// Labels beside the drawn spans; `help: …: \`code\`` among them is a suggestion.
    fn labels(&self, diagnostic: &mut Diagnostic) {
        let Some(place) = self.place else { return };
        for label in snippet::labels(&self.rows, place.line, place.column) {
            let help = label.text.strip_prefix("help: ");
            if let Some(help) = help {
                diagnostic.suggestions.extend(suggestion::from_label(help, place.file, &label));
            }
            diagnostic.related.push(Diagnostic {
                severity: Some(if help.is_some() { Severity::Hint } else { Severity::Note }),
                message: help.unwrap_or(label.text).to_owned(),
                file: Some(place.file.to_owned()),
                line: Some(label.line),
                column: Some(label.column),
                end_line: Some(label.line),
                end_column: Some(label.end_column),
                ..Diagnostic::default()
            });
        }
    }
}

/// `--> file:line:column`, where the file may hold colons (`C:\x.rs`, `<anon>`).
fn arrow(text: &str) -> Option<Place<'_>> {
    let place = text.strip_prefix("--> ")?;
    let (rest, column) = place.trim_end().rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some(Place { file, line: line.parse().ok()?, column: column.parse().ok()? })
}

/// `= note: …`
fn attached(text: &str) -> Option<(Severity, &str)> {
    let text = text.strip_prefix("= ")?;
    let (word, message) = text.split_once(": ")?;
    let severity = match word {
        // What hangs on a finding is no finding of its own, even where rustc calls it a warning.
        "note" | "warning" | "error" => Severity::Note,
        "help" => Severity::Hint,
        _ => return None,
    };
    Some((severity, message))
}

/// The lint in "`#[warn(unused_imports)]` on by default", "requested on the command line with `-D clippy::x`" and
/// "`-D clippy::x` implied by `-D warnings`".
fn lint_name(note: &str) -> Option<&str> {
    let inside = note.strip_prefix("`#[").and_then(|rest| rest.split_once(")]`"));
    if let Some((attribute, rest)) = inside {
        let (level, lint) = attribute.split_once('(')?;
        let on = rest.contains("on by default") || rest.contains("implied by");
        return (on && matches!(level, "warn" | "deny" | "forbid")).then_some(lint);
    }
    let flag = match note.strip_prefix("requested on the command line with ") {
        Some(flag) => flag,
        None if note.contains("` implied by `") => note,
        None => return None,
    };
    let flag = flag.strip_prefix('`')?.split('`').next()?;
    let lint = flag.strip_prefix("-D ").or_else(|| flag.strip_prefix("-W ")).or_else(|| flag.strip_prefix("-F "))?;
    lint.contains(|c: char| c.is_ascii_lowercase()).then_some(lint)
}

fn source(header: &Header<'_>, sections: &[Section<'_>]) -> &'static str {
    let clippy = |text: &str| text.contains("clippy::") || text.contains("rust-clippy");
    if header.code.is_none() && sections.iter().any(|section| clippy(section.message)) { "clippy" } else { TOOL.name }
}
