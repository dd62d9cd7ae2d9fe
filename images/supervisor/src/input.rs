//! Bytes on their way into a command's stdin or a file worker, as fast as it takes them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::sys;

pub(crate) struct InputPipe {
    fd: Option<OwnedFd>,
    waiting: Vec<u8>,
    written: usize,
    received: u64,
    total: u64,
}

impl InputPipe {
    pub(crate) fn new(fd: OwnedFd, bytes_total: u64) -> io::Result<Self> {
        sys::set_nonblocking(fd.as_raw_fd())?;
        let mut pipe = Self { fd: Some(fd), waiting: Vec::new(), written: 0, received: 0, total: bytes_total };
        pipe.flush();
        Ok(pipe)
    }

    /// Takes bytes that came at `offset`. A gap, or more than was announced, is a mistake of the host's.
    pub(crate) fn push(&mut self, offset: u64, bytes: &[u8]) -> Result<(), &'static str> {
        if offset != self.received {
            return Err("input does not continue where it stopped");
        }
        if self.total - self.received < bytes.len() as u64 {
            return Err("more input than was announced");
        }
        self.received += bytes.len() as u64;
        if self.fd.is_some() {
            self.waiting.extend_from_slice(bytes);
            self.flush();
        }
        Ok(())
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.len() - self.written
    }

    pub(crate) fn wants_to_write(&self) -> Option<RawFd> {
        self.fd.as_ref().filter(|_| self.waiting_bytes() > 0).map(AsRawFd::as_raw_fd)
    }

    /// Writes what goes without waiting, and closes the pipe behind the last byte or a reader that has gone.
    pub(crate) fn flush(&mut self) {
        while let Some(fd) = self.wants_to_write() {
            match sys::write(fd, &self.waiting[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if sys::is_retry(&error) => return,
                Err(_) => {
                    self.fd = None;
                    self.waiting = Vec::new();
                    self.written = 0;
                }
            }
        }
        self.waiting.clear();
        self.written = 0;
        if self.received == self.total {
            self.fd = None;
        }
    }
}
