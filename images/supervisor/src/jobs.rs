//! Jobs: commands that were given a name and go on between calls, until they are stopped or the sandbox ends.
//!
//! While one runs it is a command among the others, with a nanny of its own; here is what it said, and what became of
//! those that have ended.

use std::collections::VecDeque;

use greenroom_supervisor::protocol::{
    CallError, Chunk, ErrorKind, JOB_NAME_BYTES_MAX, JOB_OUTPUT_BYTES_MAX, JOBS_KEPT_MAX, JobEnd, JobState, Response,
    Stream,
};

use crate::outbox::Outbox;

/// The newest of what a job has said, both streams as they came.
#[derive(Default)]
pub(crate) struct Ring {
    bytes: VecDeque<u8>,
    total: u64,
}

impl Ring {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(JOB_OUTPUT_BYTES_MAX)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(JOB_OUTPUT_BYTES_MAX);
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    /// What came at `since` or later, as far as it is kept, and at most so much of it; with the offset of its beginning.
    fn since(&self, since: u64, bytes_max: u64) -> (u64, Vec<u8>) {
        let begin = self.total - self.bytes.len() as u64;
        let from = since.clamp(begin, self.total);
        let to = self.total.min(from.saturating_add(bytes_max));
        (from, self.bytes.range((from - begin) as usize..(to - begin) as usize).copied().collect())
    }
}

/// A job that runs, beside the command that it is.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) ring: Ring,
}

impl Job {
    pub(crate) fn new(name: String) -> Result<Self, CallError> {
        if name.is_empty() || name.len() > JOB_NAME_BYTES_MAX {
            let message = format!("a job's name has 1 to {JOB_NAME_BYTES_MAX} bytes");
            return Err(CallError { kind: ErrorKind::BadRequest, message });
        }
        Ok(Self { name, ring: Ring::default() })
    }

    pub(crate) fn state(&self) -> JobState {
        JobState { name: self.name.clone(), output_bytes: self.ring.total, end: None }
    }

    pub(crate) fn tell(&self, call: u64, since: u64, bytes_max: u64, outbox: &mut Outbox) {
        tell(&self.ring, call, since, bytes_max, outbox);
    }
}

struct EndedJob {
    token: String,
    state: JobState,
    ring: Ring,
}

/// Jobs that have ended, oldest first, each name once.
#[derive(Default)]
pub(crate) struct EndedJobs(VecDeque<EndedJob>);

impl EndedJobs {
    pub(crate) fn add(&mut self, job: Job, token: String, end: Response) {
        let end = match end {
            Response::Finished(finished) => JobEnd::Finished(finished),
            Response::Failed { error } => JobEnd::Failed { message: error.message },
            other => JobEnd::Failed { message: format!("{other:?}") },
        };
        self.forget(&job.name);
        if self.0.len() == JOBS_KEPT_MAX {
            self.0.pop_front();
        }
        let state = JobState { end: Some(end), ..job.state() };
        self.0.push_back(EndedJob { token, state, ring: job.ring });
    }

    /// Another one of this name begins.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.retain(|job| job.state.name != name);
    }

    pub(crate) fn is_from(&self, name: &str, token: &str) -> bool {
        self.0.iter().any(|job| job.state.name == name && job.token == token)
    }

    pub(crate) fn state(&self, name: &str) -> Option<JobState> {
        self.0.iter().find(|job| job.state.name == name).map(|job| job.state.clone())
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = JobState> {
        self.0.iter().map(|job| job.state.clone())
    }

    pub(crate) fn tell(&self, name: &str, call: u64, since: u64, bytes_max: u64, outbox: &mut Outbox) {
        if let Some(job) = self.0.iter().find(|job| job.state.name == name) {
            tell(&job.ring, call, since, bytes_max, outbox);
        }
    }
}

fn tell(ring: &Ring, call: u64, since: u64, bytes_max: u64, outbox: &mut Outbox) {
    let (mut offset, bytes) = ring.since(since, bytes_max);
    for bytes in bytes.chunks(Chunk::BYTES_MAX) {
        outbox.keep_data(call, Chunk { stream: Stream::Stdout, offset, bytes }.encode());
        offset += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_and_offsets_stay_what_they_were() {
        let mut ring = Ring::default();
        ring.push(b"0123456789");
        assert_eq!(ring.since(0, 4), (0, b"0123".to_vec()));
        assert_eq!(ring.since(7, 99), (7, b"789".to_vec()));
        assert_eq!(ring.since(99, 99), (10, Vec::new()));
        ring.push(&vec![b'x'; JOB_OUTPUT_BYTES_MAX - 3]);
        assert_eq!(ring.since(0, 4), (7, b"789x".to_vec()));
        ring.push(&vec![b'y'; 3 * JOB_OUTPUT_BYTES_MAX]);
        let (from, bytes) = ring.since(0, u64::MAX);
        assert_eq!((from, bytes.len()), (7 + 3 * JOB_OUTPUT_BYTES_MAX as u64, JOB_OUTPUT_BYTES_MAX));
    }
}
