//! A workspace in memory with the tools as a model sees them, to play whole conversations in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use greenroom_parsers::Report;
use serde_json::Value;

use super::history::History;
use crate::message::{Block, Message, ModelRequest, Role, StopReason};

const TURNS_MAX: usize = 30;

pub(super) type Files = BTreeMap<String, String>;

/// `checks` says what a run of them finds, `None` that they pass; `exact` what cargo adds when it is asked for JSON.
pub(super) struct Desk<'a> {
    pub(super) files: Files,
    checks: &'a dyn Fn(&Files) -> Option<Report>,
    exact: &'a dyn Fn(&Files) -> Option<Report>,
    findings: Option<Arc<Report>>,
    messages: Vec<Message>,
    /// Every call in order: the tool, and the file or command it is for.
    pub(super) log: Vec<String>,
    pub(super) red_runs: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Submitted,
    GaveUp(String),
}

impl<'a> Desk<'a> {
    pub(super) fn new(files: Files, checks: &'a dyn Fn(&Files) -> Option<Report>) -> Desk<'a> {
        let findings = checks(&files).map(Arc::new);
        let messages = vec![Message::user("Make the checks pass.")];
        Desk { files, checks, exact: &|_| None, findings, messages, log: Vec::new(), red_runs: 0 }
    }

    /// What cargo finds when it is asked for JSON.
    pub(super) fn with_exact(self, exact: &'a dyn Fn(&Files) -> Option<Report>) -> Desk<'a> {
        Desk { exact, ..self }
    }

    pub(super) fn play(&mut self) -> End {
        for _ in 0..TURNS_MAX {
            let request =
                ModelRequest { messages: self.messages.clone(), findings: self.findings.clone(), ..Default::default() };
            let history = History::read(&request.messages);
            let answer = super::decide(&history, request.findings.as_deref(), false).into_response(history.turns);
            if answer.stop_reason == StopReason::GaveUp {
                return End::GaveUp(answer.text());
            }
            let mut results = Vec::new();
            for call in answer.tool_uses() {
                if call.name == "submit" {
                    return End::Submitted;
                }
                let (content, is_error) = match self.carry_out(&call.name, &call.input) {
                    Ok(content) => (content, false),
                    Err(content) => (content, true),
                };
                results.push(Block::ToolResult { tool_use_id: call.id.clone(), content, is_error });
            }
            self.messages.push(Message { role: Role::Assistant, content: answer.content });
            self.messages.push(Message { role: Role::User, content: results });
        }
        panic!("no end after {TURNS_MAX} turns: {:?}", self.log);
    }

    fn carry_out(&mut self, name: &str, input: &Value) -> Result<String, String> {
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        self.log.push(format!("{name} {}{}", text("path"), text("command")).trim().to_owned());
        match name {
            "read_file" => {
                let content = self.files.get(text("path")).ok_or("no such file")?;
                let lines: Vec<String> = content.lines().zip(1..).map(|(line, n)| format!("{n:>6}\t{line}")).collect();
                Ok(format!("{} (lines 1-{n} of {n})\n{}", text("path"), lines.join("\n"), n = lines.len()))
            }
            "edit_file" => {
                let content = self.files.get_mut(text("path")).ok_or("no such file")?;
                if content.matches(text("old_string")).count() != 1 {
                    return Err(format!("{:?} is not there exactly once", text("old_string")));
                }
                *content = content.replacen(text("old_string"), text("new_string"), 1);
                Ok(format!("edited {}", text("path")))
            }
            "run_checks" => match (self.checks)(&self.files) {
                None => Ok("checks: PASS".to_owned()),
                Some(report) => {
                    self.findings = Some(Arc::new(report));
                    self.red_runs += 1;
                    Ok("checks: FAIL\n…".to_owned())
                }
            },
            "bash" => {
                if let Some(report) = (self.exact)(&self.files) {
                    self.findings = Some(Arc::new(report));
                }
                Ok("exit code 101\n…".to_owned())
            }
            unknown => panic!("{unknown} is no tool"),
        }
    }

    pub(super) fn edits(&self) -> usize {
        self.log.iter().filter(|call| call.starts_with("edit_file")).count()
    }
}

pub(super) fn fixture(name: &str) -> Files {
    fn collect(root: &Path, folder: &Path, files: &mut Files) {
        for entry in std::fs::read_dir(folder).expect("the fixture is part of the source tree") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
                files.insert(name, std::fs::read_to_string(&path).expect("fixtures are text"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tasks").join(name).join("repo");
    let mut files = Files::new();
    collect(&root, &root, &mut files);
    files
}
