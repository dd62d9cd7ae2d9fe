//! Which paths git tracks, read from `.git/index`: a tracked file is part of the tree even where a rule ignores it.

use std::collections::BTreeSet;

use super::TreePath;

/// Beyond this the index is not read, and ignore rules alone decide.
pub(super) const INDEX_BYTES_MAX: u64 = 256 << 20;

/// The parts of an index entry before its flags: times, device, inode, mode, owner, size.
const STAT_BYTES: usize = 40;
const FLAG_EXTENDED: u16 = 0x4000;

/// `None` for what is no index of version 2 to 4. A split index names only what changed since its base.
pub(super) fn tracked(index: &[u8], hash_bytes: usize) -> Option<BTreeSet<TreePath>> {
    let header = index.strip_prefix(b"DIRC")?;
    let version = u32::from_be_bytes(header.get(..4)?.try_into().ok()?);
    let count = u32::from_be_bytes(header.get(4..8)?.try_into().ok()?);
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut paths = BTreeSet::new();
    let mut rest = header.get(8..)?;
    let mut previous: Vec<u8> = Vec::new();
    for _ in 0..count {
        let flags_at = STAT_BYTES + hash_bytes;
        let flags = u16::from_be_bytes(rest.get(flags_at..flags_at + 2)?.try_into().ok()?);
        let mut at = flags_at + if version >= 3 && flags & FLAG_EXTENDED != 0 { 4 } else { 2 };
        if version == 4 {
            let (dropped, length) = offset_varint(rest.get(at..)?)?;
            at += length;
            previous.truncate(previous.len().checked_sub(dropped)?);
        } else {
            previous.clear();
        }
        let name_length = rest.get(at..)?.iter().position(|&b| b == 0)?;
        previous.extend_from_slice(&rest[at..at + name_length]);
        at += name_length + 1;
        if version < 4 {
            at = at.next_multiple_of(8);
        }
        paths.extend(TreePath::new(previous.clone()));
        rest = rest.get(at..)?;
    }
    Some(paths)
}

/// Git's offset encoding: seven bits a byte, highest first, one added for each continuation.
fn offset_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0usize;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
        value += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_index_are_nothing() {
        for bad in [&b""[..], b"DIRC", b"DIRC\0\0\0\x09\0\0\0\x01", b"DIRC\0\0\0\x02\0\0\0\x05abc"] {
            assert_eq!(tracked(bad, 20), None);
        }
    }

    #[test]
    fn offsets_count_one_more_for_each_continuation() {
        assert_eq!(offset_varint(&[0x05]), Some((5, 1)));
        assert_eq!(offset_varint(&[0x80, 0x00]), Some((128, 2)));
        assert_eq!(offset_varint(&[0x80]), None);
    }
}
