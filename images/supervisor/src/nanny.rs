//! One process per command, between PID 1 and the command: it adopts what the command leaves orphaned, so that PID 1
//! always knows whose a process is, and it ends the whole tree. It belongs to uid 0, out of the command's reach.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::SweepStep;
use serde::{Deserialize, Serialize};

use crate::spawn::{Prepared, SpawnError};
use crate::sweep;
use crate::sys::{self, Pid, Reaped};

/// How long children may outlive a leader that ended by itself: enough for the far end of a pipe to finish writing.
const LINGER: Duration = Duration::from_millis(100);
/// A tree that is not gone by then is reported as surviving.
const KILL_MAX: Duration = Duration::from_secs(10);

/// PID 1 to nanny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// TERM, the grace the command was started with, KILL.
    Terminate,
    /// KILL at once: what it does cannot wait.
    Kill,
}

impl Order {
    pub(crate) fn encode(self) -> [u8; 1] {
        match self {
            Self::Terminate => *b"T",
            Self::Kill => *b"K",
        }
    }
}

/// Nanny to PID 1. The last is `Refused` or `Gone`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command never ran.
    Refused(SpawnError),
    /// The command itself has ended, with others of its tree still there.
    LeaderEnded {
        status: i32,
    },
    Gone(Gone),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// Of the leader, as `wait` gives it.
    pub(crate) status: i32,
    pub(crate) step: SweepStep,
    pub(crate) left_behind: u32,
    pub(crate) survivors: u32,
    pub(crate) sweep_ms: u64,
}

/// The life of a nanny. `stdio` are the command's; `channel` is its line to PID 1.
pub(crate) fn run(command: &Prepared, stdio: [RawFd; 3], null: RawFd, channel: OwnedFd, grace: Duration) -> ! {
    let report = |report: &Report| {
        let bytes = serde_json::to_vec(report).expect("a report is plain data");
        // PID 1 reads soon or the container is over: a failure leaves nobody to tell.
        let _ = sys::write(channel.as_raw_fd(), &bytes);
    };
    let mut keep = vec![channel.as_raw_fd(), null];
    keep.extend(stdio);
    sys::close_all_but(&keep);
    for fd in 0..3 {
        let _ = sys::duplicate_onto(null, fd);
    }
    let prepared = adopt_orphans().and_then(|()| sys::signal_fd(&[libc::SIGCHLD]));
    let started = prepared.map_err(|error| SpawnError::of_fork(&error)).and_then(|signals| {
        let leader = command.spawn(stdio)?;
        Ok((signals, leader))
    });
    let (signals, leader) = match started {
        Ok(started) => started,
        Err(error) => {
            report(&Report::Refused(error));
            sys::exit_now(0);
        }
    };
    // The command's ends of the pipes, and /dev/null: a nanny that held them would keep the pipes open.
    sys::close_all_but(&[channel.as_raw_fd(), signals.as_raw_fd()]);

    let mut watch = Watch { leader, status: None, phase: Phase::Running, swept: Swept::default() };
    loop {
        match watch.reap() {
            Progress::AllGone => {
                report(&Report::Gone(watch.gone(0)));
                sys::exit_now(0);
            }
            Progress::LeaderEnded(status) => report(&Report::LeaderEnded { status }),
            Progress::Nothing => {}
        }
        if let Some(survivors) = watch.advance(Instant::now()) {
            report(&Report::Gone(watch.gone(survivors)));
            sys::exit_now(0);
        }
        let mut fds =
            [channel.as_raw_fd(), signals.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let _ = sys::poll(&mut fds, watch.patience_ms(Instant::now()));
        if fds[1].revents != 0 {
            sys::pending_signals(std::os::fd::AsFd::as_fd(&signals));
        }
        if fds[0].revents != 0 {
            let mut order = [0; 8];
            match sys::read(channel.as_raw_fd(), &mut order) {
                Ok(1) if order[0] == b'T' => watch.terminate(grace, Instant::now()),
                Ok(1) if order[0] == b'K' => watch.kill(Instant::now()),
                Ok(0) => watch.kill(Instant::now()),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn adopt_orphans() -> std::io::Result<()> {
    match sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) {
        // A kernel that knows no subreapers gives orphans to PID 1, which looks for them when the command is over.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other.map(drop),
    }
}

enum Phase {
    Running,
    /// The leader has ended by itself; the rest may go on until then.
    Lingering {
        kill_at: Instant,
    },
    Terminating {
        kill_at: Instant,
    },
    Killing {
        since: Instant,
    },
}

#[derive(Default)]
struct Swept {
    step: Option<SweepStep>,
    left_behind: u32,
    since: Option<Instant>,
}

struct Watch {
    leader: Pid,
    status: Option<i32>,
    phase: Phase,
    swept: Swept,
}

enum Progress {
    Nothing,
    LeaderEnded(i32),
    AllGone,
}

impl Watch {
    fn reap(&mut self) -> Progress {
        let mut progress = Progress::Nothing;
        loop {
            match sys::reap() {
                Reaped::Child { pid, status } if pid == self.leader => {
                    self.status = Some(status);
                    progress = Progress::LeaderEnded(status);
                    if let Phase::Running = self.phase {
                        self.phase = Phase::Lingering { kill_at: Instant::now() + LINGER };
                    }
                }
                Reaped::Child { .. } => {}
                Reaped::NoneReady => return progress,
                Reaped::NoChildren => return Progress::AllGone,
            }
        }
    }

    fn terminate(&mut self, grace: Duration, now: Instant) {
        if let Phase::Running = self.phase {
            let tree = sweep::descendants(&sweep::processes(), sys::process_id());
            // A stopped process hears TERM only once it goes on.
            sweep::signal(&tree, &[libc::SIGTERM, libc::SIGCONT]);
            self.swept.step = Some(SweepStep::Term);
            self.swept.since = Some(now);
            self.phase = Phase::Terminating { kill_at: now + grace };
        }
    }

    fn kill(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Killing { .. }) {
            self.phase = Phase::Killing { since: now };
            self.swept.step = Some(SweepStep::Kill);
            self.swept.since.get_or_insert(now);
            self.swept.left_behind = self.kill_round();
        }
    }

    /// Kills what is there now; says how many that were.
    fn kill_round(&self) -> u32 {
        let tree = sweep::descendants(&sweep::processes(), sys::process_id());
        sweep::signal(&tree, &[libc::SIGKILL]);
        tree.len() as u32
    }

    /// Does what is due. `Some(survivors)` is giving up.
    fn advance(&mut self, now: Instant) -> Option<u32> {
        match self.phase {
            Phase::Running => None,
            Phase::Lingering { kill_at } | Phase::Terminating { kill_at } => {
                if now >= kill_at {
                    self.kill(now);
                }
                None
            }
            Phase::Killing { since } => {
                let alive = self.kill_round();
                (now - since > KILL_MAX).then_some(alive.max(1))
            }
        }
    }

    /// How long nothing is due.
    fn patience_ms(&self, now: Instant) -> i32 {
        match self.phase {
            Phase::Running => -1,
            Phase::Lingering { kill_at } | Phase::Terminating { kill_at } => {
                kill_at.saturating_duration_since(now).as_millis().min(60_000) as i32 + 1
            }
            Phase::Killing { .. } => 1,
        }
    }

    fn gone(&self, survivors: u32) -> Gone {
        Gone {
            status: self.status.unwrap_or(libc::SIGKILL),
            step: self.swept.step.unwrap_or(SweepStep::None),
            left_behind: self.swept.left_behind,
            survivors,
            sweep_ms: self.swept.since.map_or(0, |since| since.elapsed().as_millis() as u64),
        }
    }
}
