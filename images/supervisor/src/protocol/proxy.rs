//! Connections of a set-up phase, carried to the host as frames: the container has no network of its own.
//!
//! PID 1 listens on the container's loopback (`Listen`) and says `Open` for each connection it accepts. From then on both
//! sides send `Data`, at most [`PROXY_WINDOW_BYTES`] of it before the other has said `Credit` for what it has passed on,
//! so nothing here grows with what a peer sends. `End` closes one direction, `Reset` both. Unlike calls, connections do
//! not outlive their client: a `Hello` ends them all.

/// Bytes of one direction of one connection that may be on their way.
pub const PROXY_WINDOW_BYTES: usize = 256 << 10;
/// Connections at once; more wait in the kernel's backlog until one of them ends.
pub const PROXY_CONNECTIONS_MAX: usize = 64;
/// So much of a window is given back at once, so that a stream of small pieces costs few frames.
pub const PROXY_CREDIT_BYTES: usize = PROXY_WINDOW_BYTES / 4;

/// Payload of a Proxy frame: `op u8 | connection u32 | rest`, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyFrame<'a> {
    /// Chosen by PID 1; in use by one connection at a time.
    pub connection: u32,
    pub news: ProxyNews<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyNews<'a> {
    /// PID 1 only: a program in the container has connected.
    Open,
    Data(&'a [u8]),
    /// So many bytes more may be sent.
    Credit(u32),
    /// No more data comes from this side.
    End,
    /// The connection is over in both directions.
    Reset,
}

impl<'a> ProxyFrame<'a> {
    pub const HEADER_BYTES: usize = 5;

    pub fn encode(&self) -> Vec<u8> {
        let credit;
        let (op, rest): (u8, &[u8]) = match self.news {
            ProxyNews::Open => (0, &[]),
            ProxyNews::Data(bytes) => (1, bytes),
            ProxyNews::Credit(bytes) => {
                credit = bytes.to_le_bytes();
                (2, &credit)
            }
            ProxyNews::End => (3, &[]),
            ProxyNews::Reset => (4, &[]),
        };
        let mut payload = Vec::with_capacity(Self::HEADER_BYTES + rest.len());
        payload.push(op);
        payload.extend_from_slice(&self.connection.to_le_bytes());
        payload.extend_from_slice(rest);
        payload
    }

    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (header, rest) = payload.split_at_checked(Self::HEADER_BYTES)?;
        let news = match (header[0], rest.len()) {
            (0, 0) => ProxyNews::Open,
            (1, 1..) => ProxyNews::Data(rest),
            (2, 4) => ProxyNews::Credit(u32::from_le_bytes(rest.try_into().expect("four bytes"))),
            (3, 0) => ProxyNews::End,
            (4, 0) => ProxyNews::Reset,
            _ => return None,
        };
        Some(Self { connection: u32::from_le_bytes(header[1..].try_into().expect("four bytes")), news })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_frame_survives_the_way() {
        let all =
            [ProxyNews::Open, ProxyNews::Data(b"GET"), ProxyNews::Credit(70_000), ProxyNews::End, ProxyNews::Reset];
        for news in all {
            let frame = ProxyFrame { connection: 0xa1b2_c3d4, news };
            assert_eq!(ProxyFrame::decode(&frame.encode()).unwrap(), frame);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in
            [&b""[..], &[0, 1, 0, 0], &[0, 1, 0, 0, 0, 9], &[1, 1, 0, 0, 0], &[2, 1, 0, 0, 0, 9], &[5, 1, 0, 0, 0]]
        {
            assert_eq!(ProxyFrame::decode(bytes), None, "{bytes:?}");
        }
    }
}
