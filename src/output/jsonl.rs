//! JSON Lines for programs: first `init`, then one line an event, last `result`. Fields are only ever added.

use greenroom_parsers::{Report, Verdict};
use serde::Serialize;

use crate::agent::RunState;
use crate::error::{Error, ExitCode};
use crate::event::{Event, Limits, RunStatus};
use crate::id::{BlobId, RunId};
use crate::task::{CheckResult, Outcome};
use crate::thrift::{FailingFirstTally, ReflexTally};

/// Raised when a field changes its meaning; added fields do not raise it.
pub const SCHEMA: u32 = 1;

/// The line for an event: `init` for the one that starts a run, the event itself for every other.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventLine<'a> {
    Init(InitLine<'a>),
    Event(&'a Event),
}

#[derive(Debug, Serialize)]
pub struct InitLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    greenroom: &'a str,
    run: &'a RunId,
    repo: &'a str,
    task: Option<&'a str>,
    checks: Vec<&'a str>,
    model: &'a str,
    limits: &'a Limits,
}

impl<'a> EventLine<'a> {
    pub fn of(event: &'a Event) -> Self {
        match event {
            Event::RunStarted { greenroom, run, repo, task, model, limits, .. } => EventLine::Init(InitLine {
                kind: "init",
                schema: SCHEMA,
                greenroom,
                run,
                repo,
                task: task.instruction.as_deref(),
                checks: task.checks.iter().map(|check| check.command.as_str()).collect(),
                model,
                limits,
            }),
            other => EventLine::Event(other),
        }
    }
}

/// The last line of a run, of `show`, and of each task of `demo`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunResult {
    #[serde(rename = "type")]
    kind: &'static str,
    /// `None` where no run came about.
    pub run: Option<RunId>,
    /// The demo's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// `None` while a run has no end.
    pub status: Option<RunStatus>,
    pub reason: String,
    /// Of this process, or what it was for a run of the past.
    pub exit_code: u8,
    pub steps: u64,
    pub turns: u64,
    /// Input and output together.
    pub tokens: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Of the input: what the provider had kept, and what it kept anew.
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    /// Of all tokens: what the writer of notes took.
    pub writer_tokens: u64,
    /// Helpers it had, those of helpers among them, and what of all tokens they took.
    #[serde(skip_serializing_if = "Helpers::is_none")]
    pub helpers: Helpers,
    /// Windows that were rebuilt from a checkpoint.
    pub rebuilds: u32,
    /// `None` where a price is not known.
    pub cost_usd: Option<f64>,
    pub wall_ms: u64,
    pub checks: Vec<CheckLine>,
    /// Check runs that began with the tests that had failed.
    #[serde(skip_serializing_if = "FailingFirstTally::is_empty")]
    pub failing_first: FailingFirstTally,
    /// What was done in the place of the model.
    #[serde(skip_serializing_if = "ReflexTally::is_empty")]
    pub reflex: ReflexTally,
    /// Of the newest check run, from 0 to 100.
    pub score: Option<f64>,
    /// Of the newest verification, beside the results of the checks.
    pub findings: Vec<crate::judgement::Finding>,
    /// What it is made of; there where there is a score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub score_parts: Vec<crate::score::Part>,
    pub files_changed: Vec<String>,
    /// The agent's own words.
    pub summary: Option<String>,
    pub patch: Option<BlobId>,
    /// Hash of the journal's newest record: what `audit --head` takes, to show later that nothing was rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    pub repo: String,
    pub model: String,
    pub image: Option<String>,
    /// The runtime that was asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Confinements that the operator accepted to go without.
    pub weaker: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorLine>,
}

/// All in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Helpers {
    pub count: u32,
    pub steps: u64,
    pub tokens: u64,
}

impl Helpers {
    fn is_none(&self) -> bool {
        self.count == 0
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckLine {
    pub command: String,
    pub baseline: Option<Verdict>,
    #[serde(rename = "final")]
    pub last: Option<Verdict>,
    /// Check runs after the baseline.
    pub runs: u32,
    pub red_runs: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorLine {
    pub what: String,
    pub cause: Option<String>,
    pub hints: Vec<String>,
}

impl RunResult {
    pub fn of(state: &RunState, wall_ms: u64, exit: ExitCode) -> Self {
        let verdict = |checks: &Option<Vec<CheckResult>>, index: usize| {
            checks.as_ref().and_then(|checks| checks.get(index)).map(CheckResult::verdict)
        };
        let checks = state.task.checks.iter().enumerate().map(|(index, check)| {
            let tally = state.tally.get(index).copied().unwrap_or_default();
            CheckLine {
                command: check.command.clone(),
                baseline: verdict(&state.baseline, index),
                last: verdict(&state.verification, index)
                    .or_else(|| verdict(&state.last_checks, index))
                    .or_else(|| verdict(&state.baseline, index)),
                runs: tally.runs,
                red_runs: tally.red_runs,
            }
        });
        RunResult {
            kind: "result",
            run: Some(state.run.clone()),
            task: None,
            status: state.outcome.as_ref().map(|outcome| outcome.status),
            reason: state.outcome.as_ref().map_or_else(|| "it has not ended".into(), |outcome| outcome.reason.clone()),
            exit_code: exit.code(),
            steps: state.steps,
            turns: state.turns,
            tokens: state.input_tokens + state.output_tokens,
            input_tokens: state.input_tokens,
            output_tokens: state.output_tokens,
            cache_read_tokens: state.cache_read_tokens,
            cache_write_tokens: state.cache_write_tokens,
            writer_tokens: state.writer.tokens,
            helpers: Helpers { count: state.helpers.count, steps: state.helpers.steps, tokens: state.helpers.tokens },
            rebuilds: state.window.rebuilds,
            cost_usd: state.cost_known.then_some(state.cost_usd),
            wall_ms,
            checks: checks.collect(),
            failing_first: state.failing_first.clone(),
            reflex: state.reflex.tally.clone(),
            findings: state.judgement.as_ref().map_or_else(Vec::new, |judgement| judgement.findings.clone()),
            score: state.score.as_ref().and_then(|score| score.total),
            score_parts: state
                .score
                .as_ref()
                .filter(|score| score.total.is_some())
                .map(|score| score.parts.clone())
                .unwrap_or_default(),
            files_changed: state.files_changed.clone(),
            summary: state.summary.clone(),
            patch: state.patch.clone(),
            head: None,
            repo: state.repo.clone(),
            model: state.model.clone(),
            image: state.image.clone(),
            runtime: state.runtime.clone(),
            weaker: state.weaker.clone(),
            error: None,
        }
    }

    pub fn with_head(self, head: String) -> Self {
        RunResult { head: Some(head), ..self }
    }

    /// For a run that could not begin, so that the last line is always a result.
    pub fn failed(error: &Error) -> Self {
        RunResult {
            kind: "result",
            run: None,
            task: None,
            status: Some(RunStatus::Failed),
            reason: error.to_string(),
            exit_code: error.exit.code(),
            steps: 0,
            turns: 0,
            tokens: 0,
            input_tokens: 0,
            output_tokens: 0,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            writer_tokens: 0,
            helpers: Helpers::default(),
            rebuilds: 0,
            cost_usd: Some(0.0),
            wall_ms: 0,
            checks: Vec::new(),
            failing_first: FailingFirstTally::default(),
            reflex: ReflexTally::default(),
            score: None,
            findings: Vec::new(),
            score_parts: Vec::new(),
            files_changed: Vec::new(),
            summary: None,
            patch: None,
            head: None,
            repo: String::new(),
            model: String::new(),
            image: None,
            runtime: None,
            weaker: Vec::new(),
            error: Some(ErrorLine::of(error)),
        }
    }
}

impl ErrorLine {
    pub fn of(error: &Error) -> Self {
        ErrorLine {
            what: error.what.clone(),
            cause: error.cause.as_ref().map(ToString::to_string),
            hints: error.hints.clone(),
        }
    }
}

/// The last line of `exec`.
#[derive(Debug, Serialize)]
pub struct ExecResult<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    pub run: &'a RunId,
    pub outcome: Outcome,
    pub report: &'a Report,
    pub exit_code: u8,
    pub duration_ms: u64,
    pub stdout: &'a Kept,
    pub stderr: &'a Kept,
    pub image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<&'a str>,
    /// Confinements that the operator accepted to go without.
    pub weaker: &'a crate::sandbox::Weaker,
}

impl<'a> ExecResult<'a> {
    #[allow(clippy::too_many_arguments, reason = "each is one field of the line")]
    pub fn new(
        run: &'a RunId,
        outcome: Outcome,
        report: &'a Report,
        exit: ExitCode,
        duration_ms: u64,
        stdout: &'a Kept,
        stderr: &'a Kept,
        image: &'a str,
        facts: &'a crate::sandbox::SandboxFacts,
    ) -> Self {
        let (exit_code, runtime, weaker) = (exit.code(), facts.runtime.as_deref(), &facts.weaker);
        let kind = "result";
        ExecResult { kind, run, outcome, report, exit_code, duration_ms, stdout, stderr, image, runtime, weaker }
    }
}

/// What is kept of a stream: its head and its tail, with the count of all bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    bytes: u64,
}

const HEAD_BYTES_MAX: usize = 16 << 10;
const TAIL_BYTES_MAX: usize = 48 << 10;

impl Kept {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES_MAX - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(TAIL_BYTES_MAX)..];
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..over);
    }
}

impl Serialize for Kept {
    /// Where nothing was left out, `head` is the whole and `tail` empty.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let omitted = self.bytes - (self.head.len() + self.tail.len()) as u64;
        let mut head = self.head.clone();
        let mut tail: Vec<u8> = self.tail.iter().copied().collect();
        if omitted == 0 {
            head.append(&mut tail);
        }
        let mut kept = serializer.serialize_struct("Kept", 4)?;
        kept.serialize_field("bytes", &self.bytes)?;
        kept.serialize_field("head", &String::from_utf8_lossy(&head))?;
        kept.serialize_field("tail", &String::from_utf8_lossy(&tail))?;
        kept.serialize_field("omitted_bytes", &omitted)?;
        kept.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_is_kept_whole() {
        let mut kept = Kept::default();
        kept.push(b"ab");
        kept.push(&vec![b'x'; HEAD_BYTES_MAX]);
        let json = serde_json::to_value(&kept).expect("JSON");
        assert_eq!(json["head"].as_str().map(str::len), Some(HEAD_BYTES_MAX + 2));
        assert_eq!((&json["tail"], &json["omitted_bytes"]), (&"".into(), &0.into()));
    }

    #[test]
    fn of_a_long_stream_the_middle_is_counted_only() {
        let mut kept = Kept::default();
        for number in 0..1_000_000u32 {
            kept.push(&number.to_le_bytes());
        }
        let json = serde_json::to_value(&kept).expect("JSON");
        assert_eq!(json["bytes"], 4_000_000);
        assert_eq!(json["omitted_bytes"], 4_000_000 - HEAD_BYTES_MAX - TAIL_BYTES_MAX);
        assert_eq!(kept.tail.iter().copied().skip(TAIL_BYTES_MAX - 4).collect::<Vec<_>>(), 999_999u32.to_le_bytes());
    }
}
