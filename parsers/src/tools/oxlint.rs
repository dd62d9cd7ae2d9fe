//! oxlint, and others that draw with miette: the message, `╭─[file:3:17]`, the code; oxlint's JSON.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "oxlint",
    kind: Kind::Linter,
    commands: &["oxlint"],
    anchors: &["╭─[", ",-[", "Found 0 warnings and "],
    json: &["\"number_of_rules\""],
    reader: || Box::new(Oxlint),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 200;
const HEAD_LINES_MAX: usize = 12;

struct Oxlint;

impl Reader for Oxlint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(rest) = line.strip_prefix("Found 0 warnings and ") {
            let Some(errors) = rest.strip_suffix(" errors.").or_else(|| rest.strip_suffix(" error.")) else { return 0 };
            if errors == "0" {
                sink.evidence(Evidence::SaysPassed);
            }
            return 1;
        }
        let text = line.trim_start();
        let Some(place) =
            text.strip_prefix("╭─[").or_else(|| text.strip_prefix(",-[")).and_then(|text| text.strip_suffix(']'))
        else {
            return 0;
        };
        let Some(place) = Place::colons(place).filter(|place| place.column.is_some()) else { return 0 };
        let Some((severity, text)) = message(lines) else { return 0 };
        let (code, text) = rule(&text);
        let mut found = Diagnostic {
            severity: Some(severity),
            code: code.map(str::to_owned),
            message: text.to_owned(),
            ..place.diagnostic()
        };
        let mut read = 1;
        while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
            read += 1;
            let text = line.trim_start();
            if text.starts_with("╰──") || text.starts_with("`--") && line.starts_with("  ") && !line.contains(" : ")
            {
                break;
            }
            if found.end_column.is_none() {
                set_end(&mut found, text);
            }
        }
        while let Some((title, text)) = lines
            .ahead(read)
            .and_then(|line| line.trim().split_once(": "))
            .filter(|(title, _)| matches!(*title, "help" | "note"))
        {
            found.related.push(Diagnostic {
                severity: Some(if title == "help" { Severity::Hint } else { Severity::Note }),
                message: text.to_owned(),
                ..Diagnostic::default()
            });
            read += 1;
        }
        sink.diagnostic(found);
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<serde_json::Value>() else { return false };
        let Some(diagnostics) = output["diagnostics"].as_array() else { return false };
        for item in diagnostics {
            let text = |name: &str| item[name].as_str().map(str::to_owned);
            let number = |value: &serde_json::Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
            let span = &item["labels"][0]["span"];
            sink.diagnostic(Diagnostic {
                severity: match item["severity"].as_str() {
                    Some("error") => Some(Severity::Error),
                    Some("warning") => Some(Severity::Warning),
                    Some("advice") => Some(Severity::Info),
                    Some(_) | None => None,
                },
                code: text("code"),
                message: text("message").unwrap_or_default(),
                file: text("filename"),
                line: number(&span["line"]),
                column: number(&span["column"]),
                ..Diagnostic::default()
            });
        }
        if diagnostics.is_empty() && output["number_of_files"].as_u64().is_some_and(|files| files > 0) {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

/// Above the drawing: `  ⚠ eslint(no-debugger): message`, which may go on behind a bar.
fn message(lines: Lines<'_>) -> Option<(Severity, String)> {
    const MARKS: &[(&str, Severity)] = &[
        ("× ", Severity::Error),
        ("x ", Severity::Error),
        ("⚠ ", Severity::Warning),
        ("! ", Severity::Warning),
        ("☞ ", Severity::Info),
        ("> ", Severity::Info),
    ];
    let mut more: Vec<&str> = Vec::new();
    for n in 1..HEAD_LINES_MAX {
        let line = lines.back(n)?.trim_end();
        let text = line.strip_prefix("  ")?;
        if let Some((first, severity)) =
            MARKS.iter().find_map(|(mark, severity)| Some((text.strip_prefix(mark)?, *severity)))
        {
            more.push(first);
            more.reverse();
            return Some((severity, more.join("\n")));
        }
        more.push(text.strip_prefix("│ ").or_else(|| text.strip_prefix("| "))?.trim_end());
    }
    None
}

/// `eslint(no-debugger): message`
fn rule(text: &str) -> (Option<&str>, &str) {
    let named = |code: &str| {
        code.split_once('(').is_some_and(|(plugin, rule)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '@');
            rule.ends_with(')')
                && !plugin.is_empty()
                && plugin.chars().all(plain)
                && rule.trim_end_matches(')').chars().all(plain)
        })
    };
    match text.split_once(": ").filter(|(code, _)| named(code)) {
        Some((code, message)) => (Some(code), message),
        None => (None, text),
    }
}

/// `   ·     ───┬──`, or in ASCII `   :     ^^^|^^`, where it starts at the finding's column.
fn set_end(found: &mut Diagnostic, text: &str) {
    let Some(row) = text.strip_prefix('·').or_else(|| text.strip_prefix(':')).and_then(|row| row.strip_prefix(' '))
    else {
        return;
    };
    let Some(column) = found.column else { return };
    let mut chars = row.chars().skip(usize::try_from(column).unwrap_or(usize::MAX) - 1);
    let before = row.chars().nth(usize::try_from(column).unwrap_or(0).wrapping_sub(2));
    let is_mark = |c: char| matches!(c, '─' | '┬' | '^' | '|' | '▲');
    if before.is_some_and(is_mark) {
        return;
    }
    let width = chars.by_ref().take_while(|c| is_mark(*c)).count();
    if width > 0 && u32::try_from(width).is_ok_and(|width| column.checked_add(width).is_some()) {
        found.end_line = found.line;
        found.end_column = u32::try_from(width).ok().and_then(|width| column.checked_add(width));
    }
}
