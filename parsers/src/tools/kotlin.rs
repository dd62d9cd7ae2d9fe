//! kotlinc in both its forms, detekt and ktlint: `Main.kt:7:29: error: message`, `e: file:///Main.kt:7:29 message`.

use super::place::{Place, marks, number};
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "kotlinc",
    kind: Kind::Compiler,
    commands: &["kotlinc", "kotlinc-jvm", "kotlinc-js", "kotlinc-native"],
    anchors: &[".kt:", ".kts:"],
    reader: || Box::new(Kotlin),
    ..Tool::DEFAULT
};

/// ktlint and detekt print the same places, and rules instead of severities.
pub(super) const KTLINT: Tool = Tool {
    name: "ktlint",
    kind: Kind::Linter,
    commands: &["ktlint", "detekt", "detekt-cli"],
    anchors: &[".kt:", ".kts:"],
    reader: || Box::new(Ktlint),
    ..Tool::DEFAULT
};

struct Kotlin;

impl Reader for Kotlin {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        let Some(mut found) = gradle(line).or_else(|| plain(line)) else { return 0 };
        let caret = lines.ahead(2).and_then(marks).filter(|(column, _)| found.column == Some(*column));
        let read = if caret.is_some() { 3 } else { 1 };
        if let Some((column, width)) = caret {
            found.end_line = found.line;
            found.end_column = column.checked_add(width).filter(|_| width > 1);
            found.end_line = found.end_column.and(found.end_line);
        }
        sink.diagnostic(found);
        read
    }
}

/// `Main.kt:7:29: error: message`
fn plain(line: &str) -> Option<Diagnostic> {
    let (place, text) = placed(line)?;
    let (word, message) = text.trim_start().split_once(": ")?;
    let severity = match word {
        "error" | "exception" => Severity::Error,
        "warning" | "strong warning" => Severity::Warning,
        "info" => Severity::Info,
        _ => return None,
    };
    Some(finding(place, Some(severity), message))
}

/// `e: file:///w/Main.kt:7:29 message`, and before Kotlin 1.7 `e: /w/Main.kt: (7, 29): message`
fn gradle(line: &str) -> Option<Diagnostic> {
    let (severity, rest) = match line.strip_prefix("e: ") {
        Some(rest) => (Severity::Error, rest),
        None => (Severity::Warning, line.strip_prefix("w: ")?),
    };
    let rest = rest.strip_prefix("file://").unwrap_or(rest);
    if let Some((file, rest)) = rest.split_once(": (") {
        let (at, message) = rest.split_once("): ")?;
        let (row, column) = at.split_once(", ")?;
        let place = Place { file, line: number(row)?, column: number(column) };
        return is_kotlin(file).then(|| finding(place, Some(severity), message));
    }
    let (place, message) = placed(rest)?;
    // No colon stands between the column and the message.
    let (place, message) = match message.split_once(' ').and_then(|(column, rest)| Some((number(column)?, rest))) {
        Some((column, rest)) if place.column.is_none() => (Place { column: Some(column), ..place }, rest),
        Some(_) | None => (place, message),
    };
    Some(finding(place, Some(severity), message.trim()))
}

struct Ktlint;

impl Reader for Ktlint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(found) = ktlint(lines.first().trim_end()).or_else(|| detekt(lines.first().trim_end())) else {
            return 0;
        };
        sink.diagnostic(found);
        1
    }
}

/// `/w/Main.kt:7:29: Unexpected spacing (standard:curly-spacing)`
fn ktlint(line: &str) -> Option<Diagnostic> {
    let (place, text) = placed(line).filter(|(place, _)| place.column.is_some())?;
    let (message, rule) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let named = rule.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b':' | b'_'));
    if !named || rule.is_empty() || message.trim().is_empty() {
        return None;
    }
    let code = Some(rule.to_owned());
    // ktlint has no severities: whatever it finds fails the check.
    Some(Diagnostic { code, ..finding(place, Some(Severity::Error), message.trim()) })
}

/// `/w/Main.kt:7:29: message. [MagicNumber]`
fn detekt(line: &str) -> Option<Diagnostic> {
    let (place, text) = placed(line).filter(|(place, _)| place.column.is_some())?;
    let (message, rule) = text.strip_suffix(']')?.rsplit_once(" [")?;
    let named = rule.starts_with(|c: char| c.is_ascii_uppercase()) && rule.bytes().all(|b| b.is_ascii_alphanumeric());
    (named && !message.trim_start().starts_with("error:") && !message.trim_start().starts_with("warning:")).then(|| {
        Diagnostic {
            source: "detekt".to_owned(),
            code: Some(rule.to_owned()),
            ..finding(place, Some(Severity::Warning), message.trim())
        }
    })
}

fn placed(line: &str) -> Option<(Place<'_>, &str)> {
    let found = Place::before_text(line, ".kt").or_else(|| Place::before_text(line, ".kts"))?;
    (!found.0.file.contains(" at ") && !found.0.file.contains('(')).then_some(found)
}

fn is_kotlin(file: &str) -> bool {
    file.ends_with(".kt") || file.ends_with(".kts")
}

fn finding(place: Place<'_>, severity: Option<Severity>, message: &str) -> Diagnostic {
    Diagnostic { severity, message: message.to_owned(), ..place.diagnostic() }
}

#[cfg(test)]
mod tests {
    use crate::{Diagnostic, Severity, ToolOutput, parse};

    fn read(line: &str) -> Option<Diagnostic> {
        let text = format!("{line}\n");
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics.pop()
    }

    /// From the documentation of Gradle's plugin, ktlint and detekt.
    #[test]
    fn each_tool_is_told_by_its_form() {
        for (line, source, code, message) in [
            ("e: file:///w/Main.kt:7:29 Unresolved reference: cost", "kotlinc", None, "Unresolved reference: cost"),
            ("e: /w/Main.kt: (7, 29): Unresolved reference: cost", "kotlinc", None, "Unresolved reference: cost"),
            (
                "/w/Main.kt:7:29: Missing space (standard:curly-spacing)",
                "ktlint",
                Some("standard:curly-spacing"),
                "Missing space",
            ),
            (
                "/w/Main.kt:7:29: This is a magic number. [MagicNumber]",
                "detekt",
                Some("MagicNumber"),
                "This is a magic number.",
            ),
        ] {
            let found = read(line).unwrap_or_else(|| panic!("not read: {line}"));
            assert_eq!((found.source.as_str(), found.code.as_deref(), found.message.as_str()), (source, code, message));
            assert_eq!((found.file.as_deref(), found.line, found.column), (Some("/w/Main.kt"), Some(7), Some(29)));
        }
        assert_eq!(read("w: file:///w/a.kts:1:2 old").and_then(|found| found.severity), Some(Severity::Warning));
    }
}
