//! What of an event can be found again: one document a step with its call and its result, and one for each thing that
//! was said, decided or checked beside the steps.

use std::fmt::Write;

use greenroom_parsers::Report;

use crate::checkpoint::Checkpoint;
use crate::event::{Candidate, Event, Review, ToolOutcome};
use crate::id::BlobId;
use crate::message::ToolUse;
use crate::task::CheckResult;

/// Of one call's arguments.
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Of one report, of each kind of item.
const ITEMS_MAX: usize = 200;
const TITLE_CHARS_MAX: usize = 160;
/// Its answers would only be found instead of what they quote.
const RECALL: &str = "recall";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// As people count them, from 1; 0 is before the first.
    pub(super) step: Option<u64>,
    pub(super) turn: u64,
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) body: String,
    /// Whole outputs, which belong to the body.
    pub(super) outputs: Vec<BlobId>,
    /// The step that ends with it.
    pub(super) ends: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Add(Box<Document>),
    /// The run was rewound: what came after the end of this step is no part of it any more.
    CutAfter(u64),
}

impl Op {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Op::Add(doc) => doc.body.len(),
            Op::CutAfter(_) => 0,
        }
    }
}

/// A fold over events: a call is told together with its result.
#[derive(Debug, Default)]
pub(super) struct Documents {
    turn: u64,
    started: Option<ToolUse>,
}

impl Documents {
    pub(super) fn from_turn(turn: u64) -> Self {
        Documents { turn, started: None }
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    /// Nothing waits for an event to come.
    pub(super) fn is_whole(&self) -> bool {
        self.started.is_none()
    }

    pub(super) fn take(&mut self, event: &Event) -> Vec<Op> {
        match event {
            Event::RunStarted { task, .. } => {
                let checks: Vec<&str> = task.checks.iter().map(|check| check.command.as_str()).collect();
                let words = task.instruction.as_deref().unwrap_or("Make the checks pass.");
                let body = format!("{words}\nchecks:\n{}\n", checks.join("\n"));
                vec![self.said("task", first_line(words), body)]
            }
            Event::BaselineFinished { checks, .. } => vec![self.checked("baseline", Some(0), checks)],
            Event::VerificationFinished { checks, .. } => vec![self.checked("verification", None, checks)],
            Event::ModelRequested { turn, .. } => {
                self.turn = *turn;
                Vec::new()
            }
            Event::ModelResponded { response, .. } => {
                let text = response.text();
                let is_empty = text.trim().is_empty();
                if is_empty { Vec::new() } else { vec![self.said("you said", first_line(&text), text)] }
            }
            Event::CandidatesRan { turn, candidates, .. } => {
                self.turn = *turn;
                let line = |candidate: &Candidate| format!("{}: {}\n", candidate.summary, candidate.verdict);
                let text: String = candidates.iter().map(line).collect();
                vec![self.said("proposals", first_line(&text), text)]
            }
            Event::ToolCallStarted { call, .. } => {
                self.started = Some(call.clone());
                Vec::new()
            }
            Event::ToolCallFinished { token, result, .. } => vec![self.step(token.0 + 1, result)],
            Event::CheckpointWritten { checkpoint } => self.notes(checkpoint),
            Event::WriterFinished { checkpoint: Some(checkpoint), .. } => self.notes(checkpoint),
            Event::Said { text, .. } => vec![self.said("the user said", first_line(text), text.clone())],
            Event::Reviewed { review: Review::Steer { text }, .. } => {
                vec![self.said("the user said", first_line(text), text.clone())]
            }
            Event::Rewound { to_step } => {
                self.started = None;
                vec![Op::CutAfter(*to_step)]
            }
            Event::Reviewed { review: Review::GoOn | Review::Stop, .. }
            | Event::NetworkUsed { .. }
            | Event::WriterAsked { .. }
            | Event::BackgroundRead { .. }
            | Event::WriterFinished { checkpoint: None, .. }
            | Event::SandboxStarted { .. }
            | Event::ModelFailed { .. }
            | Event::WindowRebuilt { .. }
            | Event::TreeCaptured { .. }
            | Event::Finished { .. }
            | Event::Resumed { .. }
            | Event::SandboxReplaced { .. }
            | Event::Imported { .. } => Vec::new(),
        }
    }

    /// What came with this version.
    fn notes(&self, checkpoint: &Checkpoint) -> Vec<Op> {
        let new = checkpoint.notes.items.iter().filter(|note| note.version == checkpoint.version);
        let body: String = new.map(|note| format!("{}\n", note.text)).collect();
        let title = format!("checkpoint {}", checkpoint.version);
        if body.is_empty() { Vec::new() } else { vec![self.said("notes", title, body)] }
    }

    fn said(&self, kind: &'static str, title: String, body: String) -> Op {
        let document = Document { step: None, turn: self.turn, kind, title, body, outputs: Vec::new(), ends: None };
        Op::Add(Box::new(document))
    }

    fn checked(&self, kind: &'static str, ends: Option<u64>, checks: &[CheckResult]) -> Op {
        let mut body = String::new();
        checks.iter().for_each(|check| write_check(&mut body, check));
        let outputs = checks.iter().map(|check| check.output.clone()).collect();
        let title = verdicts(checks);
        Op::Add(Box::new(Document { step: ends, turn: self.turn, kind, title, body, outputs, ends }))
    }

    fn step(&mut self, step: u64, result: &ToolOutcome) -> Op {
        let call = self.started.take();
        let name = call.as_ref().map_or("", |call| call.name.as_str());
        let mut document = Document {
            step: Some(step),
            turn: self.turn,
            kind: "step",
            title: title(call.as_ref(), result),
            body: String::new(),
            outputs: Vec::new(),
            ends: Some(step),
        };
        if name != RECALL {
            document.body = call.as_ref().map(arguments).unwrap_or_default();
            document.body.push_str(&result.content);
            document.body.push('\n');
            if let Some(report) = &result.report {
                write_report(&mut document.body, report);
            }
            for check in result.checks.iter().flatten() {
                write_check(&mut document.body, check);
                document.outputs.push(check.output.clone());
            }
            document.outputs.extend(result.output.clone());
        }
        Op::Add(Box::new(document))
    }
}

/// `bash: make test (exit code 2)`.
fn title(call: Option<&ToolUse>, result: &ToolOutcome) -> String {
    let Some(call) = call else { return String::new() };
    let says_most = ["command", "path", "pattern", "query", "statement", "summary"];
    let says = says_most.iter().find_map(|key| call.input.get(key)?.as_str()).map(first_line).unwrap_or_default();
    let mut title = call.name.clone();
    if !says.is_empty() {
        let _ = write!(title, ": {says}");
    }
    match (&result.outcome, &result.checks) {
        (Some(outcome), _) => drop(write!(title, " ({outcome})")),
        (None, Some(checks)) => drop(write!(title, " ({})", verdicts(checks))),
        (None, None) if result.is_error => title.push_str(" (refused)"),
        (None, None) => {}
    }
    title
}

fn verdicts(checks: &[CheckResult]) -> String {
    let told = checks.iter().map(|check| format!("`{}` {}", check.check.command, check.outcome));
    told.collect::<Vec<_>>().join(", ")
}

fn arguments(call: &ToolUse) -> String {
    let mut text = String::new();
    for (key, value) in call.input.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(value) => drop(writeln!(text, "{key}: {value}")),
            None => drop(writeln!(text, "{key}: {value}")),
        }
    }
    text.truncate(text.floor_char_boundary(INPUT_BYTES_MAX));
    text
}

fn write_check(body: &mut String, check: &CheckResult) {
    let _ = writeln!(body, "check: {} ({})", check.check.command, check.outcome);
    write_report(body, &check.report);
}

/// By the names that the report gives things, which need not stand in the output like that.
fn write_report(body: &mut String, report: &Report) {
    for test in report.tests.iter().take(ITEMS_MAX) {
        let status = format!("{:?}", test.status).to_lowercase();
        let _ = writeln!(body, "{status}: {} {}", test.id, test.message.as_deref().unwrap_or_default());
    }
    for diagnostic in report.diagnostics.iter().take(ITEMS_MAX) {
        let file = diagnostic.file.as_deref().unwrap_or_default();
        let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
        let code = diagnostic.code.as_deref().unwrap_or_default();
        let _ = writeln!(body, "{file}{line}: {code} {}", diagnostic.message);
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(TITLE_CHARS_MAX).collect()
}
