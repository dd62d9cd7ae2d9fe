//! One output stream of a command: its head travels as it comes, its tail at the end, and all of it is counted.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use greenroom_supervisor::protocol::{Chunk, OutputLimits, Stream, StreamTotals, TAIL_BYTES_MAX};

use crate::jobs::Job;
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

/// Where a command's output goes.
pub(crate) enum Kept {
    /// All of it, for whoever follows.
    Spool(Spool),
    /// The newest of it, for whoever asks.
    Job(Job),
}

impl Kept {
    fn push(&mut self, chunk: &Chunk<'_>) {
        match self {
            Self::Spool(spool) => spool.push(chunk),
            Self::Job(job) => job.ring.push(chunk.bytes),
        }
    }

    pub(crate) fn takes_more(&self) -> bool {
        match self {
            Self::Spool(spool) => spool.takes_more(),
            Self::Job(_) => true,
        }
    }
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

    /// `has_room`: whether what is read can be kept.
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
    pub(crate) fn pull(&mut self, kept: &mut Kept) -> Pull {
        let Some(fd) = self.fd.as_ref().map(AsRawFd::as_raw_fd) else { return Pull::End };
        let mut buffer = [0; READ_BYTES];
        match sys::read(fd, &mut buffer) {
            Ok(0) => {
                self.close();
                Pull::End
            }
            Ok(length) => {
                self.take(&buffer[..length], kept);
                Pull::Some
            }
            Err(error) if sys::is_retry(&error) => Pull::Nothing,
            Err(_) => {
                self.close();
                Pull::End
            }
        }
    }

    fn take(&mut self, bytes: &[u8], kept: &mut Kept) {
        let head_length = (bytes.len() as u64).min(self.head_left) as usize;
        let (head, rest) = bytes.split_at(head_length);
        if !head.is_empty() {
            kept.push(&Chunk { stream: self.stream, offset: self.totals.bytes_total, bytes: head });
            self.head_left -= head_length as u64;
        }
        self.totals.bytes_total += bytes.len() as u64;
        let tail = &rest[rest.len().saturating_sub(self.tail_bytes_max)..];
        let excess = (self.tail.len() + tail.len()).saturating_sub(self.tail_bytes_max);
        self.tail.drain(..excess);
        self.tail.extend(tail);
        self.totals.bytes_dropped += (excess + rest.len() - tail.len()) as u64;
    }

    /// What was held back for the end.
    pub(crate) fn give_tail(&mut self, kept: &mut Kept) {
        let mut tail = std::mem::take(&mut self.tail);
        let mut offset = self.totals.bytes_total - tail.len() as u64;
        for bytes in tail.make_contiguous().chunks(Chunk::BYTES_MAX) {
            kept.push(&Chunk { stream: self.stream, offset, bytes });
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
        let mut kept = Kept::Spool(Spool::default());
        for bytes in ["ab", "cde", "f", "ghij", "k"] {
            pipe.take(bytes.as_bytes(), &mut kept);
        }
        assert_eq!(pipe.totals(), StreamTotals { bytes_total: 11, bytes_dropped: 4 });
        assert_eq!(pipe.tail, b"ijk");
        assert!(pipe.wants_to_read(false).is_some(), "only counted from here on");
    }
}
