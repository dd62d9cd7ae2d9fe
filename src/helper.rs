//! A bounded task that a run gives to a fresh agent: what makes that a run of its own, and what came of it.

use serde::{Deserialize, Serialize};

use crate::event::RunStatus;
use crate::id::{BlobId, CallToken, RunId};
use crate::snapshot::{SnapshotRef, TreePath};

/// The tool's name.
pub const HELPER: &str = "helper";
/// A run has helpers, these have helpers, and so on, so many levels deep.
pub const DEPTH_MAX: u32 = 5;

/// Of a helper's run: who asked for it, and the files it begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelperOf {
    /// The run whose call it is, itself a helper where `depth` is more than 1.
    pub run: RunId,
    pub token: CallToken,
    /// From 1.
    pub depth: u32,
    /// Whether what it changes is merged.
    pub writes: bool,
    /// Workspace and `$HOME` of that run when it asked.
    pub snapshot: SnapshotRef,
    /// Paths among them that are no part of a diff.
    pub build_output: Vec<TreePath>,
}

/// What a helper came to, as the run that asked for it keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelperReport {
    pub run: RunId,
    pub status: RunStatus,
    /// One sentence for a person.
    pub reason: String,
    pub writes: bool,
    /// Its own words.
    pub answer: String,
    /// Its own and those of its helpers.
    pub steps: u64,
    /// Itself and its helpers.
    pub helpers: u32,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `None` where a price is not known.
    pub cost_usd: Option<f64>,
    pub files_changed: Vec<String>,
    /// Against the files it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<BlobId>,
    pub merge: Merge,
}

/// What became of a helper's diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Merge {
    /// It changed nothing.
    Nothing,
    Merged,
    /// Nothing of it was: these were changed by both.
    Refused {
        conflicts: Vec<String>,
    },
    /// It was to read only, or it did not get to an answer.
    ThrownAway,
}
