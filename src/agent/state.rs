//! What a run knows and what it does next: `apply` folds an event in, `next` answers from the state alone.
//!
//! Nothing here reads a clock, a disk or a socket. Resume and replay are the same fold.

mod again;
mod answer;
pub(super) mod candidates;
mod files;
mod helpers;
mod reflex;
mod review;
mod said;
mod standing;
mod writer;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use greenroom_parsers::Report;

pub use self::helpers::Helpers;
pub(super) use self::reflex::{ReflexDue, Reflexes};
use self::standing::score_untouched;
pub(super) use self::writer::Writer;
use super::limits;
use super::notebook::Notebook;
use super::progress::Progress;
use super::window::{Due, Room, Window, tokens_of};
use crate::event::{Background, Event, Limits, RunOutcome, RunStatus, ToolOutcome};
use crate::feedback;
use crate::helper::HelperOf;
use crate::id::{BlobId, CallToken, RunId};
use crate::judgement::{Frozen, Judgement};
use crate::message::{Block, Message, Role, ToolUse};
use crate::network::{INSTALL, InstalledPackage, Manager};
use crate::planted::{self, Planted};
use crate::score::Score;
use crate::shell::ShellState;
use crate::snapshot::{SnapshotRef, TreePath};
use crate::task::{CheckResult, Task};
use crate::thrift::FailingFirstTally;

#[derive(Debug, Clone)]
pub struct RunState {
    pub run: RunId,
    pub repo: String,
    pub model: String,
    pub task: Task,
    pub limits: Limits,
    /// Where another run asked for this one.
    pub helper: Option<HelperOf>,
    pub helpers: Helpers,
    pub image: Option<String>,
    /// The runtime that was asked for by name.
    pub runtime: Option<String>,
    /// What its sandbox goes without, because the operator accepted that.
    pub weaker: Vec<String>,
    /// Of the image that sandboxes of this run start from now.
    pub image_digest: Option<String>,
    pub container: Option<String>,
    pub pristine: Option<BlobId>,
    /// Turns that are in the window, oldest first; the opening message apart.
    pub transcript: Vec<Message>,
    pub baseline: Option<Vec<CheckResult>>,
    /// The newest results, of the agent's own check runs or of a verification.
    pub last_checks: Option<Vec<CheckResult>>,
    pub verification: Option<Vec<CheckResult>>,
    /// What the newest verification found beside them.
    pub judgement: Option<Judgement>,
    /// From before the first step.
    pub frozen: Option<Frozen>,
    /// The newest failing evidence in structured form.
    pub findings: Option<Arc<Report>>,
    pub tally: Vec<CheckTally>,
    /// Paths that check runs created: never part of the patch.
    pub build_output: BTreeSet<TreePath>,
    pub tree: Option<BlobId>,
    pub patch: Option<BlobId>,
    pub files_changed: Vec<String>,
    /// Snapshots by the number of steps that were committed then, each other than the one before; 0 is before the first.
    pub snapshots: Vec<(u64, SnapshotRef)>,
    /// The captured tree with what the run made beside the patch.
    pub workspace: Option<BlobId>,
    /// Where the agent's next command begins.
    pub shell: ShellState,
    /// What the agent had installed, install by install.
    pub installs: Vec<(Manager, Vec<InstalledPackage>)>,
    /// Of the newest check run.
    pub score: Option<Box<Score>>,
    /// The agent's own words on what it did.
    pub summary: Option<String>,
    /// Committed tool calls.
    pub steps: u64,
    /// Model requests sent.
    pub turns: u64,
    /// Answers in the conversation as it stands: what a rewind took back is not among them.
    pub answers: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: f64,
    /// Whether every answer had a price.
    pub cost_known: bool,
    pub elapsed_ms: u64,
    /// Times the request must be halved to fit the provider.
    pub shrinks: u32,
    /// What the runner itself remembers for its checkpoints.
    pub notebook: Notebook,
    /// What it was told beside its task.
    pub background: Vec<Background>,
    pub window: Window,
    pub writer: Writer,
    /// Of the input, as the provider counts them.
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    /// What lay in the inbox and was delivered.
    pub said: BTreeSet<String>,
    pub progress: Progress,
    pub outcome: Option<RunOutcome>,
    pub failing_first: FailingFirstTally,
    pub reflex: Reflexes,
    phase: Phase,
    /// Where a later runner goes on that was asked to, once this one parks or stops at a limit.
    resume_at: Option<Phase>,
    /// What a request that has no answer yet may come to.
    asked: Option<Asked>,
    results: Vec<Block>,
    pending: VecDeque<ToolUse>,
    /// Files may have changed since `last_checks`.
    changed_since_checks: bool,
    /// Why the tree as it is was not accepted although its checks pass.
    objected: Option<String>,
    submissions: u32,
    idle_turns: u32,
    silent_turns: u32,
    /// Tokens of the last request.
    estimated: u64,
    /// Of the runner, for the end of the turn.
    remarks: Vec<String>,
    /// The checkpoint that a person has not answered yet.
    review_due: Option<u32>,
    /// It was told that it stands still.
    stuck: bool,
    /// Results of the pending calls, which were carried out in a fork.
    harvest: VecDeque<ToolOutcome>,
    /// The newest check run was of failing tests alone.
    last_alone: bool,
}

/// Charged where nobody will ever know what was spent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Asked {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: Option<f64>,
}

/// How often one check ran after the baseline, and how often it was red.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckTally {
    pub runs: u32,
    pub red_runs: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    StartSandbox,
    RunBaseline,
    CallModel {
        turn: u64,
    },
    /// Several answers for one turn, each in a fork of the sandbox.
    TryCandidates {
        turn: u64,
        count: u32,
    },
    CallTool {
        token: CallToken,
        call: ToolUse,
    },
    /// Of what the window holds, before some of it leaves.
    WriteCheckpoint,
    /// Whether to go on from this checkpoint.
    AskPerson {
        version: u32,
    },
    RebuildWindow {
        reason: String,
        dropped_messages: usize,
    },
    /// An install that an earlier runner began and that nobody saw end: it is not made again.
    InstallUnknown {
        token: CallToken,
    },
    CaptureTree,
    Verify,
    Finish(RunOutcome),
    /// The journal ends with `Finished`.
    Done,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Created,
    SandboxReady,
    AwaitModel,
    ModelAsked,
    Tools,
    InTool(CallToken),
    /// Capture the tree, then verify it.
    CaptureToVerify,
    Verify,
    /// Capture the tree, then finish like this.
    CaptureToFinish(RunOutcome),
    Finish(RunOutcome),
    Done,
}

impl RunState {
    /// The state after `RunStarted`; `None` for any other event.
    pub fn start(event: &Event) -> Option<Self> {
        let Event::RunStarted { run, repo, task, model, limits, pristine, helper, .. } = event else { return None };
        Some(RunState {
            run: run.clone(),
            repo: repo.clone(),
            model: model.clone(),
            tally: vec![CheckTally::default(); task.checks.len()],
            task: task.clone(),
            limits: limits.clone(),
            helper: helper.as_deref().cloned(),
            helpers: Helpers::default(),
            image: None,
            runtime: None,
            weaker: Vec::new(),
            image_digest: None,
            installs: Vec::new(),
            container: None,
            pristine: pristine.clone(),
            transcript: Vec::new(),
            baseline: None,
            last_checks: None,
            verification: None,
            judgement: None,
            frozen: None,
            findings: None,
            build_output: BTreeSet::new(),
            tree: None,
            patch: None,
            files_changed: Vec::new(),
            snapshots: Vec::new(),
            workspace: None,
            shell: ShellState::default(),
            score: None,
            summary: None,
            steps: 0,
            turns: 0,
            answers: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost_usd: 0.0,
            cost_known: true,
            elapsed_ms: 0,
            shrinks: 0,
            notebook: Notebook::default(),
            background: Vec::new(),
            window: Window::default(),
            writer: Writer::default(),
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            said: BTreeSet::new(),
            progress: Progress::default(),
            outcome: None,
            failing_first: FailingFirstTally::default(),
            reflex: Reflexes::default(),
            phase: Phase::Created,
            resume_at: None,
            asked: None,
            results: Vec::new(),
            pending: VecDeque::new(),
            changed_since_checks: false,
            objected: None,
            submissions: 0,
            idle_turns: 0,
            silent_turns: 0,
            estimated: 0,
            remarks: Vec::new(),
            review_due: None,
            stuck: false,
            harvest: VecDeque::new(),
            last_alone: false,
        })
    }

    /// What to do next, from the state alone.
    pub fn next(&self) -> Step {
        match &self.phase {
            Phase::Created => Step::StartSandbox,
            Phase::SandboxReady => Step::RunBaseline,
            // An answer that never came is asked for again under the same number.
            Phase::ModelAsked => self.ask(self.turns),
            Phase::AwaitModel => self.before_asking().unwrap_or_else(|| self.ask(self.turns + 1)),
            Phase::Tools => match self.pending.front() {
                Some(call) => Step::CallTool { token: CallToken(self.steps), call: call.clone() },
                None => Step::CallModel { turn: self.turns + 1 },
            },
            Phase::InTool(token) => match self.pending.front() {
                Some(call) if call.name == INSTALL && !planted::has(Planted::RepeatUnknownInstall) => {
                    Step::InstallUnknown { token: *token }
                }
                Some(call) => {
                    let token = CallToken(token.0 + u64::from(planted::has(Planted::NewTokenForOldCall)));
                    Step::CallTool { token, call: call.clone() }
                }
                None => Step::CallModel { turn: self.turns + 1 },
            },
            Phase::CaptureToVerify | Phase::CaptureToFinish(_) => Step::CaptureTree,
            Phase::Verify => Step::Verify,
            Phase::Finish(outcome) => Step::Finish(outcome.clone()),
            Phase::Done => Step::Done,
        }
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } => {}
            Event::BackgroundRead { items } => self.background.clone_from(items),
            Event::NetworkUsed { .. } => {}
            Event::SandboxStarted { container, image, image_digest, pristine, runtime, weaker, .. } => {
                self.runtime.clone_from(runtime);
                self.weaker.clone_from(weaker);
                self.image_digest = Some(image_digest.clone());
                self.container = Some(container.clone());
                self.image = Some(image.clone());
                self.pristine = Some(pristine.clone());
                self.phase = Phase::SandboxReady;
            }
            Event::BaselineFinished { checks, build_output, elapsed_ms, snapshot, frozen } => {
                self.frozen = frozen.as_deref().cloned();
                self.note_snapshot(snapshot.as_ref());
                self.elapsed_ms += elapsed_ms;
                self.baseline = Some(checks.clone());
                self.score = Some(Box::new(score_untouched(checks)));
                self.note_checks(checks);
                self.build_output.extend(build_output.iter().cloned());
                let nothing_to_do = self.task.instruction.is_none() && checks.iter().all(CheckResult::passed);
                if nothing_to_do {
                    self.phase = Phase::CaptureToVerify;
                } else {
                    self.continue_in(Phase::AwaitModel);
                }
            }
            Event::ModelRequested { turn, estimated_input_tokens, output_tokens_max, cost_usd_max } => {
                self.turns = *turn;
                self.reflex.model_asked();
                self.asked = Some(Asked {
                    input_tokens: *estimated_input_tokens,
                    output_tokens: u64::from(*output_tokens_max),
                    cost_usd: *cost_usd_max,
                });
                self.estimated = *estimated_input_tokens;
                self.window.requested(*estimated_input_tokens, Room::of(&self.limits, self.shrinks));
                self.phase = Phase::ModelAsked;
            }
            Event::ModelResponded { response, reflex: Some(reflex), .. } => self.take_reflex(response, reflex),
            Event::ModelResponded { response, cost_usd, elapsed_ms, reflex: None, .. } => {
                self.elapsed_ms += elapsed_ms;
                self.asked = None;
                self.answers += 1;
                self.charge(response, *cost_usd);
                if let Some(counted) = response.usage.input_tokens {
                    self.window.counted_by_provider(self.estimated, counted);
                }
                self.take_answer(response);
            }
            Event::ModelFailed { failure, detail, elapsed_ms, .. } => {
                self.elapsed_ms += elapsed_ms;
                self.asked = None;
                self.take_failure(*failure, detail);
            }
            Event::CandidatesRan { .. } => self.take_candidates(event),
            Event::ToolCallStarted { token, .. } => {
                self.phase = Phase::InTool(*token);
            }
            Event::ToolCallFinished { token, result, elapsed_ms, snapshot, .. } => {
                self.elapsed_ms += elapsed_ms;
                self.steps = token.0 + 1;
                self.harvest.pop_front();
                self.note_snapshot(snapshot.as_ref());
                self.changed_since_checks |= result.may_write;
                if result.may_write && result.checks.is_none() {
                    self.objected = None;
                }
                let first = result.failing_first.as_deref();
                if let Some(first) = first {
                    self.failing_first.add(first);
                }
                if let Some(checks) = &result.checks {
                    let alone = first.is_some_and(|first| first.alone);
                    self.judge_reflex(checks, alone);
                    let ran = |check: &CheckResult| !check.passed() || !alone;
                    for (tally, check) in self.tally.iter_mut().zip(checks).filter(|(_, check)| ran(check)) {
                        tally.runs += 1;
                        tally.red_runs += u32::from(!check.passed());
                    }
                    self.note_checks(checks);
                    self.note_score(result.score.as_deref());
                    self.changed_since_checks = false;
                } else if let Some(report) = &result.report
                    && feedback::has_findings(report)
                {
                    self.findings = Some(Arc::new(report.clone()));
                }
                self.build_output.extend(result.build_output.iter().cloned());
                if let Some(shell) = &result.shell {
                    self.shell = shell.clone();
                }
                if let Some(install) = &result.installed {
                    self.take_install(install);
                }
                if let Some(report) = &result.helper {
                    self.take_helper(report);
                }
                if let Some(call) = self.pending.pop_front() {
                    self.notebook.note(self.steps - 1, &call, result);
                    self.results.push(Block::ToolResult {
                        tool_use_id: call.id.clone(),
                        content: result.content.clone(),
                        is_error: result.is_error,
                    });
                    let wrote = snapshot.as_ref().is_some_and(|snapshot| snapshot.changed > 0);
                    if let Some(reason) = self.take_standing(&call, result, wrote) {
                        self.refuse_pending("not executed: the run ends here");
                        self.close_turn(None);
                        let outcome = RunOutcome { status: RunStatus::Limit, reason };
                        self.phase = Phase::CaptureToFinish(outcome);
                        return;
                    }
                }
                match (&result.submitted, &result.infeasible) {
                    (Some(summary), Some(reasons)) => {
                        self.summary = Some(summary.clone());
                        self.refuse_pending("not executed: it came after submit");
                        let outcome = RunOutcome { status: RunStatus::Infeasible, reason: reasons.clone() };
                        self.phase = Phase::CaptureToFinish(outcome);
                    }
                    (Some(summary), None) => {
                        self.summary = Some(summary.clone()).filter(|text| !text.is_empty());
                        self.refuse_pending("not executed: it came after submit");
                        self.phase = self.hand_in();
                    }
                    (None, _) if self.pending.is_empty() => {
                        self.close_turn(None);
                        self.continue_in(Phase::AwaitModel);
                    }
                    (None, _) => self.continue_in(Phase::Tools),
                }
            }
            Event::CheckpointWritten { checkpoint } => {
                let room = Room::of(&self.limits, self.shrinks);
                self.review_due = self.limits.review.then_some(checkpoint.version);
                self.window.checkpoint((**checkpoint).clone(), room);
            }
            Event::WriterAsked { estimated_input_tokens, output_tokens_max, cost_usd_max, shown_messages, .. } => {
                let asked = Asked {
                    input_tokens: *estimated_input_tokens,
                    output_tokens: u64::from(*output_tokens_max),
                    cost_usd: *cost_usd_max,
                };
                self.writer.ask(asked, *shown_messages as usize);
            }
            Event::WriterFinished { checkpoint, usage, cost_usd, .. } => {
                self.take_notes(checkpoint.as_deref(), *usage, *cost_usd);
            }
            Event::Said { id, text } => self.take_said(id, text),
            Event::Reviewed { version, review } => self.take_review(*version, review),
            Event::WindowRebuilt { dropped_messages, .. } => {
                let dropped = (*dropped_messages as usize).min(self.transcript.len());
                self.transcript.drain(..dropped);
                self.window.rebuilt(&self.transcript, dropped);
                self.writer.window_rebuilt(dropped);
                self.progress.window_rebuilt();
            }
            Event::TreeCaptured { tree, patch, files_changed, workspace, .. } => {
                self.workspace = workspace.clone();
                self.tree = Some(tree.clone());
                self.patch = Some(patch.clone());
                self.files_changed = files_changed.clone();
                match &self.phase {
                    Phase::CaptureToFinish(outcome) => self.phase = Phase::Finish(outcome.clone()),
                    Phase::CaptureToVerify => self.phase = Phase::Verify,
                    // Captured because the run is being stopped from outside; `Finished` follows.
                    Phase::Created
                    | Phase::SandboxReady
                    | Phase::AwaitModel
                    | Phase::ModelAsked
                    | Phase::Tools
                    | Phase::InTool(_)
                    | Phase::Verify
                    | Phase::Finish(_)
                    | Phase::Done => {}
                }
            }
            Event::VerificationFinished { checks, elapsed_ms, judgement, score } => {
                self.note_score(score.as_deref());
                self.elapsed_ms += elapsed_ms;
                self.verification = Some(checks.clone());
                self.judgement = judgement.as_deref().cloned();
                if let Some(read) = judgement.as_ref().and_then(|judgement| judgement.read.as_ref()) {
                    self.charge_reader(read);
                }
                self.take_verdict(checks);
            }
            Event::Finished { outcome, elapsed_ms } => {
                self.elapsed_ms = self.elapsed_ms.max(*elapsed_ms);
                self.lose_writer();
                let stopped = std::mem::replace(&mut self.phase, Phase::Done);
                match outcome.status {
                    RunStatus::Parked | RunStatus::Failed if self.resume_at.is_none() => self.resume_at = Some(stopped),
                    RunStatus::Parked | RunStatus::Failed | RunStatus::Limit => {}
                    RunStatus::Verified | RunStatus::Unverified | RunStatus::Infeasible | RunStatus::Answered => {
                        self.resume_at = None;
                    }
                }
                self.outcome = Some(outcome.clone());
                self.container = None;
            }
            Event::Resumed { limits, .. } => self.resume(limits.as_ref()),
            Event::SandboxReplaced { container, image_digest, .. } => {
                self.container = Some(container.clone());
                // Made again, it is another one.
                self.image_digest = Some(image_digest.clone());
            }
            // `replay` goes back; an event alone cannot know where that is.
            Event::Rewound { .. } | Event::Imported { .. } => self.container = None,
        }
    }

    fn ask(&self, turn: u64) -> Step {
        match self.candidates_due() {
            Some(count) => Step::TryCandidates { turn, count },
            None => Step::CallModel { turn },
        }
    }

    /// What the next call came to, where it was carried out in a fork.
    pub fn harvested(&self) -> Option<&ToolOutcome> {
        self.harvest.front()
    }

    fn before_asking(&self) -> Option<Step> {
        if let Some(version) = self.review_due {
            return Some(Step::AskPerson { version });
        }
        let room = Room::of(&self.limits, self.shrinks);
        Some(match self.window.due(room, self.turns)? {
            Due::Checkpoint => Step::WriteCheckpoint,
            Due::Rebuild => {
                let full = || "the window was full".to_owned();
                let reason = self.window.wanted.clone().unwrap_or_else(full);
                Step::RebuildWindow { reason, dropped_messages: self.window.leaving(&self.transcript, room) }
            }
        })
    }

    /// Goes on unless a limit is used up: then the tree is captured and the run ends.
    fn continue_in(&mut self, phase: Phase) {
        self.phase = match limits::reached(self) {
            Some(reason) => {
                self.resume_at = Some(phase);
                Phase::CaptureToFinish(RunOutcome { status: RunStatus::Limit, reason })
            }
            None => phase,
        };
    }

    fn refuse_pending(&mut self, why: &str) {
        for call in self.pending.drain(..) {
            self.results.push(Block::ToolResult { tool_use_id: call.id, content: why.into(), is_error: true });
        }
    }

    /// The user's half of a turn: tool results in the order of their calls, then what the runner has to say.
    fn close_turn(&mut self, text: Option<String>) {
        let mut content = std::mem::take(&mut self.results);
        content.extend(self.remarks.drain(..).chain(text).map(|text| Block::Text { text }));
        if !content.is_empty() {
            self.push(Message { role: Role::User, content });
        }
    }

    fn push(&mut self, message: Message) {
        self.window.tokens += tokens_of(&message);
        self.transcript.push(message);
    }
}
