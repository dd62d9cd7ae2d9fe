//! Commands over the link: one call, its output as it comes, and how it ended.

use std::time::Duration;

use greenroom_supervisor::protocol::{
    ByteString, CallError, ErrorKind, Exec, Finished, Outcome as Ended, OutputLimits, PAYLOAD_BYTES_MAX, Request,
    Response, Stdin, Stream as ChunkStream,
};

use super::link::{Item, Link};
use super::{ExecOutput, ExecRequest, OutputSink, SandboxError, Stdio, Stream, TERMINAL};
use crate::id::CallToken;
use crate::task::Outcome;

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(1);
/// What the supervisor may need beyond a command's own time to sweep up and to hand over what it still holds.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How often a call is offered again to a supervisor that cannot fork just now, and the pause before the first retry,
/// which doubles.
const BUSY_RETRIES: u32 = 7;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Exit codes by which every shell says the same.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Runs `request` with `env` below its own variables.
pub(super) async fn exec(
    link: &Link,
    env: &[(String, String)],
    request: &ExecRequest,
    sink: &mut dyn OutputSink,
) -> Result<ExecOutput, SandboxError> {
    let words = request.argv.iter().chain([&request.cwd]);
    if request.argv.is_empty() || words.chain(request.env.iter().flat_map(|(k, v)| [k, v])).any(|w| w.contains('\0')) {
        let error = "an empty command, or one with a NUL in it, cannot be run".to_owned();
        return Ok(not_run(NOT_EXECUTABLE, &error, sink));
    }
    if let Some(bytes) = too_long(env, request) {
        let error = format!("argument list too long: {bytes} bytes of arguments and environment");
        return Ok(not_run(NOT_EXECUTABLE, &error, sink));
    }
    let deadline = request.timeout + GRACE + SETTLE_MAX;
    let mut pause = BUSY_PAUSE;
    for attempt in 0..=BUSY_RETRIES {
        let what = || SandboxError::Lost {
            detail: format!("PID 1 did not answer {} s after the command's time was over", SETTLE_MAX.as_secs()),
        };
        match tokio::time::timeout(deadline, attempt_once(link, env, request, sink)).await.map_err(|_| what())?? {
            Attempt::Ended(output) => return Ok(output),
            Attempt::Failed(error) => match error.kind {
                ErrorKind::Busy if attempt < BUSY_RETRIES => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    return Ok(not_run(NOT_FOUND, &error.message, sink));
                }
                ErrorKind::Permission
                | ErrorKind::TooLarge
                | ErrorKind::BadRequest
                | ErrorKind::IsDirectory
                | ErrorKind::NotAFile
                | ErrorKind::ReadOnly
                | ErrorKind::NoSpace
                | ErrorKind::Busy => return Ok(not_run(NOT_EXECUTABLE, &error.message, sink)),
                ErrorKind::DuplicateCall
                | ErrorKind::AlreadyExists
                | ErrorKind::NotEmpty
                | ErrorKind::HashMismatch
                | ErrorKind::BadPattern
                | ErrorKind::StaleEpoch
                | ErrorKind::Interrupted
                | ErrorKind::Io => {
                    let what = format!("run `{}`", request.argv[0]);
                    return Err(SandboxError::Refused { what, detail: error.message });
                }
            },
        }
    }
    unreachable!("the last attempt returns whatever happens")
}

/// More than a request can carry; what the kernel itself refuses is for it to say.
fn too_long(env: &[(String, String)], request: &ExecRequest) -> Option<usize> {
    const BYTES_MAX: usize = PAYLOAD_BYTES_MAX - (64 << 10);
    let message = serde_json::to_vec(&exec_message(env, request)).expect("a request is plain data");
    (message.len() > BYTES_MAX).then_some(message.len())
}

enum Attempt {
    Ended(ExecOutput),
    Failed(CallError),
}

async fn attempt_once(
    link: &Link,
    env: &[(String, String)],
    request: &ExecRequest,
    sink: &mut dyn OutputSink,
) -> Result<Attempt, SandboxError> {
    let mut call = link.call(&Request::Exec(exec_message(env, request)))?;
    loop {
        match call.next().await? {
            Item::Chunk { stream: ChunkStream::Stdout, bytes, .. } => sink.chunk(Stream::Stdout, &bytes),
            Item::Chunk { stream: ChunkStream::Stderr, bytes, .. } => sink.chunk(Stream::Stderr, &bytes),
            Item::Chunk { stream: ChunkStream::Input | ChunkStream::File, .. } => {}
            Item::Response(Response::Finished(finished)) => return finish(&finished).map(Attempt::Ended),
            Item::Response(Response::Failed { error }) => return Ok(Attempt::Failed(error)),
            Item::Response(other) => return Err(unexpected("a command", &other)),
        }
    }
}

pub(super) fn exec_message(env: &[(String, String)], request: &ExecRequest) -> Exec {
    let bytes = |text: &String| ByteString::from(text.as_str());
    // A variable named twice is whichever the program finds first, so each is named once: as it was set last.
    let mut merged: Vec<(&String, &String)> = Vec::new();
    for (name, value) in env.iter().chain(&request.env) {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => merged.push((name, value)),
        }
    }
    Exec {
        token: format!("{}{}", token_prefix(request.token), request.part),
        argv: request.argv.iter().map(bytes).collect(),
        cwd: bytes(&request.cwd),
        env: merged.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
        stdin: match request.stdio {
            Stdio::Pipes => Stdin::Null,
            Stdio::Terminal => Stdin::Terminal { rows: TERMINAL.0, columns: TERMINAL.1 },
        },
        timeout_ms: millis(request.timeout),
        grace_ms: millis(GRACE),
        // All of it travels: what is kept of it is the sink's decision.
        output: OutputLimits {
            head_bytes_max: request.output_bytes_max,
            tail_bytes_max: 0,
            total_bytes_max: request.output_bytes_max,
        },
    }
}

/// What the tokens of all commands of a step begin with, and of no other step.
pub(super) fn token_prefix(token: CallToken) -> String {
    format!("{token}.")
}

fn finish(finished: &Finished) -> Result<ExecOutput, SandboxError> {
    if finished.sweep.survivors > 0 {
        let detail = format!("{} processes of the command could not be killed", finished.sweep.survivors);
        return Err(SandboxError::Lost { detail });
    }
    // Only a caller that went away cancels, and then nobody reads this.
    let cancelled = || SandboxError::Refused { what: "finish a command".to_owned(), detail: "cancelled".to_owned() };
    let outcome = outcome(finished.outcome).ok_or_else(cancelled)?;
    Ok(ExecOutput {
        outcome,
        duration: Duration::from_millis(finished.duration_ms),
        stdout_bytes: finished.stdout.bytes_total,
        stderr_bytes: finished.stderr.bytes_total,
        stragglers_killed: finished.sweep.left_behind,
    })
}

/// `None` for a command that was cancelled.
pub(super) fn outcome(ended: Ended) -> Option<Outcome> {
    match ended {
        Ended::Exited { code } => Some(Outcome::Exited { code }),
        Ended::Signalled { signal } => Some(Outcome::Signalled { signal }),
        Ended::TimedOut => Some(Outcome::TimedOut),
        Ended::OutOfMemory { .. } => Some(Outcome::OutOfMemory),
        Ended::OutputLimit => Some(Outcome::OutputLimit),
        Ended::DiskLimit => Some(Outcome::DiskLimit),
        Ended::Cancelled => None,
    }
}

/// A command that could not be started is a command that failed, as a shell would put it.
fn not_run(code: i32, message: &str, sink: &mut dyn OutputSink) -> ExecOutput {
    let line = format!("greenroom: {message}\n");
    sink.chunk(Stream::Stderr, line.as_bytes());
    ExecOutput {
        outcome: Outcome::Exited { code },
        duration: Duration::ZERO,
        stdout_bytes: 0,
        stderr_bytes: line.len() as u64,
        stragglers_killed: 0,
    }
}

pub(super) fn unexpected(about: &str, response: &Response) -> SandboxError {
    SandboxError::Lost { detail: format!("PID 1 answered about {about}: {response:?}") }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_longer_than_a_frame_is_too_long_and_a_long_one_is_not() {
        let command = |bytes: usize| ExecRequest::shell(CallToken(1), &"x".repeat(bytes), Duration::from_secs(1));
        assert_eq!(too_long(&[], &command(500_000)), None);
        assert!(too_long(&[], &command(2 << 20)).is_some());
        let env = [("A".to_owned(), "x".repeat(2 << 20))];
        assert!(too_long(&env, &command(1)).is_some());
    }

    #[test]
    fn a_variable_set_twice_is_passed_once_as_it_was_set_last() {
        let own = [("PATH".to_owned(), "/bin".to_owned()), ("LANG".to_owned(), "C".to_owned())];
        let mut request = ExecRequest::shell(CallToken(3), "true", Duration::from_secs(1));
        request.env = vec![("LANG".to_owned(), "C.UTF-8".to_owned())];
        let message = exec_message(&own, &request);
        assert_eq!(message.env, [("PATH".into(), "/bin".into()), ("LANG".into(), "C.UTF-8".into())]);
    }
}
