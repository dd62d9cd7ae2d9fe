//! What was made is captured as a patch, and the frozen checks are asked about it in a clean container.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::capture::capture;
use super::driver::{Progress, Run, millis, no_sandbox, yardstick};
use super::install::network_events;
use crate::event::Event;
use crate::failpoint::{self, Failpoint};
use crate::judgement::Finding;
use crate::snapshot::Manifest;
use crate::task::CheckResult;
use crate::tools::ToolFailure;
use crate::tools::measure::{Ran, measure};
use crate::verify::{self, Case};

impl Run<'_> {
    pub(super) async fn capture_tree(&mut self) -> Result<(), ToolFailure> {
        self.observer.progress(&Progress::CapturingTree);
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let (parts, outputs) = (&self.parts, &self.state.build_output);
        let captured = capture(sandbox, &parts.store, &parts.pristine, outputs, &mut self.snapshots).await?;
        failpoint::hit(Failpoint::TreeCaptured)?;
        self.commit(captured)
    }

    pub(super) async fn verify(&mut self, stop: &CancellationToken) -> Result<(), ToolFailure> {
        self.observer.progress(&Progress::Verifying { checks: self.state.task.checks.len() });
        let began = Instant::now();
        let tree = self.state.tree.clone().ok_or_else(|| std::io::Error::other("no tree was captured"))?;
        let tree: Manifest = serde_json::from_slice(&self.parts.store.blob(&tree)?).map_err(std::io::Error::from)?;
        let manifest = tree.clone();
        let case = Case {
            launcher: self.parts.launcher.as_ref(),
            store: &self.parts.store,
            spec: &self.parts.spec,
            pristine: &self.parts.pristine,
            tree,
            task: &self.state.task,
            frozen: self.state.frozen.as_ref(),
            timeout: self.check_timeout(),
            installer: self.parts.set_up_again.as_ref(),
            installed: !self.state.installs.is_empty(),
        };
        match verify::verify(case, stop).await? {
            Some(mut verdict) => {
                self.second_reading(&mut verdict).await?;
                for event in network_events(None, &verdict.traffic.requests, verdict.traffic.left_out) {
                    self.commit(event)?;
                }
                failpoint::hit(Failpoint::Verified)?;
                let (elapsed_ms, judgement) = (millis(began.elapsed()), Some(Box::new(verdict.judgement)));
                let (checks, nothing) = (verdict.checks, BTreeSet::new());
                let ran = Ran { before: &manifest, after: &manifest, checks: &checks, created: &nothing };
                let known = yardstick(&self.parts, &self.state);
                let score = Some(Box::new(measure(None, self.parts.store.as_ref(), known, ran).await?));
                self.commit(Event::VerificationFinished { checks, elapsed_ms, judgement, score })
            }
            None => Ok(()),
        }
    }

    /// Only of what stands: a reader cannot overrule a red check.
    async fn second_reading(&self, verdict: &mut verify::Verdict) -> Result<(), ToolFailure> {
        let Some(judge) = &self.parts.judge else { return Ok(()) };
        let stands = verdict.checks.iter().all(CheckResult::passed)
            && !verdict.judgement.findings.iter().any(Finding::is_objection);
        let Some(patch) = self.state.patch.as_ref().filter(|_| stands) else { return Ok(()) };
        let patch = self.parts.store.blob(patch)?;
        let patch = String::from_utf8_lossy(&patch);
        let (findings, read) = verify::reader::read(judge.as_ref(), &self.state.task, &patch, &verdict.checks).await;
        verdict.judgement.findings.extend(findings);
        verdict.judgement.read = Some(read);
        Ok(())
    }
}
