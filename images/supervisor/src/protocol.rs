//! The protocol between the host and PID 1 of a sandbox, spoken over the container's attached stdin and stdout.
//!
//! Reading order: [`frames`] (how bytes become frames, and how a reader finds its feet again), [`bytes`] (paths and
//! arguments that need not be UTF-8), [`messages`] (what is asked and answered), [`files`] (the file tools' share),
//! [`census`] (what snapshots are made from), [`hardening`] (what confinement looks like from inside), [`jobs`] (commands
//! that go on between calls), [`proxy`] (connections of a set-up phase).
//!
//! The rules of a conversation:
//!
//! * The host speaks first: `Hello`, in a frame whose `epoch` is higher than every earlier client's. Frames of an older
//!   epoch are refused, so a runner that was thought dead cannot speak over its successor.
//! * The host chooses call ids; each new call's id is greater than every id before it (`HelloAck::call_highest` tells a
//!   new client where to go on). A repeated id is refused as `duplicate_call`.
//! * A call ends with exactly one `Response` for which [`Response::is_final`] holds. Frames about it come in the order in
//!   which things happened, so they also tell how stdout and stderr were interleaved.
//! * At most [`WINDOW_BYTES`] of one call wait for acknowledgement (`Ack`). Acknowledge while output comes in, not only
//!   at the end. A command's output beyond that waits in its spool, of [`SPOOL_BYTES_MAX`]; only when that is full too
//!   does the supervisor stop reading it. Timeouts fire whatever the host does.
//! * A new epoch ends the calls of the one before: file calls are stopped, commands go on. An `Exec` with the token of a
//!   command of an earlier epoch follows it: its output from offset 0, then how it ended. So nothing ever runs twice, and
//!   nothing that ran is lost with the runner. `Forget` says that the host has it safe.

pub mod bytes;
pub mod census;
pub mod files;
pub mod frames;
pub mod hardening;
pub mod jobs;
pub mod messages;
pub mod proxy;

pub use bytes::ByteString;
pub use census::*;
pub use files::*;
pub use frames::{Chunk, Frame, FrameKind, FrameReader, PAYLOAD_BYTES_MAX, PROTOCOL_VERSION, Stream};
pub use hardening::{Credentials, Hardening};
pub use jobs::*;
pub use messages::*;
pub use proxy::*;

/// Unacknowledged bytes of one call after which its output is no longer read.
pub const WINDOW_BYTES: usize = 2 << 20;
/// How much output of one command is kept for a client that follows it.
pub const SPOOL_BYTES_MAX: u64 = 1088 << 20;
/// The same of all commands together; room for it is made by letting the oldest that have ended go.
pub const SPOOLS_BYTES_MAX: u64 = 2 * SPOOL_BYTES_MAX;
/// Commands that have ended and are kept for a client that follows them.
pub const ENDED_MAX: usize = 128;
/// The volume in which output is kept: of uid 0, and for nobody else to look into.
pub const SPOOL_FOLDER: &str = "/.greenroom/spool";
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
