//! Edits as exact changes of a file's lines, and those as `edit_file` calls.

use serde_json::{Value, json};

/// A place in a file: line and byte within it, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) byte: usize,
}

/// Puts `text` in the place of what is between `start` and `end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Splice {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) text: String,
}

impl Splice {
    pub(super) fn within(line: usize, bytes: std::ops::Range<usize>, text: &str) -> Splice {
        let at = |byte| Position { line, byte };
        Splice { start: at(bytes.start), end: at(bytes.end), text: text.to_owned() }
    }

    /// Inserts whole lines, each ended by a newline, before line `before`.
    pub(super) fn insert_lines(lines: &[String], before: usize, text: &str) -> Splice {
        let text = if lines.first().is_some_and(|line| line.ends_with('\r')) {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        };
        match lines.get(before) {
            Some(_) => Splice::within(before, 0..0, &text),
            // Behind the last line, whose own newline is not ours to touch.
            None => match lines.last() {
                Some(last) => {
                    let text = format!("\n{}", text.trim_end_matches('\n'));
                    Splice::within(lines.len() - 1, last.len()..last.len(), &text)
                }
                None => Splice::within(0, 0..0, &text),
            },
        }
    }

    /// Deletes the lines from `first` to `last`, both included.
    pub(super) fn delete_lines(lines: &[String], first: usize, last: usize) -> Option<Splice> {
        let end_of = |line: usize| lines.get(line).map(|text| Position { line, byte: text.len() });
        let last_end = end_of(last).filter(|_| first <= last)?;
        let (start, end) = match (last + 1 < lines.len(), first.checked_sub(1)) {
            (true, _) => (Position { line: first, byte: 0 }, Position { line: last + 1, byte: 0 }),
            (false, Some(before)) => (end_of(before)?, last_end),
            (false, None) => (Position { line: 0, byte: 0 }, last_end),
        };
        Some(Splice { start, end, text: String::new() })
    }

    /// Whether both cannot be carried out together. New lines at the same place can.
    pub(super) fn collides(&self, other: &Splice) -> bool {
        let empty = |splice: &Splice| splice.start == splice.end;
        if empty(self) && empty(other) {
            return self.start == other.start && !(self.text.ends_with('\n') && other.text.ends_with('\n'));
        }
        self.start < other.end && other.start < self.end
    }
}

/// Changes of one file that belong together: one `edit_file` call, or two neighbours' in one.
#[derive(Debug, Clone)]
struct Hunk {
    first: usize,
    last: usize,
    splices: Vec<Splice>,
}

/// The calls that carry out all groups of splices in `file`. A group becomes one call, so that it is done wholly or not
/// at all. The last place comes first: line numbers before it then stay as they are.
pub(super) fn calls(file: &str, lines: &[String], groups: &[Vec<Splice>]) -> Vec<(&'static str, Value)> {
    if lines.iter().all(String::is_empty) {
        let content: String = groups.iter().flatten().map(|splice| splice.text.as_str()).collect();
        return vec![("write_file", json!({"path": file, "content": content}))];
    }
    let mut current: Vec<String> = lines.to_vec();
    let mut calls = Vec::new();
    for hunk in hunks(groups).iter().rev() {
        let new = splice_all(&current, hunk);
        let (first, last) = unique_range(&current, hunk.first, hunk.last);
        let old_string = current[first..=last].join("\n");
        let before = current[first..hunk.first].iter();
        let after = current[hunk.last + 1..=last].iter();
        let new_string = before.chain([&new]).chain(after).map(String::as_str).collect::<Vec<_>>().join("\n");
        calls.push(("edit_file", json!({"path": file, "old_string": old_string, "new_string": new_string})));
        current.splice(hunk.first..=hunk.last, new.split('\n').map(str::to_owned));
    }
    calls
}

/// One hunk a group, those that share lines made one; in the order of the file.
fn hunks(groups: &[Vec<Splice>]) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = groups
        .iter()
        .filter_map(|group| {
            let first = group.iter().map(|splice| splice.start.line).min()?;
            let last = group.iter().map(|splice| splice.end.line).max()?;
            Some(Hunk { first, last, splices: group.clone() })
        })
        .collect();
    hunks.sort_by_key(|hunk| hunk.first);
    let mut merged: Vec<Hunk> = Vec::new();
    for hunk in hunks {
        match merged.last_mut() {
            Some(before) if hunk.first <= before.last => {
                before.last = before.last.max(hunk.last);
                before.splices.extend(hunk.splices);
            }
            Some(_) | None => merged.push(hunk),
        }
    }
    for hunk in &mut merged {
        hunk.splices.sort();
    }
    merged
}

/// The new text of the hunk's lines.
fn splice_all(lines: &[String], hunk: &Hunk) -> String {
    let mut text = String::new();
    let mut at = Position { line: hunk.first, byte: 0 };
    let copy = |text: &mut String, from: Position, to: Position| {
        for (number, line) in lines.iter().enumerate().take(to.line + 1).skip(from.line) {
            let start = if number == from.line { from.byte } else { 0 };
            if number == to.line {
                text.push_str(&line[start..to.byte]);
            } else {
                text.push_str(&line[start..]);
                text.push('\n');
            }
        }
    };
    for splice in &hunk.splices {
        copy(&mut text, at, splice.start);
        text.push_str(&splice.text);
        at = splice.end;
    }
    copy(&mut text, at, Position { line: hunk.last, byte: lines[hunk.last].len() });
    text
}

/// Widens the range, a line above and a line below in turn, until its text occurs once.
fn unique_range(lines: &[String], mut first: usize, mut last: usize) -> (usize, usize) {
    let content = lines.join("\n");
    let mut above = true;
    loop {
        let wanted = lines[first..=last].join("\n");
        let whole = first == 0 && last + 1 == lines.len();
        if whole || (!wanted.is_empty() && occurs_once(&content, &wanted)) {
            return (first, last);
        }
        match (above, first > 0, last + 1 < lines.len()) {
            (true, true, _) | (false, true, false) => first -= 1,
            (false, _, true) | (true, false, true) => last += 1,
            (_, false, false) => return (first, last),
        }
        above = !above;
    }
}

/// Overlapping occurrences count as two: `edit_file` may count them either way.
fn occurs_once(content: &str, wanted: &str) -> bool {
    let Some(first) = content.find(wanted) else { return false };
    let next = first + wanted.chars().next().map_or(1, char::len_utf8);
    !content[next..].contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split('\n').map(str::to_owned).collect()
    }

    /// Carries the calls out as the tool does: each old string must occur exactly once.
    fn carry_out(text: &str, groups: &[Vec<Splice>]) -> String {
        calls("f", &lines(text), groups).iter().fold(text.to_owned(), |text, (name, input)| {
            assert_eq!(*name, "edit_file");
            let old = input["old_string"].as_str().expect("a string");
            assert_eq!(text.matches(old).count(), 1, "{old:?} in {text:?}");
            text.replacen(old, input["new_string"].as_str().expect("a string"), 1)
        })
    }

    #[test]
    fn splices_become_unique_edits() {
        let text = "a\n}\nb\n}\nc";
        let all = lines(text);
        let delete = |first, last| vec![Splice::delete_lines(&all, first, last).expect("within the file")];
        let insert = |at| vec![Splice::insert_lines(&all, at, "new\n")];
        for (groups, expected) in [
            (vec![vec![Splice::within(2, 0..1, "B")]], "a\n}\nB\n}\nc"),
            (vec![vec![Splice::within(3, 0..1, "]")]], "a\n}\nb\n]\nc"),
            (vec![delete(1, 1)], "a\nb\n}\nc"),
            (vec![delete(3, 4)], "a\n}\nb"),
            (vec![delete(0, 0), delete(4, 4)], "}\nb\n}"),
            (vec![insert(0), insert(5)], "new\na\n}\nb\n}\nc\nnew"),
            (vec![insert(2), insert(2)], "a\n}\nnew\nnew\nb\n}\nc"),
            (vec![vec![Splice::within(0, 0..1, "x"), Splice::within(4, 1..1, "!")], delete(1, 1)], "x\nb\n}\nc!"),
        ] {
            assert_eq!(carry_out(text, &groups), expected, "{groups:?}");
        }
    }

    #[test]
    fn what_overlaps_collides() {
        let span = |start, end| Splice::within(0, start..end, "x");
        assert!(span(0, 3).collides(&span(2, 4)));
        assert!(!span(0, 2).collides(&span(2, 4)));
        assert!(span(1, 1).collides(&span(1, 1)));
        assert!(span(1, 1).collides(&span(0, 4)));
        let line = Splice::within(0, 0..0, "import csv\n");
        assert!(!line.collides(&Splice::within(0, 0..0, "import json\n")));
    }
}
