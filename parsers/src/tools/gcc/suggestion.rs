//! Edits gcc and clang state exactly: "did you mean ‘x’", a missing header, a missing token, `fix-it:` lines.

use super::Finding;
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Suggestion};

/// Adds what `found` (a finding or a note on it) proposes to `diagnostic`.
pub(super) fn add(found: &Finding<'_>, lines: Lines<'_>, diagnostic: &mut Diagnostic) {
    let message = found.header.message;
    let exact: Vec<Edit> = (found.at..found.end).filter_map(|n| lines.ahead(n)).filter_map(fix_it_line).collect();
    let edits = if exact.is_empty() {
        let edit = did_you_mean(found).or_else(|| include(found)).or_else(|| missing_token(found, lines));
        edit.into_iter().collect()
    } else {
        exact
    };
    if edits.is_empty() {
        return;
    }
    let suggestion = Suggestion { message: message.to_owned(), applicability: Applicability::MaybeIncorrect, edits };
    if !diagnostic.suggestions.iter().any(|known| known.edits == suggestion.edits) {
        diagnostic.suggestions.push(suggestion);
    }
}

/// `‘wrod’ undeclared; did you mean ‘word’?`: the last name before it is the one to be replaced.
fn did_you_mean(found: &Finding<'_>) -> Option<Edit> {
    let (before, after) = found.header.message.split_once("did you mean ")?;
    let original = quoted(before).last()?;
    let replacement = quoted(after).next()?;
    Some(Edit::Substitute {
        file: found.header.file?.to_owned(),
        line: found.header.line?,
        column: found.header.column,
        original: original.to_owned(),
        replacement: replacement.to_owned(),
    })
}

/// `include ‘<stdio.h>’ or provide a declaration`, `is defined in header ‘<vector>’`.
fn include(found: &Finding<'_>) -> Option<Edit> {
    let message = found.header.message;
    let rest = ["include the header ", "include ", "is defined in header "].iter().find_map(|mark| {
        let (_, rest) = message.split_once(mark)?;
        rest.starts_with(['‘', '\'', '<']).then_some(rest)
    })?;
    let header = quoted(rest).next().or_else(|| rest.split(' ').next())?;
    let is_header = header.starts_with('<') && header.ends_with('>');
    is_header
        .then(|| Some(Edit::AddImport { file: found.header.file?.to_owned(), module: header.to_owned() }))
        .flatten()
}

/// `expected ‘;’ before ‘}’ token`, with that token alone on the row below the caret.
fn missing_token(found: &Finding<'_>, lines: Lines<'_>) -> Option<Edit> {
    let expected = quoted(found.header.message.strip_prefix("expected ")?).next()?;
    let caret_row = (found.at + 1..found.end).find(|&n| {
        lines.ahead(n).is_some_and(|row| row.trim_start().trim_start_matches('|').trim_start().starts_with('^'))
    })?;
    let caret = lines.ahead(caret_row)?.find('^')?;
    // Columns are as displayed: behind a tab (drawn as up to eight blanks) or a wide character they are not characters.
    let source = lines.ahead(caret_row - 1)?;
    let source = source.split_once('|').map_or(source, |(_, source)| source);
    if !source.is_ascii() || source.contains('\t') || source.contains("        ") {
        return None;
    }
    let row = lines.ahead(caret_row + 1).filter(|_| caret_row + 1 < found.end)?;
    let token = row.trim_start().trim_start_matches('|').trim();
    let at = row.rfind(token)?;
    if token != expected {
        return None;
    }
    let column = found.header.column?.checked_add(u32::try_from(at).ok()?)?.checked_sub(u32::try_from(caret).ok()?)?;
    let line = found.header.line?;
    Some(Edit::Replace {
        file: found.header.file?.to_owned(),
        line,
        column,
        end_line: line,
        end_column: column,
        replacement: token.to_owned(),
    })
}

/// `fix-it:"file":{1:2-1:4}:"text"`, of `-fdiagnostics-parseable-fixits`.
fn fix_it_line(line: &str) -> Option<Edit> {
    let rest = line.trim_start().strip_prefix("fix-it:\"")?;
    let (file, rest) = rest.split_once("\":{")?;
    let (range, rest) = rest.split_once("}:\"")?;
    let (start, end) = range.split_once('-')?;
    let position = |text: &str| {
        let (line, column) = text.split_once(':')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    let ((line, column), (end_line, end_column)) = (position(start)?, position(end)?);
    let replacement = rest.strip_suffix('"')?.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
    Some(Edit::Replace { file: file.to_owned(), line, column, end_line, end_column, replacement })
}

/// Texts between ‘curly’ or 'straight' quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let open = rest.find(['‘', '\''])?;
        let straight = rest[open..].starts_with('\'');
        let body = &rest[open + if straight { 1 } else { '‘'.len_utf8() }..];
        let close = body.find(if straight { '\'' } else { '’' })?;
        let inside = &body[..close];
        rest = &body[close + if straight { 1 } else { '’'.len_utf8() }..];
        Some(inside)
    })
}
