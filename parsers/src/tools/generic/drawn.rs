//! Findings with a drawing: an arrow to the place below the message (`  --> a.yml:6:25`, `  ╭─[a.x:2:3]`), or a rule
//! with the place at its end above it (`Error ------ a.js:1:1`, `-- TYPE MISMATCH ------ src/Main.elm`).

use super::below::place_alone;
use super::numbers::Numbers;
use super::{Found, path, severity};
use crate::Severity;
use crate::window::Lines;

const ARROWS: &[&str] = &["--> ", "┌─ ", "╭─[", "╭▸ ", "╭─▸ ", ",-["];
const ABOVE_MAX: usize = 3;
const BELOW_MAX: usize = 12;

/// Lines of this kind are nobody else's, so they may be looked at before frames of stacks are sorted out.
pub(super) fn is_arrow(text: &str) -> bool {
    ARROWS.iter().any(|arrow| text.starts_with(arrow))
}

/// The message stands some lines above.
pub(super) fn arrow(lines: Lines<'_>) -> Option<Found<'_>> {
    let text = lines.first().trim();
    let place = ARROWS.iter().find_map(|arrow| text.strip_prefix(arrow))?.trim_end_matches([']', ' ']);
    let (file, numbers) = place_alone(place)?;
    let above = (1..=ABOVE_MAX).filter_map(|n| lines.back(n)).map(str::trim);
    let message = above.take_while(|line| !line.starts_with('|')).find(|line| !line.is_empty())?;
    let (said, message) = match message.split_once(' ') {
        Some(("×" | "✖", rest)) => (Some(Severity::Error), rest),
        Some(("⚠", rest)) => (Some(Severity::Warning), rest),
        Some(("☞", rest)) => (Some(Severity::Hint), rest),
        Some(_) | None => (severity::cut(message).severity, message),
    };
    said.map(|severity| Found { file, numbers, severity: Some(severity), message, code: None })
}

/// A rule of dashes ends in the place; the message is the first paragraph below.
pub(super) fn ruled(lines: Lines<'_>) -> Option<(Found<'_>, usize)> {
    let line = lines.first().trim_end();
    let (head, place) = line.rsplit_once(' ')?;
    let title = head.trim_end_matches('-');
    if head.len() - title.len() < 4 {
        return None;
    }
    let below = |n: usize| lines.ahead(n).map(str::trim);
    let at = (1..=2).find(|n| below(*n).is_some_and(|text| !text.is_empty()))?;
    let message = below(at)?;
    if let Some(Some(severity)) = severity::only(title.trim_end()) {
        let (file, numbers) = place_alone(place)?;
        return Some((Found { file, numbers, severity: Some(severity), message, code: None }, at + 1));
    }
    // Elm shows the line's number beside the code.
    let name = title.strip_prefix("-- ")?.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b' ' | b'\'' | b'/'));
    if !is_name || path::kind(place) != path::Kind::File {
        return None;
    }
    (at..BELOW_MAX).find_map(|n| {
        let (number, code) = below(n)?.split_once('|')?;
        let line = number.parse().ok()?;
        // Behind the bar is one mark of Elm's own, and the carets stand as far in as the code.
        let row = lines.ahead(n + 1)?;
        let column = row.trim().bytes().all(|b| b == b'^').then(|| row.find('^')).flatten();
        let bar = lines.ahead(n)?.len() - code.len() + 1;
        let column = column.and_then(|column| u32::try_from((column + 1).checked_sub(bar)?).ok()).filter(|c| *c > 0);
        let numbers = Numbers { line, column, end_line: None, end_column: None };
        Some((Found { file: place, numbers, severity: None, message, code: None }, n + 1))
    })
}
