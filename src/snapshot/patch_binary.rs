//! Git's binary patch: deflated literals in base 85, and the object names that guard them.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

const ALPHABET: &[u8; 85] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
const LINE_BYTES: usize = 52;

/// Both directions: git needs the first to apply, the second to take back.
pub(super) fn append(text: &mut String, old: &[u8], new: &[u8]) {
    text.push_str("GIT binary patch\n");
    literal(text, new);
    literal(text, old);
}

/// What git calls a blob of these bytes in a repository of SHA-1 names. `git apply` demands it in full for binary
/// patches and compares it with what it finds.
pub(super) fn object_name(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn literal(text: &mut String, bytes: &[u8]) {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all bytes");
    let deflated = encoder.finish().expect("a vector takes all bytes");
    text.push_str(&format!("literal {}\n", bytes.len()));
    for line in deflated.chunks(LINE_BYTES) {
        text.push(length_letter(line.len()));
        for group in line.chunks(4) {
            text.push_str(&five_letters(group));
        }
        text.push('\n');
    }
    text.push('\n');
}

/// `A` to `Z` for 1 to 26 bytes, `a` to `z` for 27 to 52.
fn length_letter(length: usize) -> char {
    let length = u8::try_from(length).expect("a line holds at most 52 bytes");
    char::from(if length <= 26 { b'A' + length - 1 } else { b'a' + length - 27 })
}

/// Four bytes, padded with zeros, as five digits of base 85.
fn five_letters(group: &[u8]) -> String {
    let mut value = (0..4).fold(0u32, |value, at| (value << 8) | u32::from(group.get(at).copied().unwrap_or(0)));
    let mut letters = [0u8; 5];
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET[(value % 85) as usize];
        value /= 85;
    }
    letters.iter().map(|&letter| char::from(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_blob_has_the_name_that_git_gives_it() {
        assert_eq!(object_name(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

    #[test]
    fn an_empty_literal_is_the_one_git_writes() {
        let mut text = String::new();
        literal(&mut text, b"");
        assert_eq!(text, "literal 0\nHcmV?d00001\n\n");
    }
}
