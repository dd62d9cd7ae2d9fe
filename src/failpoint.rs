//! Places where the fault harness stops the program, exactly there: `GREENROOM_FAILPOINT=NAME[:N][=ACTION]`.
//!
//! `N` counts the hits from 1 (1 by default). Actions: `kill` (SIGKILL, the default), `eio` and `enospc` (the place
//! fails with that error), `stop` (SIGSTOP, as a machine that is put to sleep). A fault that fired is noted in the file
//! that `GREENROOM_FAILPOINT_LOG` names, so that no test passes because nothing happened. Builds without debug
//! assertions, and so every release, read neither variable.

use std::io;

/// Every seam, in the order a run meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// A blob's bytes lie in a temporary file, not yet synced.
    BlobWritten,
    /// Synced, not yet under its name.
    BlobSynced,
    /// Under its name; the folder is not yet synced.
    BlobRenamed,
    /// Nothing of the record is written.
    RecordBefore,
    /// Half of the record's line is written.
    RecordTorn,
    /// The whole line is written, not synced.
    RecordWritten,
    /// The sync of the journal itself.
    RecordSync,
    /// The record is committed; nothing knows it yet.
    RecordCommitted,
    SandboxBeforeStart,
    /// A container runs that no record names.
    SandboxStarted,
    BaselineRan,
    ModelBeforeRequest,
    /// An answer has come and is not committed.
    ModelAnswered,
    /// One proposal was carried out in its fork.
    CandidateTried,
    /// The best of several proposals is known and not committed; its fork is not yet the run's.
    CandidatesRanked,
    /// The intent is committed, nothing was dispatched.
    ToolBeforeDispatch,
    /// It ran; nothing of its result is stored.
    ToolRan,
    /// Its snapshot is stored, the step is not committed.
    StepSnapshotted,
    /// Some of a helper's diff is in the workspace, some is not.
    HelperMerging,
    TreeCaptured,
    Verified,
    /// A later runner holds the run and has written nothing.
    ResumeOpened,
    /// It has the sandbox again, or a new one, and has recorded nothing of that.
    ResumeSandbox,
    /// The container of a running run is gone; its successor is not yet started.
    SandboxLost,
    RewindBefore,
    ForkCopied,
    /// A person's words are committed and still lie in the inbox.
    LetterCommitted,
}

impl Failpoint {
    pub const ALL: [Failpoint; 27] = [
        Failpoint::BlobWritten,
        Failpoint::BlobSynced,
        Failpoint::BlobRenamed,
        Failpoint::RecordBefore,
        Failpoint::RecordTorn,
        Failpoint::RecordWritten,
        Failpoint::RecordSync,
        Failpoint::RecordCommitted,
        Failpoint::SandboxBeforeStart,
        Failpoint::SandboxStarted,
        Failpoint::BaselineRan,
        Failpoint::ModelBeforeRequest,
        Failpoint::ModelAnswered,
        Failpoint::CandidateTried,
        Failpoint::CandidatesRanked,
        Failpoint::ToolBeforeDispatch,
        Failpoint::ToolRan,
        Failpoint::StepSnapshotted,
        Failpoint::HelperMerging,
        Failpoint::TreeCaptured,
        Failpoint::Verified,
        Failpoint::ResumeOpened,
        Failpoint::ResumeSandbox,
        Failpoint::SandboxLost,
        Failpoint::RewindBefore,
        Failpoint::ForkCopied,
        Failpoint::LetterCommitted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Failpoint::BlobWritten => "blob_written",
            Failpoint::BlobSynced => "blob_synced",
            Failpoint::BlobRenamed => "blob_renamed",
            Failpoint::RecordBefore => "record_before",
            Failpoint::RecordTorn => "record_torn",
            Failpoint::RecordWritten => "record_written",
            Failpoint::RecordSync => "record_sync",
            Failpoint::RecordCommitted => "record_committed",
            Failpoint::SandboxBeforeStart => "sandbox_before_start",
            Failpoint::SandboxStarted => "sandbox_started",
            Failpoint::BaselineRan => "baseline_ran",
            Failpoint::ModelBeforeRequest => "model_before_request",
            Failpoint::ModelAnswered => "model_answered",
            Failpoint::CandidateTried => "candidate_tried",
            Failpoint::CandidatesRanked => "candidates_ranked",
            Failpoint::ToolBeforeDispatch => "tool_before_dispatch",
            Failpoint::ToolRan => "tool_ran",
            Failpoint::StepSnapshotted => "step_snapshotted",
            Failpoint::HelperMerging => "helper_merging",
            Failpoint::TreeCaptured => "tree_captured",
            Failpoint::Verified => "verified",
            Failpoint::ResumeOpened => "resume_opened",
            Failpoint::ResumeSandbox => "resume_sandbox",
            Failpoint::SandboxLost => "sandbox_lost",
            Failpoint::RewindBefore => "rewind_before",
            Failpoint::ForkCopied => "fork_copied",
            Failpoint::LetterCommitted => "letter_committed",
        }
    }
}

/// Does what was asked for at this place; nothing where nothing was.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_: Failpoint) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
pub fn hit(point: Failpoint) -> io::Result<()> {
    armed::hit(point)
}

/// Whether the next [`hit`] of this place will do something.
pub fn is_next(point: Failpoint) -> bool {
    #[cfg(debug_assertions)]
    return armed::is_next(point);
    #[cfg(not(debug_assertions))]
    {
        let _ = point;
        false
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::io::{self, Write};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Failpoint;

    struct Plan {
        point: Failpoint,
        /// Hits that are still let pass, this one included.
        left: AtomicU64,
        action: Action,
    }

    enum Action {
        Kill,
        Stop,
        Fail(io::ErrorKind),
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
        let text = std::env::var("GREENROOM_FAILPOINT").ok()?;
        Some(parse(&text).unwrap_or_else(|| panic!("GREENROOM_FAILPOINT=`{text}` names no failpoint")))
    });

    fn parse(text: &str) -> Option<Plan> {
        let (place, action) = text.split_once('=').unwrap_or((text, "kill"));
        let (name, count) = place.split_once(':').unwrap_or((place, "1"));
        let action = match action {
            "kill" => Action::Kill,
            "stop" => Action::Stop,
            "eio" => Action::Fail(io::ErrorKind::Other),
            "enospc" => Action::Fail(io::ErrorKind::StorageFull),
            _ => return None,
        };
        let point = Failpoint::ALL.into_iter().find(|point| point.name() == name)?;
        Some(Plan { point, left: AtomicU64::new(count.parse().ok()?), action })
    }

    pub(super) fn is_next(point: Failpoint) -> bool {
        PLAN.as_ref().is_some_and(|plan| plan.point == point && plan.left.load(Ordering::SeqCst) == 1)
    }

    pub(super) fn hit(point: Failpoint) -> io::Result<()> {
        let Some(plan) = PLAN.as_ref().filter(|plan| plan.point == point) else { return Ok(()) };
        let fires = |left: u64| left.checked_sub(1);
        if plan.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fires) != Ok(1) {
            return Ok(());
        }
        if let Some(path) = std::env::var_os("GREENROOM_FAILPOINT_LOG") {
            let mut log = std::fs::File::options().create(true).append(true).open(path)?;
            writeln!(log, "{}", point.name())?;
        }
        match plan.action {
            Action::Kill => signal_self(Signal::KILL),
            Action::Stop => signal_self(Signal::STOP),
            Action::Fail(kind) => return Err(io::Error::new(kind, format!("injected at {}", point.name()))),
        }
        Ok(())
    }

    fn signal_self(signal: Signal) {
        kill_process(getpid(), signal).expect("a process may signal itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Failpoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Failpoint::ALL.len());
    }
}
