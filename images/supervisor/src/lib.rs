//! What the host and the supervisor say to each other; the supervisor itself is the binary of this crate.
//!
//! The host depends on this library alone. It does no I/O: push bytes into a [`protocol::FrameReader`], take frames
//! out; put messages into [`protocol::Frame`]s and encode them.

pub mod protocol;
