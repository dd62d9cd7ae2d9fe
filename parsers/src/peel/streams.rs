//! Lines of several services that arrive interleaved, put together again: what one wrote stays in one piece.

/// More than this does not wait.
const WAITING_BYTES_MAX: usize = 256 << 10;
const NAME_BYTES_MAX: usize = 64;
const STREAMS_MAX: usize = 32;

/// The first one seen goes through; the others wait until the lines with names end.
#[derive(Default)]
pub(crate) struct Streams {
    first: Vec<u8>,
    waiting: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Streams {
    /// Takes a line of `name`, or gives it back because it is the first one's.
    pub(crate) fn holds_back(&mut self, name: &[u8], line: &[u8]) -> bool {
        let name = &name[..name.len().min(NAME_BYTES_MAX)];
        if self.first.is_empty() {
            self.first = name.to_vec();
        }
        if self.first == name {
            return false;
        }
        self.bytes += line.len();
        match self.waiting.iter_mut().find(|(known, _)| known == name) {
            Some((_, text)) => text.extend_from_slice(line),
            None => self.waiting.push((name.to_vec(), line.to_vec())),
        }
        true
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > WAITING_BYTES_MAX || self.waiting.len() > STREAMS_MAX
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.first.is_empty()
    }

    /// Appends what waits, stream by stream.
    pub(crate) fn release(&mut self, out: &mut Vec<u8>) {
        for (_, text) in self.waiting.drain(..) {
            // So that one's last words do not go on with another's.
            out.push(b'\n');
            out.extend_from_slice(&text);
            out.push(b'\n');
        }
        self.first.clear();
        self.bytes = 0;
    }
}
