//! Size: how much a reviewer has to read.

use super::lines::lines;
use super::{Measured, counted, falling};
use crate::score::{Part, PartName};

/// Added and removed lines at which the part is worth 50.
const HALF: f64 = 400.0;
/// A file that nobody can read as text.
const OPAQUE_LINES: u64 = 100;

pub(super) fn part(measured: &Measured<'_>) -> Part {
    let (mut added, mut removed, mut opaque) = (0u64, 0u64, measured.files_left_out as u64);
    for file in measured.files {
        let lines = lines(file);
        added += lines.added.len() as u64;
        removed += lines.removed.len() as u64;
        opaque += u64::from(file.opaque);
    }
    let files = measured.files.len() as u64 + measured.files_left_out as u64;
    let mut why = format!("{} changed, +{added} -{removed} lines", counted(files, "file"));
    if opaque > 0 {
        why.push_str(&format!(
            "; {} counted as {OPAQUE_LINES} lines each, being no text or too much",
            counted(opaque, "file")
        ));
    }
    let value = falling((added + removed + opaque * OPAQUE_LINES) as f64, HALF);
    Part { name: PartName::Size, value: Some(value), why, facts: Vec::new() }
}
