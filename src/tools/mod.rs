//! What an agent can do: a closed set of calls, one a file, every one carried out inside the sandbox.
//!
//! Two kinds of failure: what the model can act on is a [`ToolOutcome`] with `is_error`; a failure of ours is `Err`.

mod bash;
mod carry;
pub mod command;
mod edit_file;
mod failing_first;
pub mod helper;
mod hypothesis;
pub mod install;
mod job;
mod list_files;
pub mod measure;
mod plan;
mod read_file;
mod recall;
mod run_checks;
mod search;
mod submit;
mod write_file;

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use run_checks::{CheckRun, run_checks_in_full};

use crate::agent::notebook::Notebook;
use crate::error::Error;
use crate::event::{Limits, ToolOutcome};
use crate::feedback::Delta;
use crate::id::CallToken;
use crate::message::{ToolSpec, ToolUse};
use crate::sandbox::{Sandbox, SandboxError, WORKSPACE};
use crate::shell::ShellState;
use crate::store::Store;
use crate::task::{Check, Outcome};

/// A call whose arguments were understood.
#[derive(Debug)]
pub enum ToolCall {
    Bash(bash::Args),
    ReadFile(read_file::Args),
    WriteFile(write_file::Args),
    EditFile(edit_file::Args),
    ListFiles(list_files::Args),
    Search(search::Args),
    Plan(plan::Args),
    Hypothesis(hypothesis::Args),
    Recall(recall::Args),
    Job(job::Args),
    RunChecks(run_checks::Args),
    /// Carried out by the driver: the run goes on in another container.
    Install(install::Args),
    /// The same: a helper is a run of its own.
    Helper(helper::Args),
    Submit(submit::Args),
}

/// What a call may do to the world before its result is committed: decides what a later runner may do with one that was
/// under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    None,
    /// Its one command is known to the sandbox by its token: asked for again, it is followed.
    FollowedByToken,
    /// It changes files in a way that cannot be taken up in the middle.
    Workspace,
}

/// What tools act on.
pub struct ToolContext<'a> {
    pub sandbox: &'a dyn Sandbox,
    pub store: &'a dyn Store,
    pub token: CallToken,
    pub checks: &'a [Check],
    pub limits: &'a Limits,
    /// What the run has left of its wall time.
    pub time_left: Option<Duration>,
    /// Baseline and newest run, to tell new findings from old ones.
    pub delta: &'a Delta,
    /// The run's own, complete.
    pub environment: &'a [(String, String)],
    /// What the last command left to the next.
    pub shell: &'a ShellState,
    /// What the score compares with.
    pub yardstick: measure::Yardstick<'a>,
    /// What is on record of the run so far.
    pub notebook: &'a Notebook,
}

/// A failure of ours: it ends or parks the run.
#[derive(Debug, thiserror::Error)]
pub enum ToolFailure {
    /// A helper's run broke, and with it the one that waits for it.
    #[error(transparent)]
    Helper(#[from] Error),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("cannot write to the state folder: {0}")]
    Store(#[from] io::Error),
}

/// Every tool, as the model is told of it; that there are helpers only where it may have some.
pub fn specs(helpers: bool) -> Vec<ToolSpec> {
    let mut specs = vec![
        bash::spec(),
        read_file::spec(),
        write_file::spec(),
        edit_file::spec(),
        list_files::spec(),
        search::spec(),
        plan::spec(),
        hypothesis::spec(),
        recall::spec(),
        run_checks::spec(),
        job::spec(),
        install::spec(),
        submit::spec(),
    ];
    if helpers {
        specs.push(helper::spec());
    }
    specs
}

impl ToolCall {
    /// Understands a call, or says to the model what is wrong with it.
    pub fn parse(call: &ToolUse) -> Result<Self, String> {
        let input = &call.input;
        match call.name.as_str() {
            bash::NAME => Ok(ToolCall::Bash(arguments(&call.name, input)?)),
            read_file::NAME => Ok(ToolCall::ReadFile(arguments(&call.name, input)?)),
            write_file::NAME => Ok(ToolCall::WriteFile(arguments(&call.name, input)?)),
            edit_file::NAME => Ok(ToolCall::EditFile(arguments(&call.name, input)?)),
            list_files::NAME => Ok(ToolCall::ListFiles(arguments(&call.name, input)?)),
            search::NAME => Ok(ToolCall::Search(arguments(&call.name, input)?)),
            plan::NAME => Ok(ToolCall::Plan(arguments(&call.name, input)?)),
            hypothesis::NAME => Ok(ToolCall::Hypothesis(arguments(&call.name, input)?)),
            recall::NAME => Ok(ToolCall::Recall(arguments(&call.name, input)?)),
            job::NAME => Ok(ToolCall::Job(arguments(&call.name, input)?)),
            run_checks::NAME => Ok(ToolCall::RunChecks(arguments(&call.name, input)?)),
            install::NAME => Ok(ToolCall::Install(arguments(&call.name, input)?)),
            helper::NAME => Ok(ToolCall::Helper(arguments(&call.name, input)?)),
            submit::NAME => Ok(ToolCall::Submit(arguments(&call.name, input)?)),
            other => {
                let names: Vec<&str> = specs(false).iter().map(|spec| spec.name).collect();
                Err(format!("there is no tool `{other}`; the tools are {}", names.join(", ")))
            }
        }
    }

    pub fn effect(&self) -> Effect {
        match self {
            // A job is started once a token, and stopping or asking twice is as good as once.
            ToolCall::Bash(_) | ToolCall::Job(_) => Effect::FollowedByToken,
            ToolCall::ReadFile(_)
            | ToolCall::ListFiles(_)
            | ToolCall::Search(_)
            | ToolCall::Plan(_)
            | ToolCall::Hypothesis(_)
            | ToolCall::Recall(_)
            | ToolCall::Submit(_) => Effect::None,
            // An install under way never gets here: the state answers that nobody knows what became of it.
            ToolCall::WriteFile(_) | ToolCall::EditFile(_) | ToolCall::RunChecks(_) | ToolCall::Install(_)
            // Its own run is durable; what of its diff was merged is not known.
            | ToolCall::Helper(_) => Effect::Workspace,
        }
    }

    pub async fn carry_out(&self, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
        match self.dispatch(context).await {
            // The sandbox is well and says what it cannot do: that is for the model.
            Err(ToolFailure::Sandbox(error @ SandboxError::Refused { .. })) => {
                Ok(ToolOutcome::refused(error.to_string()))
            }
            answer => answer,
        }
    }

    async fn dispatch(&self, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
        match self {
            ToolCall::Bash(args) => bash::carry_out(args, context).await,
            ToolCall::ReadFile(args) => read_file::carry_out(args, context).await,
            ToolCall::WriteFile(args) => write_file::carry_out(args, context).await,
            ToolCall::EditFile(args) => edit_file::carry_out(args, context).await,
            ToolCall::ListFiles(args) => list_files::carry_out(args, context).await,
            ToolCall::Search(args) => search::carry_out(args, context).await,
            ToolCall::Plan(args) => Ok(plan::carry_out(args)),
            ToolCall::Hypothesis(args) => Ok(hypothesis::carry_out(args, context.notebook)),
            ToolCall::Recall(args) => Ok(recall::carry_out(args, context)),
            ToolCall::Job(args) => job::carry_out(args, context).await,
            ToolCall::RunChecks(args) => run_checks::carry_out(args, context).await,
            ToolCall::Install(_) => Ok(install::not_allowed()),
            ToolCall::Helper(_) => Ok(helper::not_here()),
            ToolCall::Submit(args) => Ok(submit::carry_out(args)),
        }
    }
}

impl ToolOutcome {
    pub(crate) fn told(content: impl Into<String>) -> Self {
        ToolOutcome { content: content.into(), ..ToolOutcome::default() }
    }

    /// The container went away while the call was in it. What it did to the files is undone.
    pub(crate) fn sandbox_lost(error: &SandboxError) -> Self {
        let content = format!("{error}. The files are as they were before this call; /tmp is empty.");
        ToolOutcome { outcome: Some(Outcome::SandboxLost), ..ToolOutcome::refused(content) }
    }

    /// For the model to act on: a few words, whatever it said itself.
    pub(crate) fn refused(content: impl Into<String>) -> Self {
        let mut content: String = content.into();
        if content.len() > REFUSAL_BYTES_MAX {
            content.truncate(content.floor_char_boundary(REFUSAL_BYTES_MAX));
            content.push('…');
        }
        ToolOutcome { content, is_error: true, ..ToolOutcome::default() }
    }
}

const REFUSAL_BYTES_MAX: usize = 4_000;

/// Arguments as an object, or as a string that holds one: some servers send them so. Nothing at all is an empty object.
fn arguments<T: DeserializeOwned>(tool: &str, input: &Value) -> Result<T, String> {
    let object = match input {
        Value::Null => Value::Object(serde_json::Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(serde_json::Map::new()),
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| format!("the arguments of `{tool}` are not JSON: {error}"))?
        }
        Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_) => input.clone(),
    };
    serde_json::from_value(object).map_err(|error| format!("the arguments of `{tool}` do not fit: {error}"))
}

/// A path of the model's as an absolute one: relative paths start at the workspace.
fn absolute(path: &str) -> String {
    match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("{WORKSPACE}/{}", path.trim_start_matches("./")),
    }
}

/// How a path is shown: relative to the workspace where it lies there.
fn shown(path: &str) -> &str {
    let relative = path.strip_prefix(WORKSPACE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    relative.strip_prefix("./").unwrap_or(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(name: &str, input: Value) -> Result<ToolCall, String> {
        ToolCall::parse(&ToolUse { id: "1".into(), name: name.into(), input })
    }

    #[test]
    fn an_unknown_tool_is_answered_with_the_real_ones() {
        let told = call("rm", json!({})).expect_err("no such tool");
        insta::assert_snapshot!(told, @"there is no tool `rm`; the tools are bash, read_file, write_file, edit_file, list_files, search, plan, hypothesis, recall, run_checks, job, install, submit");
    }

    #[test]
    fn malformed_arguments_name_the_tool_and_the_field() {
        let told = call("bash", json!({"cmd": "ls"})).expect_err("unknown field");
        insta::assert_snapshot!(told, @"the arguments of `bash` do not fit: unknown field `cmd`, expected one of `command`, `timeout_s`, `tty`");
        let told = call("bash", json!("{\"command\": ")).expect_err("cut off");
        insta::assert_snapshot!(told, @"the arguments of `bash` are not JSON: EOF while parsing a value at line 1 column 12");
    }

    #[test]
    fn what_is_refused_is_said_in_few_words() {
        let told = call(&"é".repeat(1 << 20), json!({})).expect_err("no such tool");
        let refused = ToolOutcome::refused(told);
        assert!(refused.content.len() < REFUSAL_BYTES_MAX + 10 && refused.content.ends_with("é…"));
    }

    #[test]
    fn arguments_in_a_string_and_no_arguments_are_understood() {
        assert!(matches!(call("bash", json!("{\"command\":\"ls\"}")), Ok(ToolCall::Bash(_))));
        assert!(matches!(call("run_checks", Value::Null), Ok(ToolCall::RunChecks(_))));
    }

    #[test]
    fn every_tool_in_the_list_is_one_that_parses() {
        for spec in specs(true) {
            let told = call(spec.name, json!({"no such field": 1})).expect_err("refused");
            assert!(told.contains("unknown field"), "{}: {told}", spec.name);
        }
    }
}
