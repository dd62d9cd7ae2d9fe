//! Columns of a terminal and the characters in them: carets are drawn in the former, spans count the latter.

/// Columns that the first `chars` characters take; past the end each takes one.
pub(super) fn width_of_chars(text: &str, chars: usize) -> usize {
    let known: usize = text.chars().take(chars).map(width).sum();
    known + chars.saturating_sub(text.chars().count())
}

/// Characters that are begun in the first `columns` columns.
pub(super) fn chars_in_width(text: &str, columns: usize) -> u32 {
    let mut left = columns;
    let mut chars = 0u32;
    for c in text.chars() {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(width(c));
        chars += 1;
    }
    // Carets may stand behind the end of the line.
    chars + u32::try_from(left).unwrap_or(0)
}

/// Columns a terminal gives a character; near enough to Unicode's East Asian width.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
