//! Which lines of a file are new or changed.

use std::collections::BTreeSet;

use similar::{DiffOp, TextDiff};

use super::ChangedFile;

/// Added or changed lines by number, from 1, with their text; and how many lines went.
pub(super) struct Lines<'a> {
    pub(super) added: Vec<(u32, &'a str)>,
    pub(super) removed: Vec<&'a str>,
}

pub(super) fn lines(file: &ChangedFile) -> Lines<'_> {
    let (before, after) = (file.before.as_deref().unwrap_or_default(), file.after.as_deref().unwrap_or_default());
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for op in TextDiff::from_slices(&old, &new).ops() {
        let (old_range, new_range) = match op {
            DiffOp::Equal { .. } => continue,
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => (op.old_range(), op.new_range()),
        };
        removed.extend(&old[old_range]);
        added.extend(new_range.map(|at| (at as u32 + 1, new[at])));
    }
    Lines { added, removed }
}

/// Numbers of added lines that hold more than brackets and a comment.
pub(super) fn code_lines(file: &ChangedFile) -> BTreeSet<u32> {
    lines(file).added.into_iter().filter(|(_, text)| is_code(text)).map(|(number, _)| number).collect()
}

fn is_code(line: &str) -> bool {
    const COMMENTS: [&str; 5] = ["#", "//", "/*", "*", "--"];
    let line = line.trim();
    let attribute = line.starts_with("#[") || line.starts_with("#!");
    line.contains(char::is_alphanumeric) && !attribute && !COMMENTS.iter().any(|mark| line.starts_with(mark))
}
