//! Forms of compilers and checkers that say the place late: lint, makepp, graphviz, groovyc, Maven's POMs, TeX, RPM, MATLAB.

use super::forms::{digits, is_file, place};
use super::numbers::Numbers;
use super::{Found, severity};
use crate::Severity;

pub(super) fn read(text: &str) -> Option<Found<'_>> {
    const FORMS: &[fn(&str) -> Option<Found<'_>>] =
        &[lint, ada, makepp, graphviz, nowhere, tex, matlab, statix, cucumber, json, yaml, shader];
    FORMS.iter().find_map(|form| form(text))
}

/// `x defined but never used: f in a.c(12)`, `x ( /a/b.c(4) ), but never used`, `f: llib-lc(3)  ::  /a/b.c(8)`
fn lint(text: &str) -> Option<Found<'_>> {
    let (message, rest) = ["  ::  ", " ( ", " in "]
        .iter()
        .find_map(|mark| text.rsplit_once(mark))
        .filter(|(message, _)| !message.is_empty())?;
    let (file, rest) = rest.split_once('(')?;
    let (line, rest) = digits(rest)?;
    let source = [".c", ".h", ".y", ".l"].iter().any(|end| file.ends_with(end));
    let ended = rest.strip_prefix(')').is_some_and(|rest| rest.is_empty() || rest.starts_with(" )"));
    (source && ended && is_file(file)).then_some(Found {
        file,
        numbers: place(line, None),
        severity: None,
        message,
        code: None,
    })
}

/// GNAT's `message at a.adb:12`
fn ada(text: &str) -> Option<Found<'_>> {
    let (message, place_of) = text.rsplit_once(" at ")?;
    let (file, line) = place_of.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    (file.ends_with(".adb") || file.ends_with(".ads")).then_some(Found {
        file,
        numbers: place(line, None),
        severity: None,
        message,
        code: None,
    })
}

/// ``makepp: message `/a/Makeppfile:12' message``
fn makepp(text: &str) -> Option<Found<'_>> {
    let message = text.strip_prefix("makepp: ")?;
    let (_, rest) = message.split_once('`')?;
    let (file, line) = rest.split_once('\'')?.0.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    Some(Found { file, numbers: place(line, None), severity: None, message, code: None })
}

/// `Error: a.gv: syntax error in line 5 near '->'`
fn graphviz(text: &str) -> Option<Found<'_>> {
    let (Some(severity), rest) = severity::prefix(text)? else { return None };
    let (file, message) = rest.split_once(": ")?;
    let (_, rest) = message.split_once(" in line ")?;
    let (line, rest) = digits(rest)?;
    (is_file(file) && (rest.is_empty() || rest.starts_with([' ', '.', ',']))).then_some(Found {
        file,
        numbers: place(line, None),
        severity: Some(severity),
        message,
        code: None,
    })
}

/// groovyc's `a.groovy: 2: message @ line 2, column 14.`, Maven's `[FATAL] Non-parseable POM /a/pom.xml: message @12:5`
pub(super) fn at_line(text: &str) -> Option<Found<'_>> {
    let (head, rest) = text.rsplit_once(" @ line ").or_else(|| text.rsplit_once(" @"))?;
    let (line, rest) = digits(rest)?;
    let (column, rest) = rest.strip_prefix(", column ").or_else(|| rest.strip_prefix(':')).and_then(digits)?;
    let (severity, head) = severity::prefix(head).filter(|(said, _)| said.is_some()).unwrap_or((None, head));
    let pom = ["Non-parseable POM ", "Malformed POM "].iter().find_map(|start| head.strip_prefix(start));
    let (file, message) = pom.unwrap_or(head).split_once(": ")?;
    let (numbered, message) = match message.split_once(": ") {
        Some((number, message)) if digits(number) == Some((line, "")) => (true, message),
        Some(_) | None => (false, message),
    };
    let ended = rest.is_empty() || rest == ".";
    let file = if is_file(file) { file } else { "" };
    (ended && (numbered || pom.is_some())).then_some(Found {
        file,
        numbers: place(line, Some(column)),
        severity,
        message,
        code: None,
    })
}

/// `error: line 2: Unknown tag`, `Error: message (line: 3, column: 9)`
fn nowhere(text: &str) -> Option<Found<'_>> {
    let (word, rest) = text.split_once(": ")?;
    let severity = severity::only(word)??;
    if let Some((line, message)) = rest.strip_prefix("line ").and_then(digits) {
        let message = message.strip_prefix(": ")?;
        return Some(Found { file: "", numbers: place(line, None), severity: Some(severity), message, code: None });
    }
    let (message, rest) = rest.rsplit_once(" (line: ")?;
    let (line, rest) = digits(rest)?;
    let column = rest.strip_suffix(')')?.strip_prefix(", column: ").and_then(digits).map(|(column, _)| column);
    Some(Found { file: "", numbers: place(line, column), severity: Some(severity), message, code: None })
}

/// ``LaTeX Warning: Reference `x' on page 1 undefined on input line 12.``
fn tex(text: &str) -> Option<Found<'_>> {
    let (who, message) = text.split_once(" Warning: ")?;
    let said = who.starts_with("LaTeX") || who.starts_with("Package ") || who.starts_with("Class ");
    let (_, line) = message.rsplit_once(" on input line ")?;
    let (line, rest) = digits(line)?;
    (said && rest.trim_end_matches('.').is_empty()).then_some(Found {
        file: "",
        numbers: place(line, None),
        severity: Some(Severity::Warning),
        message,
        code: None,
    })
}

/// mlint's `L 1 (C 7-9): CLALL: ML0: message`
fn matlab(text: &str) -> Option<Found<'_>> {
    let (line, rest) = digits(text.strip_prefix("L ")?)?;
    let (column, rest) = digits(rest.strip_prefix(" (C ")?)?;
    let (end, rest) = match rest.strip_prefix('-').and_then(digits) {
        Some((end, rest)) => (Some(end), rest),
        None => (None, rest),
    };
    let rest = rest.strip_prefix("): ")?;
    let upper = |word: &str| word.len() <= 8 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let (code, message) = match rest.split_once(": ") {
        Some((code, message)) if upper(code) => (Some(code), message),
        Some(_) | None => (None, rest),
    };
    let message = message.split_once(": ").filter(|(level, _)| upper(level)).map_or(message, |(_, message)| message);
    let numbers = Numbers {
        line,
        column: Some(column),
        end_line: end.map(|_| line),
        end_column: end.and_then(|end| end.checked_add(1)),
    };
    Some(Found { file: "", numbers, severity: None, message, code })
}

/// statix's `a.nix>46:13:W:3:message`
fn statix(text: &str) -> Option<Found<'_>> {
    let (file, rest) = text.split_once('>')?;
    let (line, rest) = digits(rest)?;
    let (column, rest) = rest.strip_prefix(':').and_then(digits)?;
    let (letter, rest) = rest.strip_prefix(':')?.split_once(':')?;
    let severity = severity::of_letter(letter)?;
    let (code, message) = rest.split_once(':')?;
    is_file(file).then_some(Found {
        file,
        numbers: place(line, Some(column)),
        severity: Some(severity),
        message,
        code: Some(code),
    })
}

/// `cucumber features/a.feature:6 # Scenario: name`: what to run again.
fn cucumber(text: &str) -> Option<Found<'_>> {
    let (place_of, message) = text.strip_prefix("cucumber ")?.split_once(" # ")?;
    let (file, line) = place_of.rsplit(' ').next()?.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    file.ends_with(".feature").then_some(Found {
        file,
        numbers: place(line, None),
        severity: None,
        message,
        code: None,
    })
}

/// Python's `Extra data: line 1 column 44 (char 43)`
fn json(text: &str) -> Option<Found<'_>> {
    let (message, rest) = text.rsplit_once(": line ")?;
    let (line, rest) = digits(rest)?;
    let (column, rest) = rest.strip_prefix(" column ").and_then(digits)?;
    let told = rest.strip_prefix(" (char ").and_then(digits).is_some_and(|(_, rest)| rest.starts_with(')'));
    // A traceback tells it with the exception's name.
    let bare = !message.split(' ').next().is_some_and(|word| word.contains('.') || word.ends_with("Error:"));
    (told && bare).then_some(Found {
        file: "",
        numbers: place(line, Some(column)),
        severity: None,
        message,
        code: None,
    })
}

/// js-yaml's `YAMLException: message (3:7)`
fn yaml(text: &str) -> Option<Found<'_>> {
    let (message, rest) = text.strip_prefix("YAMLException: ")?.rsplit_once(" (")?;
    let (line, rest) = digits(rest)?;
    let (column, ")") = digits(rest.strip_prefix(':')?)? else { return None };
    Some(Found { file: "", numbers: place(line, Some(column)), severity: Some(Severity::Error), message, code: None })
}

/// GLSL's `ERROR: 0:5: message`: the first number counts sources.
fn shader(text: &str) -> Option<Found<'_>> {
    let (word, rest) = text.split_once(": 0:")?;
    let severity = severity::only(word)??;
    let (line, rest) = digits(rest)?;
    let message = rest.strip_prefix(": ")?;
    Some(Found { file: "", numbers: place(line, None), severity: Some(severity), message, code: None })
}
