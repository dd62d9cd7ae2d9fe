//! A name for a finding that survives edits elsewhere: source, code, file and normalised message, never the line.

use crate::Diagnostic;

pub(crate) fn of(diagnostic: &Diagnostic) -> String {
    let mut hash = Fnv::default();
    hash.field(&diagnostic.source);
    hash.field(diagnostic.code.as_deref().unwrap_or(""));
    hash.field(diagnostic.file.as_deref().unwrap_or(""));
    hash.message(&diagnostic.message);
    let digit = |nibble: u32| char::from_digit((hash.0 >> (nibble * 4)) as u32 & 15, 16);
    let mut text = String::with_capacity(16);
    text.extend((0..16).rev().filter_map(digit));
    text
}

/// FNV-1a, 64 bits: small, and the same on every machine and in every version.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn field(&mut self, text: &str) {
        text.bytes().chain([0]).for_each(|byte| self.byte(byte));
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// Runs of digits (hexadecimal addresses too) count as `#`, runs of white space as one blank.
    fn message(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        let mut buffer = [0; 4];
        while let Some(c) = chars.next() {
            if c.is_ascii_digit() {
                let hexadecimal = c == '0' && chars.next_if(|c| matches!(c, 'x' | 'X')).is_some();
                let is_digit = |c: &char| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
                while chars.next_if(is_digit).is_some() {}
                self.byte(b'#');
            } else if c.is_whitespace() {
                while chars.next_if(|c| c.is_whitespace()).is_some() {}
                self.byte(b' ');
            } else {
                c.encode_utf8(&mut buffer).bytes().for_each(|byte| self.byte(byte));
            }
        }
        self.byte(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lines_do_not_matter_but_words_do() {
        let finding = |message: &str, line| Diagnostic {
            source: "gcc".into(),
            message: message.into(),
            line: Some(line),
            ..Diagnostic::default()
        };
        assert_eq!(of(&finding("leak of 40 bytes at 0x7fab", 1)), of(&finding("leak of 8 bytes at 0x1", 9)));
        assert_ne!(of(&finding("unused x", 1)), of(&finding("unused y", 1)));
    }
}
