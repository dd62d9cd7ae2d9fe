//! Makes text that nobody has vouched for harmless to a terminal: it may have colour, lines and tabs, and nothing else.
//!
//! Control characters (C0 but for newline and tab, DEL, C1), bidirectional controls and invisible tag characters are
//! shown as escapes (`\x1b`, `\u{202e}`). Of the escape sequences only colour and weight (SGR) pass, and not `conceal`.

/// Whether SGR sequences are kept or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sgr {
    Keep,
    Drop,
}

/// A longer parameter list is no colour.
const SGR_BYTES_MAX: usize = 64;

/// The whole text at once. Ends with a reset where the text changed colours.
pub fn escape(text: &str, sgr: Sgr) -> String {
    let mut escaper = Escaper::new(sgr);
    let mut out = escaper.feed(text.as_bytes());
    out.push_str(&escaper.finish());
    out
}

/// A name in a line of others: no line begins in it. The rest is the printer's to escape.
pub fn name_in_line(name: &str) -> String {
    name.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// Takes bytes as they arrive; a character or sequence may be cut anywhere.
#[derive(Debug)]
pub struct Escaper {
    sgr: Sgr,
    /// The beginning of a character or sequence whose end has not come yet; at most [`SGR_BYTES_MAX`] bytes.
    pending: Vec<u8>,
    coloured: bool,
}

impl Escaper {
    pub fn new(sgr: Sgr) -> Self {
        Escaper { sgr, pending: Vec::new(), coloured: false }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut input = std::mem::take(&mut self.pending);
        input.extend_from_slice(bytes);
        let mut out = String::with_capacity(input.len());
        let rest = self.take(&input, &mut out);
        self.pending = input[input.len() - rest..].to_vec();
        out
    }

    /// What was still pending, and the reset.
    pub fn finish(&mut self) -> String {
        let pending = std::mem::take(&mut self.pending);
        let mut out = String::new();
        for chunk in pending.utf8_chunks() {
            chunk.valid().chars().for_each(|c| push_escaped(c, &mut out));
            chunk.invalid().iter().for_each(|byte| push_byte(*byte, &mut out));
        }
        if std::mem::take(&mut self.coloured) {
            out.push_str("\x1b[0m");
        }
        out
    }

    /// Consumes `input`; returns how many bytes at its end must wait for more.
    fn take(&mut self, input: &[u8], out: &mut String) -> usize {
        let mut at = 0;
        while let Some(&first) = input.get(at) {
            let rest = &input[at..];
            match first {
                0x1b => match sequence(rest) {
                    Sequence::Sgr(len) => {
                        if self.sgr == Sgr::Keep {
                            out.push_str(std::str::from_utf8(&rest[..len]).expect("parameters are ASCII"));
                            self.coloured = !matches!(&rest[2..len], b"m" | b"0m");
                        }
                        at += len;
                    }
                    Sequence::Other => {
                        out.push_str("\\x1b");
                        at += 1;
                    }
                    Sequence::Cut => return rest.len(),
                },
                b'\r' => match rest.get(1) {
                    Some(b'\n') => at += 1,
                    Some(_) => {
                        out.push_str("\\r");
                        at += 1;
                    }
                    None => return 1,
                },
                b'\n' | b'\t' | 0x20..=0x7e => {
                    out.push(char::from(first));
                    at += 1;
                }
                0x00..=0x1f | 0x7f => {
                    push_byte(first, out);
                    at += 1;
                }
                0x80.. => {
                    let window = &rest[..rest.len().min(4)];
                    match first_char(window) {
                        FirstChar::Valid(c) => {
                            push_escaped(c, out);
                            at += c.len_utf8();
                        }
                        FirstChar::Cut => return rest.len(),
                        FirstChar::Invalid => {
                            push_byte(first, out);
                            at += 1;
                        }
                    }
                }
            }
        }
        0
    }
}

enum FirstChar {
    Valid(char),
    Cut,
    Invalid,
}

fn first_char(window: &[u8]) -> FirstChar {
    let valid = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&window[..error.valid_up_to()]).expect("valid up to here")
        }
        Err(error) if error.error_len().is_none() => return FirstChar::Cut,
        Err(_) => return FirstChar::Invalid,
    };
    valid.chars().next().map_or(FirstChar::Cut, FirstChar::Valid)
}

enum Sequence {
    Sgr(usize),
    Other,
    Cut,
}

/// What an escape character begins.
fn sequence(bytes: &[u8]) -> Sequence {
    match bytes.get(1) {
        None => return Sequence::Cut,
        Some(b'[') => {}
        Some(_) => return Sequence::Other,
    }
    for (index, byte) in bytes.iter().enumerate().skip(2).take(SGR_BYTES_MAX) {
        match byte {
            b'0'..=b'9' | b';' | b':' => {}
            b'm' if conceals(&bytes[2..index]) => return Sequence::Other,
            b'm' => return Sequence::Sgr(index + 1),
            _ => return Sequence::Other,
        }
    }
    if bytes.len() < SGR_BYTES_MAX { Sequence::Cut } else { Sequence::Other }
}

/// Parameter 8 hides text from the reader; as a part of a colour (`38;5;8`) it is only a number.
fn conceals(parameters: &[u8]) -> bool {
    let mut numbers = parameters.split(|byte| *byte == b';');
    while let Some(number) = numbers.next() {
        match trim_zeros(number) {
            b"8" => return true,
            b"38" | b"48" | b"58" => match numbers.next().map(trim_zeros) {
                Some(b"5") => drop(numbers.next()),
                Some(b"2") => drop(numbers.nth(2)),
                Some(_) | None => {}
            },
            _ => {}
        }
    }
    false
}

fn trim_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    &number[zeros..]
}

fn push_escaped(c: char, out: &mut String) {
    if c.is_control() && !matches!(c, '\n' | '\t') || misleads(c) {
        if c.is_ascii() {
            push_byte(c as u8, out);
        } else {
            out.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
    } else {
        out.push(c);
    }
}

fn push_byte(byte: u8, out: &mut String) {
    out.push_str(&format!("\\x{byte:02x}"));
}

/// Characters that reorder, break or hide what stands beside them.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_lines_and_tabs_stay() {
        let text = "\x1b[1;31merror\x1b[0m:\tGrüße 世界\n";
        assert_eq!(escape(text, Sgr::Keep), text);
        assert_eq!(escape("\x1b[1mbold", Sgr::Keep), "\x1b[1mbold\x1b[0m", "colour ends with its text");
        assert_eq!(escape(text, Sgr::Drop), "error:\tGrüße 世界\n");
    }

    #[test]
    fn what_could_act_is_shown_instead() {
        for (text, shown) in [
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
            ("\x1bc", "\\x1bc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("safe\rEVIL", "safe\\rEVIL"),
            ("dos\r\nline", "dos\nline"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("\x1b[8mhidden", "\\x1b[8mhidden"),
            ("\x1b[1;008mhidden", "\\x1b[1;008mhidden"),
            ("\u{e0041}", "\\u{e0041}"),
            ("\x1b", "\\x1b"),
        ] {
            assert_eq!(escape(text, Sgr::Drop), shown, "{text:?}");
            assert_eq!(escape(text, Sgr::Keep), shown, "{text:?}");
        }
        assert_eq!(escape("\x1b[38;5;8mgrey", Sgr::Keep), "\x1b[38;5;8mgrey\x1b[0m");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        let mut escaper = Escaper::new(Sgr::Drop);
        assert_eq!(escaper.feed(b"a\xffb\xc3"), "a\\xffb");
        assert_eq!(escaper.finish(), "\\xc3");
    }

    /// Pseudo-random bytes that are rich in what matters: escapes, brackets, digits, UTF-8 leads and tails.
    fn noise(seed: u64) -> Vec<u8> {
        const PIECES: &[&[u8]] = &[
            b"\x1b",
            b"[",
            b"m",
            b"3",
            b"8",
            b";",
            b":",
            b"\r",
            b"\n",
            b"\t",
            b"a",
            b"\xc2",
            b"\x9b",
            b"\xe2\x80\xae",
            b"\xe2",
            b"\x80",
            b"\xf3\xa0\x81\x81",
            b"\xff",
            b"\x07",
            b"\x00",
            b"\x7f",
            b"\x1b[31m",
            b"\x1b]8;;",
            b"J",
            "é".as_bytes(),
        ];
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::new();
        for _ in 0..60 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(PIECES[(state % PIECES.len() as u64) as usize]);
        }
        bytes
    }

    #[test]
    fn nothing_but_colour_ever_passes() {
        let colour = regex::Regex::new("\x1b\\[[0-9;:]*m").expect("the pattern is a literal");
        for seed in 0..3000 {
            let bytes = noise(seed);
            let mut whole = Escaper::new(Sgr::Keep);
            let mut at_once = whole.feed(&bytes);
            at_once.push_str(&whole.finish());
            let rest = colour.replace_all(&at_once, "");
            let bad = rest.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || misleads(*c));
            assert_eq!(bad, None, "seed {seed}: {rest:?}");
        }
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        for seed in 0..3000 {
            let bytes = noise(seed);
            let mut whole = Escaper::new(Sgr::Keep);
            let mut at_once = whole.feed(&bytes);
            at_once.push_str(&whole.finish());
            let mut cut = Escaper::new(Sgr::Keep);
            let mut in_pieces = String::new();
            for piece in bytes.chunks(1 + (seed % 5) as usize) {
                in_pieces.push_str(&cut.feed(piece));
            }
            in_pieces.push_str(&cut.finish());
            assert_eq!(at_once, in_pieces, "seed {seed}");
        }
    }
}
