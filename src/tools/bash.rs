//! `bash`: one command line in the workspace.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::command::{Ran, run};
use super::{ToolContext, ToolFailure, carry};
use crate::event::ToolOutcome;
use crate::feedback;
use crate::message::ToolSpec;
use crate::sandbox::{ExecRequest, Stdio};
use crate::shell::ShellState;
use crate::task::Outcome;

pub(super) const NAME: &str = "bash";
const TIMEOUT_S_MAX: u64 = 3600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub command: String,
    pub timeout_s: Option<u64>,
    #[serde(default)]
    pub tty: bool,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Run a shell command in the workspace. No network. Each call is a new shell that begins in the \
                      folder and with the exported variables with which the last one ended; nothing else of it is \
                      kept, and paths of the other tools stay relative to the workspace. Returns how it ended, then \
                      its output.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "The command line, run by sh -c"},
                "timeout_s": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_S_MAX,
                    "description": "Seconds after which it is killed"},
                "tty": {"type": "boolean", "description": "Give it a terminal, for programs that insist on one; \
                    nobody types on it"},
            },
            "required": ["command"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let wanted = match args.timeout_s {
        Some(seconds) => Duration::from_secs(seconds.clamp(1, TIMEOUT_S_MAX)),
        None => Duration::from_millis(context.limits.command_timeout_ms),
    };
    let timeout = context.time_left.map_or(wanted, |left| wanted.min(left));
    let mut request =
        ExecRequest::shell(context.token, &carry::script(&args.command, context.token, context.shell), timeout);
    request.env.extend(context.shell.exported.clone());
    if args.tty {
        request.stdio = Stdio::Terminal;
    }
    let Ran { output, report, kept, text_cut, .. } = run(context, &request, &args.command).await?;
    let mut content = feedback::render_command(output.outcome, &report, &kept.text(), text_cut, context.delta);
    if output.stragglers_killed > 0 {
        content.push_str(&format!("({} processes it left behind were killed)\n", output.stragglers_killed));
    }
    let shell = match output.outcome {
        Outcome::SandboxLost => None,
        Outcome::Exited { .. }
        | Outcome::Signalled { .. }
        | Outcome::TimedOut
        | Outcome::OutOfMemory
        | Outcome::OutputLimit
        | Outcome::DiskLimit => left(context, &mut content).await?,
    };
    Ok(ToolOutcome {
        content,
        shell,
        outcome: Some(output.outcome),
        report: Some(feedback::compact(&report)),
        output: Some(context.store.put_blob(&kept.bytes())?),
        may_write: true,
        ..ToolOutcome::default()
    })
}

/// What the command leaves to the next one, where that differs from what it found; the model is told.
async fn left(context: &ToolContext<'_>, content: &mut String) -> Result<Option<ShellState>, ToolFailure> {
    // A command that replaced its shell, or was killed, told nothing: the state stays.
    let Ok(told) = context.sandbox.read(carry::LEFT_FILE, carry::LEFT_BYTES_MAX).await? else { return Ok(None) };
    let Some(left) = carry::read(&told, context.token) else { return Ok(None) };
    let (next, notes) = carry::next(context.shell, context.environment, &left);
    for note in notes {
        content.push_str(&format!("({note})\n"));
    }
    Ok((next != *context.shell).then_some(next))
}
