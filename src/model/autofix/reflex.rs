//! The same suggestions as an answer in the place of another model's, where there are any.

use serde_json::json;

use super::history::{Checks, History};
use super::plan::Plan;
use super::{Answer, edit, eslint, hash, mark, path, read, run_checks, rust, suggest};
use crate::message::{ModelRequest, ModelResponse};

/// What can be done without asking anybody.
#[derive(Debug)]
pub struct Reflexive {
    pub response: ModelResponse,
    /// The files that it edits, relative to the workspace.
    pub edits: Vec<String>,
}

/// `None` where nothing is suggested that was not tried: then a model is to be asked. `turn` makes the ids of its calls.
pub fn reflex(request: &ModelRequest, turn: usize) -> Option<Reflexive> {
    let report = request.findings.as_deref()?;
    let history = History::read(&request.messages);
    match history.checks {
        Checks::Failed | Checks::NotRun | Checks::PassedAndSubmitted => {}
        Checks::Passed | Checks::Outdated => return None,
    }
    let (answer, edits) = answer(&history, report)?;
    let mut response = answer.into_response(turn);
    for block in &mut response.content {
        if let crate::message::Block::ToolUse(call) = block {
            call.id = call.id.replace("autofix_", "reflex_");
        }
    }
    Some(Reflexive { response, edits })
}

fn answer(history: &History, report: &greenroom_parsers::Report) -> Option<(Answer, Vec<String>)> {
    if let Some(command) = rust::inspection(report).filter(|_| !history.inspected) {
        let input = json!({"command": command, "timeout_s": 600});
        let text = "Before the model is asked: asking cargo for the exact places of its suggestions.";
        return Some((Answer::new(text, vec![("bash", input)]), Vec::new()));
    }
    let plan = Plan::new(&suggest::findings(report), history);
    if !plan.reads.is_empty() {
        return Some((read(&plan), Vec::new()));
    }
    if !plan.files.is_empty() {
        let edits = plan.files.keys().cloned().collect();
        let mut answer = edit(&plan);
        answer.text = format!("Before the model is asked. {}", answer.text);
        // Two findings may suggest the same: what was taken back once is not made again.
        let mut made = answer.calls.iter().filter(|(name, _)| *name == "edit_file");
        let again = made.clone().next().is_some() && made.all(|(_, call)| history.made(call));
        return (!again).then_some((answer, edits));
    }
    let (command, complaints) = eslint::fix(report)?;
    let key = hash(&["eslint", &complaints]);
    let complaints = report.diagnostics.iter().filter(|diagnostic| diagnostic.source == "eslint");
    let files: std::collections::BTreeSet<String> =
        complaints.filter_map(|complaint| path::own(complaint.file.as_deref()?)).collect();
    let text = format!("Before the model is asked: letting eslint carry out its own fixes. {}", mark(&key));
    let calls = vec![("bash", json!({"command": command})), run_checks()];
    (!history.named(&key)).then(|| (Answer::new(text, calls), files.into_iter().collect()))
}
