//! What the report shows, cut to size: the page stays below 3 MB however long the run was.

use greenroom_parsers::{Report, Verdict};
use serde::Serialize;

use crate::agent::RunState;
use crate::event::{Candidate, Event, ToolOutcome};
use crate::feedback;
use crate::message::{Block, ToolUse};
use crate::output::jsonl::RunResult;
use crate::output::report::verdict_name;
use crate::score::{Fact, Score};
use crate::task::CheckResult;

/// Of all texts in the timeline together.
const TIMELINE_BYTES_MAX: usize = 1 << 20;
const STEP_BYTES_MAX: usize = 6_000;
const ITEMS_MAX: usize = 5_000;
const DIFF_BYTES_MAX: usize = 700 << 10;
const ROUNDS_MAX: usize = 200;
const TAIL_BYTES_MAX: usize = 4 << 10;
const FINDINGS_MAX: usize = 200;
const DETAIL_CHARS_MAX: usize = 140;

#[derive(Debug, Default, Serialize)]
pub struct Data {
    pub run: String,
    pub title: String,
    pub status: String,
    pub reason: String,
    pub repo: String,
    pub model: String,
    pub summary: Option<String>,
    pub steps: u64,
    pub turns: u64,
    pub wall_ms: u64,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    pub files_changed: Vec<String>,
    /// What the run went without, a line each.
    pub spared: Vec<String>,
    pub checks: Vec<String>,
    pub rounds: Vec<Round>,
    pub score: Option<Score>,
    pub hypotheses: Vec<Guess>,
    pub diff: String,
    pub diff_cut: usize,
    pub findings: Vec<Fact>,
    pub verification: Vec<Proof>,
    pub timeline: Vec<Item>,
}

/// One run of the checks.
#[derive(Debug, Serialize)]
pub struct Round {
    pub name: String,
    pub checks: Vec<Cell>,
    pub score: Option<Score>,
}

#[derive(Debug, Serialize)]
pub struct Cell {
    pub verdict: &'static str,
    pub counts: String,
}

#[derive(Debug, Serialize)]
pub struct Guess {
    pub verdict: &'static str,
    pub statement: String,
    pub evidence: String,
}

#[derive(Debug, Serialize)]
pub struct Proof {
    pub command: String,
    pub verdict: &'static str,
    pub outcome: String,
    pub duration_ms: u64,
    pub counts: String,
    pub tail: String,
}

/// What the model said, what a step did, or a note.
#[derive(Debug, Default, Serialize)]
pub struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    pub tool: String,
    pub detail: String,
    pub end: String,
    pub tone: &'static str,
    pub text: String,
}

impl Data {
    pub fn of<'a>(state: &RunState, result: &RunResult, events: impl Iterator<Item = &'a Event>, patch: &[u8]) -> Self {
        let patch = String::from_utf8_lossy(patch);
        let shown = cut(&patch, DIFF_BYTES_MAX);
        let mut data = Data {
            run: state.run.to_string(),
            title: first_line(state.task.instruction.as_deref().unwrap_or("Make the checks pass")),
            status: result.status.map_or_else(|| "unfinished".into(), status_word),
            reason: result.reason.clone(),
            repo: state.repo.clone(),
            model: state.model.clone(),
            summary: state.summary.as_deref().map(|text| cut(text, STEP_BYTES_MAX).to_owned()),
            steps: state.steps,
            turns: state.turns,
            wall_ms: result.wall_ms,
            tokens: result.tokens,
            cost_usd: result.cost_usd,
            files_changed: state.files_changed.clone(),
            spared: crate::output::summary::thrift(result),
            checks: state.task.checks.iter().map(|check| check.command.clone()).collect(),
            score: state.score.as_deref().cloned(),
            hypotheses: state.notebook.hypotheses.iter().map(guess).collect(),
            diff_cut: patch.len() - shown.len(),
            diff: shown.to_owned(),
            ..Data::default()
        };
        data.read(events, (TIMELINE_BYTES_MAX / (state.steps.max(1) as usize)).min(STEP_BYTES_MAX));
        data.findings = findings(state);
        data
    }

    fn read<'a>(&mut self, events: impl Iterator<Item = &'a Event>, step_bytes_max: usize) {
        let mut call: Option<&ToolUse> = None;
        for event in events {
            match event {
                Event::BaselineFinished { checks, .. } => self.round("baseline".into(), checks, None),
                Event::ModelResponded { response, .. } => {
                    let text: Vec<&str> = response.content.iter().filter_map(said).collect();
                    let text = text.join("\n");
                    if !text.trim().is_empty() {
                        let say = Some(cut(text.trim(), step_bytes_max).to_owned());
                        self.item(Item { say, ..Item::default() });
                    }
                }
                Event::ToolCallStarted { call: started, .. } => call = Some(started),
                Event::ToolCallFinished { token, result, elapsed_ms, snapshot } => {
                    let step = token.0 + 1;
                    if let Some(checks) = &result.checks {
                        let alone = result.failing_first.as_ref().is_some_and(|first| first.alone);
                        let part = if alone { ", in part" } else { "" };
                        self.round(format!("step {step}{part}"), checks, result.score.as_deref());
                    }
                    let changed = snapshot.as_ref().map_or(0, |snapshot| snapshot.changed);
                    let (tone, mut end) = ended(result);
                    if changed > 0 {
                        end = format!("{changed} file{} changed · {end}", if changed == 1 { "" } else { "s" });
                    }
                    self.item(Item {
                        step: Some(step),
                        tool: call.map_or_else(String::new, |call| call.name.clone()),
                        detail: call.map(detail).unwrap_or_default(),
                        end: format!("{end} · {:.1} s", *elapsed_ms as f64 / 1000.0),
                        tone,
                        text: shown(call, result, step_bytes_max),
                        ..Item::default()
                    });
                    call = None;
                }
                Event::VerificationFinished { checks, score, .. } => {
                    self.round("verification".into(), checks, score.as_deref());
                    self.verification = checks.iter().map(proof).collect();
                }
                Event::CandidatesRan { response, candidates, winner, .. } => {
                    let text = response.text();
                    if !text.trim().is_empty() {
                        let say = Some(cut(text.trim(), step_bytes_max).to_owned());
                        self.item(Item { say, ..Item::default() });
                    }
                    let line = |(index, candidate): (usize, &Candidate)| {
                        let mark = if index == *winner as usize { ", which goes on" } else { "" };
                        format!("{}{mark}: {} – {}", index + 1, candidate.summary, candidate.verdict)
                    };
                    let lines: Vec<String> = candidates.iter().enumerate().map(line).collect();
                    self.note(format!("{} proposals, each in a fork: {}", lines.len(), lines.join("; ")));
                }
                Event::ModelFailed { turn, detail, .. } => self.note(format!("turn {turn}: no answer: {detail}")),
                Event::WindowRebuilt { reason, .. } => self.note(format!("a fresh window: {reason}")),
                Event::Reviewed { version, review } => self.note(format!("checkpoint {version}: a person {review}")),
                Event::Said { text, .. } => self.note(format!("a person said: {text}")),
                Event::Resumed { .. } => self.note("resumed".into()),
                Event::SandboxReplaced { reason, .. } => self.note(format!("a fresh sandbox: {reason}")),
                Event::RunStarted { .. }
                | Event::NetworkUsed { .. }
                | Event::SandboxStarted { .. }
                | Event::ModelRequested { .. }
                | Event::CheckpointWritten { .. }
                | Event::WriterAsked { .. }
                | Event::WriterFinished { .. }
                | Event::BackgroundRead { .. }
                | Event::TreeCaptured { .. }
                | Event::Finished { .. }
                | Event::Rewound { .. }
                | Event::Imported { .. } => {}
            }
        }
    }

    fn round(&mut self, name: String, checks: &[CheckResult], score: Option<&Score>) {
        let cell = |check: &CheckResult| Cell { verdict: verdict_name(check.verdict()), counts: counts(&check.report) };
        if self.rounds.len() >= ROUNDS_MAX {
            // The first and the newest ones say most.
            self.rounds.remove(1);
        }
        self.rounds.push(Round { name, checks: checks.iter().map(cell).collect(), score: score.cloned() });
    }

    fn note(&mut self, text: String) {
        self.item(Item { note: Some(cut(&text, 500).to_owned()), ..Item::default() });
    }

    fn item(&mut self, item: Item) {
        if self.timeline.len() < ITEMS_MAX {
            self.timeline.push(item);
        } else if self.timeline.len() == ITEMS_MAX {
            let note = Some("… and more; `greenroom show` has all of it".to_owned());
            self.timeline.push(Item { note, ..Item::default() });
        }
    }
}

fn said(block: &Block) -> Option<&str> {
    match block {
        Block::Text { text } => Some(text),
        Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolUse(_) | Block::ToolResult { .. } => None,
    }
}

fn shown(call: Option<&ToolUse>, result: &ToolOutcome, bytes_max: usize) -> String {
    let mut text = String::new();
    for key in ["command", "old_string", "new_string", "content"] {
        if let Some(value) = call.and_then(|call| call.input.get(key)?.as_str()) {
            text.push_str(&format!("{key}:\n{}\n\n", cut(value, bytes_max / 3)));
        }
    }
    text.push_str(cut(&result.content, bytes_max.saturating_sub(text.len())));
    text
}

fn ended(result: &ToolOutcome) -> (&'static str, String) {
    match (&result.checks, result.outcome) {
        (Some(checks), _) => match checks.iter().filter(|check| !check.passed()).count() {
            0 => ("ok", "checks pass".into()),
            red => ("bad", format!("{red} of {} checks fail", checks.len())),
        },
        (None, _) if result.is_error => ("bad", "refused".into()),
        (None, Some(outcome)) => (if outcome.succeeded() { "dim" } else { "bad" }, outcome.to_string()),
        (None, None) => ("dim", "done".into()),
    }
}

fn detail(call: &ToolUse) -> String {
    let keys = ["command", "path", "pattern", "statement", "query", "task", "summary"];
    let text = keys.iter().find_map(|key| call.input.get(key)?.as_str()).unwrap_or_default();
    first_line(text).chars().take(DETAIL_CHARS_MAX).collect()
}

fn proof(check: &CheckResult) -> Proof {
    let start = check.tail.ceil_char_boundary(check.tail.len().saturating_sub(TAIL_BYTES_MAX));
    Proof {
        command: check.check.command.clone(),
        verdict: verdict_name(check.verdict()),
        outcome: check.outcome.to_string(),
        duration_ms: check.duration_ms,
        counts: counts(&check.report),
        tail: check.tail[start..].to_owned(),
    }
}

fn counts(report: &Report) -> String {
    let summary = &report.summary;
    let ran = summary.passed + summary.failed + summary.errors;
    match (ran, report.verdict) {
        (0, Verdict::NoTests) => "no tests".into(),
        (0, _) if summary.diagnostic_errors > 0 => format!("{} errors", summary.diagnostic_errors),
        (0, _) => String::new(),
        (_, _) => format!("{}/{ran}", summary.passed),
    }
}

fn guess(hypothesis: &crate::agent::notebook::Hypothesis) -> Guess {
    use crate::ledger::Verdict;
    Guess {
        verdict: match hypothesis.verdict {
            Verdict::Open => "open",
            Verdict::Confirmed => "confirmed",
            Verdict::Refuted => "refuted",
        },
        statement: hypothesis.statement.clone(),
        evidence: hypothesis.evidence.clone(),
    }
}

/// What stands at a line of the tree as it is at the end: the score's facts, and what the last checks complain of.
fn findings(state: &RunState) -> Vec<Fact> {
    let facts = state.score.iter().flat_map(|score| &score.parts).flat_map(|part| part.facts.clone());
    let last = state.verification.as_ref().or(state.last_checks.as_ref());
    let red =
        last.into_iter().flatten().filter(|check| !check.passed()).flat_map(|check| feedback::findings(&check.report));
    let red = red.map(|finding| Fact {
        file: finding.file,
        line: finding.line,
        text: format!("{}: {}", finding.title, first_line(&finding.message)),
    });
    let judged = state.judgement.iter().flat_map(|judgement| &judgement.findings);
    let judged =
        judged.map(|finding| Fact { file: finding.file.clone(), line: finding.line, text: finding.message.clone() });
    judged.chain(red).chain(facts).take(FINDINGS_MAX).collect()
}

fn status_word(status: crate::event::RunStatus) -> String {
    crate::output::summary::status_word(Some(status)).1.to_owned()
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(300).collect()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
