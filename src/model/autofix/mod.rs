//! The built-in model that is no language model: it carries out what the tools themselves suggest, and only that.
//!
//! A pure function of the request. What it must remember is in its own earlier answers: every suggestion it carries
//! out is marked there with a key, and one that did not help is not tried again.

mod c;
#[cfg(test)]
mod desk;
mod eslint;
mod go;
mod history;
mod missing;
mod path;
mod plan;
mod python;
mod reflex;
mod resolve;
mod rust;
mod splice;
#[cfg(test)]
mod story;
mod suggest;
mod typescript;

pub use reflex::{Reflexive, reflex};

use async_trait::async_trait;
use greenroom_parsers::{Edit, Report, Suggestion};
use serde_json::{Value, json};

use self::history::{Checks, History};
use self::plan::Plan;
use super::{Model, ModelError};
use crate::message::{Block, ModelRequest, ModelResponse, StopReason, ToolUse, Usage};
use crate::network::INSTALL;

/// More findings than this are counted rather than named.
const NAMED_MAX: usize = 20;

/// Does what rustc, gcc, Python and others propose, for as long as they propose something new.
#[derive(Debug, Clone, Copy, Default)]
pub struct Autofix;

#[async_trait]
impl Model for Autofix {
    fn id(&self) -> &str {
        "autofix"
    }

    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError> {
        let history = History::read(&request.messages);
        let can_install = request.tools.iter().any(|tool| tool.name == INSTALL);
        let answer = decide(&history, request.findings.as_deref(), can_install);
        Ok(answer.into_response(history.turns))
    }

    fn writes(&self) -> bool {
        false
    }

    fn cost_usd(&self, _usage: &Usage) -> Option<f64> {
        Some(0.0)
    }
}

/// One answer: words for the person who reads along, then what to do. Without anything to do it has given up.
#[derive(Debug, Default)]
struct Answer {
    text: String,
    calls: Vec<(&'static str, Value)>,
}

fn decide(history: &History, findings: Option<&Report>, can_install: bool) -> Answer {
    match (history.checks, findings) {
        (Checks::Passed, _) => {
            let input = json!({"summary": "carried out what the tools themselves suggested; the checks pass"});
            return Answer::new("The checks pass.", vec![("submit", input)]);
        }
        (Checks::Outdated, _) | (Checks::NotRun, None) => {
            return Answer::new("Seeing how the checks stand.", vec![run_checks()]);
        }
        (Checks::NotRun | Checks::Failed | Checks::PassedAndSubmitted, _) => {}
    }
    let Some(report) = findings else {
        return Answer::new("The checks do not pass, and nothing in their output is a finding I can read.", vec![]);
    };
    if let Some(command) = rust::inspection(report).filter(|_| !history.inspected) {
        let input = json!({"command": command, "timeout_s": 600});
        return Answer::new("Asking cargo for the exact places of its suggestions.", vec![("bash", input)]);
    }

    let plan = Plan::new(&suggest::findings(report), history);
    if !plan.reads.is_empty() {
        return read(&plan);
    }
    if !plan.files.is_empty() {
        return edit(&plan);
    }
    match eslint::fix(report).map(|(command, complaints)| (command, hash(&["eslint", &complaints]))) {
        Some((command, key)) if !history.named(&key) => {
            let text = format!("Letting eslint carry out its own fixes. {}", mark(&key));
            Answer::new(text, vec![("bash", json!({"command": command})), run_checks()])
        }
        Some(_) | None if can_install => install(report, history).unwrap_or_else(|| give_up(&plan, history)),
        Some(_) | None => give_up(&plan, history),
    }
}

/// What a program asks for and does not find; each package once.
fn install(report: &Report, history: &History) -> Option<Answer> {
    let key = |manager: &str, package: &str| hash(&["install", manager, package]);
    let (manager, packages) = missing::packages(report, |manager, package| history.named(&key(manager, package)))?;
    let marks: Vec<String> =
        packages.iter().map(|package| format!("- {package} {}", mark(&key(manager, package)))).collect();
    let text = format!("Installing what is missing, with {manager}:\n{}", marks.join("\n"));
    Some(Answer::new(text, vec![(INSTALL, json!({"manager": manager, "packages": packages})), run_checks()]))
}

fn read(plan: &Plan) -> Answer {
    let call = |(path, line): (&String, &usize)| {
        let whole = json!({"path": path});
        let rest = json!({"path": path, "start_line": line});
        ("read_file", if *line == 1 { whole } else { rest })
    };
    Answer::new("Reading what the tools' suggestions are about.", plan.reads.iter().map(call).collect())
}

fn edit(plan: &Plan) -> Answer {
    let text = format!("Carrying out what the tools suggest:\n{}", plan.notes.join("\n"));
    let mut calls: Vec<(&'static str, Value)> =
        plan.files.iter().flat_map(|(file, (lines, groups))| splice::calls(file, lines, groups)).collect();
    calls.push(run_checks());
    Answer::new(text, calls)
}

fn give_up(plan: &Plan, history: &History) -> Answer {
    let hopeless = plan.hopeless();
    let mut text = if plan.exhausted.is_empty() {
        "I only carry out what the tools themselves suggest, and they suggest nothing for what is left".to_owned()
    } else {
        "I only carry out what the tools themselves suggest, and that did not help or does not fit".to_owned()
    };
    text.push_str(if hopeless.is_empty() { "." } else { ":" });
    for what in hopeless.iter().take(NAMED_MAX) {
        text.push_str("\n- ");
        text.push_str(what.lines().next().unwrap_or_default());
    }
    if let Some(more) = hopeless.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("\n- … and {more} more"));
    }
    if let Some(refusal) = &history.install_refused {
        text.push_str(&format!("\n{refusal}"));
    }
    Answer::new(text, vec![])
}

fn run_checks() -> (&'static str, Value) {
    ("run_checks", json!({}))
}

/// Names a suggestion for a finding wherever in the file it stands: the line is compared apart.
fn key(fingerprint: &str, suggestion: &Suggestion) -> String {
    let mut parts = vec![fingerprint];
    for edit in &suggestion.edits {
        match edit {
            Edit::Replace { file, replacement, .. } => parts.extend(["replace", file, replacement]),
            Edit::Substitute { file, original, replacement, .. } => {
                parts.extend(["substitute", file, original, replacement]);
            }
            Edit::AddImport { file, module } => parts.extend(["import", file, module]),
            Edit::DeleteLines { file, .. } => parts.extend(["delete", file]),
        }
    }
    hash(&parts)
}

fn hash(parts: &[&str]) -> String {
    let hash = blake3::hash(parts.join("\0").as_bytes());
    hash.to_hex()[..12].to_owned()
}

/// How a key stands in a text, so that [`keys_in`] finds it again.
fn mark(key: &str) -> String {
    format!("[autofix {key}]")
}

fn keys_in(text: &str) -> Vec<String> {
    text.split("[autofix ").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0.to_owned())).collect()
}

impl Answer {
    fn new(text: impl Into<String>, calls: Vec<(&'static str, Value)>) -> Answer {
        Answer { text: text.into(), calls }
    }

    fn into_response(self, turn: usize) -> ModelResponse {
        let stop_reason = if self.calls.is_empty() { StopReason::GaveUp } else { StopReason::ToolUse };
        let mut content = vec![Block::Text { text: self.text }];
        content.extend(self.calls.into_iter().enumerate().map(|(number, (name, input))| {
            Block::ToolUse(ToolUse { id: format!("autofix_{turn}_{number}"), name: name.to_owned(), input })
        }));
        ModelResponse { content, stop_reason, usage: Usage::default() }
    }
}
