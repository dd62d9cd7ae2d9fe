//! Jobs: commands with a name, which go on between calls.

use serde::{Deserialize, Serialize};

use super::Finished;

/// Jobs that run at once.
pub const JOBS_MAX: usize = 8;
/// Jobs that have ended and can still be asked about.
pub const JOBS_KEPT_MAX: usize = 8;
/// How much of a job's output is kept: the newest.
pub const JOB_OUTPUT_BYTES_MAX: usize = 1 << 20;
pub const JOB_NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobState {
    pub name: String,
    /// All that it has said so far; the offset at which it goes on.
    pub output_bytes: u64,
    /// `None` while it runs.
    pub end: Option<JobEnd>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobEnd {
    /// `cancelled` is what it is called when it was stopped.
    Finished(Finished),
    /// It never ran, or its nanny was killed.
    Failed { message: String },
}
