//! ESLint's reports as text: stylish (its own, and that of Vale and others), unix and compact.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "eslint",
    kind: Kind::Linter,
    commands: &["eslint", "eslint_d"],
    anchors: &[
        "  error  ",
        "  warning  ",
        "  warn    ",
        "  warning ",
        "  error ",
        "  suggestion ",
        "[Error",
        "[Warning",
        ", Error - ",
        ", Warning - ",
        " problem",
        "potentially fixable",
        "Oops! Something went wrong",
        "ESLint found too many warnings",
    ],
    reader: || Box::new(Eslint::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Eslint {
    /// The file whose rows are being read.
    file: Option<String>,
}

impl Reader for Eslint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if Row::parse(line).is_some() {
            return self.rows(lines, sink);
        }
        if let Some(found) = unix(line).or_else(|| compact(line)) {
            sink.diagnostic(found);
            return 1;
        }
        if line.starts_with("Oops! Something went wrong") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        let here = sink.expects(TOOL.name);
        let counts = line.strip_prefix("✖ ").unwrap_or(line);
        let counted = counts.split_once(" problem").is_some_and(|(count, _)| number(count).is_some());
        usize::from(here && (counted || line.ends_with("with the `--fix` option.") || line.starts_with("ESLint found")))
    }
}

impl Eslint {
    /// All rows of one file; its name stands above the first.
    fn rows(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let above = lines.back(1).unwrap_or("");
        if Row::parse(above).is_none() {
            // Vale sets it in by one.
            let file = above.trim_end();
            let file = file.strip_prefix(' ').filter(|name| name.contains('.') && !name.contains(' ')).unwrap_or(file);
            let is_file = !file.is_empty() && !file.starts_with([' ', '\t']);
            self.file = is_file.then(|| file.to_owned());
        }
        let Some(file) = self.file.clone() else { return 0 };
        let mut read = 0;
        while let Some(row) = lines.ahead(read).and_then(Row::parse) {
            sink.diagnostic(row.diagnostic(&file));
            read += 1;
        }
        read
    }
}

/// `  12:5  error  message  rule`
struct Row<'a> {
    line: u32,
    column: u32,
    severity: Severity,
    message: &'a str,
    rule: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let text = line.strip_prefix(' ')?.trim_start();
        let (place, rest) = text.split_once("  ")?;
        // unified's reporter (remark, alex) prints where it ends as well; vala-lint has a dot between the numbers.
        let place = place.split_once('-').map_or(place, |(start, _)| start);
        let (row, column) = place.split_once(':').or_else(|| place.split_once('.'))?;
        let rest = rest.trim_start();
        let words = [
            ("error", Severity::Error),
            ("warning", Severity::Warning),
            ("warn", Severity::Warning),
            ("suggestion", Severity::Hint),
        ];
        let (severity, rest) = words
            .into_iter()
            .find_map(|(word, severity)| Some((severity, rest.strip_prefix(word)?.strip_prefix(' ')?)))?;
        if !rest.starts_with(' ') {
            return Self::narrow(row, column, severity, rest);
        }
        let text = rest.trim();
        let (message, rule) = match text.rsplit_once("  ") {
            Some((message, rule)) if is_rule(rule) => match message.trim_end().rsplit_once("  ") {
                // The plugin whose rule it is stands last.
                Some((message, inner)) if is_rule(inner) && rule.contains('-') => (message.trim_end(), Some(inner)),
                Some(_) | None => (message.trim_end(), Some(rule)),
            },
            Some(_) | None => (text, None),
        };
        Some(Self { line: number(row)?, column: number(column)?, severity, message, rule })
    }

    /// remark without padding: the plugin's name, which ends the row, tells it from prose.
    fn narrow(row: &str, column: &str, severity: Severity, rest: &'a str) -> Option<Self> {
        let (text, plugin) = rest.trim().rsplit_once(' ')?;
        let (message, rule) = text.rsplit_once(' ')?;
        let named = plugin.ends_with("-lint") && is_rule(rule);
        named.then_some(Self { line: number(row)?, column: number(column)?, severity, message, rule: Some(rule) })
    }

    fn diagnostic(&self, file: &str) -> Diagnostic {
        finding(file, self.line, self.column, self.severity, self.rule, self.message)
    }
}

/// `no-undef`, `@typescript-eslint/no-explicit-any`, oxlint's `eslint(no-undef)`
fn is_rule(text: &str) -> bool {
    let called = text.strip_suffix(')').and_then(|text| text.split_once('('));
    called.map_or_else(|| is_name(text), |(plugin, rule)| is_name(plugin) && is_name(rule))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '@' | '.'))
}

/// What concerns a whole file has line and column 0.
fn finding(file: &str, line: u32, column: u32, severity: Severity, rule: Option<&str>, message: &str) -> Diagnostic {
    Diagnostic {
        severity: Some(severity),
        code: rule.map(str::to_owned),
        message: message.to_owned(),
        file: Some(file.to_owned()),
        line: (line > 0).then_some(line),
        column: (line > 0 && column > 0).then_some(column),
        ..Diagnostic::default()
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "Error" => Some(Severity::Error),
        "Warning" => Some(Severity::Warning),
        _ => None,
    }
}

/// `/path/a.js:18:1: message [Error/rule]`
fn unix(line: &str) -> Option<Diagnostic> {
    let (text, tag) = line.trim_end().strip_suffix(']')?.rsplit_once(" [")?;
    let (word, rule) = tag.split_once('/').map_or((tag, None), |(word, rule)| (word, Some(rule)));
    let severity = severity(word)?;
    let (place, message) =
        text.match_indices(": ").find_map(|(at, _)| Some((Place::colons(&text[..at])?, &text[at + 2..])))?;
    Some(finding(place.file, place.line, place.column?, severity, rule, message))
}

/// `/path/a.js: line 18, col 1, Error - message (rule)`
fn compact(line: &str) -> Option<Diagnostic> {
    let (file, rest) = line.split_once(": line ")?;
    let (row, rest) = rest.split_once(", col ")?;
    let (column, rest) = rest.split_once(", ")?;
    let (word, message) = rest.split_once(" - ")?;
    let (message, rule) = match message.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((text, rule)) if is_rule(rule) => (text, Some(rule)),
        Some(_) | None => (message, None),
    };
    Some(finding(file, number(row)?, number(column)?, severity(word)?, rule, message))
}
