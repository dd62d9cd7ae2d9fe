//! The end of a blob's file: a skippable zstd frame with the hash of all before it.
//!
//! A compressed stream has bits that no decoder looks at, so content that is right does not prove that the file is as it
//! was written. `zstdcat` reads these files all the same.

use std::io::{self, Write};

/// Magic and length of the frame, little-endian (RFC 8878, 3.1.2).
const HEADER: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
const SEAL_BYTES: usize = HEADER.len() + 32;

/// Passes bytes on and remembers their hash.
pub(super) struct Sealing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(inner: W) -> Self {
        Sealing { inner, hasher: blake3::Hasher::new() }
    }

    /// Writes the seal and gives the file back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&HEADER)?;
        self.inner.write_all(self.hasher.finalize().as_bytes())?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Whether a file is bit for bit what was written.
pub(super) fn is_intact(file: &[u8]) -> bool {
    let Some(cut) = file.len().checked_sub(SEAL_BYTES) else { return false };
    let (frames, seal) = file.split_at(cut);
    seal.starts_with(&HEADER) && seal[HEADER.len()..] == *blake3::hash(frames).as_bytes()
}
