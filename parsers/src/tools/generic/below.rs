//! Places that stand alone on a line, with the message on another.

use super::numbers::{self, Numbers};
use super::{Found, path, severity};
use crate::Severity;
use crate::window::Lines;

/// What was found, and how many lines it takes.
type Read<'a> = Option<(Found<'a>, usize)>;

pub(super) fn read(lines: Lines<'_>) -> Read<'_> {
    const FORMS: &[for<'a> fn(Lines<'a>) -> Read<'a>] = &[
        super::drawn::ruled,
        headed,
        beneath,
        tcl,
        docstyle,
        sibling,
        alone,
        powershell,
        simulator,
        bracketed,
        entity,
    ];
    FORMS.iter().find_map(|form| form(lines))
}

/// Tcl: the message, `    while executing`, code, then `    (file "a.tcl" line 3)`.
fn tcl(lines: Lines<'_>) -> Read<'_> {
    let (file, rest) = lines.first().trim().strip_prefix("(file \"")?.split_once("\" line ")?;
    let numbers =
        Numbers { line: rest.strip_suffix(')')?.parse().ok()?, column: None, end_line: None, end_column: None };
    let mut above = (1..=Lines::BACK_MAX).map_while(|n| lines.back(n));
    above.find(|line| *line == "    while executing")?;
    let message = above.next().filter(|line| !line.is_empty())?;
    Some((Found { file, numbers, severity: Some(Severity::Error), message, code: None }, 1))
}

/// csslint's `1: warning at line 3, col 4`, the message on the next line; the file's name stands alone above.
fn headed(lines: Lines<'_>) -> Read<'_> {
    const ABOVE_MAX: usize = 40;
    let (number, rest) = lines.first().split_once(": ")?;
    let (word, rest) = rest.split_once(" at line ")?;
    let severity = severity::only(word)??;
    let (line, column) = rest.trim_end().split_once(", col ")?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let numbers = Numbers { line: line.parse().ok()?, column: column.parse().ok(), end_line: None, end_column: None };
    let message = lines.ahead(1).map(str::trim).filter(|text| !text.is_empty())?;
    let file = (1..=ABOVE_MAX)
        .map_while(|n| lines.back(n))
        .map(str::trim)
        .find(|text| path::kind(text) == path::Kind::File && !text.contains(' '));
    Some((Found { file: file.unwrap_or(""), numbers, severity: Some(severity), message, code: None }, 2))
}

/// ansible-lint's `name[play]: message` and cfn-lint's `E1012 message`, the place alone on the line below.
fn beneath(lines: Lines<'_>) -> Read<'_> {
    let line = lines.first();
    let place = line.trim_end();
    let (place, task) = place.split_once(" Task/Handler: ").map_or((place, false), |(place, _)| (place, true));
    let (file, numbers) = place_alone(place)?;
    let message = lines.back(1)?;
    let (rule, rest) = message.split_once(' ')?;
    let number = |code: &str| code.len() == 5 && code[1..].bytes().all(|b| b.is_ascii_digit());
    let coded = rule.starts_with(['E', 'W', 'I']) && rule.is_ascii() && number(rule);
    let named = rule.strip_suffix(':').is_some_and(|rule| {
        let (name, tag) = rule.strip_suffix(']').and_then(|rule| rule.split_once('[')).unwrap_or((rule, ""));
        let plain = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        // A tag or a task says that it is a rule's name; a word before a colon may be anything.
        !name.is_empty() && plain(name) && tag.bytes().all(|b| b.is_ascii_graphic()) && (!tag.is_empty() || task)
    });
    (!line.starts_with([' ', '\t']) && (coded || named) && rest.contains(' '))
        .then_some((Found { file, numbers, severity: None, message, code: None }, 1))
}

/// `a.rb:57 Message`: no separator, so one must stand beside another.
fn sibling(lines: Lines<'_>) -> Read<'_> {
    let read = |line: &'_ str| -> Option<usize> {
        let (place, message) = line.split_once(' ')?;
        let words = message.split(' ').count() > 2 && message.starts_with(|c: char| c.is_ascii_uppercase());
        (words && place_alone(place).is_some()).then_some(place.len())
    };
    let line = lines.first();
    let end = read(line)?;
    let beside = [lines.back(1), lines.ahead(1)].into_iter().flatten().any(|other| read(other).is_some());
    let (file, numbers) = place_alone(&line[..end])?;
    beside.then_some((Found { file, numbers, severity: None, message: line[end..].trim(), code: None }, 1))
}

/// pydocstyle: `a/b.py:1 at module level:`, then `        D100: message`.
fn docstyle(lines: Lines<'_>) -> Read<'_> {
    let line = lines.first();
    let (place, rest) = line.split_once(' ')?;
    if !(rest.starts_with("at module level") || rest.starts_with("in ")) || !rest.ends_with(':') {
        return None;
    }
    let (file, numbers) = place_alone(place)?;
    let message = lines.ahead(1).filter(|next| next.starts_with("   "))?.trim();
    let (code, _) = message.split_once(": ")?;
    let coded = code.starts_with(|c: char| c.is_ascii_uppercase()) && code.ends_with(|c: char| c.is_ascii_digit());
    coded.then_some((Found { file, numbers, severity: None, message, code: None }, 2))
}

/// `a/b.hs:3:4:` or `Warning: /a/b.pl:9:`, then the message: indented, behind `Warning:`, or in gfortran's way some lines below
/// behind `Error: `.
fn alone(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 8;
    let line = lines.first().trim_end();
    let text = line.trim_start();
    let (said, text) = match text.split_once(": ") {
        Some((word, rest)) => (severity::only(word)?, rest),
        None => (None, text),
    };
    if said.is_none() && line.starts_with([' ', '\t']) {
        return None;
    }
    let colon = text.ends_with(':');
    let (file, numbers) = place_alone(text.trim_end_matches(':'))?;
    for n in 1..=BELOW_MAX {
        let Some(next) = lines.ahead(n) else { break };
        let below = next.trim();
        let cut = severity::cut(below);
        if let Some(severity) = cut.severity
            && below.split_once(": ").is_some_and(|(word, _)| severity::only(word).is_some())
        {
            return Some((Found { file, numbers, severity: Some(severity), message: below, code: None }, n + 1));
        }
        // The message at once, with what it is about indented.
        if n == 1 && said.is_some() && is_numbered(below) {
            // pug's, past the code and a gap
            let gap = (2..=BELOW_MAX + 4).find(|n| lines.ahead(*n).is_some_and(str::is_empty))?;
            let message = lines.ahead(gap + 1).map(str::trim).filter(|text| !text.is_empty())?;
            return Some((Found { file, numbers, severity: said, message, code: None }, gap + 2));
        }
        if n == 1 && said.is_some() && next.starts_with([' ', '\t']) && !below.is_empty() {
            return Some((Found { file, numbers, severity: said, message: below, code: None }, 2));
        }
        let sentence = below.len() > 8 && below.contains(' ') && !below.starts_with(['|', '^']);
        if n == 1 && sentence && colon && numbers.column.is_some() && below.starts_with(|c: char| c.is_alphabetic()) {
            return Some((Found { file, numbers, severity: None, message: below, code: None }, 2));
        }
        // packwerk
        if n == 1 && sentence && !colon && numbers.column.is_some() && below.contains(" violation: ") {
            return Some((Found { file, numbers, severity: None, message: below, code: None }, 2));
        }
        if n == 1 && !colon || place_alone(below.trim_end_matches(':')).is_some() {
            break;
        }
    }
    None
}

/// `> 2| code`
fn is_numbered(line: &str) -> bool {
    line.trim_start_matches(['>', ' '])
        .split_once('|')
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// `1. WARNING in /a/B.java (at line 10)`, the code, a row of carets, then the message.
pub(super) fn eclipse(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 6;
    let (head, rest) = lines.first().split_once(" (at line ")?;
    let (line, _) = rest.split_once(')')?;
    // Ant puts its tag before every line.
    let head = head.trim_start();
    let (tag, head) = match head.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => (&head[..head.len() - rest.len()], rest),
        None => ("", head),
    };
    let bare = |line: &'_ str| -> Option<usize> {
        let text = line.trim_start();
        let rest = text.strip_prefix(tag.trim_end()).filter(|_| !tag.is_empty()).unwrap_or(text);
        Some(line.len() - rest.trim_start().len())
    };
    let (number, rest) = head.split_once(". ")?;
    let (word, file) = rest.split_once(" in ")?;
    let severity = severity::only(word)??;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let numbers = Numbers { line: line.parse().ok()?, column: None, end_line: None, end_column: None };
    (1..=BELOW_MAX).find_map(|n| {
        let (marks, message) = (lines.ahead(n)?, lines.ahead(n + 1)?);
        let (marks, message) = (marks[bare(marks)?..].trim(), message[bare(message)?..].trim());
        (!marks.is_empty() && marks.bytes().all(|b| b == b'^') && !message.is_empty())
            .then_some((Found { file: file.trim(), numbers, severity: Some(severity), message, code: None }, n + 2))
    })
}

/// `At C:\a.ps1:8 char:29`, code behind `+`, then the message.
fn powershell(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 6;
    let (head, column) = lines.first().strip_prefix("At ")?.split_once(" char:")?;
    let (file, line) = head.rsplit_once(':')?;
    let column: String = column.chars().take_while(char::is_ascii_digit).collect();
    let numbers = Numbers { line: line.parse().ok()?, column: column.parse().ok(), end_line: None, end_column: None };
    let file = if file == "line" { "" } else { file };
    let below = (1..=BELOW_MAX).find_map(|n| {
        let text = lines.ahead(n)?.trim();
        (!text.is_empty() && !text.starts_with('+')).then_some((text, n))
    });
    // An error's own message stands above.
    let (message, read) = match (below, lines.back(1).map(str::trim).filter(|above| !above.is_empty())) {
        (Some((message, n)), None) => (message, n + 1),
        (_, Some(above)) => (above, 1),
        (None, None) => return None,
    };
    Some((Found { file, numbers, severity: Some(Severity::Error), message, code: None }, read))
}

/// A simulator's `# ** Error: message`, then `#    Time: 0 us  Scope: a.b File: /a/b.sv Line: 312`.
fn simulator(lines: Lines<'_>) -> Read<'_> {
    let (head, line) = lines.first().split_once(" Line: ")?;
    let (_, file) = head.split_once(" File: ")?;
    let above = lines.back(1)?.trim_start_matches(['#', ' ', '*']);
    let severity = severity::cut(above).severity?;
    let numbers = Numbers { line: line.trim().parse().ok()?, column: None, end_line: None, end_column: None };
    Some((Found { file: file.trim(), numbers, severity: Some(severity), message: above, code: None }, 1))
}

/// Maven with Eclipse's compiler: `[WARNING] /a/B.java:[13]`, the code, carets, the message.
fn bracketed(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 4;
    let (tag, rest) = lines.first().strip_prefix('[')?.split_once("] ")?;
    let severity = severity::only(tag)??;
    let (file, line) = rest.trim_end().strip_suffix(']')?.rsplit_once(":[")?;
    let numbers = Numbers { line: line.parse().ok()?, column: None, end_line: None, end_column: None };
    (1..=BELOW_MAX).find_map(|n| {
        let marks = lines.ahead(n)?.trim();
        let message = lines.ahead(n + 1)?.trim();
        (!marks.is_empty() && marks.bytes().all(|b| b == b'^') && !message.is_empty())
            .then_some((Found { file, numbers, severity: Some(severity), message, code: None }, n + 2))
    })
}

/// RXP: the message, then `in unnamed entity at line 71 char 8 of file:///a/b.xml`.
fn entity(lines: Lines<'_>) -> Read<'_> {
    let (_, rest) = lines.first().strip_prefix("in ")?.split_once(" entity at line ")?;
    let (line, rest) = rest.split_once(" char ")?;
    let (column, file) = rest.split_once(" of ")?;
    let message = lines.back(1)?;
    let severity = severity::cut(message).severity?;
    let numbers = Numbers { line: line.parse().ok()?, column: column.parse().ok(), end_line: None, end_column: None };
    Some((Found { file: file.trim(), numbers, severity: Some(severity), message, code: None }, 1))
}

/// `name:3`, `name:3:4`, `name:3.4-26`, nothing else.
pub(super) fn place_alone(text: &str) -> Option<(&str, Numbers)> {
    let from = if text.as_bytes().get(1) == Some(&b':') { 2 } else { 0 };
    let at = from + text.get(from..)?.find(':')?;
    let (numbers, rest, _) = numbers::after(&text[at..])?;
    let file = &text[..at];
    (rest.is_empty() && path::kind(file) == path::Kind::File).then_some((file, numbers))
}
