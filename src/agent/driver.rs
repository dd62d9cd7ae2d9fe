//! The only async loop: asks the state what to do, does it, writes down what happened, applies it.
//!
//! Every event is committed to the store before it is applied; nothing is acted on that is not committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::helpers::Seed;
use super::notes::Underway;
use super::review::Reviewer;
use super::snapshots::Snapshots;
use super::{RunState, Step};
use crate::context;
use crate::error::{Error, ExitCode, Result};
use crate::event::{Background, Event, JOURNAL_SCHEMA, Limits, RunOutcome, RunStatus};
use crate::failpoint::{self, Failpoint};
use crate::feedback::Delta;
use crate::helper::HELPER;
use crate::id::{BlobId, CallToken, RunId};
use crate::model::Model;
use crate::network::Traffic;
use crate::sandbox::{AGENT_UID, Installer, Launcher, Sandbox, SandboxError, SandboxFacts, SandboxSpec};
use crate::score::StyleRules;
use crate::snapshot::change::created;
use crate::snapshot::pack::tar_stream;
use crate::snapshot::{Manifest, TreePath};
use crate::store::Store;
use crate::task::Task;
use crate::tools::measure::Yardstick;
use crate::tools::{ToolFailure, install, run_checks_in_full};
use crate::verify;

/// What a run is made of. Everything in it comes from the operator.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub launcher: Arc<dyn Launcher>,
    pub model: Arc<dyn Model>,
    /// Of its helpers; `None`: the same.
    pub helper_model: Option<Arc<dyn Model>>,
    /// Keeps the notes of checkpoints; `None`: they hold what the runner knows and no more.
    pub writer: Option<Arc<dyn Model>>,
    /// The second reader of what passes.
    pub judge: Option<Arc<dyn Model>>,
    /// Asked at each checkpoint, where the limits say so.
    pub reviewer: Option<Arc<dyn Reviewer>>,
    pub spec: SandboxSpec,
    /// Which owner of the run this process is, counted from 1.
    pub epoch: u32,
    /// The tree as copied in; its contents are in the store.
    pub pristine: Arc<Manifest>,
    pub settings: Settings,
    /// What the set-up before the run asked of the network.
    pub traffic: Traffic,
    /// What the run is told beside its task.
    pub background: Vec<Background>,
    /// `None` where the operator does not let the agent install anything.
    pub installer: Option<Installer>,
    /// Where another run asked for this one.
    pub helper: Option<Seed>,
    /// For a verification of changed manifests; `None` where there is no set-up and none is allowed.
    pub set_up_again: Option<Installer>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub run: RunId,
    /// The repository's folder on the host, for people.
    pub repo: String,
    pub task: Task,
    pub limits: Limits,
    /// What `resume` needs beside the journal, as the edge wrote it.
    pub plan: serde_json::Value,
    /// The operator's rules of style, and what the repository adds to them.
    pub rules: StyleRules,
}

/// Watches a run; never changes it.
pub trait Observer: Send {
    /// After the event was committed and applied.
    fn event(&mut self, event: &Event, state: &RunState);

    /// Something that takes time begins.
    fn progress(&mut self, progress: &Progress);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    StartingSandbox {
        image: String,
    },
    RunningBaseline {
        checks: usize,
    },
    AskingModel {
        model: String,
        turn: u64,
    },
    RunningTool {
        step: u64,
        tool: String,
        detail: String,
    },
    CapturingTree,
    /// Somebody is to read this checkpoint and answer.
    AwaitingReview {
        version: u32,
        document: String,
    },
    Verifying {
        checks: usize,
    },
}

/// Commands of the baseline carry this token; steps never reach it.
const BASELINE_TOKEN: CallToken = CallToken(u64::MAX - 1);
/// A baseline that took longer is not run again to tell flaky tests apart.
const SLOW_BASELINE: Duration = Duration::from_secs(60);

/// Runs to the end. `Ok` holds the final state, whatever the outcome; `Err` means that there is no run to speak of, or
/// that its sandbox or store failed (the journal then ends with that).
pub async fn drive(parts: Parts, observer: &mut dyn Observer, stop: CancellationToken) -> Result<RunState> {
    let manifest = serde_json::to_vec(&*parts.pristine).expect("a manifest is plain data");
    let pristine = parts.store.put_blob(&manifest).map_err(store_failed)?;
    let started = Event::RunStarted {
        schema: JOURNAL_SCHEMA,
        greenroom: env!("CARGO_PKG_VERSION").into(),
        run: parts.settings.run.clone(),
        repo: parts.settings.repo.clone(),
        task: parts.settings.task.clone(),
        model: parts.model.id().to_owned(),
        limits: parts.settings.limits.clone(),
        plan: parts.settings.plan.clone(),
        pristine: Some(pristine),
        parent: None,
        helper: parts.helper.as_ref().map(|seed| Box::new(seed.of.clone())),
    };
    let state = RunState::start(&started).expect("the event starts a run");
    let mut run = Run::new(parts, state, observer);
    run.parts.store.append(&started).map_err(store_failed)?;
    run.observer.event(&started, &run.state);
    let items = std::mem::take(&mut run.parts.background);
    if !items.is_empty() {
        run.commit(Event::BackgroundRead { items }).map_err(failed)?;
    }
    run.tell_traffic().map_err(failed)?;
    run.until_end(&stop).await
}

/// Goes on with a run of an earlier process, whose journal folded to `state`.
pub async fn resume(
    parts: Parts,
    state: RunState,
    limits: Option<Limits>,
    observer: &mut dyn Observer,
    stop: CancellationToken,
) -> Result<RunState> {
    failpoint::hit(Failpoint::ResumeOpened).map_err(store_failed)?;
    let mut run = Run::new(parts, state, observer);
    let resumed = Event::Resumed { schema: JOURNAL_SCHEMA, greenroom: env!("CARGO_PKG_VERSION").into(), limits };
    run.commit(resumed).map_err(failed)?;
    run.tell_traffic().map_err(failed)?;
    run.take_back().await.map_err(failed)?;
    run.until_end(&stop).await
}

pub(super) struct Run<'a> {
    pub(super) parts: Parts,
    pub(super) state: RunState,
    pub(super) sandbox: Option<Box<dyn Sandbox>>,
    /// What is known of the sandbox's files.
    pub(super) snapshots: Snapshots,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) writer: Option<Underway>,
    /// By this process.
    pub(super) began: Instant,
    /// By earlier ones.
    spent_before: Duration,
    pub(super) reattached: u32,
    /// Sandboxes lost since something was committed.
    pub(super) losses: u32,
    /// For the record of the sandbox that takes its place.
    pub(super) lost_because: String,
    /// Of this sandbox: one proposal at a time, then.
    pub(super) no_forks: bool,
}

impl<'a> Run<'a> {
    fn new(parts: Parts, state: RunState, observer: &'a mut dyn Observer) -> Self {
        let spent_before = Duration::from_millis(state.elapsed_ms);
        Run {
            parts,
            state,
            sandbox: None,
            snapshots: Snapshots::default(),
            observer,
            writer: None,
            began: Instant::now(),
            spent_before,
            reattached: 0,
            losses: 0,
            lost_because: "the one before is gone".into(),
            no_forks: false,
        }
    }

    async fn until_end(mut self, stop: &CancellationToken) -> Result<RunState> {
        let ended = self.until_done(stop).await;
        let stopped = match self.sandbox.take() {
            Some(sandbox) => sandbox.stop().await,
            None => Ok(()),
        };
        ended?;
        stopped?;
        Ok(self.state)
    }

    fn elapsed(&self) -> Duration {
        self.spent_before + self.began.elapsed()
    }

    async fn until_done(&mut self, stop: &CancellationToken) -> Result<()> {
        loop {
            if let Err(failure) = self.hear_writer().await {
                return Err(failed(failure));
            }
            let step = self.state.next();
            if step == Step::Done {
                return Ok(());
            }
            if stop.is_cancelled() {
                return self.finish(RunOutcome { status: RunStatus::Parked, reason: "interrupted".into() });
            }
            // Not broken off: a container that the engine has only begun to create would stay behind.
            let starts_one = matches!(step, Step::StartSandbox | Step::Verify | Step::TryCandidates { .. })
                || matches!(&step, Step::CallTool { call, .. } if call.name == HELPER);
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled(), if !starts_one => continue,
                outcome = self.carry_out(step, stop) => outcome,
            };
            let outcome = match outcome {
                // What is under way is asked for again, in the same sandbox or in a fresh one.
                Err(ToolFailure::Sandbox(error @ SandboxError::Lost { .. })) => {
                    self.survives_loss(error).await.map(drop)
                }
                outcome => outcome,
            };
            if let Err(failure) = outcome {
                let error = failed(failure);
                // The journal should say why it ends; if it cannot, the first error is still the one to show.
                let _ = self.finish(RunOutcome { status: RunStatus::Parked, reason: error.to_string() });
                return Err(error);
            }
        }
    }

    async fn carry_out(&mut self, step: Step, stop: &CancellationToken) -> Result<(), ToolFailure> {
        self.have_sandbox(&step).await?;
        match step {
            Step::StartSandbox | Step::RunBaseline if self.parts.helper.is_some() => self.begin_helper().await,
            Step::StartSandbox => self.start_sandbox().await,
            Step::RunBaseline => self.run_baseline().await,
            Step::CallModel { .. } | Step::TryCandidates { .. } if self.reflex().await? => Ok(()),
            Step::CallModel { turn } => self.call_model(turn).await,
            Step::TryCandidates { turn, count } => self.try_candidates(turn, count, stop).await,
            Step::CallTool { token, call } => self.call_tool(token, call, stop).await,
            Step::WriteCheckpoint => {
                let checkpoint = Box::new(context::checkpoint(&self.state));
                self.commit(Event::CheckpointWritten { checkpoint })?;
                self.ask_writer()
            }
            Step::AskPerson { version } => self.ask_person(version).await,
            Step::RebuildWindow { reason, dropped_messages } => {
                let version = self.state.window.newest.as_ref().map_or(0, |newest| newest.version);
                self.commit(Event::WindowRebuilt { version, reason, dropped_messages: dropped_messages as u64 })
            }
            Step::InstallUnknown { token } => {
                let result = Box::new(install::unknown());
                self.commit(Event::ToolCallFinished { token, result, elapsed_ms: 0, snapshot: None })
            }
            Step::CaptureTree => self.capture_tree().await,
            Step::Verify => self.verify(stop).await,
            Step::Finish(outcome) => self.end(outcome),
            Step::Done => Ok(()),
        }
    }

    /// Committed, then applied, then shown.
    pub(super) fn commit(&mut self, event: Event) -> Result<(), ToolFailure> {
        self.parts.store.append(&event)?;
        if !matches!(event, Event::SandboxReplaced { .. }) {
            self.losses = 0;
        }
        self.state.apply(&event);
        self.observer.event(&event, &self.state);
        Ok(())
    }

    fn finish(&mut self, outcome: RunOutcome) -> Result<()> {
        self.end(outcome).map_err(failed)
    }

    pub(super) fn end(&mut self, outcome: RunOutcome) -> Result<(), ToolFailure> {
        let elapsed_ms = millis(self.elapsed());
        self.commit(Event::Finished { outcome, elapsed_ms })
    }

    async fn start_sandbox(&mut self) -> Result<(), ToolFailure> {
        self.observer.progress(&Progress::StartingSandbox { image: self.parts.spec.image.name.clone() });
        let pristine =
            self.parts.store.put_blob(&serde_json::to_vec(&*self.parts.pristine).map_err(std::io::Error::from)?)?;
        let tree = tree_stream(&self.parts.store, self.parts.pristine.clone());
        failpoint::hit(Failpoint::SandboxBeforeStart)?;
        let sandbox = self.parts.launcher.start(&self.parts.spec, tree).await?;
        failpoint::hit(Failpoint::SandboxStarted)?;
        let facts = sandbox.facts().clone();
        self.sandbox = Some(sandbox);
        self.sandbox_started(facts, pristine)
    }

    pub(super) fn sandbox_started(&mut self, facts: SandboxFacts, pristine: BlobId) -> Result<(), ToolFailure> {
        let (files, bytes) = self.parts.pristine.size();
        self.commit(Event::SandboxStarted {
            container: facts.container,
            image: facts.image.name,
            image_digest: facts.image.digest,
            hardening: facts.hardening,
            runtime: facts.runtime,
            weaker: facts.weaker.iter().map(ToString::to_string).collect(),
            pristine,
            files,
            bytes,
        })
    }

    async fn run_baseline(&mut self) -> Result<(), ToolFailure> {
        let checks = self.state.task.checks.clone();
        self.observer.progress(&Progress::RunningBaseline { checks: checks.len() });
        let began = Instant::now();
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let before = sandbox.walk().await?;
        let timeout = self.check_timeout();
        let store = self.parts.store.clone();
        let mut runs = Vec::new();
        for number in 0..self.state.task.rules.baseline_runs.max(1) {
            let first = (BASELINE_TOKEN, number * checks.len() as u32);
            runs.push(run_checks_in_full(sandbox, store.as_ref(), &checks, first, timeout).await?);
            if began.elapsed() > SLOW_BASELINE {
                break;
            }
        }
        let frozen = verify::freeze(&self.parts.pristine, &self.state.task, store.as_ref(), &runs)?;
        let checks = runs.swap_remove(0).into_iter().map(|run| run.result).collect();
        failpoint::hit(Failpoint::BaselineRan)?;
        let after = sandbox.walk().await?;
        // What set-up left beside the tree is no work of the agent's either.
        let set_up = made_beside(&self.parts.pristine, &before);
        let build_output = created(&before, &after).into_iter().chain(set_up).collect();
        let snapshot = Some(self.snapshots.take(sandbox, store.as_ref()).await?);
        let (elapsed_ms, frozen) = (millis(began.elapsed()), Some(Box::new(frozen)));
        self.commit(Event::BaselineFinished { checks, build_output, elapsed_ms, snapshot, frozen })
    }

    pub(super) fn time_left(&self) -> Option<Duration> {
        let max = self.state.limits.wall_time_max_ms?;
        Some(Duration::from_millis(max).saturating_sub(self.elapsed()).max(Duration::from_secs(1)))
    }

    pub(super) fn check_timeout(&self) -> Duration {
        let timeout = Duration::from_millis(self.state.limits.check_timeout_ms);
        self.time_left().map_or(timeout, |left| timeout.min(left))
    }
}

/// Paths that are there beside a tree, without folders that hold some of it.
pub(super) fn made_beside(tree: &Manifest, there: &Manifest) -> BTreeSet<TreePath> {
    let holds_known = |path: &TreePath| tree.entries.keys().any(|known| known.ancestors().any(|above| above == *path));
    created(tree, there).into_iter().filter(|path| !holds_known(path)).collect()
}

pub(super) fn tree_stream(store: &Arc<dyn Store>, manifest: Arc<Manifest>) -> crate::sandbox::TarStream {
    let store = store.clone();
    tar_stream(manifest, Arc::new(move |id: &crate::id::BlobId| store.blob(id)), AGENT_UID, AGENT_UID)
}

pub(super) fn yardstick<'a>(parts: &'a Parts, state: &'a RunState) -> Yardstick<'a> {
    Yardstick {
        pristine: &parts.pristine,
        build_output: &state.build_output,
        baseline: state.baseline.as_deref().unwrap_or_default(),
        last_checks: state.last_checks.as_deref().unwrap_or_default(),
        last: state.score.as_deref(),
        rules: &parts.settings.rules,
    }
}

pub(super) fn delta(state: &RunState) -> Delta {
    let baseline: Vec<_> = state.baseline.iter().flatten().map(|check| &check.report).collect();
    let last: Option<Vec<_>> =
        state.last_checks.as_ref().map(|checks| checks.iter().map(|check| &check.report).collect());
    let unsteady = state.frozen.iter().flat_map(|frozen| &frozen.flaky).chain(&state.failing_first.unsteady);
    Delta::new(&baseline, last.as_deref()).with_unsteady(unsteady)
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

pub(super) fn no_sandbox() -> SandboxError {
    SandboxError::Lost { detail: "there is none".into() }
}

fn failed(failure: ToolFailure) -> Error {
    match failure {
        ToolFailure::Sandbox(error) => error.into(),
        ToolFailure::Store(error) => store_failed(error),
        ToolFailure::Helper(error) => error,
    }
}

fn store_failed(error: std::io::Error) -> Error {
    Error::new(ExitCode::Parked, "cannot write the run's journal or blobs; nothing was done that is not in it")
        .because(error)
        .hint("see to the disk that holds the state folder, then go on with `greenroom resume`")
}
