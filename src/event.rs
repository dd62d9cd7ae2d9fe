//! Everything that can happen in a run. The journal is a list of these, and a run's state is a fold over them.

use greenroom_parsers::Report;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, WriterOutcome};
use crate::helper::{HelperOf, HelperReport};
use crate::id::{BlobId, CallToken, RunId};
use crate::judgement::{Frozen, Judgement, Read};
use crate::ledger::{HypothesisNote, PlanItem};
use crate::message::{ModelResponse, ToolUse, Usage};
use crate::network::{Install, ProxyRecord};
use crate::score::Score;
use crate::shell::ShellState;
use crate::snapshot::{SnapshotRef, TreePath};
use crate::task::{CheckResult, Outcome, Task};
use crate::thrift::{FailingFirst, Reflex};

/// Raised when an old journal can no longer be folded as it stands.
pub const JOURNAL_SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "the first record of a journal is the largest, and there is one of it")]
pub enum Event {
    RunStarted {
        schema: u32,
        greenroom: String,
        run: RunId,
        /// The repository's folder on the host, for people and for `apply`.
        repo: String,
        task: Task,
        model: String,
        limits: Limits,
        /// What the edge resolved before it began and `resume` needs again: image, limits of the sandbox, environment.
        /// No secrets.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        plan: serde_json::Value,
        /// Manifest of the tree as copied in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pristine: Option<BlobId>,
        /// The run that this one was forked from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// Where another run asked for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        helper: Option<Box<HelperOf>>,
    },
    /// What the run is told beside its task: data, whoever wrote it.
    BackgroundRead {
        items: Vec<Background>,
    },
    /// What was asked of the proxy, in the order in which it ended. Many requests make several of these.
    NetworkUsed {
        /// The step it was for; `None`: a set-up, before the run or for a verification.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<CallToken>,
        requests: Vec<ProxyRecord>,
        /// Requests after these that were beyond the limit of records.
        #[serde(default)]
        left_out: u64,
    },
    SandboxStarted {
        container: String,
        image: String,
        /// The image's content digest, so that a moved tag is noticed.
        image_digest: String,
        /// Hardening as seen from inside at start.
        hardening: serde_json::Value,
        /// Manifest of the tree as copied in.
        pristine: BlobId,
        files: u64,
        bytes: u64,
        /// The runtime that was asked for by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime: Option<String>,
        /// Confinements that the operator accepted to go without, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weaker: Vec<String>,
    },
    BaselineFinished {
        checks: Vec<CheckResult>,
        /// Paths that the baseline run itself created.
        build_output: Vec<TreePath>,
        elapsed_ms: u64,
        /// The files before the first step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<SnapshotRef>,
        /// What the verification will hold on to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frozen: Option<Box<Frozen>>,
    },
    /// Committed before the request is sent, so that a crash cannot hide a charge.
    ModelRequested {
        turn: u64,
        estimated_input_tokens: u64,
        /// What the answer may take; charged, with the prompt, where the runner dies before the answer is committed.
        #[serde(default)]
        output_tokens_max: u32,
        /// The same in money, where the model's price is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_usd_max: Option<f64>,
    },
    ModelResponded {
        turn: u64,
        response: ModelResponse,
        /// `None` where the model's price is not known.
        cost_usd: Option<f64>,
        elapsed_ms: u64,
        /// It is no model's answer: a tool's own suggestion, carried out before one was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reflex: Option<Box<Reflex>>,
    },
    /// No answer for this turn; what class of error decides what follows.
    ModelFailed {
        turn: u64,
        failure: ModelFailure,
        detail: String,
        elapsed_ms: u64,
    },
    /// Several proposals were carried out, each in a fork of the sandbox. The best one's fork is the sandbox now; what its
    /// calls came to is committed step by step after this.
    CandidatesRan {
        turn: u64,
        /// The winner's answer as it was carried out, with the checks at its end.
        response: ModelResponse,
        results: Vec<ToolOutcome>,
        /// All of them, in their order.
        candidates: Vec<Candidate>,
        /// Counted from 0.
        winner: u32,
        /// What a judge was asked, where evidence left several equal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judge: Option<Box<Read>>,
        container: String,
        /// Its files at the end.
        snapshot: SnapshotRef,
        elapsed_ms: u64,
    },
    ToolCallStarted {
        token: CallToken,
        call: ToolUse,
    },
    ToolCallFinished {
        token: CallToken,
        result: Box<ToolOutcome>,
        elapsed_ms: u64,
        /// The files after this step; `None` where it could not change any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<SnapshotRef>,
    },
    /// A version of the context document: immutable from here on.
    CheckpointWritten {
        checkpoint: Box<Checkpoint>,
    },
    /// Committed before the writer is asked, so that a crash cannot hide a charge.
    WriterAsked {
        /// The newest version then.
        version: u32,
        estimated_input_tokens: u64,
        output_tokens_max: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_usd_max: Option<f64>,
        /// Messages of the window that it is shown; what follows is for the next time.
        shown_messages: u64,
    },
    /// What came of it. The loop went on meanwhile.
    WriterFinished {
        outcome: WriterOutcome,
        /// The newest version with the notes amended; `None` where the notes before stand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<Box<Checkpoint>>,
        usage: Usage,
        cost_usd: Option<f64>,
        elapsed_ms: u64,
    },
    /// A person's words while the run goes on, for the next turn.
    Said {
        /// Under which it lay in the inbox: it is delivered once.
        id: String,
        text: String,
    },
    /// A person's word on a checkpoint, where the run waits for one.
    Reviewed {
        version: u32,
        review: Review,
    },
    /// The window begins anew with the newest checkpoint and the turns that stay.
    WindowRebuilt {
        version: u32,
        reason: String,
        /// The oldest ones, which left.
        dropped_messages: u64,
    },
    /// What the run has made of the tree so far.
    TreeCaptured {
        /// Manifest of the pristine tree with the patch applied: build output left out.
        tree: BlobId,
        /// The unified diff from pristine to that tree.
        patch: BlobId,
        files_changed: Vec<String>,
        /// Manifest of that tree plus what the run made beside the patch: what `cp` reads. Caches stay out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace: Option<BlobId>,
        /// Files that were too many or too large to be kept in it.
        #[serde(default)]
        artifacts_left_out: u64,
    },
    /// The frozen checks in a clean container on the captured tree.
    VerificationFinished {
        checks: Vec<CheckResult>,
        elapsed_ms: u64,
        /// What was found beside their results.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judgement: Option<Box<Judgement>>,
        /// Of the captured tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<Box<Score>>,
    },
    Finished {
        outcome: RunOutcome,
        elapsed_ms: u64,
    },
    /// A later runner goes on; its epoch is the record's.
    Resumed {
        schema: u32,
        greenroom: String,
        /// Where the operator gave it other limits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<Limits>,
    },
    /// A fresh container took the place of one that is gone.
    SandboxReplaced {
        container: String,
        image_digest: String,
        hardening: serde_json::Value,
        /// Why the one before could not be used any more.
        reason: String,
    },
    /// Files and conversation go back to where they were after this step; what was spent stays spent.
    Rewound {
        /// 0 is before the first step.
        to_step: u64,
    },
    /// The whole run came from another machine or state folder.
    Imported {
        /// Of the journal as it came.
        head: String,
    },
}

/// A blob that an event names, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named<'a> {
    Bytes(&'a BlobId),
    /// A manifest, which names the contents of a tree.
    Manifest(&'a BlobId),
    /// The root of a snapshot, which names folders and contents.
    Snapshot(&'a BlobId),
}

impl Event {
    /// Every blob that must be there for this event to mean anything.
    pub fn blobs(&self) -> Vec<Named<'_>> {
        fn outputs(checks: &[CheckResult]) -> impl Iterator<Item = Named<'_>> {
            checks.iter().map(|check| Named::Bytes(&check.output))
        }
        fn root(snapshot: &Option<SnapshotRef>) -> impl Iterator<Item = Named<'_>> {
            snapshot.iter().map(|snapshot| Named::Snapshot(&snapshot.root))
        }
        match self {
            Event::RunStarted { pristine, helper, .. } => {
                let files = helper.iter().map(|helper| Named::Snapshot(&helper.snapshot.root));
                pristine.iter().map(Named::Manifest).chain(files).collect()
            }
            Event::SandboxStarted { pristine, .. } => vec![Named::Manifest(pristine)],
            Event::BaselineFinished { checks, snapshot, frozen, .. } => {
                let tests = frozen.iter().map(|frozen| Named::Bytes(&frozen.tests));
                outputs(checks).chain(root(snapshot)).chain(tests).collect()
            }
            Event::VerificationFinished { checks, .. } => outputs(checks).collect(),
            Event::ToolCallFinished { result, snapshot, .. } => {
                let patch = result.helper.iter().filter_map(|report| report.patch.as_ref());
                let output = result.output.iter().chain(patch).map(Named::Bytes);
                output.chain(outputs(result.checks.as_deref().unwrap_or_default())).chain(root(snapshot)).collect()
            }
            Event::CandidatesRan { results, snapshot, .. } => {
                let output = results.iter().filter_map(|result| result.output.as_ref()).map(Named::Bytes);
                let checks = results.iter().flat_map(|result| outputs(result.checks.as_deref().unwrap_or_default()));
                output.chain(checks).chain([Named::Snapshot(&snapshot.root)]).collect()
            }
            Event::TreeCaptured { tree, patch, workspace, .. } => {
                let fixed = [Named::Manifest(tree), Named::Bytes(patch)];
                fixed.into_iter().chain(workspace.iter().map(Named::Manifest)).collect()
            }
            Event::ModelResponded { reflex, .. } => {
                reflex.iter().flat_map(|reflex| &reflex.before).map(|(_, content)| Named::Bytes(content)).collect()
            }
            Event::NetworkUsed { .. }
            | Event::BackgroundRead { .. }
            | Event::ModelRequested { .. }
            | Event::ModelFailed { .. }
            | Event::ToolCallStarted { .. }
            | Event::Finished { .. }
            | Event::CheckpointWritten { .. }
            | Event::WriterAsked { .. }
            | Event::WriterFinished { .. }
            | Event::Said { .. }
            | Event::Reviewed { .. }
            | Event::WindowRebuilt { .. }
            | Event::Resumed { .. }
            | Event::SandboxReplaced { .. }
            | Event::Rewound { .. }
            | Event::Imported { .. } => Vec::new(),
        }
    }
}

/// One of several proposals for a turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The first line of its words.
    pub summary: String,
    /// How it went, in a line.
    pub verdict: String,
    /// Checks that pass with it.
    pub passed: u32,
    /// What the others complain of.
    pub failing: u64,
    /// Of the tree with it, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Of the whole run's patch with it.
    pub patch_bytes: u64,
    pub usage: Usage,
    /// `None` where the model's price is not known.
    pub cost_usd: Option<f64>,
}

/// What a person said at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Review {
    GoOn,
    /// The run is parked.
    Stop,
    /// It goes on, with these words.
    Steer {
        text: String,
    },
}

impl std::fmt::Display for Review {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Review::GoOn => f.write_str("said yes"),
            Review::Stop => f.write_str("did not say yes"),
            Review::Steer { text } => write!(f, "said: {}", text.lines().next().unwrap_or_default()),
        }
    }
}

/// Text from the repository, or from earlier runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Background {
    pub source: String,
    pub text: String,
}

/// Where a fork branched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    pub step: u64,
    /// Head hash of its journal at that time.
    pub head: String,
}

/// Classes of [`crate::model::ModelError`] as the journal keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFailure {
    Unavailable,
    Authentication,
    Quota,
    ContextOverflow,
    BadRequest,
    Invalid,
    /// It was not asked: at its worst the request would take more than the run has left.
    Budget,
}

/// What a tool call came to: told to the model either way. (A failure of ours ends the run instead.)
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// What the model reads; bounded.
    pub content: String,
    /// The call itself was refused or malformed. A command that ran and failed is not an error.
    #[serde(default)]
    pub is_error: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The whole output of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<BlobId>,
    /// Results of `run_checks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<CheckResult>>,
    /// Where `run_checks` began with the tests that had failed. If they still do, it ran nothing else, and of checks that
    /// were green before, `checks` holds what was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_first: Option<Box<FailingFirst>>,
    /// What `run_checks` makes of the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Box<Score>>,
    /// Paths that a check run created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_output: Vec<TreePath>,
    /// The model asks to finish, with its summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted: Option<String>,
    /// The model says that it cannot be done, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infeasible: Option<String>,
    /// What a command leaves to the next one; `None` leaves it as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellState>,
    /// The model's plan, replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<PlanItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<HypothesisNote>,
    /// What it brought in from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Box<Install>>,
    /// What a helper came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper: Option<Box<HelperReport>>,
    /// Whether the call may have changed files.
    #[serde(default)]
    pub may_write: bool,
    /// The runner died while the call may have reached a network: nobody knows whether it did. It was not repeated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub effect_unknown: bool,
}

/// Where a run must stop by itself. `None` means no limit of that kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub steps_max: u64,
    pub tokens_max: Option<u64>,
    pub cost_usd_max: Option<f64>,
    pub wall_time_max_ms: Option<u64>,
    /// Each check run.
    pub check_timeout_ms: u64,
    /// Each `bash` call that names none.
    pub command_timeout_ms: u64,
    /// A request is never estimated longer than this.
    pub context_tokens_max: u64,
    /// Where checkpoints are written; empty: where they are by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoint_at: Vec<Mark>,
    /// Steps that show nothing new are nobody's business: neither told nor a reason to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_idle: bool,
    /// A person must say yes at each checkpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// Helpers in all, those of helpers among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub helpers_max: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How full the window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Of what a request may hold.
    Percent(u64),
    Tokens(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutcome {
    pub status: RunStatus,
    /// One sentence for a person.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Verified,
    Unverified,
    Infeasible,
    Limit,
    Parked,
    Failed,
    /// A helper has done what it was asked to. Nothing is verified by that.
    Answered,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            steps_max: 200,
            tokens_max: None,
            cost_usd_max: None,
            wall_time_max_ms: None,
            check_timeout_ms: 10 * 60 * 1000,
            command_timeout_ms: 2 * 60 * 1000,
            context_tokens_max: 100_000,
            checkpoint_at: Vec::new(),
            may_idle: false,
            review: false,
            helpers_max: 0,
        }
    }
}

impl RunStatus {
    pub fn exit_code(self) -> crate::error::ExitCode {
        use crate::error::ExitCode;
        match self {
            RunStatus::Verified | RunStatus::Answered => ExitCode::Success,
            RunStatus::Unverified => ExitCode::Unverified,
            RunStatus::Infeasible => ExitCode::Infeasible,
            RunStatus::Limit => ExitCode::Limit,
            RunStatus::Parked => ExitCode::Parked,
            RunStatus::Failed => ExitCode::Internal,
        }
    }
}
