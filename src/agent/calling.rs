//! Carries out one tool call: committed before it runs, and finished with the files as they are after it.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::driver::{Progress, Run, delta, millis, no_sandbox, yardstick};
use crate::event::{Event, ToolOutcome};
use crate::failpoint::{self, Failpoint};
use crate::id::CallToken;
use crate::message::ToolUse;
use crate::planted::{self, Planted};
use crate::sandbox::SandboxError;
use crate::snapshot::SnapshotRef;
use crate::tools::{self, ToolCall, ToolContext, ToolFailure};

/// What a tool call shows of its arguments while it runs.
const DETAIL_CHARS_MAX: usize = 100;

impl Run<'_> {
    pub(super) async fn call_tool(
        &mut self,
        token: CallToken,
        call: ToolUse,
        stop: &CancellationToken,
    ) -> Result<(), ToolFailure> {
        self.observer.progress(&Progress::RunningTool {
            step: token.0 + 1,
            tool: call.name.clone(),
            detail: detail(&call),
        });
        let parsed = ToolCall::parse(&call);
        let taken_up = self.state.in_flight();
        let recorded_late = planted::has(Planted::ActBeforeCommit);
        if !taken_up && !recorded_late {
            self.commit(Event::ToolCallStarted { token, call: call.clone() })?;
        }
        if let Some(result) = self.state.harvested().cloned() {
            // Carried out in a fork; all its steps share the files of its end.
            let (result, snapshot) = (Box::new(result), self.state.snapshot().cloned());
            return self.commit(Event::ToolCallFinished { token, result, elapsed_ms: 0, snapshot });
        }
        failpoint::hit(Failpoint::ToolBeforeDispatch)?;
        let began = Instant::now();
        let mut result = match parsed {
            Err(refusal) => ToolOutcome::refused(refusal),
            Ok(_) if self.only_reads(&call.name) => tools::helper::read_only(&call.name),
            Ok(ToolCall::Install(args)) => self.install(token, &args).await?,
            Ok(ToolCall::Helper(args)) => match self.help(token, &args, stop).await? {
                Some(result) => result,
                None => return Ok(()),
            },
            Ok(tool) => {
                let delta = delta(&self.state);
                let store = self.parts.store.clone();
                let context = ToolContext {
                    sandbox: self.sandbox.as_deref().ok_or_else(no_sandbox)?,
                    store: store.as_ref(),
                    token,
                    checks: &self.state.task.checks,
                    limits: &self.state.limits,
                    time_left: self.time_left(),
                    delta: &delta,
                    environment: &self.parts.spec.env,
                    shell: &self.state.shell,
                    notebook: &self.state.notebook,
                    yardstick: yardstick(&self.parts, &self.state),
                };
                match tool.carry_out(&context).await {
                    Err(ToolFailure::Sandbox(error @ SandboxError::Lost { .. })) => {
                        let told = ToolOutcome::sandbox_lost(&error);
                        match self.survives_loss(error).await? {
                            true => return Ok(()),
                            false => told,
                        }
                    }
                    result => result?,
                }
            }
        };
        failpoint::hit(Failpoint::ToolRan)?;
        if !taken_up && recorded_late {
            self.commit(Event::ToolCallStarted { token, call })?;
        }
        let snapshot = match self.snapshot_of(&result).await {
            Err(ToolFailure::Sandbox(error @ SandboxError::Lost { .. })) => {
                let told = ToolOutcome::sandbox_lost(&error);
                if self.survives_loss(error).await? {
                    return Ok(());
                }
                result = told;
                None
            }
            snapshot => snapshot?,
        };
        failpoint::hit(Failpoint::StepSnapshotted)?;
        let elapsed_ms = millis(began.elapsed());
        self.commit(Event::ToolCallFinished { token, result: Box::new(result), elapsed_ms, snapshot })?;
        if let Some(sandbox) = &self.sandbox {
            sandbox.committed(token);
        }
        Ok(())
    }

    /// `None` where the call could not change anything.
    async fn snapshot_of(&mut self, result: &ToolOutcome) -> Result<Option<SnapshotRef>, ToolFailure> {
        if !result.may_write {
            return Ok(None);
        }
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        Ok(Some(self.snapshots.take(sandbox, self.parts.store.as_ref()).await?))
    }
}

/// The argument that says most: the command, the path, the pattern.
fn detail(call: &ToolUse) -> String {
    let text = ["command", "path", "pattern", "manager", "task", "summary"]
        .iter()
        .find_map(|key| call.input.get(key)?.as_str());
    let line = text.unwrap_or_default().lines().next().unwrap_or_default();
    line.chars().take(DETAIL_CHARS_MAX).collect()
}
