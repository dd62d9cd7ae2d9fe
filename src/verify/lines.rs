//! Which lines of a text were added and which removed.

use similar::{Algorithm, DiffTag};

/// A line that differs, with its number in the text it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: u32,
    pub(super) text: &'a str,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differing<'a> {
    /// In the newer text.
    pub(super) added: Vec<Line<'a>>,
    /// In the older text.
    pub(super) removed: Vec<Line<'a>>,
    /// In the newer text, where the first difference is.
    pub(super) first: Option<u32>,
}

pub(super) fn differing<'a>(old: &'a str, new: &'a str) -> Differing<'a> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut found = Differing::default();
    let line = |lines: &[&'a str], index: usize| Line { number: index as u32 + 1, text: lines[index] };
    for op in similar::capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        found.first.get_or_insert((op.new_range().start + 1).min(new.len().max(1)) as u32);
        found.removed.extend(op.old_range().map(|index| line(&old, index)));
        found.added.extend(op.new_range().map(|index| line(&new, index)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_numbers_of_their_own_text() {
        let found = differing("a\nb\nc\n", "a\nx\nb\n");
        assert_eq!(found.added, [Line { number: 2, text: "x" }]);
        assert_eq!(found.removed, [Line { number: 3, text: "c" }]);
        assert_eq!(found.first, Some(2));
    }
}
