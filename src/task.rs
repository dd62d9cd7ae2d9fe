//! What a run is for: the instruction, the checks that must pass, and what a check run found.

use greenroom_parsers::{Report, Verdict};
use serde::{Deserialize, Serialize};

use crate::id::BlobId;
use crate::judgement::Rules;
use crate::planted::{self, Planted};

/// One piece of work, frozen before the agent starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The user's words; `None` means "make the checks pass".
    pub instruction: Option<String>,
    pub checks: Vec<Check>,
    /// By which the patch is judged.
    #[serde(default)]
    pub rules: Rules,
}

/// A command that must pass, run by `sh -c` in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    pub command: String,
}

/// How one command ended: typed by the supervisor, never inferred from an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    Exited { code: i32 },
    Signalled { signal: i32 },
    TimedOut,
    OutOfMemory,
    OutputLimit,
    DiskLimit,
    SandboxLost,
}

impl Outcome {
    pub fn succeeded(self) -> bool {
        self == Outcome::Exited { code: 0 }
    }

    /// As the parsers want to know it; `None` where the outcome says nothing about the command itself.
    pub fn as_exit(self) -> Option<greenroom_parsers::Exit> {
        match self {
            Outcome::Exited { code } => Some(greenroom_parsers::Exit::Code(code)),
            Outcome::Signalled { signal } => Some(greenroom_parsers::Exit::Signal(signal)),
            Outcome::TimedOut => Some(greenroom_parsers::Exit::TimedOut),
            Outcome::OutOfMemory | Outcome::OutputLimit | Outcome::DiskLimit => {
                Some(greenroom_parsers::Exit::Signal(9))
            }
            Outcome::SandboxLost => None,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Exited { code } => write!(f, "exit code {code}"),
            Outcome::Signalled { signal } => write!(f, "killed by signal {signal}"),
            Outcome::TimedOut => f.write_str("timed out"),
            Outcome::OutOfMemory => f.write_str("out of memory"),
            Outcome::OutputLimit => f.write_str("output limit reached"),
            Outcome::DiskLimit => f.write_str("disk limit reached"),
            Outcome::SandboxLost => f.write_str("sandbox lost"),
        }
    }
}

/// One run of one check, with where the evidence is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub check: Check,
    pub outcome: Outcome,
    pub duration_ms: u64,
    /// Bounded for the journal: failures first, counts exact.
    pub report: Report,
    /// The whole output, stdout and stderr in their order.
    pub output: BlobId,
    /// Its end as text, for a reader without the blob; at most 4 KiB.
    pub tail: String,
}

impl CheckResult {
    /// Exit 0 and nothing in the output that contradicts it. Fails closed.
    pub fn passed(&self) -> bool {
        let contradicted = match self.report.verdict {
            Verdict::Passed | Verdict::NoTests | Verdict::Unknown => false,
            Verdict::Failed | Verdict::Error => true,
        };
        self.outcome.succeeded() && (!contradicted || planted::has(Planted::TrustExitCode))
    }

    /// The verdict to show: what the report says, corrected by how the command ended.
    pub fn verdict(&self) -> Verdict {
        match (self.passed(), self.report.verdict) {
            (true, Verdict::Unknown) => Verdict::Passed,
            (true, seen) => seen,
            (false, Verdict::Failed) => Verdict::Failed,
            (false, Verdict::Error | Verdict::Passed | Verdict::NoTests | Verdict::Unknown) => Verdict::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_0_passes_only_where_the_output_does_not_contradict_it() {
        let check = |code: i32, verdict: Verdict| CheckResult {
            check: Check { command: "make test".into() },
            outcome: Outcome::Exited { code },
            duration_ms: 1,
            report: Report { verdict, ..Report::default() },
            output: BlobId::of(b""),
            tail: String::new(),
        };
        assert!(check(0, Verdict::Passed).passed() && check(0, Verdict::Unknown).passed());
        assert!(!check(0, Verdict::Failed).passed() && !check(0, Verdict::Error).passed());
        assert!(!check(1, Verdict::Passed).passed());
    }
}
