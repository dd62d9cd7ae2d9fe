//! One command from request to `Finished`: its pipes, its nanny, its deadline.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::{
    ByteString, CallError, ErrorKind, Exec, Finished, Outcome, Response, STDIN_BYTES_MAX, Stdin, Stream, Sweep,
    SweepStep,
};

use crate::input::InputPipe;
use crate::jobs::Job;
use crate::nanny::{self, Gone, Order, Report};
use crate::outbox::Outbox;
use crate::output::{Kept, OutputPipe, Pull};
use crate::spawn::{Prepared, SpawnError};
use crate::spool::Spool;
use crate::sys::{self, Fork, Pid};
use crate::terminal;
use crate::verdict::Verdict;

/// The longest a command may be asked to run: a week. Longer numbers are taken for this.
const TIMEOUT_MS_MAX: u64 = 7 * 24 * 3600 * 1000;
/// Longer than any sandbox lives.
const JOB_TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Past grace and the nanny's own limit, a nanny that has not answered is taken for dead.
const NANNY_PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Command {
    /// The call under which it is followed; `None` between one client and the next.
    pub(crate) call: Option<u64>,
    pub(crate) token: String,
    pub(crate) words: blake3::Hash,
    program: ByteString,
    cwd: ByteString,
    pub(crate) nanny_pid: Pid,
    channel: OwnedFd,
    pub(crate) input: Option<InputPipe>,
    outputs: [OutputPipe; 2],
    pub(crate) kept: Kept,
    started: Instant,
    /// When the leader ended, which is when the command's time ends too.
    ended: Option<Instant>,
    deadline: Instant,
    grace: Duration,
    output_bytes_max: u64,
    oom_kills_before: u64,
    /// Why we ended it, if we did.
    ending: Option<Outcome>,
    phase: Phase,
    /// Whether another command ran at any moment meanwhile.
    pub(crate) shared: bool,
}

enum Phase {
    Running,
    /// The nanny has reported the tree gone, or has gone itself.
    Verifying {
        gone: Option<Gone>,
        verdict: Verdict,
    },
    /// Nothing runs any more; what is in the pipes is still on its way.
    Draining {
        gone: Option<Gone>,
        strays: u32,
        survivors: u32,
    },
}

/// What a command waits for.
pub(crate) enum Slot {
    Channel,
    Input,
    Output(usize),
}

/// What a token stands for.
pub(crate) fn words(exec: &Exec) -> blake3::Hash {
    blake3::hash(&serde_json::to_vec(&(&exec.argv, &exec.cwd)).expect("words are plain data"))
}

impl Command {
    pub(crate) fn start(call: u64, exec: Exec, oom_kills: u64, null: RawFd) -> Result<Self, CallError> {
        let prepared = Prepared::new(&exec)?;
        let words = words(&exec);
        let no_pipe = |error: io::Error| SpawnError::of_fork(&error).describe(&exec.argv[0], &exec.cwd);
        let (stdout, stdout_child) = match exec.stdin {
            Stdin::Terminal { rows, columns } => terminal::open(rows, columns).map_err(no_pipe)?,
            Stdin::Null | Stdin::Bytes { .. } => sys::pipe().map_err(no_pipe)?,
        };
        let (stderr, stderr_child) = sys::pipe().map_err(no_pipe)?;
        let (input, input_child) = match exec.stdin {
            Stdin::Null | Stdin::Terminal { .. } => (None, None),
            Stdin::Bytes { bytes_total } if bytes_total > STDIN_BYTES_MAX => {
                let message = format!("stdin of {bytes_total} bytes is more than {STDIN_BYTES_MAX}");
                return Err(CallError { kind: ErrorKind::TooLarge, message });
            }
            Stdin::Bytes { bytes_total } => {
                let (child, ours) = sys::pipe().map_err(no_pipe)?;
                (Some(InputPipe::new(ours, bytes_total).map_err(no_pipe)?), Some(child))
            }
        };
        let (channel, channel_child) = sys::message_pair().map_err(no_pipe)?;
        for fd in [&stdout, &stderr, &channel] {
            sys::set_nonblocking(fd.as_raw_fd()).map_err(no_pipe)?;
        }
        let grace = Duration::from_millis(exec.grace_ms.min(TIMEOUT_MS_MAX));
        let started = Instant::now();
        let nanny_pid = match sys::fork().map_err(no_pipe)? {
            Fork::Child => {
                let stdin = input_child.as_ref().map_or(null, AsRawFd::as_raw_fd);
                let stdio = match exec.stdin {
                    Stdin::Terminal { .. } => {
                        drop(stderr_child);
                        [stdout_child.as_raw_fd(); 3]
                    }
                    Stdin::Null | Stdin::Bytes { .. } => [stdin, stdout_child.as_raw_fd(), stderr_child.as_raw_fd()],
                };
                nanny::run(&prepared, stdio, null, channel_child, grace)
            }
            Fork::Parent(pid) => pid,
        };
        let program = exec.argv.into_iter().next().expect("a prepared command has a program");
        Ok(Self {
            call: Some(call),
            token: exec.token,
            words,
            program,
            cwd: exec.cwd,
            nanny_pid,
            channel,
            input,
            outputs: [
                OutputPipe::new(Stream::Stdout, stdout, exec.output),
                OutputPipe::new(Stream::Stderr, stderr, exec.output),
            ],
            kept: Kept::Spool(Spool::default()),
            started,
            ended: None,
            deadline: started + Duration::from_millis(exec.timeout_ms.min(TIMEOUT_MS_MAX)),
            grace,
            output_bytes_max: exec.output.total_bytes_max,
            oom_kills_before: oom_kills,
            ending: None,
            phase: Phase::Running,
            shared: false,
        })
    }

    /// Makes a job of it, which belongs to no call.
    pub(crate) fn into_job(self, job: Job) -> Self {
        Self { call: None, kept: Kept::Job(job), deadline: self.started + JOB_TIME_MAX, ..self }
    }

    pub(crate) fn as_job(&self) -> Option<&Job> {
        match &self.kept {
            Kept::Job(job) => Some(job),
            Kept::Spool(_) => None,
        }
    }

    /// Passes on to whoever follows it.
    pub(crate) fn pump(&mut self, outbox: &mut Outbox) {
        match &mut self.kept {
            Kept::Spool(spool) => spool.pump(self.call, outbox),
            Kept::Job(_) => {}
        }
    }

    /// Which descriptors to wait for, and for what.
    pub(crate) fn interests(&self, mut add: impl FnMut(RawFd, i16, Slot)) {
        if let Phase::Running = self.phase {
            add(self.channel.as_raw_fd(), libc::POLLIN, Slot::Channel);
        }
        if let Some(fd) = self.input.as_ref().and_then(InputPipe::wants_to_write) {
            add(fd, libc::POLLOUT, Slot::Input);
        }
        for (index, output) in self.outputs.iter().enumerate() {
            if let Some(fd) = output.wants_to_read(self.kept.takes_more()) {
                add(fd, libc::POLLIN, Slot::Output(index));
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running => Some(self.deadline),
            Phase::Verifying { verdict, .. } => Some(verdict.next_look()),
            Phase::Draining { .. } => None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    pub(crate) fn on_ready(&mut self, slot: &Slot) -> Option<Response> {
        match slot {
            Slot::Channel => self.hear_nanny(),
            Slot::Input => {
                if let Some(input) = &mut self.input {
                    input.flush();
                }
                None
            }
            Slot::Output(index) => {
                if self.kept.takes_more() {
                    self.outputs[*index].pull(&mut self.kept);
                }
                let total: u64 = self.outputs.iter().map(OutputPipe::bytes_total).sum();
                if total > self.output_bytes_max {
                    self.end(Outcome::OutputLimit);
                }
                None
            }
        }
    }

    /// Asks for the end: the first reason stands. A command whose leader has ended by itself is past that.
    pub(crate) fn end(&mut self, why: Outcome) {
        if self.is_running() && self.ending.is_none() && self.ended.is_none() {
            self.ending = Some(why);
            self.deadline = Instant::now() + self.grace + NANNY_PATIENCE;
            // A nanny that is gone is noticed on its channel.
            let order = if why == Outcome::DiskLimit { Order::Kill } else { Order::Terminate };
            let _ = sys::write(self.channel.as_raw_fd(), &order.encode());
        }
    }

    /// A new client asks for it, from the beginning. Its time is not longer than that client gives it.
    pub(crate) fn follow(&mut self, call: u64, timeout_ms: u64) {
        self.call = Some(call);
        if let Kept::Spool(spool) = &mut self.kept {
            spool.rewind();
        }
        if self.is_running() && self.ending.is_none() && self.ended.is_none() {
            let timeout = Duration::from_millis(timeout_ms.min(TIMEOUT_MS_MAX));
            self.deadline = self.deadline.min(Instant::now() + timeout);
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        if !self.is_running() || now < self.deadline {
            return;
        }
        match self.ending {
            None if self.ended.is_none() => self.end(Outcome::TimedOut),
            // The nanny does not answer: PID 1 takes over.
            None | Some(_) => {
                sys::kill(self.nanny_pid, libc::SIGKILL);
                self.verify(None);
            }
        }
    }

    fn hear_nanny(&mut self) -> Option<Response> {
        loop {
            let mut buffer = [0; 1024];
            match sys::read(self.channel.as_raw_fd(), &mut buffer) {
                Ok(0) => self.verify(None),
                Ok(length) => match serde_json::from_slice(&buffer[..length]) {
                    Ok(Report::Refused(error)) => {
                        return Some(Response::Failed { error: error.describe(&self.program, &self.cwd) });
                    }
                    Ok(Report::LeaderEnded { .. }) => {
                        let now = Instant::now();
                        self.ended = Some(now);
                        self.deadline = self.deadline.max(now + self.grace + NANNY_PATIENCE);
                        continue;
                    }
                    Ok(Report::Gone(gone)) => self.verify(Some(gone)),
                    Err(_) => self.verify(None),
                },
                Err(error) if sys::is_retry(&error) => {}
                Err(_) => self.verify(None),
            }
            return None;
        }
    }

    fn verify(&mut self, gone: Option<Gone>) {
        self.ended.get_or_insert_with(Instant::now);
        self.input = None;
        self.phase = Phase::Verifying { gone, verdict: Verdict::begin(Instant::now()) };
    }

    /// Goes on as far as it can; `Some` is the end. `alone` says that no other command is running, `known` names
    /// processes that are ours.
    pub(crate) fn advance(&mut self, alone: bool, known: &[Pid], oom_kills: u64) -> Option<Response> {
        if let Phase::Verifying { gone, verdict } = &mut self.phase {
            let survivors = verdict.look(alone, known, Instant::now())?;
            // Beside other commands PID 1 cannot tell whose a process is, and takes the nanny's word for what it left.
            let survivors = if alone { survivors } else { survivors.max(gone.map_or(0, |gone| gone.survivors)) };
            self.phase = Phase::Draining { gone: *gone, strays: verdict.killed(), survivors };
        }
        let Phase::Draining { gone, strays, survivors } = self.phase else { return None };
        // All writers are dead: whatever they wrote is in the pipes now, and no more will come.
        for output in &mut self.outputs {
            while output.is_open() {
                match output.pull(&mut self.kept) {
                    Pull::Some => {}
                    Pull::Nothing | Pull::End => output.close(),
                }
            }
        }
        for output in &mut self.outputs {
            output.give_tail(&mut self.kept);
        }
        let oom_kills = oom_kills.saturating_sub(self.oom_kills_before);
        let Some(gone) = gone else {
            let message = "the command's nanny was killed; what was left of the command has been killed too".into();
            return Some(Response::Failed { error: CallError { kind: ErrorKind::Interrupted, message } });
        };
        let [stdout, stderr] = [0, 1].map(|index| self.outputs[index].totals());
        Some(Response::Finished(Finished {
            outcome: self.outcome(gone.status, oom_kills),
            sweep: Sweep {
                step: if strays > 0 { SweepStep::Kill } else { gone.step },
                left_behind: gone.left_behind + strays,
                survivors,
                duration_ms: gone.sweep_ms,
            },
            duration_ms: self.ended.unwrap_or_else(Instant::now).duration_since(self.started).as_millis() as u64,
            oom_kills,
            stdout,
            stderr,
        }))
    }

    fn outcome(&self, status: i32, oom_kills: u64) -> Outcome {
        if let Some(ending) = self.ending {
            return ending;
        }
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
        match (code, signal) {
            (Some(0), _) => Outcome::Exited { code: 0 },
            _ if oom_kills > 0 => Outcome::OutOfMemory { code, signal, shared: self.shared },
            (Some(code), _) => Outcome::Exited { code },
            (None, signal) => Outcome::Signalled { signal: signal.unwrap_or(libc::SIGKILL) },
        }
    }
}
