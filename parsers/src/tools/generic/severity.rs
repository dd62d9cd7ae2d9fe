//! Severities and codes around a message, in the ways tools write them.

use super::code::{back, code_in_front, is_aliased, is_called, is_code, is_rule};
use crate::Severity;

pub(super) struct Said<'a> {
    pub(super) severity: Option<Severity>,
    pub(super) code: Option<&'a str>,
    pub(super) message: &'a str,
}

/// Longest first where one begins another.
const WORDS: &[(&str, Severity)] = &[
    ("internal compiler error", Severity::Error),
    ("internal error", Severity::Error),
    ("catastrophic error", Severity::Error),
    ("command-line error", Severity::Error),
    ("fatal error", Severity::Error),
    ("syntax error", Severity::Error),
    ("parse error", Severity::Error),
    ("parser error", Severity::Error),
    ("parser warning", Severity::Warning),
    ("validity error", Severity::Error),
    ("namespace error", Severity::Error),
    ("semantic error", Severity::Error),
    ("fatal", Severity::Error),
    ("severe", Severity::Error),
    ("errors", Severity::Error),
    ("error", Severity::Error),
    ("err", Severity::Error),
    ("critical", Severity::Error),
    ("emerg", Severity::Error),
    ("crit", Severity::Error),
    ("warnings", Severity::Warning),
    ("warning", Severity::Warning),
    ("warn", Severity::Warning),
    ("note", Severity::Note),
    ("notice", Severity::Note),
    ("informational", Severity::Info),
    ("information", Severity::Info),
    ("info", Severity::Info),
    ("remark", Severity::Info),
    ("static error", Severity::Error),
    ("check", Severity::Info),
    ("style", Severity::Info),
    ("convention", Severity::Info),
    ("refactor", Severity::Info),
    ("reflection warning", Severity::Warning),
    ("performance", Severity::Info),
    ("portability", Severity::Info),
    ("suggestion", Severity::Hint),
    ("hint", Severity::Hint),
    ("help", Severity::Hint),
];

pub(super) fn letter(c: char) -> Option<Severity> {
    match c {
        'E' | 'F' | 'e' => Some(Severity::Error),
        'W' | 'w' => Some(Severity::Warning),
        'N' | 'n' => Some(Severity::Note),
        'I' | 'i' | 'C' | 'R' => Some(Severity::Info),
        _ => None,
    }
}

/// The severity word at the front, and what follows it.
pub(super) fn word(text: &str) -> Option<(Severity, &str, &str)> {
    let first = text.bytes().next()?.to_ascii_lowercase();
    if !first.is_ascii_lowercase() {
        return None;
    }
    WORDS.iter().filter(|(word, _)| word.as_bytes()[0] == first).find_map(|(word, severity)| {
        let head = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        let rest = &text[word.len()..];
        let ended = !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\''));
        ended.then_some((*severity, rest, head))
    })
}

/// Whether `text` is nothing but such prefixes, and the severity they say.
pub(super) fn only(text: &str) -> Option<Option<Severity>> {
    const PREFIXES_MAX: usize = 3;
    let (mut rest, mut said) = (text, None);
    for _ in 0..PREFIXES_MAX {
        if rest.is_empty() {
            return Some(said);
        }
        let (severity, after) = prefix(rest)?;
        (said, rest) = (severity.or(said), after);
    }
    rest.is_empty().then_some(said)
}

/// A severity or a program's name before a place: `[ERROR] `, `error: `, `W: `, `ERROR in `, `3>`, `eslint: `.
pub(super) fn prefix(text: &str) -> Option<(Option<Severity>, &str)> {
    coded_prefix(text).map(|(severity, _, rest)| (severity, rest))
}

/// [`prefix`], and the code in it: `Error E2010 `, `Warning 600: `, `Warning-WIDTH: `, `(CompileError) `.
pub(super) fn coded_prefix(text: &str) -> Option<(Option<Severity>, Option<&str>, &str)> {
    if let Some((name, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(") "))
        && name.ends_with("Error")
        && !name.contains(' ')
    {
        return Some((Some(Severity::Error), Some(name), rest.trim_start()));
    }
    // Verilator's `Warning-WIDTH: `
    if let Some((head, rest)) = text.split_once(": ")
        && let Some((name, code)) = head.split_once('-')
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && let Some((severity, "", _)) = word(name)
    {
        return Some((Some(severity), Some(code).filter(|code| !code.is_empty()), rest));
    }
    if let Some((severity, rest, _)) = word(text) {
        // Questa's `Warning (downgraded): `
        let rest = ["(downgraded)", "(suppressible)", "(suppressed)"]
            .iter()
            .find_map(|word| rest.strip_prefix(' ')?.strip_prefix(word))
            .unwrap_or(rest);
        // `Warning 600: `, `Error E2010 `, `WARNING[4]: `
        let number = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('[')).unwrap_or(rest);
        let end = number.find([' ', ':', ']']).unwrap_or(number.len());
        let coded = is_code(&number[..end]) || (end > 0 && number[..end].bytes().all(|b| b.is_ascii_digit()));
        // `Error:11:1: message` tells a place, not a code.
        let code = Some(&number[..end]).filter(|_| coded && number.len() < rest.len());
        let rest = if code.is_some() { &number[end..] } else { rest };
        let rest = rest.trim_start_matches(['!', ':', ',', '-', ']', ')']).trim_start();
        let rest = ["in file ", "in ", "at ", "on ", "file "].iter().find_map(|w| rest.strip_prefix(w)).unwrap_or(rest);
        return Some((Some(severity), code, rest));
    }
    other_prefix(text).map(|(severity, rest)| (severity, None, rest))
}

fn other_prefix(text: &str) -> Option<(Option<Severity>, &str)> {
    if let Some((tag, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && tag.len() < 40
    {
        let severity = word(tag).map(|(severity, _, _)| severity).or_else(|| one_letter(tag));
        return Some((severity, rest.trim_start_matches([' ', ':', '\t'])));
    }
    // GLib's `Gtk-WARNING **: `, which may also tell the time
    if let Some((head, rest)) = text.split_once(" **: ")
        && let Some((_, level)) = head.rsplit_once('-')
        && let Some((severity, "", _)) = word(level)
    {
        return Some((Some(severity), rest));
    }
    // The Portland Group's `PGC-S-0039-`
    if let Some((program, rest)) = text.split_once('-')
        && let [level @ (b'S' | b'F' | b'W' | b'I'), b'-', digits @ .., _] = rest.as_bytes().get(..7).unwrap_or(&[])
        && digits.iter().all(u8::is_ascii_digit)
        && program.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && let Some(rest) = rest[6..].strip_prefix('-')
    {
        let severity = match level {
            b'W' => Severity::Warning,
            b'I' => Severity::Info,
            _ => Severity::Error,
        };
        return Some((Some(severity), rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0
        && let Some(rest) = text[digits..].strip_prefix('>')
    {
        return Some((None, rest.trim_start()));
    }
    if let Some(rest) = ["✖ ", "✗ ", "× ", "✘ ", "❌ ", "* ", "- ", "⚠ ", "++ ", "→ ", "↗ ", "↑ ", "↘ ", "↓ "]
        .iter()
        .find_map(|mark| text.strip_prefix(mark))
    {
        return Some((None, rest.trim_start()));
    }
    // lcc's `E, `
    if let Some((name, rest)) = text.split_at_checked(1)
        && let Some(rest) = rest.strip_prefix(", ")
    {
        return Some((Some(one_letter(name)?), rest));
    }
    let (name, rest) = text.split_once(':')?;
    let (name, code) = name.split_once(' ').map_or((name, ""), |(name, code)| (name, code));
    if let Some(severity) = one_letter(name).filter(|_| rest.starts_with(' ') && code.is_empty()) {
        return Some((Some(severity), rest.trim_start()));
    }
    // A program with its path speaks, of a severity or of a place.
    if name.starts_with('/')
        && code.is_empty()
        && let Some(said) = rest.strip_prefix(' ')
    {
        let names_place = said.split_once(':').is_some_and(|(file, rest)| {
            !file.contains(' ') && rest.starts_with(|c: char| c.is_ascii_digit()) && !file.starts_with('/')
        });
        let is_program = !name.rsplit('/').next().unwrap_or("").contains('.');
        if word(said.trim_start()).is_some() || is_program && (names_place || said.starts_with('/')) {
            return Some((None, said.trim_start()));
        }
    }
    // The program that speaks: a word, nothing else.
    let program = code.is_empty()
        && (2..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'));
    (program && !rest.starts_with('/')).then(|| (None, rest.trim_start()))
}

/// `E`, `W`: a letter alone.
pub(super) fn of_letter(text: &str) -> Option<Severity> {
    one_letter(text).filter(|_| text.bytes().all(|b| b.is_ascii_uppercase()))
}

fn one_letter(text: &str) -> Option<Severity> {
    let mut chars = text.chars();
    let first = chars.next()?;
    chars.next().is_none().then(|| letter(first)).flatten()
}

/// Cuts severity and code off a message's front and end.
pub(super) fn cut(text: &str) -> Said<'_> {
    let mut said = Said { severity: None, code: None, message: text.trim() };
    front(&mut said);
    if said.code.is_none() {
        back(&mut said);
    }
    said
}

fn front(said: &mut Said<'_>) {
    let text = said.message;
    // `[error] `, `(warning) `, `<E>`, `[W]`
    for (open, close) in [('[', ']'), ('(', ')'), ('<', '>')] {
        if let Some((tag, rest)) = text.strip_prefix(open).and_then(|rest| rest.split_once(close)) {
            // docutils: `(WARNING/2)`
            let tag = tag.split_once('/').filter(|(_, n)| n.len() == 1).map_or(tag, |(word, _)| word);
            let severity = word(tag).filter(|(_, rest, _)| rest.is_empty()).map(|(severity, _, _)| severity);
            if let Some(severity) = severity.or_else(|| one_letter(tag)) {
                said.severity = Some(severity);
                said.message = rest.trim_start_matches([':', ' ', '-', '\t']);
                // `[W] Indentation: message`
                if tag.len() == 1
                    && let Some((name, message)) = said.message.split_once(": ")
                    && name.starts_with(|c: char| c.is_ascii_uppercase())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    (said.code, said.message) = (Some(name), message.trim_start());
                    return;
                }
                code_in_front(said);
                return;
            }
            if open == '[' && is_rule(tag) && !rest.trim().is_empty() {
                said.code = Some(tag);
                said.message = rest.trim_start_matches([':', ' ', '-']);
                front_word(said);
                return;
            }
        }
    }
    // puppet-lint: `80chars:WARNING:message`
    if let Some((name, rest)) = text.split_once(':')
        && let Some((level, message)) = rest.split_once(':')
        && level.len() > 3
        && level.bytes().all(|b| b.is_ascii_uppercase())
        && is_rule(name)
        && let Some((severity, "", _)) = word(level)
    {
        (said.code, said.severity, said.message) = (Some(name), Some(severity), message.trim_start());
        return;
    }
    if let Some((code, severity, message)) = ibm(text) {
        (said.code, said.severity, said.message) = (Some(code), Some(severity), message);
        return;
    }
    front_word(said);
}

/// IBM's `1506-046 (S) message`
fn ibm(text: &str) -> Option<(&str, Severity, &str)> {
    let (code, rest) = text.split_once(" (")?;
    let (letter, message) = rest.split_once(") ")?;
    let (product, number) = code.split_once('-')?;
    let numbered =
        product.len() == 4 && number.len() == 3 && (product.bytes().chain(number.bytes())).all(|b| b.is_ascii_digit());
    let severity = match letter {
        "I" => Severity::Info,
        "W" => Severity::Warning,
        "E" | "S" | "U" => Severity::Error,
        _ => return None,
    };
    numbered.then_some((code, severity, message))
}

/// `DeprecationWarning: message`: a class's name that says what it is.
fn class(text: &str) -> Option<(&str, &str)> {
    let (name, message) = text.split_once([':', ' '])?;
    let stem = name.strip_suffix("Warning")?;
    let is_name = stem.starts_with(|c: char| c.is_ascii_uppercase()) && stem.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_name && !message.trim().is_empty()).then(|| (name, message.trim_start()))
}

/// `SyntaxError: message`: the class of an error is part of the message.
fn failure(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(name, _)| {
        name.strip_suffix("Error").is_some_and(|stem| {
            stem.starts_with(|c: char| c.is_ascii_uppercase())
                && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        })
    })
}

/// GNU's `warning message` without a colon.
fn is_warned(head: &str, after: &str) -> bool {
    head.eq_ignore_ascii_case("warning") && after.starts_with(' ')
}

/// libxml's `element x: validity error : message`
fn within(text: &str) -> Option<Severity> {
    [(" error : ", Severity::Error), (" warning : ", Severity::Warning)].iter().find_map(|(word, severity)| {
        let (head, _) = text.split_once(word)?;
        head.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b':' | b'-' | b'_' | b'/'))
            .then_some(*severity)
    })
}

fn front_word(said: &mut Said<'_>) {
    let text = said.message;
    if let Some((name, message)) = class(text) {
        (said.code, said.severity, said.message) = (Some(name), Some(Severity::Warning), message);
        return;
    }
    if let Some((severity, rest, head)) = word(text) {
        // `error: x`, `error X12: x`, `error - x`, `error[X12]: x`, `Error! X12:`; `error handling is bad` says none.
        let after = rest.trim_start_matches('!');
        let next = after.trim_start();
        let first = next.split([':', ' ', ')', ']']).next().unwrap_or("");
        let marked = after.starts_with([':', ';', '[', '(', ',', '\t', ']', ')'])
            || next.starts_with(['-', '#', ':'])
            || after.starts_with("  ")
            || is_code(first)
            || is_aliased(first)
            || after.is_empty();
        let upper = head.bytes().all(|b| b.is_ascii_uppercase() || b == b' ');
        // Spectral's `error no-x "message"`
        let ruled = first.contains('-') && is_rule(first) && first.starts_with(|c: char| c.is_ascii_lowercase());
        // oxlint's `warning eslint(no-x): message`
        if let Some((code, message)) = next.split_once(": ").filter(|(code, _)| is_called(code)) {
            (said.severity, said.code, said.message) = (Some(severity), Some(code), message);
            return;
        }
        if ruled && next.len() > first.len() {
            (said.severity, said.code) = (Some(severity), Some(first));
            said.message = next[first.len()..].trim_start_matches([':', ' ']);
            return;
        }
        // `syntax error near x`: it says error, and is all there is to read.
        if !marked && !upper && head.ends_with("error") && head.contains(' ')
            || !marked && !upper && is_warned(head, after)
        {
            said.severity = Some(severity);
            return;
        }
        if marked || upper {
            said.severity = Some(severity);
            let keep =
                head.len() > "warning".len() && head.contains(' ') && !head.to_ascii_lowercase().starts_with("fatal");
            // `Error[32]: message`, `Warning[Pe852]: message`
            if let Some((tag, rest)) = after.strip_prefix('[').and_then(|rest| rest.split_once("]: "))
                && tag.len() <= 16
                && tag.bytes().all(|b| b.is_ascii_alphanumeric())
                && tag.ends_with(|c: char| c.is_ascii_digit())
            {
                (said.code, said.message) = (Some(tag), rest.trim_start());
                return;
            }
            // "Syntax error" is message as well.
            if !keep {
                said.message = next.trim_start_matches([':', ';', ',', '-', ' ', '\t', ')', ']']);
                if said.message.is_empty() {
                    said.message = text;
                }
            }
            code_in_front(said);
            return;
        }
    }
    if failure(text) || text.split_once(' ').is_some_and(|(code, rest)| is_code(code) && failure(rest)) {
        said.severity = Some(Severity::Error);
    } else if let Some(severity) = within(text) {
        said.severity = Some(severity);
    }
    // `E: x`, `W:x`
    let mut chars = text.chars();
    if let (Some(first), Some(':')) = (chars.next(), chars.next())
        && let Some(severity) = letter(first).filter(|_| first.is_ascii_uppercase())
    {
        said.severity = Some(severity);
        said.message = text[2..].trim_start();
        // rpmlint's `E: hardcoded-library-path in %_prefix` is a sentence with its rule in it.
        let rule = said.message.split(' ').next().unwrap_or("");
        if rule.contains('-') && is_rule(rule) && rule.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            said.code = Some(rule);
        }
    }
    code_in_front(said);
}
