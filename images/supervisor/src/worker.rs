//! File calls run in a process of their own: what they open, they open as uid 1000; memory they need is not PID 1's; and
//! they can be stopped.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::{
    CallError, Chunk, ErrorKind, FrameKind, PAYLOAD_BYTES_MAX, Request, Response, WRITE_BYTES_MAX,
};

use crate::census::{self, Roll, collect, settle};
use crate::input::InputPipe;
use crate::outbox::{Outbox, to_json};
use crate::sys::{self, Fork, Pid};
use crate::{files, privileges, search, walk};

/// No file call needs longer; one that takes longer is stopped.
const TIME_MAX: Duration = Duration::from_secs(120);
/// But for those that read whole trees.
const TREE_TIME_MAX: Duration = Duration::from_secs(900);
const READ_BYTES: usize = 256 << 10;

/// PID 1's side of a file call.
pub(crate) struct FileCall {
    call: u64,
    pub(crate) pid: Pid,
    pipe: OwnedFd,
    received: Vec<u8>,
    pub(crate) input: Option<InputPipe>,
    deadline: Instant,
    state: State,
}

enum State {
    Working,
    Stopped(&'static str),
}

/// What the worker sends through its pipe: `kind u8 | length u32 | payload`.
#[derive(Clone, Copy)]
enum Record {
    Interim,
    Data,
    Final,
}

impl FileCall {
    pub(crate) fn start(call: u64, request: &Request, null: RawFd, roll: &mut Roll) -> Result<Self, CallError> {
        let busy = |error: io::Error| CallError {
            kind: ErrorKind::Busy,
            message: format!("cannot fork a worker just now: {error}"),
        };
        let (pipe, pipe_child) = sys::pipe().map_err(busy)?;
        sys::set_nonblocking(pipe.as_raw_fd()).map_err(busy)?;
        let (input, input_child) = match request {
            Request::Write { bytes_total, path, .. } if *bytes_total > WRITE_BYTES_MAX => {
                let message = format!("{bytes_total} bytes for `{path}` are more than {WRITE_BYTES_MAX}");
                return Err(CallError { kind: ErrorKind::TooLarge, message });
            }
            Request::Write { bytes_total, .. } => {
                let (child, ours) = sys::pipe().map_err(busy)?;
                (Some(InputPipe::new(ours, *bytes_total).map_err(busy)?), Some(child))
            }
            _ => (None, None),
        };
        let (roll, time_max) = match request {
            Request::Census { .. } => (Some(roll.fd().map_err(busy)?), TREE_TIME_MAX),
            Request::Walk { .. } | Request::Collect { .. } | Request::Settle { .. } => (None, TREE_TIME_MAX),
            _ => (None, TIME_MAX),
        };
        let fds = Fds { pipe: pipe_child.as_raw_fd(), input: input_child.as_ref().map(AsRawFd::as_raw_fd), roll };
        let pid = match sys::fork().map_err(busy)? {
            Fork::Child => work(request, &fds, null),
            Fork::Parent(pid) => pid,
        };
        let deadline = Instant::now() + time_max;
        Ok(Self { call, pid, pipe, received: Vec::new(), input, deadline, state: State::Working })
    }

    pub(crate) fn wants_to_read(&self, outbox: &Outbox) -> Option<RawFd> {
        outbox.has_room(self.call).then(|| self.pipe.as_raw_fd())
    }

    /// When this call will be stopped; none once it has been.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Working => Some(self.deadline),
            State::Stopped(_) => None,
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        if now >= self.deadline {
            self.stop("the file call took too long and was stopped");
        }
    }

    /// Ends the worker; its pipe's end will say that it is gone. A writer is left to remove its temporary file, which it
    /// does when its input breaks off.
    pub(crate) fn stop(&mut self, why: &'static str) {
        if let State::Working = self.state {
            self.state = State::Stopped(why);
            if self.input.take().is_none() {
                sys::kill(self.pid, libc::SIGKILL);
            }
        }
    }

    /// Passes on what the worker has sent; `Some` is the end of the call.
    pub(crate) fn on_readable(&mut self, outbox: &mut Outbox) -> Option<Response> {
        let mut buffer = [0; READ_BYTES];
        match sys::read(self.pipe.as_raw_fd(), &mut buffer) {
            Ok(0) => return Some(self.broken_off()),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if sys::is_retry(&error) => return None,
            Err(_) => return Some(self.broken_off()),
        }
        let mut at = 0;
        while let Some(header) = self.received.get(at..at + 5) {
            let length = u32::from_le_bytes(header[1..].try_into().expect("four bytes")) as usize;
            let kind = header[0];
            let Some(payload) = self.received.get(at + 5..at + 5 + length) else { break };
            match kind {
                1 => outbox.keep(self.call, FrameKind::Response, payload.to_vec()),
                2 => outbox.keep(self.call, FrameKind::Data, payload.to_vec()),
                _ => return Some(serde_json::from_slice(payload).unwrap_or_else(|_| self.broken_off())),
            }
            at += 5 + length;
        }
        self.received.drain(..at);
        None
    }

    fn broken_off(&self) -> Response {
        let message = match self.state {
            State::Stopped(why) => why,
            State::Working => "the worker of this file call was killed, probably for want of memory",
        };
        Response::Failed { error: CallError { kind: ErrorKind::Interrupted, message: message.into() } }
    }
}

/// The worker's side of the pipe.
pub(crate) struct Reply {
    fd: RawFd,
}

impl Reply {
    pub(crate) fn interim(&self, response: &Response) {
        self.send(Record::Interim, &to_json(response));
    }

    pub(crate) fn data(&self, chunk: &Chunk<'_>) {
        self.send(Record::Data, &chunk.encode());
    }

    fn send(&self, record: Record, payload: &[u8]) {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "batches are cut well below the limit");
        let kind = match record {
            Record::Interim => 1,
            Record::Data => 2,
            Record::Final => 3,
        };
        let mut bytes = Vec::with_capacity(5 + payload.len());
        bytes.push(kind);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match sys::write(self.fd, rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // PID 1 has let go of this call.
                Err(_) => sys::exit_now(1),
            }
        }
    }
}

/// What a worker is born with.
struct Fds {
    pipe: RawFd,
    /// Content of a write.
    input: Option<RawFd>,
    /// What the last census saw.
    roll: Option<RawFd>,
}

fn work(request: &Request, fds: &Fds, null: RawFd) -> ! {
    for fd in 0..3 {
        let _ = sys::duplicate_onto(null, fd);
    }
    let mut keep = vec![fds.pipe];
    keep.extend(fds.input);
    keep.extend(fds.roll);
    sys::close_all_but(&keep);
    let reply = Reply { fd: fds.pipe };
    // Sooner to die than PID 1, later than commands. Not being able to say so is no reason to refuse.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let result = match privileges::become_file_worker() {
        Ok(()) => carry_out(request, fds, &reply),
        Err(error) => Err(files::error(b"/", &error)),
    };
    let response = result.unwrap_or_else(|error| Response::Failed { error });
    reply.send(Record::Final, &to_json(&response));
    sys::exit_now(0)
}

fn carry_out(request: &Request, fds: &Fds, reply: &Reply) -> Result<Response, CallError> {
    match request {
        Request::Read { path, offset, bytes_max } => files::read(path, *offset, *bytes_max, reply),
        Request::Write { path, bytes_total, mode, parents, expect } => {
            let input = fds.input.expect("a write was given its input");
            files::write(path, input, *bytes_total, *mode, *parents, expect)
        }
        Request::Stat { path } => files::stat(path),
        Request::List { path, depth_max, entries_max, glob } => {
            walk::list(path, *depth_max, *entries_max, glob.as_deref(), reply)
        }
        Request::Search { pattern, path, glob, matches_max, bytes_max } => {
            search::search(pattern, path, glob.as_deref(), *matches_max, *bytes_max, reply)
        }
        Request::Walk { root, exclude, hash, entries_max } => walk::walk(root, exclude, *hash, *entries_max, reply),
        Request::Census { roots, exclude, base, entries_max } => {
            let roll = fds.roll.expect("a census was given its roll");
            census::census(roots, exclude, *base, *entries_max, roll, reply)
        }
        Request::Collect { roots, places } => collect::collect(roots, places, reply),
        Request::Settle { roots, orders } => settle::settle(roots, orders),
        Request::Remove { path, depth } => files::remove(path, *depth),
        Request::Hello { .. }
        | Request::Renew
        | Request::WatchDisk(_)
        | Request::Exec(_)
        | Request::Forget { .. }
        | Request::StartJob { .. }
        | Request::JobOutput { .. }
        | Request::StopJob { .. }
        | Request::ListJobs
        | Request::Cancel
        | Request::Ack { .. }
        | Request::Listen { .. }
        | Request::Shutdown => Err(CallError { kind: ErrorKind::BadRequest, message: "not a file call".into() }),
    }
}
