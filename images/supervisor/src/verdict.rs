//! PID 1's own proof that nothing of a command is left, whatever its nanny says.
//!
//! A runtime without subreapers (gVisor) gives orphans to PID 1, and a nanny may be killed for want of memory; so PID 1
//! looks for itself, and kills what it finds.

use std::time::{Duration, Instant};

use crate::privileges::{self, Role};
use crate::sweep::{self, State};
use crate::sys::{self, Pid};

const GIVE_UP: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) struct Verdict {
    began: Instant,
    next_look: Instant,
    killed: u32,
}

impl Verdict {
    pub(crate) fn begin(now: Instant) -> Self {
        Self { began: now, next_look: now, killed: 0 }
    }

    pub(crate) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Strays found at the first look that had any.
    pub(crate) fn killed(&self) -> u32 {
        self.killed
    }

    /// Looks once. `Some(survivors)` is the verdict: 0, or what has outlived every attempt. `known` are nannies and
    /// workers.
    pub(crate) fn look(&mut self, alone: bool, known: &[Pid], now: Instant) -> Option<u32> {
        if now < self.next_look {
            return None;
        }
        self.next_look = now + LOOK_EVERY;
        let strays = strays(alone, known);
        if strays.is_empty() {
            return Some(0);
        }
        self.killed = self.killed.max(strays.len() as u32);
        match (alone, privileges::role()) {
            (true, Role::Run) => sweep::kill_all_commands(),
            // As root everything includes workers and nannies of ours.
            (true, Role::SetUp) | (false, _) => sweep::signal(&strays, &[libc::SIGKILL]),
        }
        (now - self.began > GIVE_UP).then_some(strays.len() as u32)
    }
}

/// While no other command runs, every process that is not ours; otherwise those that have become PID 1's children, which
/// no process of a living command does.
fn strays(alone: bool, known: &[Pid]) -> Vec<Pid> {
    let ours = sys::process_id();
    let strange = |process: &sweep::Process| {
        process.pid != ours
            && process.state == State::Alive
            && !known.contains(&process.pid)
            && (alone || process.parent == ours)
    };
    sweep::processes().into_iter().filter(strange).map(|process| process.pid).collect()
}
