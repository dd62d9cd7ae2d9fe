//! The end of a blob in a file of its own: a skippable zstd frame with the hash of all before it.
//!
//! A compressed stream has bits that no decoder looks at, so content that is right does not prove that the file is as it
//! was written. Packs say the same in the frame before each blob; these files are only read any more.

/// Magic and length of the frame, little-endian (RFC 8878, 3.1.2).
const HEADER: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
const SEAL_BYTES: usize = HEADER.len() + 32;

/// Whether a file is bit for bit what was written.
pub(super) fn is_intact(file: &[u8]) -> bool {
    let Some(cut) = file.len().checked_sub(SEAL_BYTES) else { return false };
    let (frames, seal) = file.split_at(cut);
    seal.starts_with(&HEADER) && seal[HEADER.len()..] == *blake3::hash(frames).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_byte_breaks_the_seal() {
        let mut file = b"frames".to_vec();
        let hash = blake3::hash(&file);
        file.extend_from_slice(&HEADER);
        file.extend_from_slice(hash.as_bytes());
        assert!(is_intact(&file));
        for at in 0..file.len() {
            let mut bent = file.clone();
            bent[at] ^= 1;
            assert!(!is_intact(&bent), "byte {at}");
        }
    }
}
