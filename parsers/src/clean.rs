//! Turns raw terminal output into plain lines: no escape sequences, no redraws, valid UTF-8.

use memchr::{memchr, memchr2, memchr3, memrchr};

pub(crate) use crate::peel::Peeler;
use crate::records;

/// How much of what follows a line tells whether its prefix is one.
const LOOK_BYTES: usize = 8 << 10;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const NUL: u8 = 0;

/// Appends `piece`, which holds whole lines, to `out` as plain text, without the prefixes that a CI system or a
/// multiplexer puts before every line. Text with nothing to take away is copied once, whole.
pub(crate) fn append(piece: &[u8], peeler: &mut Peeler, out: &mut String) {
    let piece = &*records::unwrapped(piece);
    if memchr3(ESC, b'\r', NUL, piece).is_none() {
        append_plain(piece, peeler, out);
        return;
    }
    let mut plain = Vec::with_capacity(piece.len());
    for line in piece.split_inclusive(|&b| b == b'\n') {
        let (body, newline) = match line.split_last() {
            Some((b'\n', body)) => (body, true),
            _ => (line, false),
        };
        let start = plain.len();
        strip_escapes(body, &mut plain);
        narrow(&mut plain, start);
        keep_last_redraw(&mut plain, start);
        if newline {
            plain.push(b'\n');
        }
    }
    append_plain(&plain, peeler, out);
}

/// Lines wait until enough follows them, so that what is peeled does not depend on how the text was cut in pieces.
fn append_plain(piece: &[u8], peeler: &mut Peeler, out: &mut String) {
    if peeler.ahead.is_empty() {
        let read = append_peeled(piece, LOOK_BYTES, peeler, out);
        peeler.ahead.extend_from_slice(&piece[read..]);
    } else {
        let mut text = std::mem::take(&mut peeler.ahead);
        text.extend_from_slice(piece);
        let read = append_peeled(&text, LOOK_BYTES, peeler, out);
        text.drain(..read);
        peeler.ahead = text;
    }
}

/// Appends the lines behind whose start at least `look` bytes follow, and answers how many bytes those are.
fn append_peeled(piece: &[u8], look: usize, peeler: &mut Peeler, out: &mut String) -> usize {
    let (mut copied, mut start) = (0, 0);
    // What is still to be copied runs from `copied`; a line's prefix is left out by copying what is before it.
    let mut kept: Option<Vec<u8>> = None;
    while start < piece.len() && piece.len() - start >= look {
        let newline = memchr(b'\n', &piece[start..]);
        let end = newline.map_or(piece.len(), |at| start + at + 1);
        let seen = &piece[start..piece.len().min(start + LOOK_BYTES)];
        let prefix = peeler.prefix(seen, newline.unwrap_or(usize::MAX).min(seen.len()));
        let streams = &mut peeler.streams;
        let held_back = match &prefix.name {
            Some(name) => {
                streams.holds_back(&piece[start + name.start..start + name.end], &piece[start + prefix.bytes..end])
            }
            None => false,
        };
        let over = streams.is_full() || prefix.name.is_none() && streams.is_waiting();
        if prefix.bytes > 0 || over {
            let kept = kept.get_or_insert_with(|| Vec::with_capacity(piece.len()));
            kept.extend_from_slice(&piece[copied..start]);
            copied = if held_back { end } else { start + prefix.bytes };
            if over {
                streams.release(kept);
            }
        }
        start = end;
    }
    match kept {
        None => append_lossy(&piece[..start], out),
        Some(mut kept) => {
            kept.extend_from_slice(&piece[copied..start]);
            append_lossy(&kept, out);
        }
    }
    start
}

/// Appends all that waited.
pub(crate) fn finish(peeler: &mut Peeler, out: &mut String) {
    let text = std::mem::take(&mut peeler.ahead);
    append_peeled(&text, 0, peeler, out);
    let mut kept = Vec::new();
    peeler.streams.release(&mut kept);
    append_lossy(&kept, out);
}

fn append_lossy(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        // Line by line, so that one bad byte costs one line its exactness.
        Err(_) => {
            for line in bytes.split_inclusive(|&b| b == b'\n') {
                out.push_str(&String::from_utf8_lossy(line));
            }
        }
    }
}

/// Text in two bytes a character loses every second one; a zero that a tool printed stays.
fn narrow(plain: &mut Vec<u8>, start: usize) {
    while plain.len() > start && plain.last() == Some(&NUL) {
        plain.pop();
    }
    let zeros = memchr::memchr_iter(NUL, &plain[start..]).count();
    if zeros > 0 && zeros * 3 >= plain.len() - start {
        let text = plain.split_off(start);
        plain.extend(text.into_iter().filter(|b| *b != NUL));
    }
}

/// A carriage return draws the line again: what a person sees last is what counts.
fn keep_last_redraw(plain: &mut Vec<u8>, start: usize) {
    while plain.len() > start && plain.last() == Some(&b'\r') {
        plain.pop();
    }
    if let Some(last) = memrchr(b'\r', &plain[start..]) {
        plain.drain(start..=start + last);
    }
}

fn strip_escapes(mut line: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(ESC, line) {
        out.extend_from_slice(&line[..at]);
        let (sequence, rest) = line[at..].split_at(sequence_len(&line[at..]));
        // To the first column: a carriage return by another name.
        if matches!(sequence, b"\x1b[G" | b"\x1b[0G" | b"\x1b[1G") {
            out.push(b'\r');
        }
        line = rest;
    }
    out.extend_from_slice(line);
}

/// Length of the escape sequence `text` starts with; one that never ends takes the rest of the line.
fn sequence_len(text: &[u8]) -> usize {
    match text.get(1) {
        Some(b'[') => {
            let body = &text[2..];
            match body.iter().position(|b| !(0x20..=0x3f).contains(b)) {
                Some(end) if (0x40..=0x7e).contains(&body[end]) => end + 3,
                Some(end) => end + 2,
                None => text.len(),
            }
        }
        // Strings (titles, hyperlinks) end with BEL or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let body = &text[2..];
            match memchr2(BEL, ESC, body) {
                Some(end) if body[end] == BEL => end + 3,
                Some(end) if body.get(end + 1) == Some(&b'\\') => end + 4,
                Some(end) => end + 2,
                None => text.len(),
            }
        }
        Some(b'(' | b')' | b'*' | b'+' | b'#' | b'%') => text.len().min(3),
        Some(_) => 2,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &[u8]) -> String {
        let mut out = String::new();
        let mut peeler = Peeler::default();
        append(text, &mut peeler, &mut out);
        finish(&mut peeler, &mut out);
        out
    }

    #[test]
    fn colours_titles_and_hyperlinks_go() {
        assert_eq!(cleaned(b"\x1b[1m\x1b[Ka.c:1:\x1b[0m x\n"), "a.c:1: x\n");
        assert_eq!(cleaned(b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x07!\n"), "link!\n");
        assert_eq!(cleaned(b"cut \x1b]0;never ends\nnext\n"), "cut \nnext\n");
    }

    #[test]
    fn redraws_leave_the_last_state_and_crlf_is_a_newline() {
        assert_eq!(cleaned(b"10%\r50%\r100%\r\nnext\r\n"), "100%\nnext\n");
        assert_eq!(cleaned(b"\x1b[1G  a\x1b[77G1/3\x1b[1G ok a\x1b[K\n"), " ok a\n");
    }

    #[test]
    fn text_in_two_bytes_a_character_is_read() {
        let wide: Vec<u8> = "a.c:1: x\r\nnext\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(cleaned(&wide), "a.c:1: x\nnext\n");
    }

    #[test]
    fn bad_utf8_costs_its_own_bytes_only() {
        assert_eq!(cleaned(b"a\xffb\nc\n"), "a\u{fffd}b\nc\n");
    }
}
