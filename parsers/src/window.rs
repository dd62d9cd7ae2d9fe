//! The part of the text that is in memory, cut in lines, and the cursor a tool reads it with.

use std::cell::Cell;

/// Lines in memory. Grows at the end, forgets at the front.
#[derive(Default)]
pub(crate) struct Window {
    text: String,
    /// Where each line starts; a line ends one byte before the next one starts.
    starts: Vec<usize>,
    /// `text` up to here is cut in lines.
    indexed: usize,
    /// See [`Window::work_bytes`].
    work_bytes: Cell<u64>,
}

impl Window {
    /// Text to append whole lines to; call [`Window::index`] afterwards.
    pub(crate) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Cuts what was appended into lines and shows each to `seen`. Returns the first new line's number.
    pub(crate) fn index(&mut self, mut seen: impl FnMut(&[u8])) -> usize {
        let first = self.starts.len();
        let bytes = self.text.as_bytes();
        let mut start = self.indexed;
        for at in memchr::memchr_iter(b'\n', &bytes[self.indexed..]) {
            let end = self.indexed + at;
            self.starts.push(start);
            seen(&bytes[start..end]);
            start = end + 1;
        }
        self.indexed = start;
        first
    }

    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        let start = *self.starts.get(number)?;
        let next = self.starts.get(number + 1).copied().unwrap_or(self.indexed);
        self.worked(next - start);
        self.text.get(start..next - 1)
    }

    pub(crate) fn worked(&self, bytes: usize) {
        self.work_bytes.set(self.work_bytes.get() + bytes as u64);
    }

    /// Bytes of all lines that were handed out, each as often as it was, and of documents that were searched: what
    /// reading costs, in a unit that is the same on every machine.
    pub(crate) fn work_bytes(&self) -> u64 {
        self.work_bytes.get()
    }

    /// Forgets the first `lines` lines.
    pub(crate) fn forget(&mut self, lines: usize) {
        let cut = self.starts.get(lines).copied().unwrap_or(self.indexed);
        self.text.drain(..cut);
        self.starts.drain(..lines.min(self.starts.len()));
        for start in &mut self.starts {
            *start -= cut;
        }
        self.indexed -= cut;
    }
}

/// What a tool sees: the line it was offered, some before it and many after it.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    window: &'a Window,
    at: usize,
}

impl<'a> Lines<'a> {
    /// A reader sees at least this far ahead (if the output goes on so far).
    pub(crate) const AHEAD_MAX: usize = 2_000;
    /// And this far back.
    pub(crate) const BACK_MAX: usize = 64;

    pub(crate) fn new(window: &'a Window, at: usize) -> Self {
        Self { window, at }
    }

    /// The line on offer.
    pub(crate) fn first(&self) -> &'a str {
        self.ahead(0).unwrap_or("")
    }

    /// The line `n` after the one on offer; `None` past the end or past [`Lines::AHEAD_MAX`].
    pub(crate) fn ahead(&self, n: usize) -> Option<&'a str> {
        if n > Self::AHEAD_MAX { None } else { self.window.line(self.at + n) }
    }

    /// The line `n` before the one on offer; `None` before the start or past [`Lines::BACK_MAX`].
    #[allow(dead_code, reason = "part of the contract with tools")]
    pub(crate) fn back(&self, n: usize) -> Option<&'a str> {
        if n > Self::BACK_MAX { None } else { self.window.line(self.at.checked_sub(n)?) }
    }
}
