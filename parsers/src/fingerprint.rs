//! A name for a finding that survives edits elsewhere: source, code, file and normalised message, never the line.

use crate::Diagnostic;

pub(crate) fn of(diagnostic: &Diagnostic) -> String {
    let mut hash = Fnv::default();
    hash.field(&diagnostic.source);
    hash.field(diagnostic.code.as_deref().unwrap_or(""));
    hash.field(diagnostic.file.as_deref().unwrap_or(""));
    hash.field(&normalised(&diagnostic.message));
    format!("{:016x}", hash.0)
}

/// Runs of digits (hexadecimal addresses too) become `#`, runs of white space one blank.
fn normalised(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() {
            let hexadecimal = c == '0' && chars.next_if(|c| matches!(c, 'x' | 'X')).is_some();
            while chars.next_if(|c| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() }).is_some() {}
            out.push('#');
        } else if c.is_whitespace() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
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
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
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
