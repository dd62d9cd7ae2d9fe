//! The rule or code of a message, in the ways tools write them before and behind it.

use super::severity::{Said, letter, word};

/// `X12: message`, `X12 message`, `[X12] message`, `(X12) message`, `#12: message`
pub(super) fn code_in_front(said: &mut Said<'_>) {
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
    glued(said);
    if said.code.is_some() {
        return;
    }
    let Some((first, rest)) = text.split_once(|c: char| c.is_whitespace()) else { return };
    let bare = first.trim_end_matches(':');
    let numbered = bare.starts_with('#')
        && bare.len() > 1
        && bare[1..].trim_end_matches("-D").bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let named = first.ends_with(':') && is_rule(bare) && bare.contains(['-', '/', '_']) && !bare.starts_with('/');
    let called = first.ends_with(':') && is_called(bare);
    if (is_code(bare) || numbered || named || called || is_aliased(bare)) && !rest.trim().is_empty() {
        said.code = Some(bare.trim_start_matches('#').trim_end_matches("[/]"));
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

/// `E302:message`, `oelint.x.y:message`, `NotFound:message`, `LineLength: message`, EDG's `(3114): message`
fn glued(said: &mut Said<'_>) {
    let text = said.message;
    if let Some((number, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once("): "))
        && number.len() <= 6
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && said.severity.is_some()
    {
        (said.code, said.message) = (Some(number), rest.trim_start());
        return;
    }
    let Some((name, rest)) = text.split_once(':') else { return };
    let message = rest.trim_start();
    let close = !rest.starts_with(' ');
    let dotted = close && said.severity.is_some() && name.contains('.') && is_rule(name) && !name.contains(['/', '=']);
    let camel = is_camel(name)
        && !name.ends_with("Error")
        && !name.ends_with("Exception")
        && (close || said.severity.is_some());
    if (close && is_code(name) || dotted || camel) && !message.is_empty() && !message.starts_with(':') {
        (said.code, said.message) = (Some(name), message);
    }
}

/// `message [rule]`, `message (rule)`, eslint's `message [Error/rule]`
pub(super) fn back(said: &mut Said<'_>) {
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
        let sniff =
            tag.split('.').count() > 2 && tag.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
        let is_tag = is_code(tag) || is_rule(tag) && (open == " [" || sniff || tag.contains(['-', '/', '_']));
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
pub(super) fn is_aliased(word: &str) -> bool {
    word.split_once('/').is_some_and(|(code, name)| is_code(code) && is_rule(name))
}

/// A rule with its plugin or its part: oxlint's `eslint(no-debugger)`, ansible-lint's `name[play]`, `name[play][/]`.
pub(super) fn is_called(word: &str) -> bool {
    let word = word.trim_end_matches("[/]");
    [('(', ')'), ('[', ']')].into_iter().any(|(open, close)| {
        word.strip_suffix(close).and_then(|word| word.split_once(open)).is_some_and(|(name, part)| {
            is_rule(name) && is_rule(part) && word.starts_with(|c: char| c.is_ascii_lowercase() || c == '@')
        })
    })
}

/// `C2065`, `TS2304`, `E0308`, `SC2086`, `CS-R1001`
pub(super) fn is_code(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
    let between = word.len().saturating_sub(letters + digits);
    (1..=8).contains(&letters)
        && (1..=6).contains(&digits)
        && (between == 0
            || word[letters..letters + between].bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_'))
}

/// `no-unused-vars`, `Style/StringLiterals`, `@scope/rule`, `-Wunused`
pub(super) fn is_rule(word: &str) -> bool {
    (2..=80).contains(&word.len())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'@' | b'.' | b'+' | b':' | b'='))
        && !word.ends_with('.')
}

/// Whether `word` is a name like `LineLength`, as some linters call their rules.
pub(super) fn is_camel(word: &str) -> bool {
    word.len() > 4
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && word.bytes().filter(u8::is_ascii_uppercase).count() > 1
        && word.bytes().any(|b| b.is_ascii_lowercase())
}
