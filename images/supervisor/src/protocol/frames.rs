//! Frames: how a byte stream that may begin anywhere and break off anywhere becomes whole messages.
//!
//! ```text
//! magic 4 | version u8 | epoch u32 | kind u8 | call u64 | seq u64 | length u32 | payload | crc32 u32     little endian
//! ```
//!
//! The magic never occurs inside a frame: wherever its first three bytes appear after the magic, a zero follows that the
//! reader drops. So a magic is always the start of a frame. A reader that attaches in mid-frame, or whose predecessor
//! left half a frame behind, loses nothing but that half, and output of a command that imitates frames is never taken
//! for one.

use std::fmt;

/// Goes up with every change that an older peer would misread.
pub const PROTOCOL_VERSION: u8 = 1;
/// The largest payload of one frame; longer things travel in several.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

const MAGIC: [u8; 4] = [0xf5, b'G', b'R', 0xf7];
const ESCAPE: u8 = 0;
const HEADER_BYTES: usize = 1 + 4 + 1 + 8 + 8 + 4;
const CRC_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Host to supervisor: a [`super::Request`] as JSON.
    Request,
    /// Supervisor to host: a [`super::Response`] as JSON.
    Response,
    /// Either way: a [`Chunk`].
    Data,
    /// Either way: a [`super::ProxyFrame`]. Neither kept nor acknowledged; the call is 0.
    Proxy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub epoch: u32,
    pub kind: FrameKind,
    /// The call this is about; 0 where it is about the link itself.
    pub call: u64,
    pub seq: u64,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes that go onto the wire.
    ///
    /// # Panics
    /// If the payload is longer than [`PAYLOAD_BYTES_MAX`]: whoever builds a frame cuts it first.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.payload.len() <= PAYLOAD_BYTES_MAX, "a payload is cut before it is framed");
        let kind = match self.kind {
            FrameKind::Request => 1,
            FrameKind::Response => 2,
            FrameKind::Data => 3,
            FrameKind::Proxy => 4,
        };
        let mut header = [0; HEADER_BYTES];
        header[0] = PROTOCOL_VERSION;
        header[1..5].copy_from_slice(&self.epoch.to_le_bytes());
        header[5] = kind;
        header[6..14].copy_from_slice(&self.call.to_le_bytes());
        header[14..22].copy_from_slice(&self.seq.to_le_bytes());
        header[22..26].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header);
        hasher.update(&self.payload);

        let mut wire = Vec::with_capacity(MAGIC.len() + HEADER_BYTES + self.payload.len() + CRC_BYTES + 16);
        wire.extend_from_slice(&MAGIC);
        let mut escaper = Matcher::default();
        escaper.escape_into(&header, &mut wire);
        escaper.escape_into(&self.payload, &mut wire);
        escaper.escape_into(&hasher.finalize().to_le_bytes(), &mut wire);
        wire
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (covered, crc) = body.split_at_checked(body.len().checked_sub(CRC_BYTES)?)?;
        if covered[0] != PROTOCOL_VERSION || crc32fast::hash(covered).to_le_bytes() != crc {
            return None;
        }
        let kind = match covered[5] {
            1 => FrameKind::Request,
            2 => FrameKind::Response,
            3 => FrameKind::Data,
            4 => FrameKind::Proxy,
            _ => return None,
        };
        Some(Self {
            epoch: u32::from_le_bytes(covered[1..5].try_into().expect("four bytes")),
            kind,
            call: u64::from_le_bytes(covered[6..14].try_into().expect("eight bytes")),
            seq: u64::from_le_bytes(covered[14..22].try_into().expect("eight bytes")),
            payload: covered[HEADER_BYTES..].to_vec(),
        })
    }
}

/// Follows how much of the magic's first three bytes the stream ends with. They differ from one another, so a failed
/// match can only begin anew with its first byte.
#[derive(Debug, Default, Clone, Copy)]
struct Matcher {
    matched: usize,
}

impl Matcher {
    const PREFIX: usize = MAGIC.len() - 1;

    fn step(&mut self, byte: u8) {
        self.matched = match byte {
            byte if self.matched < Self::PREFIX && byte == MAGIC[self.matched] => self.matched + 1,
            byte if byte == MAGIC[0] => 1,
            _ => 0,
        };
    }

    fn complete(self) -> bool {
        self.matched == Self::PREFIX
    }

    fn escape_into(&mut self, mut bytes: &[u8], wire: &mut Vec<u8>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.complete() {
                wire.push(ESCAPE);
                self.matched = 0;
            }
            if self.matched == 0 && byte != MAGIC[0] {
                let plain = memchr::memchr(MAGIC[0], bytes).unwrap_or(bytes.len());
                wire.extend_from_slice(&bytes[..plain]);
                bytes = &bytes[plain..];
                continue;
            }
            wire.push(byte);
            self.step(byte);
            bytes = rest;
        }
    }
}

/// Takes bytes as they come and gives whole frames. Bytes that belong to no frame are counted and skipped.
#[derive(Default)]
pub struct FrameReader {
    input: Vec<u8>,
    consumed: usize,
    state: State,
    discarded_bytes: u64,
}

#[derive(Default)]
enum State {
    /// Looking for a magic, of which so many bytes are matched.
    #[default]
    Hunting,
    /// Behind a magic: what has been unescaped so far.
    Body { body: Vec<u8>, matcher: Matcher },
}

impl FrameReader {
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes skipped so far: garbage, halves of frames, frames whose checksum or version did not fit.
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded_bytes
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The next whole frame among what was pushed, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let input = &self.input[self.consumed..];
            match &mut self.state {
                State::Hunting => match memchr::memmem::find(input, &MAGIC) {
                    Some(at) => {
                        self.discarded_bytes += at as u64;
                        self.consumed += at + MAGIC.len();
                        self.state = State::Body { body: Vec::new(), matcher: Matcher::default() };
                    }
                    None => {
                        let keep = (1..MAGIC.len()).rev().find(|&n| input.ends_with(&MAGIC[..n])).unwrap_or(0);
                        self.discarded_bytes += (input.len() - keep) as u64;
                        self.consumed += input.len() - keep;
                        return None;
                    }
                },
                State::Body { body, matcher } => {
                    let (used, end) = read_body(input, body, matcher);
                    self.consumed += used;
                    match end {
                        BodyEnd::NeedsMore => return None,
                        BodyEnd::Broken => {
                            let (length, matched) = (body.len(), matcher.matched);
                            self.hunt_again(length, matched);
                        }
                        BodyEnd::NewFrame => {
                            self.discarded_bytes += body.len() as u64;
                            self.state = State::Body { body: Vec::new(), matcher: Matcher::default() };
                        }
                        BodyEnd::Complete => {
                            let (body, matched) = (std::mem::take(body), matcher.matched);
                            self.state = State::Hunting;
                            match Frame::decode(&body) {
                                Some(frame) => return Some(frame),
                                None => self.hunt_again(body.len(), matched),
                            }
                        }
                    }
                }
            }
        }
    }
}

impl FrameReader {
    /// Gives up a body. Its last `matched` bytes may be how the next frame's magic begins (the half frame before it ended
    /// inside its length or checksum), so they are looked at again.
    fn hunt_again(&mut self, body_bytes: usize, matched: usize) {
        self.discarded_bytes += (body_bytes - matched) as u64;
        self.input.splice(self.consumed..self.consumed, MAGIC[..matched].iter().copied());
        self.state = State::Hunting;
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("discarded_bytes", &self.discarded_bytes).finish_non_exhaustive()
    }
}

enum BodyEnd {
    NeedsMore,
    Complete,
    /// No frame looks like this: too long, or a magic's beginning that is neither escaped nor a magic.
    Broken,
    /// A magic in mid-frame: whoever wrote the frame before never finished it.
    NewFrame,
}

/// Unescapes `input` onto `body` until the frame ends; says how much of `input` that took.
fn read_body(input: &[u8], body: &mut Vec<u8>, matcher: &mut Matcher) -> (usize, BodyEnd) {
    let mut used = 0;
    loop {
        let needed = match body.get(HEADER_BYTES - 4..HEADER_BYTES) {
            None => HEADER_BYTES,
            Some(length) => {
                let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
                if length > PAYLOAD_BYTES_MAX {
                    return (used, BodyEnd::Broken);
                }
                HEADER_BYTES + length + CRC_BYTES
            }
        };
        if body.len() == needed {
            return (used, BodyEnd::Complete);
        }
        let Some(&byte) = input.get(used) else { return (used, BodyEnd::NeedsMore) };
        if matcher.complete() {
            used += 1;
            matcher.matched = 0;
            match byte {
                ESCAPE => continue,
                byte if byte == MAGIC[Matcher::PREFIX] => return (used, BodyEnd::NewFrame),
                _ => return (used - 1, BodyEnd::Broken),
            }
        }
        if matcher.matched == 0 && byte != MAGIC[0] {
            let rest = &input[used..];
            let rest = &rest[..rest.len().min(needed - body.len())];
            let plain = memchr::memchr(MAGIC[0], rest).unwrap_or(rest.len());
            body.extend_from_slice(&rest[..plain]);
            used += plain;
            continue;
        }
        body.push(byte);
        matcher.step(byte);
        used += 1;
    }
}

/// Which byte stream of a call a [`Chunk`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Host to supervisor: input of an `Exec`, content of a `Write`.
    Input,
    Stdout,
    Stderr,
    /// Supervisor to host: content for a `Read`.
    File,
}

/// Payload of a Data frame: `stream u8 | offset u64 | bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub stream: Stream,
    /// Where in its stream the first byte stands. A gap means that what lies between was counted and dropped.
    pub offset: u64,
    pub bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    pub const HEADER_BYTES: usize = 9;
    /// How many bytes of a stream fit into one frame.
    pub const BYTES_MAX: usize = PAYLOAD_BYTES_MAX - Self::HEADER_BYTES;

    pub fn encode(&self) -> Vec<u8> {
        let stream = match self.stream {
            Stream::Input => 0,
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::File => 3,
        };
        let mut payload = Vec::with_capacity(Self::HEADER_BYTES + self.bytes.len());
        payload.push(stream);
        payload.extend_from_slice(&self.offset.to_le_bytes());
        payload.extend_from_slice(self.bytes);
        payload
    }

    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (header, bytes) = payload.split_at_checked(Self::HEADER_BYTES)?;
        let stream = match header[0] {
            0 => Stream::Input,
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::File,
            _ => return None,
        };
        Some(Self { stream, offset: u64::from_le_bytes(header[1..].try_into().expect("eight bytes")), bytes })
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
