//! `job`: a command that goes on between calls, such as a server under test.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure};
use crate::event::ToolOutcome;
use crate::message::ToolSpec;
use crate::sandbox::{ExecRequest, Job, JobEnd, JobOutput, WORKSPACE};

pub(super) const NAME: &str = "job";
/// Of output, in one answer.
const TEXT_BYTES_MAX: u64 = 16 << 10;
/// A new job that ends within this, as one with a mistake in its command does, is told of at once.
const BEGINNING: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    action: Action,
    name: Option<String>,
    command: Option<String>,
    since: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Start,
    Output,
    Stop,
    List,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Run a command in the background, under a name: a server, a watcher. It goes on between calls, \
                      until it is stopped or the run ends; it must stay in the foreground of its shell. Everything \
                      that `bash` leaves running is killed instead. At most 8 at once; of the output of each the \
                      newest MiB is kept.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": ["start", "output", "stop", "list"]},
                "name": {"type": "string", "description": "Of the job; all but list need it"},
                "command": {"type": "string", "description": "To start: the command line, run by sh -c where bash is"},
                "since": {"type": "integer", "minimum": 0,
                    "description": "Output from this byte on; without it the newest"},
            },
            "required": ["action"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let sandbox = context.sandbox;
    let named = |then: &str| args.name.as_deref().ok_or_else(|| format!("`{then}` needs the `name` of a job"));
    match args.action {
        Action::Start => match (named("start"), &args.command) {
            (Err(refusal), _) => Ok(ToolOutcome::refused(refusal)),
            (_, None) => Ok(ToolOutcome::refused("`start` needs a `command`")),
            (Ok(name), Some(command)) => {
                sandbox.start_job(name, &request(command, context)).await?;
                let begun = beginning(name, context).await?;
                Ok(ToolOutcome { may_write: true, ..ToolOutcome::told(said(&begun)) })
            }
        },
        Action::Output => match named("output") {
            Err(refusal) => Ok(ToolOutcome::refused(refusal)),
            Ok(name) => Ok(ToolOutcome::told(said(&output(name, args.since, context).await?))),
        },
        Action::Stop => match named("stop") {
            Err(refusal) => Ok(ToolOutcome::refused(refusal)),
            Ok(name) => {
                let job = sandbox.stop_job(name).await?;
                Ok(ToolOutcome { may_write: true, ..ToolOutcome::told(format!("{}\n", line(&job))) })
            }
        },
        Action::List => {
            let jobs = sandbox.jobs().await?;
            let lines: String = jobs.iter().map(|job| format!("{}\n", line(job))).collect();
            Ok(ToolOutcome::told(if lines.is_empty() { "there are no jobs\n".to_owned() } else { lines }))
        }
    }
}

/// It begins where `bash` is, and leaves nothing to it.
fn request(command: &str, context: &ToolContext<'_>) -> ExecRequest {
    let unset: String = context.shell.unset.iter().map(|name| format!("unset -v {name}; ")).collect();
    let mut request = ExecRequest::shell(context.token, &format!("{unset}{command}"), Duration::MAX);
    request.cwd = context.shell.cwd.clone().unwrap_or_else(|| WORKSPACE.to_owned());
    request.env.extend(context.shell.exported.clone());
    request
}

async fn beginning(name: &str, context: &ToolContext<'_>) -> Result<JobOutput, ToolFailure> {
    let deadline = tokio::time::Instant::now() + BEGINNING;
    loop {
        let begun = output(name, None, context).await?;
        if begun.job.end.is_some() || tokio::time::Instant::now() >= deadline {
            return Ok(begun);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// From `since` on, or else the newest.
async fn output(name: &str, since: Option<u64>, context: &ToolContext<'_>) -> Result<JobOutput, ToolFailure> {
    let since = match since {
        Some(since) => since,
        None => {
            let known = context.sandbox.job_output(name, 0, 0).await?;
            known.job.output_bytes.saturating_sub(TEXT_BYTES_MAX)
        }
    };
    Ok(context.sandbox.job_output(name, since, TEXT_BYTES_MAX).await?)
}

fn said(output: &JobOutput) -> String {
    let JobOutput { job, from, bytes } = output;
    let to = from + bytes.len() as u64;
    let more = if to < job.output_bytes { format!(", go on with since {to}") } else { String::new() };
    let mut text = match bytes.len() {
        0 => format!("{}; nothing new\n", line(job)),
        _ => format!("{}; here are {from} to {to}{more}:\n{}", line(job), String::from_utf8_lossy(bytes)),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn line(job: &Job) -> String {
    let state = match &job.end {
        None => "is running".to_owned(),
        Some(JobEnd::Ended(outcome)) => format!("has ended: {outcome}"),
        Some(JobEnd::Stopped) => "was stopped".to_owned(),
        Some(JobEnd::Failed(why)) => format!("has failed: {why}"),
    };
    format!("job `{}` {state}; it has printed {} bytes", job.name, job.output_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Outcome;

    fn job(end: Option<JobEnd>) -> Job {
        Job { name: "web".into(), output_bytes: 9, end }
    }

    #[test]
    fn what_is_shown_says_where_it_stands_and_what_comes_next() {
        let output = |from, bytes: &[u8]| JobOutput { job: job(None), from, bytes: bytes.to_vec() };
        assert_eq!(
            said(&output(2, b"abc")),
            "job `web` is running; it has printed 9 bytes; here are 2 to 5, go on with since 5:\nabc\n"
        );
        assert_eq!(said(&output(9, b"")), "job `web` is running; it has printed 9 bytes; nothing new\n");
    }

    #[test]
    fn how_a_job_ended_is_told() {
        let ended = job(Some(JobEnd::Ended(Outcome::Exited { code: 3 })));
        assert_eq!(line(&ended), "job `web` has ended: exit code 3; it has printed 9 bytes");
        assert_eq!(line(&job(Some(JobEnd::Stopped))), "job `web` was stopped; it has printed 9 bytes");
    }
}
