//! Jobs over the link: commands with a name, which PID 1 keeps going between calls.

use std::time::Duration;

use greenroom_supervisor::protocol::{CallError, JobEnd as Ended, JobState, Outcome, Request, Response};

use super::commands::{exec_message, outcome, unexpected};
use super::link::{Item, Link};
use super::{ExecRequest, Job, JobEnd, JobOutput, SandboxError};

/// Beyond the grace a job is given when it is stopped.
const CALL_MAX: Duration = Duration::from_secs(60);

pub(super) async fn start(
    link: &Link,
    env: &[(String, String)],
    name: &str,
    request: &ExecRequest,
) -> Result<Job, SandboxError> {
    let what = || format!("start the job `{name}`");
    let request = Request::StartJob { name: name.to_owned(), exec: exec_message(env, request) };
    one(ask(link, &request).await?, what)
}

pub(super) async fn output(link: &Link, name: &str, since: u64, bytes_max: u64) -> Result<JobOutput, SandboxError> {
    let what = || format!("read what the job `{name}` said");
    let request = Request::JobOutput { name: name.to_owned(), since, bytes_max };
    let Answer { bytes, last } = ask(link, &request).await?;
    let job = one(Answer { bytes: Vec::new(), last }, what)?;
    let from = match bytes.first() {
        Some((offset, _)) => *offset,
        None => since.min(job.output_bytes),
    };
    Ok(JobOutput { job, from, bytes: bytes.into_iter().flat_map(|(_, bytes)| bytes).collect() })
}

pub(super) async fn stop(link: &Link, name: &str) -> Result<Job, SandboxError> {
    one(ask(link, &Request::StopJob { name: name.to_owned() }).await?, || format!("stop the job `{name}`"))
}

pub(super) async fn list(link: &Link) -> Result<Vec<Job>, SandboxError> {
    match ask(link, &Request::ListJobs).await?.last {
        Response::Jobs { jobs } => Ok(jobs.into_iter().map(job).collect()),
        Response::Failed { error } => Err(refused("list its jobs".to_owned(), error)),
        other => Err(unexpected("its jobs", &other)),
    }
}

struct Answer {
    /// Pieces of output with their offsets.
    bytes: Vec<(u64, Vec<u8>)>,
    last: Response,
}

async fn ask(link: &Link, request: &Request) -> Result<Answer, SandboxError> {
    let answered = async {
        let mut call = link.call(request)?;
        let mut bytes = Vec::new();
        loop {
            match call.next().await? {
                Item::Chunk { offset, bytes: piece, .. } => bytes.push((offset, piece)),
                Item::Response(last) => return Ok(Answer { bytes, last }),
            }
        }
    };
    let what = "PID 1, asked about a job".to_owned();
    tokio::time::timeout(CALL_MAX, answered)
        .await
        .unwrap_or(Err(SandboxError::Deadline { what, seconds: CALL_MAX.as_secs() }))
}

fn one(answer: Answer, what: impl FnOnce() -> String) -> Result<Job, SandboxError> {
    match answer.last {
        Response::Job { job: state } => Ok(job(state)),
        Response::Failed { error } => Err(refused(what(), error)),
        other => Err(unexpected("a job", &other)),
    }
}

fn refused(what: String, error: CallError) -> SandboxError {
    SandboxError::Refused { what, detail: error.message }
}

fn job(state: JobState) -> Job {
    let end = state.end.map(|end| match end {
        Ended::Finished(finished) if finished.outcome == Outcome::Cancelled => JobEnd::Stopped,
        Ended::Finished(finished) => outcome(finished.outcome).map_or(JobEnd::Stopped, JobEnd::Ended),
        Ended::Failed { message } => JobEnd::Failed(message),
    });
    Job { name: state.name, output_bytes: state.output_bytes, end }
}
