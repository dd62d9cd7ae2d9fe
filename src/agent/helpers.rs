//! The `helper` step: a run of its own below this one, driven to its end in a copy of the files, and what came of it.
//!
//! Its run is named by the call, so a later runner finds it and goes on with it before anything else. Its limits are a share
//! of what this run has left, which asks nothing meanwhile; what it took is charged with its result, once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::driver::{Observer, Parts, Progress, Run, Settings, drive, no_sandbox, resume};
use super::snapshots::restore;
use super::{RunState, Step, merging};
use crate::event::{Event, Limits, RunOutcome, RunStatus, ToolOutcome};
use crate::failpoint::{self, Failpoint};
use crate::helper::{HelperOf, HelperReport, Merge};
use crate::id::{CallToken, RunId};
use crate::judgement::{Candidates, Rules};
use crate::message::Usage;
use crate::model::Model;
use crate::network::Traffic;
use crate::sandbox::SandboxSpec;
use crate::snapshot::change::{patch_changes, patched};
use crate::snapshot::seen::Area;
use crate::snapshot::{Entry, Manifest, SnapshotRef};
use crate::store::Beneath;
use crate::task::{CheckResult, Task};
use crate::tools::ToolFailure;
use crate::tools::helper::{self, Args};

/// What a helper's run begins with beside its task.
#[derive(Debug, Clone)]
pub struct Seed {
    pub of: HelperOf,
    /// The newest results that the run which asks knows.
    pub checks: Vec<CheckResult>,
}

/// The driver calls itself here, so the future must have a name; nobody sends it anywhere.
type Driven<'a> = Pin<Box<dyn Future<Output = crate::error::Result<RunState>> + 'a>>;

/// Shows what a helper is doing; its events are its own.
struct Beside<'a>(&'a mut dyn Observer);

impl Observer for Beside<'_> {
    fn event(&mut self, _: &Event, _: &RunState) {}

    fn progress(&mut self, progress: &Progress) {
        self.0.progress(progress);
    }
}

/// A request must leave room for the answer in a small window.
pub fn within_window(limits: Limits, model: &dyn Model) -> Limits {
    let context_tokens_max = match model.limits().context_tokens {
        Some(window) => limits.context_tokens_max.min(window / 4 * 3),
        None => limits.context_tokens_max,
    };
    Limits { context_tokens_max, ..limits }
}

impl Run<'_> {
    /// `None`: the helper is parked, and so is this run.
    pub(super) async fn help(
        &mut self,
        token: CallToken,
        args: &Args,
        stop: &CancellationToken,
    ) -> Result<Option<ToolOutcome>, ToolFailure> {
        let run = self.state.run.helper(token);
        let known = self.parts.store.beneath(&run, false)?;
        let state = match known.as_ref().and_then(|known| RunState::replay(&known.events)) {
            None => {
                let granted = match args.refusal().map_or_else(|| self.granted(args), Err) {
                    Ok(granted) => granted,
                    Err(refusal) => return Ok(Some(ToolOutcome::refused(refusal))),
                };
                drop(known);
                let (of, base) = self.fork_point(token, args).await?;
                let made = self.parts.store.beneath(&run, true)?;
                let beneath = made.ok_or_else(|| std::io::Error::other("the run of a helper was not made"))?;
                let parts = self.parts_of(&run, args, granted, (of, base), beneath);
                let mut beside = Beside(&mut *self.observer);
                let driven: Driven<'_> = Box::pin(drive(parts, &mut beside, stop.clone()));
                driven.await?
            }
            Some(state) if has_ended(&state) => state,
            Some(state) => {
                let beneath = known.ok_or_else(|| std::io::Error::other("the run of a helper is gone"))?;
                let of = state.helper.clone().ok_or_else(|| std::io::Error::other("it is no helper's run"))?;
                let base = self.manifest(state.pristine.as_ref())?;
                let parts = self.parts_of(&run, args, state.limits.clone(), (of, base), beneath);
                let mut beside = Beside(&mut *self.observer);
                let driven: Driven<'_> = Box::pin(resume(parts, state, None, &mut beside, stop.clone()));
                driven.await?
            }
        };
        if let Some(RunOutcome { status: RunStatus::Parked, reason }) = &state.outcome {
            // Interrupted, this run parks by itself and says so.
            if !stop.is_cancelled() {
                let reason = format!("its helper {run} is parked: {reason}");
                self.end(RunOutcome { status: RunStatus::Parked, reason })?;
            }
            return Ok(None);
        }
        self.outcome_of(token, state).await.map(Some)
    }

    fn granted(&self, args: &Args) -> Result<Limits, String> {
        let model = self.parts.helper_model.as_ref().unwrap_or(&self.parts.model);
        let granted = self.state.grant(args.steps, args.budget_percent)?;
        let wall_time_max_ms = self.time_left().map(super::driver::millis);
        // Nobody is asked about a helper: its checkpoints are shown to no one.
        Ok(Limits { wall_time_max_ms, review: false, ..within_window(granted, model.as_ref()) })
    }

    /// The files as they are now, and of them the tree that a diff is made against.
    async fn fork_point(&mut self, token: CallToken, args: &Args) -> Result<(HelperOf, Manifest), ToolFailure> {
        let store = self.parts.store.clone();
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let snapshot = self.snapshots.take(sandbox, store.as_ref()).await?;
        let tree = self.snapshots.tree();
        let read = |id: &_| store.blob(id);
        let changes =
            patch_changes(&self.parts.pristine, &tree.manifest(Area::Workspace), &self.state.build_output, &read)?;
        for change in &changes {
            // Large files are stored in pieces; a patch reads whole ones.
            if let Some(Entry::File { content, .. }) = &change.after
                && !store.has_blob(content)
            {
                store.put_blob(&tree.content(content, &read)?)?;
            }
        }
        let of = HelperOf {
            run: self.state.run.clone(),
            token,
            depth: self.state.depth() + 1,
            writes: args.writes,
            snapshot,
            build_output: self.state.build_output.iter().cloned().collect(),
        };
        Ok((of, patched(&self.parts.pristine, &changes)))
    }

    fn parts_of(
        &self,
        run: &RunId,
        args: &Args,
        limits: Limits,
        (of, base): (HelperOf, Manifest),
        beneath: Beneath,
    ) -> Parts {
        let (parts, state) = (&self.parts, &self.state);
        let rules =
            Rules { candidates: Candidates::default(), goals: Vec::new(), reflex: false, ..state.task.rules.clone() };
        Parts {
            store: beneath.store,
            launcher: parts.launcher.clone(),
            model: parts.helper_model.clone().unwrap_or_else(|| parts.model.clone()),
            helper_model: parts.helper_model.clone(),
            writer: None,
            judge: None,
            reviewer: None,
            set_up_again: None,
            spec: SandboxSpec { run: run.clone(), ..parts.spec.clone() },
            epoch: beneath.epoch,
            pristine: Arc::new(base),
            settings: Settings {
                run: run.clone(),
                repo: state.repo.clone(),
                task: Task { instruction: Some(args.task.clone()), checks: state.task.checks.clone(), rules },
                limits,
                plan: parts.settings.plan.clone(),
                rules: parts.settings.rules.clone(),
            },
            traffic: Traffic::default(),
            background: state.background.clone(),
            installer: None,
            helper: Some(Seed { of, checks: state.last_checks.clone().unwrap_or_default() }),
        }
    }

    /// What it came to, with its diff merged if it is to be and can be.
    async fn outcome_of(&mut self, token: CallToken, ended: RunState) -> Result<ToolOutcome, ToolFailure> {
        let outcome = ended.outcome.clone().unwrap_or(RunOutcome { status: RunStatus::Failed, reason: String::new() });
        let writes = ended.helper.as_ref().is_some_and(|of| of.writes);
        let merge = match (ended.files_changed.is_empty(), writes && outcome.status == RunStatus::Answered) {
            (true, _) => Merge::Nothing,
            (false, false) => Merge::ThrownAway,
            (false, true) => {
                let (base, theirs) = (self.manifest(ended.pristine.as_ref())?, self.manifest(ended.tree.as_ref())?);
                self.merge_in(token, &base, &theirs).await?
            }
        };
        let diff = ended.patch.as_ref().map(|patch| self.parts.store.blob(patch)).transpose()?;
        let report = HelperReport {
            run: ended.run.clone(),
            status: outcome.status,
            reason: outcome.reason,
            writes,
            answer: ended.summary.clone().unwrap_or_default(),
            steps: ended.steps + ended.helpers.steps,
            helpers: 1 + ended.helpers.count,
            input_tokens: ended.input_tokens,
            output_tokens: ended.output_tokens,
            cost_usd: ended.cost_known.then_some(ended.cost_usd),
            files_changed: ended.files_changed.clone(),
            patch: ended.patch.clone().filter(|_| !ended.files_changed.is_empty()),
            merge,
        };
        let content = helper::told(&report, &diff.unwrap_or_default());
        // Where it was merged only in part, the sandbox is gone, and the next one has none of it.
        let may_write = report.merge == Merge::Merged;
        Ok(ToolOutcome { helper: Some(Box::new(report)), may_write, ..ToolOutcome::told(content) })
    }

    async fn merge_in(&mut self, token: CallToken, base: &Manifest, theirs: &Manifest) -> Result<Merge, ToolFailure> {
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let ours = sandbox.walk().await?;
        let merged = crate::snapshot::merge::merge(base, theirs, &ours);
        let mut conflicts: Vec<String> = merged.conflicts.iter().map(|path| path.to_text()).collect();
        conflicts.extend(merging::unwritable(&merged.apply));
        if !conflicts.is_empty() {
            return Ok(Merge::Refused { conflicts });
        }
        let store = self.parts.store.clone();
        let read = |id: &_| store.blob(id);
        if let Err(why) = merging::apply(sandbox, token, &merged.apply, theirs, &read).await? {
            // Some of it may be there: the next sandbox has the files from before.
            if let Some(sandbox) = self.sandbox.take() {
                sandbox.stop().await?;
            }
            self.lost_because = "a helper's diff went in by half".into();
            return Ok(Merge::Refused { conflicts: vec![why] });
        }
        Ok(Merge::Merged)
    }

    fn manifest(&self, tree: Option<&crate::id::BlobId>) -> Result<Manifest, ToolFailure> {
        let tree = tree.ok_or_else(|| std::io::Error::other("a helper's journal names no tree"))?;
        Ok(serde_json::from_slice(&self.parts.store.blob(tree)?).map_err(std::io::Error::from)?)
    }

    /// A helper's own start: the files of the run that asked, and none of its checks run again.
    pub(super) async fn begin_helper(&mut self) -> Result<(), ToolFailure> {
        let Some(seed) = self.parts.helper.clone() else { return Ok(()) };
        match self.state.next() {
            Step::StartSandbox => self.start_fork(&seed.of.snapshot).await,
            _ => self.begin_with(seed),
        }
    }

    async fn start_fork(&mut self, of: &SnapshotRef) -> Result<(), ToolFailure> {
        self.observer.progress(&Progress::StartingSandbox { image: self.parts.spec.image.name.clone() });
        failpoint::hit(Failpoint::SandboxBeforeStart)?;
        let (sandbox, snapshots) =
            restore(self.parts.launcher.as_ref(), &self.parts.store, &self.parts.spec, of).await?;
        failpoint::hit(Failpoint::SandboxStarted)?;
        let facts = sandbox.facts().clone();
        (self.sandbox, self.snapshots) = (Some(sandbox), snapshots);
        let pristine = serde_json::to_vec(&*self.parts.pristine).map_err(std::io::Error::from)?;
        let pristine = self.parts.store.put_blob(&pristine)?;
        self.sandbox_started(facts, pristine)
    }

    fn begin_with(&mut self, seed: Seed) -> Result<(), ToolFailure> {
        self.commit(Event::BaselineFinished {
            checks: seed.checks,
            build_output: seed.of.build_output,
            elapsed_ms: 0,
            snapshot: Some(SnapshotRef { changed: 0, stored_bytes: 0, ..seed.of.snapshot }),
            frozen: None,
        })
    }

    /// Why the next request may not be sent, where others share the budget: at its worst it would not fit.
    pub(super) fn beyond_budget(&self, most: &Usage) -> Option<String> {
        let input = self.state.window.worst(most.input_tokens.unwrap_or(0));
        let tokens = input + most.output_tokens.unwrap_or(0);
        let cost_usd = self.parts.model.cost_usd(&Usage { input_tokens: Some(input), ..*most });
        if !self.state.is_shared() || self.state.has_room_for(tokens, cost_usd) {
            return None;
        }
        Some(format!("the next request could take {tokens} tokens, more than what is left of the budget"))
    }
}

/// Calls by which a helper that reads would change files by name.
const WRITING: [&str; 2] = ["write_file", "edit_file"];

impl Run<'_> {
    pub(super) fn only_reads(&self, tool: &str) -> bool {
        self.state.helper.as_ref().is_some_and(|of| !of.writes) && WRITING.contains(&tool)
    }
}

fn has_ended(state: &RunState) -> bool {
    state.outcome.as_ref().is_some_and(|outcome| outcome.status != RunStatus::Parked)
}
