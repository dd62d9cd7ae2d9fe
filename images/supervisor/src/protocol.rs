//! The protocol between the host and PID 1 of a sandbox, spoken over the container's attached stdin and stdout.
//!
//! Reading order: [`frames`] (how bytes become frames, and how a reader finds its feet again), [`bytes`] (paths and
//! arguments that need not be UTF-8), [`messages`] (what is asked and answered), [`files`] (the file tools' share), [`census`] (what snapshots
//! are made from),
//! [`hardening`] (what confinement looks like from inside), [`proxy`] (connections of a set-up phase).
//!
//! The rules of a conversation:
//!
//! * The host speaks first: `Hello`, in a frame whose `epoch` is higher than every earlier client's. Frames of an older
//!   epoch are dropped, so a runner that was thought dead cannot speak over its successor. An equal epoch is a re-attach.
//! * The host chooses call ids; each new call's id is greater than every id before it (`HelloAck::call_highest` tells a
//!   new client where to go on). A repeated id is refused as `duplicate_call`, so nothing ever runs twice.
//! * Every frame about a call is kept by the supervisor until the host acknowledges its `seq` (`Ack`), and sent again,
//!   with the same `seq`, after every `Hello`. A receiver drops what it has seen. `seq` is global and rises by the order
//!   in which things happened, so it also tells how stdout and stderr were interleaved.
//! * A call ends with exactly one `Response` for which [`Response::is_final`] holds. Once that is acknowledged the
//!   supervisor forgets the call.
//! * At most [`WINDOW_BYTES`] of one call wait for acknowledgement; beyond that the supervisor stops reading the
//!   command's output (timeouts still fire). Acknowledge while output comes in, not only at the end.

pub mod bytes;
pub mod census;
pub mod files;
pub mod frames;
pub mod hardening;
pub mod messages;
pub mod proxy;

pub use bytes::ByteString;
pub use census::*;
pub use files::*;
pub use frames::{Chunk, Frame, FrameKind, FrameReader, PAYLOAD_BYTES_MAX, PROTOCOL_VERSION, Stream};
pub use hardening::{Credentials, Hardening};
pub use messages::*;
pub use proxy::*;

/// Unacknowledged bytes of one call after which its output is no longer read.
pub const WINDOW_BYTES: usize = 2 << 20;
/// Calls that may be in flight, or finished and unacknowledged, at once.
pub const CALLS_MAX: usize = 64;
/// What a command may be given on stdin; it waits in the supervisor's memory until the command reads it.
pub const STDIN_BYTES_MAX: u64 = 8 << 20;
/// The largest content one `Write` carries.
pub const WRITE_BYTES_MAX: u64 = 256 << 20;
/// How much of a stream's end can be kept for the moment the command finishes.
pub const TAIL_BYTES_MAX: u64 = 4 << 20;
/// The user and group of every command and every file tool.
pub const SANDBOX_UID: u32 = 1000;
