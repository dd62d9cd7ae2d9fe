//! `bash`: one command line in the workspace.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::command::{Ran, run};
use super::{ToolContext, ToolFailure};
use crate::event::ToolOutcome;
use crate::feedback;
use crate::message::ToolSpec;
use crate::sandbox::ExecRequest;

pub(super) const NAME: &str = "bash";
const TIMEOUT_S_MAX: u64 = 3600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub command: String,
    pub timeout_s: Option<u64>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Run a shell command in the workspace. No network. Each call is a new shell: use `cd dir && …`. \
                      Returns how it ended, then its output.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "The command line, run by sh -c"},
                "timeout_s": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_S_MAX,
                    "description": "Seconds after which it is killed"},
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
    let request = ExecRequest::shell(context.token, &args.command, timeout);
    let Ran { output, report, kept, text_cut, .. } = run(context, &request, &args.command).await?;
    let mut content = feedback::render_command(output.outcome, &report, &kept.text(), text_cut, context.delta);
    if output.stragglers_killed > 0 {
        content.push_str(&format!("({} processes it left behind were killed)\n", output.stragglers_killed));
    }
    Ok(ToolOutcome {
        content,
        outcome: Some(output.outcome),
        report: Some(feedback::compact(&report)),
        output: Some(context.store.put_blob(&kept.bytes())?),
        may_write: true,
        ..ToolOutcome::default()
    })
}
