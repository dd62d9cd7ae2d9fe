//! What the host asks and what the supervisor answers: JSON payloads of Request and Response frames.
//!
//! The frame around a message names the epoch and the call; nothing here repeats them.

use serde::{Deserialize, Serialize};

use super::{
    ByteString, CensusDone, CensusEntry, Collected, Entry, Hardening, JobState, Match, Metadata, Order, Place,
    ReadDone, Unsettled, WalkEntry,
};

/// Host to supervisor. A new call's id (in the frame) is greater than every earlier one; `Cancel` and `Ack` name a call
/// that exists; `Hello`, `Renew` and `Shutdown` use call 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Opens an epoch (the frame's). Answered by `HelloAck`.
    Hello { lease_ms: u64 },
    /// The runner lives: the lease begins anew. Answered by `Renewed`.
    Renew,
    /// From now on commands that let the volumes grow beyond this end with `disk_limit`. Once, before the first command;
    /// not answered.
    WatchDisk(DiskLimits),
    /// Runs a command as uid 1000, or follows one that an earlier client started under the same token. Answered by Data
    /// frames and one `Finished` or `Failed`.
    Exec(Exec),
    /// Nobody will ask any more for commands that have ended and whose token begins like this: what they said is let go.
    /// Not answered.
    Forget { token_prefix: String },
    /// Starts a job: a command that goes on, under this name, after the call. Its output limits and its timeout mean
    /// nothing. Answered by `Job` at once; a name that a running job has is `already_exists`, unless it is from the same
    /// token.
    StartJob { name: String, exec: Exec },
    /// What a job has said since an offset, both streams as they came, as far as it is kept. Answered by Data frames of
    /// stream `Stdout`, then `Job`.
    JobOutput { name: String, since: u64, bytes_max: u64 },
    /// Ends a job as a timeout ends a command. Answered by `Job` once nothing of it is left.
    StopJob { name: String },
    /// Answered by `Jobs`: those that run, and the newest of those that have ended.
    ListJobs,
    /// Ends the frame's call as its timeout would: TERM, grace, KILL. Answered by that call's own `Finished`; a call
    /// that is not running is left as it is.
    Cancel,
    /// Everything of the frame's call up to and including `seq` is safe with the host.
    Ack { seq: u64 },
    /// A piece of a regular file: Data frames of stream `File`, then `ReadDone`.
    Read { path: ByteString, offset: u64, bytes_max: u64 },
    /// Replaces or creates a file in one step (temporary file in the same directory, fsync-free rename). `bytes_total`
    /// bytes follow in Data frames of stream `Input`. Answered by `WriteDone`.
    Write { path: ByteString, bytes_total: u64, mode: Option<u32>, parents: Parents, expect: Precondition },
    /// What stands at a path, without following a link there. Answered by `StatDone`.
    Stat { path: ByteString },
    /// Names below a directory, sorted, parents before children. Answered by `Entries` (none to many), `ListDone`.
    List { path: ByteString, depth_max: u32, entries_max: u32, glob: Option<String> },
    /// Lines that match a regular expression. Answered by `Matches` (none to many), `SearchDone`.
    Search { pattern: String, path: ByteString, glob: Option<String>, matches_max: u32, bytes_max: u64 },
    /// The manifest of a tree. `exclude` holds paths relative to `root`, left out with all below them. Answered by
    /// `WalkEntries` (none to many), `WalkDone`.
    Walk { root: ByteString, exclude: Vec<ByteString>, hash: HashWhich, entries_max: u64 },
    /// What differs in whole trees from the census `base` (0: none). `exclude` is left out with all below it. Answered by
    /// `CensusEntries` and `CensusGone` (none to many), `CensusDone`.
    Census { roots: Vec<ByteString>, exclude: Vec<Place>, base: u64, entries_max: u64 },
    /// Whole regular files one after the other: for each Data frames of stream `File` (whose offsets run through all of
    /// them) and one `Collected`; then `CollectDone`.
    Collect { roots: Vec<ByteString>, places: Vec<Place> },
    /// Before the first command: makes what an engine could not unpack. Answered by `Settled`.
    Settle { roots: Vec<ByteString>, orders: Vec<Order> },
    /// Removes a file, a link, or a directory with everything in it. Answered by `Removed`.
    Remove { path: ByteString, depth: RemoveDepth },
    /// In a set-up phase only: accepts connections on the container's `127.0.0.1:port` (0: any) and carries them as Proxy
    /// frames. Answered by `Listening`.
    Listen { port: u16 },
    /// Ends every command and then PID 1, and with it the container.
    Shutdown,
}

/// How much writable volumes may hold beyond what they hold now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimits {
    /// Absolute; what is mounted below them does not count unless it is named too.
    pub roots: Vec<ByteString>,
    pub bytes_max: u64,
    /// Files, folders, links.
    pub inodes_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The host's own name for this call, at most 128 bytes. A token that was used before in this epoch, or whose command
    /// was forgotten, or had other words, is refused as `duplicate_call`, whoever uses it and under whatever call id.
    pub token: String,
    /// Program and arguments. A program without `/` is looked up in the PATH of `env`.
    pub argv: Vec<ByteString>,
    pub cwd: ByteString,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(ByteString, ByteString)>,
    pub stdin: Stdin,
    pub timeout_ms: u64,
    /// Between TERM and KILL.
    pub grace_ms: u64,
    pub output: OutputLimits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stdin {
    /// `/dev/null`: end of file at once.
    Null,
    /// So many bytes follow in Data frames of stream `Input`; then end of file.
    Bytes { bytes_total: u64 },
    /// A terminal of this size, which is stdout and stderr too (all of it comes as `Stdout`). Nobody types on it: what is
    /// read from it ends at once.
    Terminal { rows: u16, columns: u16 },
}

/// Per stream. The first `head_bytes_max` bytes travel as they come; of what follows, the last `tail_bytes_max` bytes
/// travel when the stream ends; all is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimits {
    pub head_bytes_max: u64,
    /// At most [`super::TAIL_BYTES_MAX`].
    pub tail_bytes_max: u64,
    /// Both streams together; a command that writes more is ended with outcome `output_limit`.
    pub total_bytes_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    Create,
    MustExist,
}

/// What must stand at the path for a `Write` to happen; otherwise it fails with `hash_mismatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Precondition {
    Any,
    Absent,
    /// A regular file with this content (lower-case hexadecimal).
    Blake3 {
        hex: String,
    },
}

/// Which regular files a `Walk` hashes; the others have `blake3: null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HashWhich {
    All,
    None,
    /// Those whose ctime is at or after this moment (nanoseconds since 1970).
    ChangedSince {
        ctime_ns: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoveDepth {
    /// One name; a directory must be empty.
    One,
    Tree,
}

/// Supervisor to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    HelloAck(Box<HelloAck>),
    Renewed,
    Finished(Finished),
    ReadDone(ReadDone),
    WriteDone {
        bytes: u64,
        blake3: String,
        created: bool,
    },
    StatDone {
        metadata: Metadata,
    },
    Entries {
        entries: Vec<Entry>,
    },
    ListDone {
        entries: u64,
        cut: bool,
    },
    Matches {
        matches: Vec<Match>,
    },
    SearchDone {
        matches: u64,
        files_searched: u64,
        files_binary: u64,
        files_unreadable: u64,
        cut: bool,
    },
    WalkEntries {
        entries: Vec<WalkEntry>,
    },
    WalkDone {
        entries: u64,
        bytes_hashed: u64,
        unreadable: u64,
        cut: bool,
    },
    CensusEntries {
        entries: Vec<CensusEntry>,
    },
    /// With everything that was below them.
    CensusGone {
        places: Vec<Place>,
    },
    CensusDone(CensusDone),
    Collected(Collected),
    CollectDone,
    Settled {
        /// What could not be done; the first few.
        unsettled: Vec<Unsettled>,
    },
    Removed,
    Listening {
        port: u16,
    },
    Job {
        job: JobState,
    },
    Jobs {
        jobs: Vec<JobState>,
    },
    /// The call did not happen, or broke off. With call 0: a frame was refused (`stale_epoch`, `bad_request`).
    Failed {
        error: CallError,
    },
}

impl Response {
    /// Whether this ends its call.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Finished(_)
            | Self::ReadDone(_)
            | Self::WriteDone { .. }
            | Self::StatDone { .. }
            | Self::ListDone { .. }
            | Self::SearchDone { .. }
            | Self::WalkDone { .. }
            | Self::CensusDone(_)
            | Self::CollectDone
            | Self::Settled { .. }
            | Self::Removed
            | Self::Listening { .. }
            | Self::Job { .. }
            | Self::Jobs { .. }
            | Self::Failed { .. } => true,
            Self::HelloAck(_)
            | Self::Renewed
            | Self::Entries { .. }
            | Self::Matches { .. }
            | Self::WalkEntries { .. }
            | Self::CensusEntries { .. }
            | Self::CensusGone { .. }
            | Self::Collected(_) => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelloAck {
    /// The crate version the supervisor was built from.
    pub version: String,
    pub lease_ms: u64,
    /// Commands that run, or ended and are not forgotten, in the order they began. What is not here never started or was
    /// let go.
    pub calls: Vec<CallState>,
    /// The highest call id ever used; the next one is greater.
    pub call_highest: u64,
    pub hardening: Hardening,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallState {
    pub token: String,
    pub state: CallPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallPhase {
    Running,
    Finished,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    pub outcome: Outcome,
    pub sweep: Sweep,
    pub duration_ms: u64,
    /// Out-of-memory kills the container's counter rose by meanwhile, whatever the outcome.
    pub oom_kills: u64,
    pub stdout: StreamTotals,
    pub stderr: StreamTotals,
}

/// How a command ended. `OutOfMemory` comes from the memory cgroup's counters, never from a code of 137.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    TimedOut,
    /// `Cancel` came before it ended.
    Cancelled,
    /// The command failed, and the kernel killed for want of memory in this container meanwhile. `shared`: other commands
    /// ran too, so it may have been one of theirs. Code or signal are the leader's own.
    OutOfMemory {
        code: Option<i32>,
        signal: Option<i32>,
        shared: bool,
    },
    OutputLimit,
    /// The volumes grew beyond what `WatchDisk` allows; killed without grace.
    DiskLimit,
}

/// What it took to leave nothing of the command running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub step: SweepStep,
    /// Processes still there when the leader had ended by itself, or when KILL began.
    pub left_behind: u32,
    /// Processes that could not be shown to be gone; more than 0 means the sandbox cannot be trusted any longer.
    pub survivors: u32,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepStep {
    /// The tree ended by itself.
    None,
    /// TERM was enough.
    Term,
    Kill,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// All that was written.
    pub bytes_total: u64,
    /// Of which so many never travel: `bytes_total` less head and tail.
    pub bytes_dropped: u64,
}

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    pub kind: ErrorKind,
    /// For a person; names the object.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    NotFound,
    NotADirectory,
    IsDirectory,
    /// Neither regular file nor directory where one is needed.
    NotAFile,
    AlreadyExists,
    NotEmpty,
    Permission,
    TooLarge,
    /// The file is not what `expect` says.
    HashMismatch,
    /// No space, no inodes, or over a size limit.
    NoSpace,
    ReadOnly,
    /// A pattern or glob does not parse.
    BadPattern,
    /// The request itself is malformed or beyond a limit; asking again does not help.
    BadRequest,
    /// No process could be forked just now (pids limit), or too many calls in flight: ask again later.
    Busy,
    /// This call id or token was used before.
    DuplicateCall,
    /// The frame's epoch is older than the current client's.
    StaleEpoch,
    /// The call was cancelled, or its worker was killed.
    Interrupted,
    Io,
}

impl Request {
    /// Whether this opens a call that a final [`Response`] will end.
    pub fn opens_call(&self) -> bool {
        match self {
            Self::Exec(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Stat { .. }
            | Self::List { .. }
            | Self::Search { .. }
            | Self::Walk { .. }
            | Self::Census { .. }
            | Self::Collect { .. }
            | Self::Settle { .. }
            | Self::Remove { .. }
            | Self::StartJob { .. }
            | Self::JobOutput { .. }
            | Self::StopJob { .. }
            | Self::ListJobs
            | Self::Listen { .. } => true,
            Self::Hello { .. }
            | Self::Renew
            | Self::WatchDisk(_)
            | Self::Forget { .. }
            | Self::Cancel
            | Self::Ack { .. }
            | Self::Shutdown => false,
        }
    }
}
