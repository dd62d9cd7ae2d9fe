//! PID 1 of every sandbox: takes requests from the host, runs commands and file calls, and never blocks on any of them.

mod calls;
mod census;
mod copy;
mod disk;
mod ended;
mod exec;
mod files;
mod glob;
mod input;
mod jobs;
mod lease;
mod nanny;
mod oom;
mod outbox;
mod output;
mod privileges;
mod probe;
mod proxy;
mod search;
mod spawn;
mod spool;
mod sweep;
mod sys;
mod terminal;
mod verdict;
mod walk;
mod worker;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::FrameReader;

use calls::{Calls, Flow, Ready};
use lease::Lease;
use outbox::Outbox;
use privileges::Role;
use sys::Reaped;

const STDIN: RawFd = 0;
const STDOUT: RawFd = 1;
const READ_BYTES: usize = 64 << 10;
/// How often stdin is tried again once it has ended: a client may come back, the lease decides how long we wait.
const STDIN_RETRY: Duration = Duration::from_millis(100);

fn main() {
    if sys::process_id() != 1 {
        // Elsewhere it would kill and reap what is not its own.
        let _ = sys::write(2, b"greenroom-supervisor: runs as PID 1 of a sandbox only\n");
        sys::exit_now(2);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    sys::wipe_environment();
    if let Some(("copy", places)) = arguments.split_first().map(|(role, rest)| (role.as_str(), rest)) {
        copy::play(places);
    }
    if let Err(error) = prepare(&arguments).and_then(|(signals, null)| run(&signals, null)) {
        let _ = sys::write(2, format!("greenroom-supervisor: {error}\n").as_bytes());
        sys::exit_now(1);
    }
    // PID 1's end is the end of everything in the container.
    sys::exit_now(0);
}

fn prepare(arguments: &[String]) -> io::Result<(OwnedFd, File)> {
    privileges::settle_supervisor(Role::of(arguments), privileges::Without::of(arguments))?;
    sys::settle_signals();
    // In a set-up phase what is written to the root becomes an image.
    if privileges::role() == Role::Run {
        spool::open();
    }
    sys::set_nonblocking(STDIN)?;
    sys::set_nonblocking(STDOUT)?;
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT])?;
    Ok((signals, File::options().read(true).write(true).open("/dev/null")?))
}

enum Stdin {
    Open,
    EndedAt(Instant),
}

fn run(signals: &OwnedFd, null: File) -> io::Result<()> {
    let mut calls = Calls::new(null);
    let mut outbox = Outbox::default();
    let mut reader = FrameReader::new();
    let mut lease = Lease::new(Instant::now());
    let mut stdin = Stdin::Open;
    loop {
        outbox.write_to(STDOUT);
        let mut fds = vec![libc::pollfd { fd: signals.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let mut add = |fd, events| fds.push(libc::pollfd { fd, events, revents: 0 });
        let reads_stdin = matches!(stdin, Stdin::Open) && calls.take_more_input();
        add(if reads_stdin { STDIN } else { -1 }, libc::POLLIN);
        add(if outbox.wants_to_write() { STDOUT } else { -1 }, libc::POLLOUT);
        let first_call = 3;
        let mut slots: Vec<Ready> = Vec::new();
        calls.interests(&outbox, |fd, events, ready| {
            add(fd, events);
            slots.push(ready);
        });
        let before = Instant::now();
        let mut wake = calls.next_deadline().map_or(lease.ends(), |deadline| deadline.min(lease.ends()));
        if let Stdin::EndedAt(_) = stdin {
            wake = wake.min(before + STDIN_RETRY);
        }
        sys::poll(&mut fds, milliseconds_until(wake, before))?;
        let now = Instant::now();
        lease.account_for_sleep(wake.max(before), now);

        if fds[0].revents != 0 && on_signals(signals, &mut calls) == Flow::End {
            return Ok(());
        }
        let retry = matches!(stdin, Stdin::EndedAt(at) if now.duration_since(at) >= STDIN_RETRY);
        if fds[1].revents != 0 || retry {
            let mut buffer = [0; READ_BYTES];
            match sys::read(STDIN, &mut buffer) {
                Ok(0) => stdin = Stdin::EndedAt(now),
                Ok(length) => {
                    stdin = Stdin::Open;
                    reader.push(&buffer[..length]);
                }
                Err(error) if sys::is_retry(&error) => stdin = Stdin::Open,
                Err(_) => stdin = Stdin::EndedAt(now),
            }
            while let Some(frame) = reader.next_frame() {
                if calls.on_frame(frame, &mut outbox, &mut lease, now) == Flow::End {
                    return Ok(());
                }
            }
        }
        for (fd, ready) in fds[first_call..].iter().zip(&slots) {
            if fd.revents != 0 {
                calls.on_ready(ready, &mut outbox);
            }
        }
        calls.advance(&mut outbox, now);
        if calls.is_unwatched() {
            let _ = sys::write(2, b"greenroom-supervisor: the disk watch is gone\n");
            return Ok(());
        }
        // Last, so that a renewal that was waiting to be read counts.
        if lease.has_ended(now) {
            return Ok(());
        }
    }
}

fn on_signals(signals: &OwnedFd, calls: &mut Calls) -> Flow {
    for signal in sys::pending_signals(signals.as_fd()) {
        // What commands send means nothing.
        if signal.number != libc::SIGCHLD && signal.sender == 0 {
            return Flow::End;
        }
    }
    while let Reaped::Child { pid, .. } = sys::reap() {
        calls.on_child_gone(pid);
    }
    Flow::GoOn
}

fn milliseconds_until(wake: Instant, now: Instant) -> i32 {
    let micros = wake.saturating_duration_since(now).as_micros();
    // Rounded up: waking a moment early would only mean going round once more.
    micros.div_ceil(1000).min(i32::MAX as u128) as i32
}
