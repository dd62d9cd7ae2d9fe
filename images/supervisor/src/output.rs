//! One output stream of a command: its head travels as it comes, its tail at the end, and all of it is counted.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use greenroom_supervisor::protocol::{Chunk, OutputLimits, Stream, StreamTotals, TAIL_BYTES_MAX};

use crate::spool::Spool;
use crate::sys;

const READ_BYTES: usize = 64 << 10;

pub(crate) struct OutputPipe {
    stream: Stream,
    fd: Option<OwnedFd>,
    head_left: u64,
    tail: VecDeque<u8>,
    tail_bytes_max: usize,
    totals: StreamTotals,
}

pub(crate) enum Pull {
    Some,
    Nothing,
    End,
}

impl OutputPipe {
    pub(crate) fn new(stream: Stream, fd: OwnedFd, limits: OutputLimits) -> Self {
        Self {
            stream,
            fd: Some(fd),
            head_left: limits.head_bytes_max,
            tail: VecDeque::new(),
            tail_bytes_max: limits.tail_bytes_max.min(TAIL_BYTES_MAX) as usize,
            totals: StreamTotals::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.fd.is_some()
    }

    pub(crate) fn close(&mut self) {
        self.fd = None;
    }

    /// `has_room`: whether the spool takes more.
    pub(crate) fn wants_to_read(&self, has_room: bool) -> Option<RawFd> {
        self.fd.as_ref().filter(|_| has_room || self.head_left == 0).map(AsRawFd::as_raw_fd)
    }

    pub(crate) fn bytes_total(&self) -> u64 {
        self.totals.bytes_total
    }

    pub(crate) fn totals(&self) -> StreamTotals {
        self.totals
    }

    /// Reads once.
    pub(crate) fn pull(&mut self, spool: &mut Spool) -> Pull {
        let Some(fd) = self.fd.as_ref().map(AsRawFd::as_raw_fd) else { return Pull::End };
        let mut buffer = [0; READ_BYTES];
        match sys::read(fd, &mut buffer) {
            Ok(0) => {
                self.close();
                Pull::End
            }
            Ok(length) => {
                self.take(&buffer[..length], spool);
                Pull::Some
            }
            Err(error) if sys::is_retry(&error) => Pull::Nothing,
            Err(_) => {
                self.close();
                Pull::End
            }
        }
    }

    fn take(&mut self, bytes: &[u8], spool: &mut Spool) {
        let head_length = (bytes.len() as u64).min(self.head_left) as usize;
        let (head, rest) = bytes.split_at(head_length);
        if !head.is_empty() {
            spool.push(&Chunk { stream: self.stream, offset: self.totals.bytes_total, bytes: head });
            self.head_left -= head_length as u64;
        }
        self.totals.bytes_total += bytes.len() as u64;
        let kept = &rest[rest.len().saturating_sub(self.tail_bytes_max)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.tail_bytes_max);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        self.totals.bytes_dropped += (excess + rest.len() - kept.len()) as u64;
    }

    /// What was held back for the end.
    pub(crate) fn give_tail(&mut self, spool: &mut Spool) {
        let mut tail = std::mem::take(&mut self.tail);
        let mut offset = self.totals.bytes_total - tail.len() as u64;
        for bytes in tail.make_contiguous().chunks(Chunk::BYTES_MAX) {
            spool.push(&Chunk { stream: self.stream, offset, bytes });
            offset += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_middle_is_counted() {
        let (reader, _writer) = sys::pipe().expect("pipes are to be had");
        let limits = OutputLimits { head_bytes_max: 4, tail_bytes_max: 3, total_bytes_max: u64::MAX };
        let mut pipe = OutputPipe::new(Stream::Stdout, reader, limits);
        let mut spool = Spool::default();
        for bytes in ["ab", "cde", "f", "ghij", "k"] {
            pipe.take(bytes.as_bytes(), &mut spool);
        }
        assert_eq!(pipe.totals(), StreamTotals { bytes_total: 11, bytes_dropped: 4 });
        assert_eq!(pipe.tail, b"ijk");
        assert!(pipe.wants_to_read(false).is_some(), "only counted from here on");
    }
}
