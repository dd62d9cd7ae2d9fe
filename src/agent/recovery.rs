//! What a runner does about a sandbox it did not start, or lost: take it back, or put a fresh one in its place with the
//! files of the newest snapshot. A step that was under way is carried out again under its own token.

use std::sync::Arc;

use super::driver::{Run, tree_stream};
use super::snapshots::{Snapshots, restore};
use super::{Progress, Step};
use crate::event::Event;
use crate::failpoint::{self, Failpoint};
use crate::planted::{self, Planted};
use crate::sandbox::{Sandbox, SandboxError};
use crate::tools::{Effect, ToolCall, ToolFailure};

/// Fresh containers in a row without anything committed in between.
const LOSSES_MAX: u32 = 3;
/// Times one runner takes its own sandbox back.
const REATTACHES_MAX: u32 = 200;

impl Run<'_> {
    /// A later runner's first move. Where the sandbox is gone, or what is under way may have half happened to its files,
    /// a fresh one is started when it is needed.
    pub(super) async fn take_back(&mut self) -> Result<(), ToolFailure> {
        let Some(container) = self.state.container.clone() else { return Ok(()) };
        let attached = self.attach(&container).await.unwrap_or_else(|error| {
            tracing::warn!(%error, container, "an earlier runner's sandbox cannot be used");
            None
        });
        if let Some(sandbox) = attached {
            if self.may_go_on_in_place() {
                self.sandbox = Some(sandbox);
                self.know_files_again()?;
            } else {
                sandbox.stop().await?;
                self.lost_because = "what was under way in the one before may have half happened".into();
            }
        }
        failpoint::hit(Failpoint::ResumeSandbox)?;
        Ok(())
    }

    async fn attach(&mut self, container: &str) -> Result<Option<Box<dyn Sandbox>>, SandboxError> {
        // Above every runner before this one, and above this one's earlier tries.
        let epoch = (self.parts.epoch << 8) | self.reattached.min(REATTACHES_MAX);
        self.reattached += 1;
        self.parts.launcher.attach(&self.parts.spec, container, epoch).await
    }

    /// Whether carrying out the next step in the sandbox as it is comes to the same as if nothing had happened.
    fn may_go_on_in_place(&self) -> bool {
        match self.state.next() {
            // What the checks create is told by comparing before and after.
            Step::RunBaseline | Step::InstallUnknown { .. } => false,
            Step::CallTool { call, .. } if self.state.in_flight() => match ToolCall::parse(&call) {
                Ok(tool) => match tool.effect() {
                    Effect::None | Effect::FollowedByToken => true,
                    Effect::Workspace => planted::has(Planted::RepeatEditInPlace),
                },
                Err(_) => true,
            },
            Step::StartSandbox
            | Step::CallModel { .. }
            | Step::TryCandidates { .. }
            | Step::CallTool { .. }
            | Step::WriteCheckpoint
            | Step::AskPerson { .. }
            | Step::RebuildWindow { .. }
            | Step::CaptureTree
            | Step::Verify
            | Step::Finish(_)
            | Step::Done => true,
        }
    }

    /// Before a step that needs one.
    pub(super) async fn have_sandbox(&mut self, step: &Step) -> Result<(), ToolFailure> {
        let needs_one = match step {
            Step::RunBaseline | Step::CallTool { .. } | Step::TryCandidates { .. } | Step::CaptureTree => true,
            Step::StartSandbox
            | Step::CallModel { .. }
            | Step::InstallUnknown { .. }
            | Step::WriteCheckpoint
            | Step::AskPerson { .. }
            | Step::RebuildWindow { .. }
            | Step::Verify
            | Step::Finish(_)
            | Step::Done => false,
        };
        if needs_one && self.sandbox.is_none() { self.replace_sandbox().await } else { Ok(()) }
    }

    /// Nothing is recorded until it stands: a crash in between leaves a container that ends with its lease.
    async fn replace_sandbox(&mut self) -> Result<(), ToolFailure> {
        failpoint::hit(Failpoint::SandboxLost)?;
        self.observer.progress(&Progress::StartingSandbox { image: self.parts.spec.image.name.clone() });
        let sandbox = self.sandbox_of_newest_files().await?;
        let facts = sandbox.facts().clone();
        self.sandbox = Some(sandbox);
        failpoint::hit(Failpoint::SandboxStarted)?;
        let reason = std::mem::replace(&mut self.lost_because, "the one before is gone".into());
        self.commit(Event::SandboxReplaced {
            container: facts.container,
            image_digest: facts.image.digest,
            hardening: facts.hardening,
            reason,
        })
    }

    async fn sandbox_of_newest_files(&mut self) -> Result<Box<dyn Sandbox>, ToolFailure> {
        let parts = &self.parts;
        let seed = parts.helper.as_ref().map(|seed| &seed.of.snapshot);
        match (self.state.snapshot().or(seed), &self.state.baseline) {
            (Some(snapshot), _) => {
                let restored = restore(parts.launcher.as_ref(), &parts.store, &parts.spec, snapshot).await?;
                self.snapshots = restored.1;
                Ok(restored.0)
            }
            (None, None) => {
                self.snapshots = Snapshots::default();
                let tree = tree_stream(&parts.store, Arc::clone(&parts.pristine));
                Ok(parts.launcher.start(&parts.spec, tree).await?)
            }
            (None, Some(_)) => {
                let detail = "no snapshot of its files was recorded".to_owned();
                Err(SandboxError::Start { detail }.into())
            }
        }
    }

    /// What the next snapshot costs does not depend on who took the last one; what is known of the files does.
    fn know_files_again(&mut self) -> Result<(), ToolFailure> {
        self.snapshots = Snapshots::of_unknown(self.parts.store.as_ref(), self.state.snapshot())?;
        Ok(())
    }

    /// After a step broke off because the sandbox was lost. `Ok(true)`: it can be carried out again. `Ok(false)`: the
    /// container is gone. An error: nobody knows, because the engine itself does not answer.
    pub(super) async fn survives_loss(&mut self, error: SandboxError) -> Result<bool, ToolFailure> {
        self.sandbox = None;
        self.losses += 1;
        if self.losses > LOSSES_MAX {
            return Err(error.into());
        }
        tracing::warn!(%error, "the sandbox was lost");
        let Some(container) = self.state.container.clone() else { return Ok(false) };
        match self.attach(&container).await {
            Ok(Some(sandbox)) if self.may_go_on_in_place() => {
                self.sandbox = Some(sandbox);
                self.know_files_again()?;
                Ok(true)
            }
            Ok(Some(sandbox)) => {
                sandbox.stop().await?;
                Ok(true)
            }
            Ok(None) => Ok(false),
            // The first error says what happened, the second what is so now.
            Err(now) => Err(SandboxError::Lost { detail: format!("{error}; {now}") }.into()),
        }
    }
}
