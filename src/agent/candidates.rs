//! Several proposals for one turn, each carried out in a fork of the sandbox and checked there. The best by evidence
//! becomes the run; of the others a line stays.

use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::asking::with_ids;
use super::capture::capture;
use super::driver::{Run, delta, millis, no_sandbox, yardstick};
use super::snapshots::Snapshots;
use super::state::candidates::{ranked, tied, verdict};
use super::tiebreak;
use crate::context;
use crate::event::{Candidate, Event, ToolOutcome};
use crate::failpoint::{self, Failpoint};
use crate::feedback;
use crate::id::{BlobId, CallToken};
use crate::message::{Block, Message, ModelRequest, ModelResponse, Role, ToolUse, Usage};
use crate::model::ModelError;
use crate::sandbox::{FORKS_MAX, Sandbox};
use crate::tools::{self, ToolCall, ToolContext, ToolFailure};

/// Proposals at a time, for each processor: they wait for checks more than they compute.
const PARALLEL_PER_CPU: usize = 4;
const TEMPERATURE: f32 = 1.0;
const SUMMARY_CHARS_MAX: usize = 120;
/// Not for a fork: they end the run, or move it to another container, or outlive the turn.
const NOT_IN_A_FORK: [&str; 4] = ["submit", "install", "job", "helper"];

/// One proposal, carried out.
struct Tried {
    response: ModelResponse,
    results: Vec<ToolOutcome>,
    candidate: Candidate,
    /// Of the whole run, with it.
    patch: Option<BlobId>,
}

impl Run<'_> {
    /// Falls back to one answer in the sandbox itself where there cannot be forks.
    pub(super) async fn try_candidates(
        &mut self,
        turn: u64,
        count: u32,
        stop: &CancellationToken,
    ) -> Result<(), ToolFailure> {
        let began = Instant::now();
        let forks = match self.no_forks {
            true => Vec::new(),
            false => self.forks(count).await?,
        };
        if forks.is_empty() {
            self.no_forks = true;
            return tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                asked = self.call_model(turn) => asked,
            };
        }
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            tried = self.try_all(turn, &forks) => Some(tried),
        };
        let chosen = match outcome {
            Some(Ok(tried)) => self.choose(tried, &forks).await,
            Some(Err(failure)) => Err(failure),
            None => Ok(None),
        };
        let winner = match &chosen {
            Ok(Some((Event::CandidatesRan { winner, .. }, _))) => Some(*winner as usize),
            Ok(_) | Err(_) => None,
        };
        let (mut won, mut lost) = (None, Vec::new());
        for (index, fork) in forks.into_iter().enumerate() {
            match winner == Some(index) {
                true => won = Some(fork),
                false => lost.push(fork),
            }
        }
        // All of them, whatever becomes of one.
        let stopped = join_all(lost.iter().map(|fork| fork.stop())).await;
        stopped.into_iter().collect::<Result<(), _>>()?;
        match (chosen?, won) {
            (
                Some((
                    Event::CandidatesRan {
                        turn: _,
                        response,
                        results,
                        candidates,
                        winner,
                        judge,
                        container,
                        snapshot,
                        ..
                    },
                    known,
                )),
                Some(won),
            ) => {
                let elapsed_ms = millis(began.elapsed());
                let event = Event::CandidatesRan {
                    turn,
                    response,
                    results,
                    candidates,
                    winner,
                    judge,
                    container,
                    snapshot,
                    elapsed_ms,
                };
                let before = self.sandbox.replace(won);
                self.snapshots = known;
                let committed = self.commit(event);
                if let Some(before) = before {
                    before.stop().await?;
                }
                committed
            }
            (Some((failed, _)), _) => self.commit(failed),
            (None, _) => Ok(()),
        }
    }

    /// None where something runs that a fork would not have, or where the engine cannot.
    async fn forks(&self, count: u32) -> Result<Vec<Box<dyn Sandbox>>, ToolFailure> {
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        if sandbox.jobs().await?.iter().any(|job| job.end.is_none()) {
            return Ok(Vec::new());
        }
        let count = (count as usize).min(FORKS_MAX);
        match self.parts.launcher.fork(&self.parts.spec, sandbox, count).await {
            Ok(forks) => Ok(forks),
            Err(error) => {
                tracing::warn!(%error, "no forks of the sandbox can be had: going on with one proposal at a time");
                Ok(Vec::new())
            }
        }
    }

    async fn try_all(
        &mut self,
        turn: u64,
        forks: &[Box<dyn Sandbox>],
    ) -> Result<Vec<Result<Tried, ModelError>>, ToolFailure> {
        self.read_inbox()?;
        let request = context::build(&self.state, tools::specs(self.state.may_have_helpers()));
        let count = forks.len() as u64;
        let estimated_input_tokens = context::estimated_tokens(&request);
        let most = Usage {
            input_tokens: Some(estimated_input_tokens * count),
            output_tokens: Some(u64::from(request.output_tokens_max) * count),
            ..Usage::default()
        };
        // One charge for all: should this process die, all of them may have been answered.
        self.commit(Event::ModelRequested {
            turn,
            estimated_input_tokens: estimated_input_tokens * count,
            output_tokens_max: u32::try_from(u64::from(request.output_tokens_max) * count).unwrap_or(u32::MAX),
            cost_usd_max: self.parts.model.cost_usd(&most),
        })?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = Semaphore::new(cpus * PARALLEL_PER_CPU);
        let (run, request, permits) = (&*self, &request, &permits);
        let mut waiting = Vec::new();
        for (number, fork) in forks.iter().enumerate() {
            waiting.push(async move {
                let _permit = permits.acquire().await.expect("it is never closed");
                run.try_one(turn, number, forks.len(), fork.as_ref(), request).await
            });
        }
        join_all(waiting).await.into_iter().collect()
    }

    /// `Err` inside: the model had no answer.
    async fn try_one(
        &self,
        turn: u64,
        number: usize,
        of: usize,
        fork: &dyn Sandbox,
        request: &ModelRequest,
    ) -> Result<Result<Tried, ModelError>, ToolFailure> {
        let response = match self.parts.model.respond(&asking(request, number, of)).await {
            Ok(response) => with_ids(response, turn),
            Err(error) => return Ok(Err(error)),
        };
        let cost_usd = self.parts.model.cost_usd(&response.usage);
        let calls: Vec<ToolUse> =
            response.tool_uses().filter(|call| !NOT_IN_A_FORK.contains(&call.name.as_str())).cloned().collect();
        let (mut results, mut done) = (Vec::new(), Vec::new());
        let mut shell = self.state.shell.clone();
        let mut outputs = self.state.build_output.clone();
        let delta = delta(&self.state);
        let first = self.state.steps;
        let checks_at_end =
            ToolUse { id: format!("checks_{turn}_{number}"), name: "run_checks".into(), input: serde_json::json!({}) };
        let ends_with_checks = calls.last().is_some_and(|call| call.name == "run_checks");
        let (mut patch, mut patch_bytes) = (None, 0);
        for call in calls.into_iter().chain((!ends_with_checks).then_some(checks_at_end)) {
            let context = ToolContext {
                sandbox: fork,
                store: self.parts.store.as_ref(),
                token: CallToken(first + results.len() as u64),
                checks: &self.state.task.checks,
                limits: &self.state.limits,
                time_left: self.time_left(),
                delta: &delta,
                environment: &self.parts.spec.env,
                shell: &shell,
                notebook: &self.state.notebook,
                yardstick: yardstick(&self.parts, &self.state),
            };
            if call.name == "run_checks" {
                (patch, patch_bytes) = self.patch(fork, &outputs).await?;
            }
            let result = match ToolCall::parse(&call) {
                Err(refusal) => ToolOutcome::refused(refusal),
                Ok(tool) => tool.carry_out(&context).await?,
            };
            shell = result.shell.clone().unwrap_or(shell);
            outputs.extend(result.build_output.iter().cloned());
            results.push(result);
            done.push(call);
        }
        let checks = results.iter().rev().find_map(|result| result.checks.clone()).unwrap_or_default();
        let failing: u64 = checks
            .iter()
            .filter(|check| !check.passed())
            .map(|check| feedback::findings(&check.report).len().max(1) as u64)
            .sum();
        let green = !checks.is_empty() && checks.iter().all(|check| check.passed());
        let summary = response.text().lines().next().unwrap_or_default().chars().take(SUMMARY_CHARS_MAX).collect();
        let candidate = Candidate {
            summary,
            verdict: verdict(&checks, failing),
            score: results.iter().rev().find_map(|result| result.score.as_ref()).and_then(|score| score.total),
            passed: checks.iter().filter(|check| check.passed()).count() as u32,
            failing,
            patch_bytes,
            usage: response.usage,
            cost_usd,
        };
        failpoint::hit(Failpoint::CandidateTried)?;
        Ok(Ok(Tried { response: carried_out(response, done, green), results, candidate, patch }))
    }

    async fn patch(
        &self,
        fork: &dyn Sandbox,
        outputs: &std::collections::BTreeSet<crate::snapshot::TreePath>,
    ) -> Result<(Option<BlobId>, u64), ToolFailure> {
        let mut snapshots = Snapshots::of_unknown(self.parts.store.as_ref(), self.state.snapshot())?;
        let captured = capture(fork, &self.parts.store, &self.parts.pristine, outputs, &mut snapshots).await?;
        let Event::TreeCaptured { patch, .. } = captured else { return Ok((None, 0)) };
        let bytes = self.parts.store.blob(&patch)?.len() as u64;
        Ok((Some(patch), bytes))
    }

    /// The best of those that were answered, with its files; where none was, why.
    async fn choose(
        &self,
        tried: Vec<Result<Tried, ModelError>>,
        forks: &[Box<dyn Sandbox>],
    ) -> Result<Option<(Event, Snapshots)>, ToolFailure> {
        let turn = self.state.turns;
        let candidates: Vec<Candidate> = tried
            .iter()
            .map(|tried| match tried {
                Ok(tried) => tried.candidate.clone(),
                Err(error) => {
                    Candidate { verdict: format!("no answer: {error}"), failing: u64::MAX, ..Candidate::default() }
                }
            })
            .collect();
        let mut order = ranked(&candidates);
        order.retain(|index| tried[*index].is_ok());
        let equal = tied(&candidates, &order);
        let (preferred, judge) = match &self.parts.judge {
            Some(judge) if equal.len() > 1 => {
                let mut patches = Vec::new();
                for index in &equal {
                    let patch = tried[*index].as_ref().ok().and_then(|tried| tried.patch.as_ref());
                    patches.push(patch.map_or(Ok(Vec::new()), |id| self.parts.store.blob(id))?);
                }
                let (choice, read) = tiebreak::choose(judge.as_ref(), &self.state.task, &patches).await;
                (choice.map(|choice| equal[choice]), Some(Box::new(read)))
            }
            Some(_) | None => (None, None),
        };
        let Some(winner) = preferred.or(order.first().copied()) else {
            let error = tried.into_iter().find_map(Result::err);
            let failed = error.map(|error| Event::ModelFailed {
                turn,
                failure: error.class(),
                detail: error.to_string(),
                elapsed_ms: 0,
            });
            return Ok(failed.map(|event| (event, Snapshots::default())));
        };
        let Some(Ok(Tried { response, results, .. })) = tried.into_iter().nth(winner) else { return Ok(None) };
        failpoint::hit(Failpoint::CandidatesRanked)?;
        let mut snapshots = Snapshots::of_unknown(self.parts.store.as_ref(), self.state.snapshot())?;
        let snapshot = snapshots.take(forks[winner].as_ref(), self.parts.store.as_ref()).await?;
        let container = forks[winner].facts().container.clone();
        let event = Event::CandidatesRan {
            turn,
            response,
            results,
            candidates,
            winner: winner as u32,
            judge,
            container,
            snapshot,
            elapsed_ms: 0,
        };
        Ok(Some((event, snapshots)))
    }
}

/// The same request, told apart from the others.
fn asking(request: &ModelRequest, number: usize, of: usize) -> ModelRequest {
    let mut request = request.clone();
    let words = format!(
        "This is proposal {} of {of}, each made without knowledge of the others and carried out in a copy of the workspace. \
         Make one whole attempt in this answer, with all the calls it takes; the checks run after it. Begin with one line \
         that says what your idea is, and prefer one that the others are unlikely to have.",
        number + 1
    );
    let block = Block::Text { text: words };
    match request.messages.last_mut() {
        Some(last) if last.role == Role::User => last.content.push(block),
        Some(_) | None => request.messages.push(Message { role: Role::User, content: vec![block] }),
    }
    request.candidate = number as u32;
    request.temperature = Some(TEMPERATURE);
    request
}

/// The answer as it was carried out: without what a fork cannot do, with the checks at its end, and then with what it
/// submits if they are green.
fn carried_out(response: ModelResponse, done: Vec<ToolUse>, green: bool) -> ModelResponse {
    let submit: Vec<Block> = response
        .content
        .iter()
        .filter(|block| matches!(block, Block::ToolUse(call) if call.name == "submit"))
        .cloned()
        .collect();
    let words = response.content.into_iter().filter(|block| !matches!(block, Block::ToolUse(_)));
    let content =
        words.chain(done.into_iter().map(Block::ToolUse)).chain(submit.into_iter().filter(|_| green)).collect();
    ModelResponse { content, stop_reason: crate::message::StopReason::ToolUse, usage: response.usage }
}
