//! What waits to be written to the host, and what was written and is not yet acknowledged.
//!
//! Writing never blocks: while nobody reads, frames wait here, as many as a call's window takes.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;

use greenroom_supervisor::protocol::{Frame, FrameKind, ProxyFrame, Response, WINDOW_BYTES};

use crate::sys;

/// Unacknowledged bytes of all calls together after which no more is put here.
const ALL_WINDOWS_BYTES: usize = 32 << 20;
/// Answers about the link itself that may wait; nobody needs an older one.
const LINK_ANSWERS_MAX: usize = 64;

/// What keeping a frame costs beside its payload, so that a stream of tiny ones is bounded too.
const FRAME_BYTES: usize = 128;

struct Kept {
    call: u64,
    kind: FrameKind,
    payload: Vec<u8>,
}

impl Kept {
    fn bytes(&self) -> usize {
        FRAME_BYTES + self.payload.len()
    }
}

#[derive(Default)]
struct Usage {
    frames: usize,
    bytes: usize,
}

#[derive(Default)]
pub(crate) struct Outbox {
    epoch: u32,
    next_seq: u64,
    /// By seq: sent or not, everything about calls that is not acknowledged.
    kept: BTreeMap<u64, Kept>,
    kept_bytes: usize,
    by_call: BTreeMap<u64, Usage>,
    /// The first seq in `kept` that this client has not been sent.
    unsent_from: u64,
    /// Answers about the link: sent once, before anything else.
    link: VecDeque<Response>,
    /// Payloads of Proxy frames: sent once, in turn with what is about calls. Bounded by the connections' windows.
    proxy: VecDeque<Vec<u8>>,
    proxy_is_next: bool,
    /// The frame being written.
    wire: Vec<u8>,
    written: usize,
}

impl Outbox {
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A client said hello: what the one before has not read is not for it.
    pub(crate) fn begin_epoch(&mut self, epoch: u32, hello: Response) {
        let (next_seq, link) = (self.next_seq, VecDeque::from([hello]));
        *self = Self { epoch, next_seq, link, ..Self::default() };
    }

    pub(crate) fn answer_link(&mut self, response: Response) {
        if self.link.len() == LINK_ANSWERS_MAX {
            self.link.pop_front();
        }
        self.link.push_back(response);
    }

    pub(crate) fn proxy(&mut self, frame: &ProxyFrame<'_>) {
        self.proxy.push_back(frame.encode());
    }

    pub(crate) fn respond(&mut self, call: u64, response: &Response) {
        self.keep(call, FrameKind::Response, to_json(response));
    }

    pub(crate) fn keep_data(&mut self, call: u64, payload: Vec<u8>) {
        self.keep(call, FrameKind::Data, payload);
    }

    pub(crate) fn keep(&mut self, call: u64, kind: FrameKind, payload: Vec<u8>) {
        self.next_seq += 1;
        let kept = Kept { call, kind, payload };
        let usage = self.by_call.entry(call).or_default();
        usage.frames += 1;
        usage.bytes += kept.bytes();
        self.kept_bytes += kept.bytes();
        self.kept.insert(self.next_seq, kept);
    }

    /// Whether this call's window takes more.
    pub(crate) fn has_room(&self, call: u64) -> bool {
        self.kept_bytes < ALL_WINDOWS_BYTES && self.by_call.get(&call).is_none_or(|usage| usage.bytes < WINDOW_BYTES)
    }

    pub(crate) fn acknowledge(&mut self, call: u64, seq: u64) {
        let upto: Vec<u64> =
            self.kept.range(..=seq).filter(|(_, kept)| kept.call == call).map(|(seq, _)| *seq).collect();
        for seq in upto {
            let kept = self.kept.remove(&seq).expect("it was just found");
            self.kept_bytes -= kept.bytes();
            if let Some(usage) = self.by_call.get_mut(&call) {
                usage.frames -= 1;
                usage.bytes -= kept.bytes();
            }
        }
        if self.by_call.get(&call).is_some_and(|usage| usage.frames == 0) {
            self.by_call.remove(&call);
        }
    }

    /// Whether anything of this call waits for acknowledgement.
    pub(crate) fn knows(&self, call: u64) -> bool {
        self.by_call.contains_key(&call)
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        !self.wire.is_empty()
            || !self.link.is_empty()
            || !self.proxy.is_empty()
            || self.kept.range(self.unsent_from..).next().is_some()
    }

    /// Writes as much as goes without waiting.
    pub(crate) fn write_to(&mut self, fd: RawFd) {
        loop {
            if self.wire.is_empty() && !self.load() {
                return;
            }
            match sys::write(fd, &self.wire[self.written..]) {
                Ok(count) => self.written += count,
                // A full pipe, or nobody at its other end at this moment: the lease decides how long to hope.
                Err(_) => return,
            }
            if self.written == self.wire.len() {
                self.wire.clear();
                self.written = 0;
            }
        }
    }

    /// Puts the next frame on the wire.
    fn load(&mut self) -> bool {
        let about_call = self.kept.range(self.unsent_from..).next();
        let may_proxy = self.proxy_is_next || about_call.is_none();
        let frame = if let Some(response) = self.link.pop_front() {
            Frame { epoch: self.epoch, kind: FrameKind::Response, call: 0, seq: 0, payload: to_json(&response) }
        } else if let Some(payload) = may_proxy.then(|| self.proxy.pop_front()).flatten() {
            self.proxy_is_next = false;
            Frame { epoch: self.epoch, kind: FrameKind::Proxy, call: 0, seq: 0, payload }
        } else if let Some((&seq, kept)) = about_call {
            self.unsent_from = seq + 1;
            self.proxy_is_next = true;
            Frame { epoch: self.epoch, kind: kept.kind, call: kept.call, seq, payload: kept.payload.clone() }
        } else {
            return false;
        };
        self.wire = frame.encode();
        true
    }
}

pub(crate) fn to_json(response: &Response) -> Vec<u8> {
    serde_json::to_vec(response).expect("a response is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(outbox: &mut Outbox) -> Vec<(u64, u64)> {
        let mut frames = Vec::new();
        while outbox.load() {
            let mut reader = greenroom_supervisor::protocol::FrameReader::new();
            reader.push(&std::mem::take(&mut outbox.wire));
            frames.extend(reader.next_frame().map(|frame| (frame.call, frame.seq)));
        }
        frames
    }

    #[test]
    fn a_new_client_is_sent_nothing_of_the_one_before() {
        let mut outbox = Outbox::default();
        for call in [1, 2, 1] {
            outbox.keep(call, FrameKind::Data, b"x".to_vec());
        }
        assert_eq!(sent(&mut outbox), [(1, 1), (2, 2), (1, 3)]);
        assert_eq!(sent(&mut outbox), []);
        outbox.acknowledge(1, 3);
        assert!(!outbox.knows(1));
        assert!(outbox.knows(2));
        outbox.begin_epoch(9, Response::Renewed);
        outbox.keep(3, FrameKind::Data, b"x".to_vec());
        assert_eq!(sent(&mut outbox), [(0, 0), (3, 4)]);
        assert!(!outbox.knows(2));
    }

    #[test]
    fn a_window_fills_and_empties() {
        let mut outbox = Outbox::default();
        outbox.keep(1, FrameKind::Data, vec![0; WINDOW_BYTES]);
        assert!(!outbox.has_room(1));
        assert!(outbox.has_room(2));
        outbox.acknowledge(1, 1);
        assert!(outbox.has_room(1));
    }

    #[test]
    fn connections_and_calls_take_turns_and_nothing_is_lost() {
        use greenroom_supervisor::protocol::ProxyNews;
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.keep(1, FrameKind::Data, b"x".to_vec());
            outbox.proxy(&ProxyFrame { connection: 7, news: ProxyNews::Open });
        }
        let calls: Vec<u64> = sent(&mut outbox).into_iter().map(|(call, _)| call).collect();
        assert_eq!(calls, [1, 0, 1, 0, 1, 0]);
        assert!(!outbox.wants_to_write());
    }
}
