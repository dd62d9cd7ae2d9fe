//! The seam to the place where untrusted code runs: start one, run commands and file calls in it, let it go.
//!
//! A command that fails is data ([`ExecOutput`]); `Err` means that the sandbox itself failed us.

mod attach;
mod base;
mod carry;
mod census;
mod commands;
mod confinement;
mod connect;
mod data;
mod docker;
pub mod doctor;
mod failed;
mod files;
mod fork;
mod image;
mod jobs;
mod link;
mod prepared;
mod profile;
pub mod proxy;
mod reap;
mod setup;
mod toolchain;
mod unused;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{BlobId, CallToken, RunId};
use crate::snapshot::Manifest;
use crate::snapshot::seen::{Census, Order, Spot};
use crate::task::Outcome;

pub use confinement::{Confinement, Weaker};
pub use connect::{Engine, EngineFacts};
pub use docker::{DockerLauncher, LEASE};
pub use fork::FORKS_MAX;
pub use image::{ImageKind, Images, ListedImage, PreparedImage, Progress};
pub use prepared::supervisor_hash;
pub use reap::{UNSTARTED_MAX, reap};
pub use setup::{
    Again, Cloned, Installed, Installer, SetUp, SetUpAgain, Setup, SetupError, Source, Wanted, mirrors, operator_list,
};
pub use toolchain::{TOOLCHAINS, Toolchain, certificate_bundle};
pub use unused::Unused;

/// Below one of the two folders. With the folder before it a longer one would be more than a call of the kernel may name,
/// and no engine unpacks that.
const UNPACKED_PATH_BYTES_MAX: usize = 4_000;

/// Where the workspace is inside every sandbox.
pub const WORKSPACE: &str = "/workspace";
/// `$HOME` of every command.
pub const HOME: &str = "/home/agent";

/// User and group of every command.
pub const AGENT_UID: u64 = 1000;

/// Starts sandboxes. One implementation per kind of container engine.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a sandbox with an empty workspace, fills it with `tree`, and verifies its hardening from inside.
    async fn start(&self, spec: &SandboxSpec, tree: TarStream) -> Result<Box<dyn Sandbox>, SandboxError> {
        use futures_util::StreamExt;
        self.start_filled(spec, Filling { workspace: tree, home: futures_util::stream::empty().boxed() }).await
    }

    /// The same with files for `$HOME` too. What the image has in either folder and `filling` has not, stays.
    async fn start_filled(&self, spec: &SandboxSpec, filling: Filling) -> Result<Box<dyn Sandbox>, SandboxError>;

    /// Takes over the sandbox of an earlier runner, which is shut out from then on. `spec` must be what it was started
    /// with; confinement is verified again. `epoch` must be above that of every runner before (the first has 1): at or
    /// below it the sandbox is [`SandboxError::Lost`] to us. `None`: it is gone, or is not of this run and owner.
    ///
    /// Commands go on meanwhile. [`Sandbox::exec`] with the token and part of one of them follows it: its output from the
    /// beginning, then how it ended. Its output and its end are kept until [`Sandbox::committed`].
    async fn attach(
        &self,
        spec: &SandboxSpec,
        container: &str,
        epoch: u32,
    ) -> Result<Option<Box<dyn Sandbox>>, SandboxError>;

    /// `count` sandboxes that begin with what lies in the workspace, `$HOME` and `/data` of a running one, which goes on
    /// as it is. `spec` is that of the original, but for the run it belongs to and its limits.
    ///
    /// Content, modes, owners, mtimes and links are kept; processes, `/tmp`, sockets and extended attributes are not.
    /// What a command of the original writes meanwhile may be in them by half, so fork between commands. At most
    /// [`FORKS_MAX`] at once.
    async fn fork(
        &self,
        spec: &SandboxSpec,
        original: &dyn Sandbox,
        count: usize,
    ) -> Result<Vec<Box<dyn Sandbox>>, SandboxError>;
}

/// What a new sandbox begins with: an archive for each of its lasting folders, paths relative to it. One without any
/// chunk is not unpacked.
pub struct Filling {
    pub workspace: TarStream,
    pub home: TarStream,
}

/// A tar archive, paths relative to the workspace, in chunks: what fills a new sandbox.
pub type TarStream = futures_util::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>;

/// What to start. Everything here comes from the operator, nothing from the repository.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    pub run: RunId,
    /// A prepared image: it holds the supervisor, `/workspace` and `$HOME`.
    pub image: ImageRef,
    pub limits: ResourceLimits,
    /// What commands see as their environment, complete: nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// A host folder whose copy is readable at `/data`.
    pub data: Option<std::path::PathBuf>,
}

/// A prepared image by name and content digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    pub name: String,
    pub digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Memory and swap together.
    pub memory_bytes: u64,
    pub pids: u32,
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// `/tmp`, in memory.
    pub tmp_bytes: u64,
    /// The largest file a command may write.
    pub file_bytes: u64,
    /// By how much the writable volumes may grow while one command runs.
    #[serde(default = "unlimited")]
    pub disk_bytes: u64,
    /// The same in files and folders.
    #[serde(default = "unlimited")]
    pub disk_inodes: u64,
}

/// Of runs from before there was such a limit.
fn unlimited() -> u64 {
    u64::MAX
}

#[async_trait]
pub trait Sandbox: Send + Sync {
    /// What is known of it, for the journal.
    fn facts(&self) -> &SandboxFacts;

    /// Runs one command to its end. Output goes to `sink` as it comes, stdout and stderr in their order.
    async fn exec(&self, command: &ExecRequest, sink: &mut dyn OutputSink) -> Result<ExecOutput, SandboxError>;

    /// Reads a whole file of at most `bytes_max`.
    async fn read(&self, path: &str, bytes_max: u64) -> Result<Result<Vec<u8>, FileError>, SandboxError>;

    /// Replaces or creates a file atomically, with parent folders. `expect`, where given, is the hash the file must
    /// still have.
    async fn write(
        &self,
        path: &str,
        content: &[u8],
        expect: Option<&crate::id::BlobId>,
    ) -> Result<Result<(), FileError>, SandboxError>;

    async fn list(&self, request: &ListRequest) -> Result<Result<Listing, FileError>, SandboxError>;

    async fn search(&self, request: &SearchRequest) -> Result<Result<SearchResult, FileError>, SandboxError>;

    /// What differs in the workspace and in `$HOME` from the census of that generation; everything where it is not the
    /// newest one, or 0. Content, size, mtime, ctime, inode, links, mode and owner tell; no time is trusted alone.
    async fn census(&self, since: u64) -> Result<Census, SandboxError>;

    /// The contents of regular files, whole and in this order.
    async fn collect(&self, spots: &[Spot], sink: &mut dyn ContentSink) -> Result<(), SandboxError>;

    /// Carries out what makes freshly unpacked folders exact. Only before the first command.
    async fn settle(&self, orders: &[Order]) -> Result<(), SandboxError>;

    /// Every path of the workspace with mode, size and content hash.
    async fn walk(&self) -> Result<Manifest, SandboxError>;

    /// Starts a command that goes on under this name when the call is over, until it is stopped, ends by itself or the
    /// sandbox goes. Its timeout and its limit of output mean nothing. What it leaves behind when it ends is killed, as
    /// for any command. At most eight at once, each name once; the same token starts it once.
    async fn start_job(&self, name: &str, command: &ExecRequest) -> Result<Job, SandboxError>;

    /// What a job has said since an offset. The newest mebibyte of it is kept.
    async fn job_output(&self, name: &str, since: u64, bytes_max: u64) -> Result<JobOutput, SandboxError>;

    /// Ends a job and all that is left of it; one that has ended stays as it was.
    async fn stop_job(&self, name: &str) -> Result<Job, SandboxError>;

    /// Those that run, and the newest of those that have ended.
    async fn jobs(&self) -> Result<Vec<Job>, SandboxError>;

    /// The step is in the journal: nobody will ask for its commands again, and what is kept of them is let go.
    fn committed(&self, token: CallToken);

    /// Ends it and removes what it owned. Called at the end of every run; idempotent. A sandbox that another runner has
    /// taken over is left to it.
    async fn stop(&self) -> Result<(), SandboxError>;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxFacts {
    pub container: String,
    pub image: ImageRef,
    /// As seen by a command inside: uid, capabilities, seccomp, limits.
    pub hardening: serde_json::Value,
    /// The runtime that was asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What it goes without, because somebody asked for that by name.
    #[serde(default, skip_serializing_if = "Weaker::is_empty")]
    pub weaker: Weaker,
}

#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The step this belongs to.
    pub token: CallToken,
    /// Which of the step's commands. No part of a step is ever run twice: after [`Launcher::attach`] it is followed, else
    /// refused.
    pub part: u32,
    pub argv: Vec<String>,
    /// Absolute, inside the container.
    pub cwd: String,
    /// Beside the sandbox's own environment; later entries win.
    pub env: Vec<(String, String)>,
    pub timeout: Duration,
    /// Beyond this the command is killed and the outcome is `output_limit`.
    pub output_bytes_max: u64,
    /// What its input and output are.
    pub stdio: Stdio,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stdio {
    /// No input; stdout and stderr apart.
    #[default]
    Pipes,
    /// A terminal of [`TERMINAL`] inside, on which nobody types; everything comes as stdout.
    Terminal,
}

/// Rows and columns of every terminal in a sandbox.
pub const TERMINAL: (u16, u16) = (24, 120);

impl ExecRequest {
    /// `sh -c COMMAND` in the workspace, with the usual output limit of 1 GiB.
    pub fn shell(token: CallToken, command: &str, timeout: Duration) -> Self {
        ExecRequest {
            token,
            part: 0,
            argv: vec!["/bin/sh".into(), "-c".into(), command.into()],
            cwd: WORKSPACE.into(),
            env: Vec::new(),
            timeout,
            output_bytes_max: 1 << 30,
            stdio: Stdio::Pipes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Takes output as it arrives. Bounded by what the implementation chooses to keep.
pub trait OutputSink: Send {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]);
}

/// Takes the contents of files, one after the other.
pub trait ContentSink: Send {
    /// The next bytes of the file with this number, from 0.
    fn bytes(&mut self, file: usize, bytes: &[u8]) -> Result<(), SandboxError>;

    /// The file is read to its end, and this is its content; `None` where it is gone or cannot be read.
    fn end(&mut self, file: usize, content: Option<BlobId>) -> Result<(), SandboxError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub outcome: Outcome,
    pub duration: Duration,
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    /// Processes that outlived the command's leader and were killed.
    pub stragglers_killed: u32,
}

/// A command with a name, which goes on between calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub name: String,
    /// All it has said, both streams as they came; the offset at which it goes on.
    pub output_bytes: u64,
    /// `None` while it runs.
    pub end: Option<JobEnd>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    Ended(Outcome),
    Stopped,
    /// It never ran, or cannot be said to have.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutput {
    pub job: Job,
    /// Where `bytes` begin: later than was asked for, where that is not kept any more.
    pub from: u64,
    pub bytes: Vec<u8>,
}

/// A file call that could not be done; the model can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("`{path}` does not exist")]
    NotFound { path: String },
    #[error("`{path}` is a directory")]
    IsDirectory { path: String },
    #[error("`{path}` is not a directory")]
    NotDirectory { path: String },
    #[error("`{path}` is not a regular file")]
    NotRegular { path: String },
    #[error("permission denied: `{path}`")]
    Permission { path: String },
    #[error("`{path}` has {bytes} bytes, more than {bytes_max}")]
    TooLarge { path: String, bytes: u64, bytes_max: u64 },
    #[error("`{path}` changed meanwhile")]
    Changed { path: String },
    #[error("{detail}")]
    Invalid { detail: String },
}

#[derive(Debug, Clone)]
pub struct ListRequest {
    pub path: String,
    /// A glob on the path relative to `path`; `None` lists direct children only.
    pub pattern: Option<String>,
    pub entries_max: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Paths relative to the listed folder, folders with a trailing `/`, sorted.
    pub entries: Vec<String>,
    pub truncated: bool,
}

#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// A regular expression (Rust `regex` syntax), matched line by line.
    pub pattern: String,
    pub path: String,
    /// A glob on file names or relative paths.
    pub glob: Option<String>,
    pub matches_max: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchResult {
    pub matches: Vec<SearchMatch>,
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchMatch {
    /// Relative to the workspace where it lies there.
    pub path: String,
    pub line: u32,
    /// The line, at most 400 bytes of it.
    pub text: String,
}

/// The sandbox failed us, not the command in it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("no container engine: {detail}")]
    NoEngine { detail: String },
    #[error("image `{image}` cannot be had: {detail}")]
    Image { image: String, detail: String },
    /// A confinement did not stick: refusing to run without it.
    #[error("hardening refused: {detail}")]
    Hardening {
        detail: String,
        /// The confinements that would have to be done without. Empty where something is missing that has no name.
        unenforced: Weaker,
    },
    #[error("cannot start the sandbox: {detail}")]
    Start { detail: String },
    #[error("sandbox lost: {detail}")]
    Lost { detail: String },
    /// The sandbox is well, and cannot do this one thing.
    #[error("the sandbox cannot {what}: {detail}")]
    Refused { what: String, detail: String },
    #[error("the container engine did not answer within {seconds} s: {what}")]
    Deadline { what: String, seconds: u64 },
}
