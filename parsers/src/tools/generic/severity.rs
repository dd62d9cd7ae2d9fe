//! Severities and codes around a message, in the ways tools write them.

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

fn letter(c: char) -> Option<Severity> {
    match c {
        'E' | 'F' | 'e' => Some(Severity::Error),
        'W' | 'w' => Some(Severity::Warning),
        'N' | 'n' => Some(Severity::Note),
        'I' | 'i' | 'C' | 'R' => Some(Severity::Info),
        _ => None,
    }
}

/// The severity word at the front, and what follows it.
fn word(text: &str) -> Option<(Severity, &str, &str)> {
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
    if let Some((tag, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && tag.len() < 40
    {
        let severity = word(tag).map(|(severity, _, _)| severity).or_else(|| one_letter(tag));
        return Some((severity, rest.trim_start_matches([' ', ':', '\t'])));
    }
    // Elixir's `(CompileError) `
    if let Some((name, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(") "))
        && name.ends_with("Error")
        && !name.contains(' ')
    {
        return Some((Some(Severity::Error), rest.trim_start()));
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
    // Verilator's `Warning-WIDTH: `
    if let Some((head, rest)) = text.split_once(':')
        && let Some(rest) = rest.strip_prefix(' ')
        && let Some((name, code)) = head.split_once('-')
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && let Some((severity, "", _)) = word(name)
    {
        return Some((Some(severity), rest));
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
        let rest = if coded { &number[end..] } else { rest };
        let rest = rest.trim_start_matches(['!', ':', ',', '-', ']', ')']).trim_start();
        let rest = ["in file ", "in ", "at ", "on ", "file "].iter().find_map(|w| rest.strip_prefix(w)).unwrap_or(rest);
        return Some((Some(severity), rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0
        && let Some(rest) = text[digits..].strip_prefix('>')
    {
        return Some((None, rest.trim_start()));
    }
    if let Some(rest) =
        ["✖ ", "✗ ", "× ", "✘ ", "❌ ", "* ", "- ", "⚠ ", "++ "].iter().find_map(|mark| text.strip_prefix(mark))
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
    // A program with its path speaks.
    if name.starts_with('/') && code.is_empty() && word(rest.trim_start()).is_some() {
        return Some((None, rest.trim_start()));
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
    // `E: x`, `W:x`
    let mut chars = text.chars();
    if let (Some(first), Some(':')) = (chars.next(), chars.next())
        && let Some(severity) = letter(first).filter(|_| first.is_ascii_uppercase())
    {
        said.severity = Some(severity);
        said.message = text[2..].trim_start();
    }
    code_in_front(said);
}

/// `X12: message`, `X12 message`, `[X12] message`, `(X12) message`, `#12: message`
fn code_in_front(said: &mut Said<'_>) {
    if said.code.is_some() {
        return;
    }
    let text = said.message;
    for (open, close) in [('[', ']'), ('(', ')')] {
        if let Some((tag, rest)) = text.strip_prefix(open).and_then(|rest| rest.split_once(close))
            && (is_code(tag) || is_rule(tag) && tag.contains(['-', '/', '_']))
            && !rest.trim().is_empty()
        {
            // luacheck's `(W111)` says the severity by its letter.
            if open == '(' && said.severity.is_none() && tag.len() == 4 && is_code(tag) {
                said.severity = tag.chars().next().filter(|c| matches!(c, 'E' | 'W')).and_then(letter);
            }
            said.code = Some(tag);
            said.message = rest.trim_start_matches([':', ' ', '-']);
            return;
        }
    }
    let Some((first, rest)) = text.split_once(|c: char| c.is_whitespace()) else { return };
    let bare = first.trim_end_matches(':');
    let numbered = bare.starts_with('#')
        && bare.len() > 1
        && bare[1..].trim_end_matches("-D").bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let named = first.ends_with(':') && is_rule(bare) && bare.contains(['-', '/', '_']) && !bare.starts_with('/');
    if (is_code(bare) || numbered || named || is_aliased(bare)) && !rest.trim().is_empty() {
        said.code = Some(bare.trim_start_matches('#'));
        said.message = rest.trim_start_matches([':', ' ', '-']);
        // hadolint: `DL3008 warning: message`; Pro*C: `PCC-02150: error at …`
        if said.severity.is_none()
            && let Some((severity, rest, _)) = word(said.message)
            && (rest.is_empty() || rest.starts_with(':'))
        {
            said.severity = Some(severity);
            if let Some(message) = rest.strip_prefix(':') {
                said.message = message.trim_start();
            }
        }
    }
}

/// `message [rule]`, `message (rule)`, eslint's `message [Error/rule]`
fn back(said: &mut Said<'_>) {
    let text = said.message.trim_end();
    for (open, close) in [(" [", ']'), (" (", ')')] {
        let Some((message, tag)) = text.strip_suffix(close).and_then(|rest| rest.rsplit_once(open)) else { continue };
        let (severity, tag) = match tag.split_once('/') {
            Some((head, rule)) => match word(head).filter(|(_, rest, _)| rest.is_empty()) {
                Some((severity, _, _)) => (Some(severity), rule),
                None => (None, tag),
            },
            None => match word(tag).filter(|(_, rest, _)| rest.is_empty()) {
                Some((severity, _, _)) => (Some(severity), ""),
                None => (None, tag),
            },
        };
        let is_tag = is_code(tag) || is_rule(tag) && (open == " [" || tag.contains(['-', '/', '_']));
        if message.trim().is_empty() || !(is_tag || severity.is_some()) {
            continue;
        }
        said.severity = said.severity.or(severity);
        said.code = (!tag.is_empty() && is_tag).then_some(tag);
        said.message = message.trim_end();
        // Standard's `message (rule) (warning)`
        if tag.is_empty()
            && let Some((message, rule)) = said.message.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("))
            && is_rule(rule)
        {
            (said.code, said.message) = (Some(rule), message.trim_end());
        }
        return;
    }
}

/// markdownlint's `MD013/line-length`
fn is_aliased(word: &str) -> bool {
    word.split_once('/').is_some_and(|(code, name)| is_code(code) && is_rule(name))
}

/// `C2065`, `TS2304`, `E0308`, `SC2086`, `CS-R1001`
fn is_code(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
    let between = word.len().saturating_sub(letters + digits);
    (1..=8).contains(&letters)
        && (1..=6).contains(&digits)
        && (between == 0
            || word[letters..letters + between].bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_'))
}

/// `no-unused-vars`, `Style/StringLiterals`, `@scope/rule`, `-Wunused`
fn is_rule(word: &str) -> bool {
    (2..=80).contains(&word.len())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'@' | b'.' | b'+' | b':' | b'='))
        && !word.ends_with('.')
}
