//! Every call there is: takes frames in, starts what they ask for, and sees each call to its final answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use greenroom_supervisor::protocol::{
    CALLS_MAX, CallError, CallPhase, CallState, Chunk, DiskLimits, ErrorKind, Exec, Frame, FrameKind, Hardening,
    HelloAck, JOBS_MAX, JobState, Outcome, OutputLimits, Request, Response, Stdin, Stream,
};

use crate::census::Roll;
use crate::disk::{DiskWatch, News};
use crate::ended::{Ended, Past};
use crate::exec::{self, Command, Slot};
use crate::jobs::{EndedJobs, Job};
use crate::lease::Lease;
use crate::oom::OomCounter;
use crate::outbox::Outbox;
use crate::output::Kept;
use crate::privileges::{self, Role};
use crate::probe;
use crate::proxy::{self, Proxy};
use crate::sys::Pid;
use crate::worker::FileCall;

const TOKEN_BYTES_MAX: usize = 128;
/// Input of file calls that waits for its worker; beyond it nothing more is read from the host for a moment.
const INPUT_WAITING_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    GoOn,
    End,
}

pub(crate) enum Ready {
    Command(u64, Slot),
    FileOutput(u64),
    FileInput(u64),
    Disk,
    Proxy(proxy::Slot),
}

pub(crate) struct Calls {
    null: File,
    oom: OomCounter,
    hardening: Hardening,
    /// By the call that started them.
    commands: BTreeMap<u64, Command>,
    ended: Ended,
    ended_jobs: EndedJobs,
    files: BTreeMap<u64, FileCall>,
    proxy: Proxy,
    /// Calls that have ended, with something still to be acknowledged.
    finished: BTreeSet<u64>,
    call_highest: u64,
    /// Of every command ever started, with the epoch that asked last: a step's name, short, and as many as a run has
    /// steps.
    tokens: HashMap<String, u32>,
    /// Forked by us and not yet reaped: nannies and workers.
    children: BTreeSet<Pid>,
    disk: Disk,
    roll: Roll,
}

/// Whether the growth of the volumes is watched.
enum Disk {
    NotAskedFor,
    Watched(DiskWatch),
    /// It was asked for and cannot be had any more.
    Unwatched,
}

impl Calls {
    pub(crate) fn new(null: File) -> Self {
        let oom = OomCounter::open();
        let hardening = probe::look(&oom);
        Self {
            null,
            oom,
            hardening,
            commands: BTreeMap::new(),
            ended: Ended::default(),
            ended_jobs: EndedJobs::default(),
            files: BTreeMap::new(),
            proxy: Proxy::default(),
            finished: BTreeSet::new(),
            call_highest: 0,
            tokens: HashMap::new(),
            children: BTreeSet::new(),
            disk: Disk::NotAskedFor,
            roll: Roll::default(),
        }
    }

    pub(crate) fn interests(&self, outbox: &Outbox, mut add: impl FnMut(RawFd, i16, Ready)) {
        if let Disk::Watched(watch) = &self.disk {
            add(watch.fd(), libc::POLLIN, Ready::Disk);
        }
        for (&call, command) in &self.commands {
            command.interests(|fd, events, slot| add(fd, events, Ready::Command(call, slot)));
        }
        for (&call, file) in &self.files {
            if let Some(fd) = file.wants_to_read(outbox) {
                add(fd, libc::POLLIN, Ready::FileOutput(call));
            }
            if let Some(fd) = file.input.as_ref().and_then(|input| input.wants_to_write()) {
                add(fd, libc::POLLOUT, Ready::FileInput(call));
            }
        }
        self.proxy.interests(|fd, events, slot| add(fd, events, Ready::Proxy(slot)));
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let commands = self.commands.values().filter_map(Command::next_deadline);
        commands.chain(self.files.values().filter_map(FileCall::deadline)).min()
    }

    /// Workers take what they are sent, so waiting for them is short. (Commands need not: their stdin is bounded.)
    pub(crate) fn take_more_input(&self) -> bool {
        let waiting = self.files.values().filter_map(|file| file.input.as_ref()).map(|input| input.waiting_bytes());
        waiting.sum::<usize>() < INPUT_WAITING_BYTES_MAX
    }

    pub(crate) fn on_child_gone(&mut self, pid: Pid) {
        self.children.remove(&pid);
    }

    pub(crate) fn on_ready(&mut self, ready: &Ready, outbox: &mut Outbox) {
        match ready {
            Ready::Command(key, slot) => {
                let answer = self.commands.get_mut(key).and_then(|command| command.on_ready(slot));
                // All a nanny answers with at once is that the command never ran: it may be asked for again.
                if let Some(response) = answer
                    && let Some(command) = self.commands.remove(key)
                {
                    match command.kept {
                        Kept::Job(job) => self.end_job(job, command.token, command.call, response, outbox),
                        Kept::Spool(_) => {
                            self.tokens.remove(&command.token);
                            if let Some(call) = command.call {
                                self.finish(call, &response, outbox);
                            }
                        }
                    }
                }
            }
            Ready::FileOutput(call) => {
                let answer = self.files.get_mut(call).and_then(|file| file.on_readable(outbox));
                if let Some(response) = answer {
                    self.finish(*call, &response, outbox);
                }
            }
            Ready::Disk => self.hear_disk_watch(),
            Ready::FileInput(call) => {
                if let Some(input) = self.files.get_mut(call).and_then(|file| file.input.as_mut()) {
                    input.flush();
                }
            }
            Ready::Proxy(slot) => self.proxy.on_ready(*slot, outbox),
        }
    }

    /// Who asked for a watch would rather have no sandbox than one without.
    pub(crate) fn is_unwatched(&self) -> bool {
        matches!(self.disk, Disk::Unwatched)
    }

    fn watch_disk(&mut self, limits: &DiskLimits) {
        if let Disk::NotAskedFor = self.disk {
            self.disk = match DiskWatch::start(limits, self.null.as_raw_fd()) {
                Ok(watch) => {
                    self.children.insert(watch.pid);
                    Disk::Watched(watch)
                }
                Err(_) => Disk::Unwatched,
            };
        }
    }

    fn hear_disk_watch(&mut self) {
        let Disk::Watched(watch) = &self.disk else { return };
        match watch.hear() {
            News::Nothing => {}
            // Which of several commands it was cannot be told: files have one owner.
            News::Over => self.commands.values_mut().for_each(|command| command.end(Outcome::DiskLimit)),
            News::Gone => self.disk = Disk::Unwatched,
        }
    }

    /// What is due by time, and what can go on because something else has.
    pub(crate) fn advance(&mut self, outbox: &mut Outbox, now: Instant) {
        self.files.values_mut().for_each(|file| file.on_time(now));
        let running = self.commands.values().filter(|command| command.is_running()).count();
        let known: Vec<Pid> = self.children.iter().copied().collect();
        if let Disk::Watched(watch) = &mut self.disk {
            watch.tell(running > 0);
        }
        let mut ended = Vec::new();
        for (&key, command) in &mut self.commands {
            command.on_time(now);
            if !command.is_running()
                && let Some(response) = command.advance(running == 0, &known, self.oom.kills())
            {
                ended.push((key, response));
            }
            command.pump(outbox);
        }
        for (key, last) in ended {
            let Some(Command { token, words, call, kept, .. }) = self.commands.remove(&key) else { continue };
            match kept {
                Kept::Spool(spool) => {
                    self.finished.extend(call);
                    self.ended.add(key, Past { token, words, call, spool, last });
                }
                Kept::Job(job) => self.end_job(job, token, call, last, outbox),
            }
        }
        self.ended.pump(outbox);
    }

    fn finish(&mut self, call: u64, response: &Response, outbox: &mut Outbox) {
        self.files.remove(&call);
        self.finished.insert(call);
        outbox.respond(call, response);
    }

    pub(crate) fn on_frame(&mut self, frame: Frame, outbox: &mut Outbox, lease: &mut Lease, now: Instant) -> Flow {
        let refuse = |outbox: &mut Outbox, kind, message: String| {
            outbox.answer_link(Response::Failed { error: CallError { kind, message } });
            Flow::GoOn
        };
        if frame.epoch < outbox.epoch() {
            let message = format!("epoch {} is over, this is epoch {}", frame.epoch, outbox.epoch());
            return refuse(outbox, ErrorKind::StaleEpoch, message);
        }
        let request = match frame.kind {
            FrameKind::Data => {
                self.on_input(&frame, outbox);
                return Flow::GoOn;
            }
            FrameKind::Proxy => {
                return match self.proxy.on_frame(&frame.payload, outbox) {
                    Ok(()) => Flow::GoOn,
                    Err(message) => refuse(outbox, ErrorKind::BadRequest, message.into()),
                };
            }
            FrameKind::Request => serde_json::from_slice::<Request>(&frame.payload),
            FrameKind::Response => return refuse(outbox, ErrorKind::BadRequest, "a response from the host".into()),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) if frame.call > self.call_highest => {
                self.call_highest = frame.call;
                let error =
                    CallError { kind: ErrorKind::BadRequest, message: format!("request not understood: {error}") };
                self.finish(frame.call, &Response::Failed { error }, outbox);
                return Flow::GoOn;
            }
            Err(error) => return refuse(outbox, ErrorKind::BadRequest, format!("request not understood: {error}")),
        };
        if frame.epoch > outbox.epoch() && !matches!(request, Request::Hello { .. }) {
            return refuse(outbox, ErrorKind::BadRequest, format!("epoch {} begins with hello", frame.epoch));
        }
        match request {
            Request::Hello { .. } if frame.epoch == outbox.epoch() => {
                return refuse(outbox, ErrorKind::StaleEpoch, format!("epoch {} has begun already", frame.epoch));
            }
            Request::Hello { lease_ms } => {
                lease.take(lease_ms, now);
                self.let_go_of_client();
                outbox.begin_epoch(frame.epoch, Response::HelloAck(Box::new(self.describe(lease))));
            }
            Request::Renew => {
                lease.renew(now);
                outbox.answer_link(Response::Renewed);
            }
            Request::WatchDisk(limits) => self.watch_disk(&limits),
            Request::Shutdown => return Flow::End,
            Request::Ack { seq } => {
                outbox.acknowledge(frame.call, seq);
                if !outbox.knows(frame.call) && !self.ended.is_telling(frame.call) {
                    self.finished.remove(&frame.call);
                }
            }
            Request::Forget { token_prefix } => self.ended.forget(&token_prefix),
            Request::Cancel => {
                if let Some(command) = self.command_of(frame.call) {
                    command.end(Outcome::Cancelled);
                }
                if let Some(file) = self.files.get_mut(&frame.call) {
                    file.stop("the file call was cancelled");
                }
            }
            Request::Exec(_)
            | Request::Read { .. }
            | Request::Write { .. }
            | Request::Stat { .. }
            | Request::List { .. }
            | Request::Search { .. }
            | Request::Walk { .. }
            | Request::Census { .. }
            | Request::Collect { .. }
            | Request::Settle { .. }
            | Request::Remove { .. }
            | Request::StartJob { .. }
            | Request::JobOutput { .. }
            | Request::StopJob { .. }
            | Request::ListJobs
            | Request::Listen { .. } => self.open(frame.call, request, outbox),
        }
        Flow::GoOn
    }

    /// Commands go on without it. Nobody else can make anything of its file calls.
    fn let_go_of_client(&mut self) {
        self.proxy.reset();
        for mut file in std::mem::take(&mut self.files).into_values() {
            file.stop("the client that asked is gone");
        }
        self.commands.values_mut().for_each(|command| command.call = None);
        self.ended.stop_telling();
        self.finished.clear();
    }

    fn command_of(&mut self, call: u64) -> Option<&mut Command> {
        self.commands.values_mut().find(|command| command.call == Some(call))
    }

    fn describe(&self, lease: &Lease) -> HelloAck {
        let running = |(&key, command): (&u64, &Command)| {
            (key, CallState { token: command.token.clone(), state: CallPhase::Running })
        };
        let commands = self.commands.iter().filter(|(_, command)| command.as_job().is_none());
        let mut calls: Vec<_> = commands.map(running).chain(self.ended.states()).collect();
        calls.sort_unstable_by_key(|(key, _)| *key);
        let calls = calls.into_iter().map(|(_, state)| state).collect();
        HelloAck {
            version: env!("CARGO_PKG_VERSION").into(),
            lease_ms: lease.length_ms(),
            calls,
            call_highest: self.call_highest,
            hardening: self.hardening.clone(),
        }
    }

    fn open(&mut self, call: u64, request: Request, outbox: &mut Outbox) {
        if call <= self.call_highest {
            // Not an answer to the call itself, which may be running or long acknowledged.
            let message = format!("call id {call} is not above {}", self.call_highest);
            outbox.answer_link(Response::Failed { error: CallError { kind: ErrorKind::DuplicateCall, message } });
            return;
        }
        self.call_highest = call;
        if self.commands.len() + self.files.len() + self.finished.len() >= CALLS_MAX {
            let message = format!("{CALLS_MAX} calls are open or unacknowledged");
            return self.fail(call, CallError { kind: ErrorKind::Busy, message }, outbox);
        }
        let started = match request {
            Request::Exec(exec) => self.start_or_follow(call, exec, outbox.epoch()),
            Request::StartJob { name, exec } => match self.start_job(call, name, exec) {
                Ok(job) => return self.finish(call, &Response::Job { job }, outbox),
                Err(error) => Err(error),
            },
            Request::JobOutput { name, since, bytes_max } => match self.tell_job(&name, call, since, bytes_max, outbox)
            {
                Ok(job) => return self.finish(call, &Response::Job { job }, outbox),
                Err(error) => Err(error),
            },
            Request::StopJob { name } => match self.stop_job(&name, call) {
                // Answered when it has ended.
                Ok(None) => Ok(()),
                Ok(Some(job)) => return self.finish(call, &Response::Job { job }, outbox),
                Err(error) => Err(error),
            },
            Request::ListJobs => {
                let running = self.commands.values().filter_map(Command::as_job).map(Job::state);
                let jobs = running.chain(self.ended_jobs.states()).collect();
                return self.finish(call, &Response::Jobs { jobs }, outbox);
            }
            Request::Listen { port } => match self.listen(port) {
                Ok(port) => return self.finish(call, &Response::Listening { port }, outbox),
                Err(error) => Err(error),
            },
            file_request => FileCall::start(call, &file_request, self.null.as_raw_fd(), &mut self.roll).map(|file| {
                self.children.insert(file.pid);
                self.files.insert(call, file);
            }),
        };
        if let Err(error) = started {
            self.fail(call, error, outbox);
        }
    }

    fn fail(&mut self, call: u64, error: CallError, outbox: &mut Outbox) {
        self.finish(call, &Response::Failed { error }, outbox);
    }

    fn listen(&mut self, port: u16) -> Result<u16, CallError> {
        let refuse = |kind, message: String| CallError { kind, message };
        match privileges::role() {
            Role::Run => Err(refuse(ErrorKind::BadRequest, "only a set-up phase has a way out".into())),
            Role::SetUp => self.proxy.listen(port).map_err(|error| {
                refuse(ErrorKind::Io, format!("cannot listen on port {port} of the container's loopback: {error}"))
            }),
        }
    }

    fn start_or_follow(&mut self, call: u64, exec: Exec, epoch: u32) -> Result<(), CallError> {
        let refuse = |kind, message: &str| Err(CallError { kind, message: message.into() });
        if exec.token.len() > TOKEN_BYTES_MAX {
            return refuse(ErrorKind::BadRequest, "a token longer than 128 bytes");
        }
        match self.tokens.get(&exec.token).copied() {
            None => self.start_command(call, exec, epoch),
            Some(last) if last == epoch => refuse(ErrorKind::DuplicateCall, "this token was used before"),
            Some(_) if self.follow(call, &exec) => {
                self.tokens.insert(exec.token, epoch);
                Ok(())
            }
            Some(_) => {
                refuse(ErrorKind::DuplicateCall, "this token was used before; what came of it is not kept any more")
            }
        }
    }

    /// Whether there is such a command of an earlier client, and it has the same words.
    fn follow(&mut self, call: u64, exec: &Exec) -> bool {
        let words = exec::words(exec);
        let same = |command: &&mut Command| command.token == exec.token && command.words == words;
        if let Some(command) = self.commands.values_mut().find(same) {
            command.follow(call, exec.timeout_ms);
            return true;
        }
        let found = self.ended.follow(&exec.token, words, call);
        if found {
            self.finished.insert(call);
        }
        found
    }

    fn start_command(&mut self, call: u64, exec: Exec, epoch: u32) -> Result<(), CallError> {
        let token = exec.token.clone();
        let command = Command::start(call, exec, self.oom.kills(), self.null.as_raw_fd())?;
        self.tokens.insert(token, epoch);
        self.add_command(call, command);
        Ok(())
    }

    fn add_command(&mut self, key: u64, mut command: Command) {
        self.children.insert(command.nanny_pid);
        for other in self.commands.values_mut() {
            other.shared = true;
            command.shared = true;
        }
        self.commands.insert(key, command);
    }

    fn start_job(&mut self, call: u64, name: String, exec: Exec) -> Result<JobState, CallError> {
        let running = |command: &&Command| command.as_job().is_some_and(|job| job.name == name);
        let same = self.commands.values().find(running);
        if let Some(state) =
            same.filter(|command| command.token == exec.token).and_then(Command::as_job).map(Job::state)
        {
            return Ok(state);
        }
        if let (true, Some(state)) = (self.ended_jobs.is_from(&name, &exec.token), self.ended_jobs.state(&name)) {
            return Ok(state);
        }
        if same.is_some() {
            let message = format!("a job `{name}` runs already");
            return Err(CallError { kind: ErrorKind::AlreadyExists, message });
        }
        if self.commands.values().filter(|command| command.as_job().is_some()).count() >= JOBS_MAX {
            let message = format!("{JOBS_MAX} jobs run already; stop one first");
            return Err(CallError { kind: ErrorKind::TooLarge, message });
        }
        let job = Job::new(name)?;
        let output = OutputLimits { head_bytes_max: u64::MAX, tail_bytes_max: 0, total_bytes_max: u64::MAX };
        let exec = Exec { output, stdin: Stdin::Null, ..exec };
        let command = Command::start(call, exec, self.oom.kills(), self.null.as_raw_fd())?;
        self.ended_jobs.forget(&job.name);
        let state = job.state();
        self.add_command(call, command.into_job(job));
        Ok(state)
    }

    fn job_of(&mut self, name: &str) -> Option<&mut Command> {
        self.commands.values_mut().find(|command| command.as_job().is_some_and(|job| job.name == name))
    }

    fn no_job(name: &str) -> CallError {
        CallError { kind: ErrorKind::NotFound, message: format!("there is no job `{name}`") }
    }

    fn tell_job(
        &mut self,
        name: &str,
        call: u64,
        since: u64,
        bytes_max: u64,
        outbox: &mut Outbox,
    ) -> Result<JobState, CallError> {
        if let Some(job) = self.job_of(name).and_then(|command| command.as_job()) {
            job.tell(call, since, bytes_max, outbox);
            return Ok(job.state());
        }
        self.ended_jobs.tell(name, call, since, bytes_max, outbox);
        self.ended_jobs.state(name).ok_or_else(|| Self::no_job(name))
    }

    /// `None`: it is on its way out.
    fn stop_job(&mut self, name: &str, call: u64) -> Result<Option<JobState>, CallError> {
        if let Some(command) = self.job_of(name) {
            if command.call.is_some() {
                let message = format!("the job `{name}` is being stopped already");
                return Err(CallError { kind: ErrorKind::Busy, message });
            }
            command.call = Some(call);
            command.end(Outcome::Cancelled);
            return Ok(None);
        }
        self.ended_jobs.state(name).map(Some).ok_or_else(|| Self::no_job(name))
    }

    /// With the call that asked for its end, if one did.
    fn end_job(&mut self, job: Job, token: String, call: Option<u64>, end: Response, outbox: &mut Outbox) {
        let name = job.name.clone();
        self.ended_jobs.add(job, token, end);
        if let (Some(call), Some(job)) = (call, self.ended_jobs.state(&name)) {
            self.finish(call, &Response::Job { job }, outbox);
        }
    }

    fn on_input(&mut self, frame: &Frame, outbox: &mut Outbox) {
        let command = self.commands.values_mut().find(|command| command.call == Some(frame.call));
        let input = match (command, self.files.get_mut(&frame.call)) {
            (Some(command), _) => command.input.as_mut(),
            (None, Some(file)) => file.input.as_mut(),
            // Already over: what was still on its way means nothing.
            (None, None) => return,
        };
        let pushed = match (Chunk::decode(&frame.payload), input) {
            (_, None) => return,
            (Some(Chunk { stream: Stream::Input, offset, bytes }), Some(input)) => input.push(offset, bytes),
            (Some(_) | None, Some(_)) => Err("a data frame that is no input"),
        };
        if let Err(message) = pushed {
            if let Some(command) = self.command_of(frame.call) {
                command.end(Outcome::Cancelled);
            }
            if let Some(file) = self.files.get_mut(&frame.call) {
                file.stop(message);
            }
            let error = CallError { kind: ErrorKind::BadRequest, message: format!("call {}: {message}", frame.call) };
            outbox.answer_link(Response::Failed { error });
        }
    }
}
