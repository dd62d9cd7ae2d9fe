//! Processes: more than allowed, that do not go, that pretend to be ours, and the ways in which commands end.

use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::{Finished, Frame, FrameKind, Outcome as Ended, Response, StreamTotals};
use greenroom_supervisor::protocol::{Sweep, SweepStep};

use super::lab::{Counted, LIMITS, Lab, Room};
use super::{Case, Danger, Fault, Found, Group, ensure};
use crate::sandbox::SandboxError;
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Processes, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("fork-bomb", "a fork bomb meets the limit and is swept up", |lab| Box::pin(fork_bomb(lab))),
    case("pids-held", "calls are answered while every process slot is taken", |lab| Box::pin(pids_held(lab))),
    case("daemons", "nothing detached survives a timeout, a command beside it does", |lab| Box::pin(daemons(lab))),
    case("term-ignored", "who ignores TERM or is stopped is killed after the grace", |lab| Box::pin(term_ignored(lab))),
    case("stdout-held", "a child that holds stdout does not hold the call", |lab| Box::pin(stdout_held(lab))),
    case("forged-result", "the supervisor cannot be killed, stopped or imitated", |lab| Box::pin(forged_result(lab))),
    case("zombies", "orphans that exit are reaped", |lab| Box::pin(zombies(lab))),
    case("stdin-hang", "who reads stdin or the terminal gets its end at once", |lab| Box::pin(stdin_hang(lab))),
    case("exit-codes", "exit codes and signals come back verbatim", |lab| Box::pin(exit_codes(lab))),
];

/// TERM to KILL, as every command gets it.
const GRACE: Duration = Duration::from_secs(1);
/// From KILL to the answer, on a busy machine.
const SWEEP_MAX: Duration = Duration::from_secs(2);

/// Forks until it is refused, at most four times as often as it may.
const FORK_UNTIL_REFUSED: &str = "
import os, signal, sys, time
count, most = 0, 4 * int(sys.argv[1])
try:
    while count < most:
        if os.fork() == 0:
            signal.pause()
        count += 1
    print('unlimited', count)
except OSError as error:
    print('refused', count)
sys.stdout.flush()
time.sleep(float(sys.argv[2]))
os._exit(0)
";

async fn fork_bomb(lab: &Lab) -> Found {
    let room = lab.room().await?;
    if lab.has_own_kernel() {
        return fork_bomb_on_own_kernel(lab, room).await;
    }
    let pids = LIMITS.pids.to_string();
    let counted = room.python(FORK_UNTIL_REFUSED, &[&pids, "0"]).await?;
    let said = counted.text();
    let count: u32 = said.split_whitespace().nth(1).and_then(|count| count.parse().ok()).unwrap_or(u32::MAX);
    // Only now is it known that a bomb without a bound of its own is safe for the machine.
    ensure(said.starts_with("refused") && count < LIMITS.pids, || {
        format!("the limit is {pids} processes, and a program forked: {}", counted.summary())
    })?;
    room.next_call_works().await?;
    let timeout = Duration::from_secs(2);
    let started = Instant::now();
    let bomb = room.sh_for("b() { b | b & }; b; sleep 300", timeout).await?;
    let elapsed = started.elapsed();
    ensure(bomb.outcome() != Outcome::Exited { code: 0 }, || format!("the bomb ended well: {}", bomb.summary()))?;
    ensure(elapsed < timeout + GRACE + SWEEP_MAX, || format!("it took {elapsed:?} to end a bomb of {timeout:?}"))?;
    let left = room.say("ls -d /proc/[0-9]* | wc -l").await?;
    let left: u32 = left.trim().parse().unwrap_or(u32::MAX);
    // PID 1, the nanny, the shell, `ls` and `wc`.
    ensure(left <= 6, || format!("{left} processes are left after the bomb"))?;
    room.leave().await?;
    let millis = elapsed.as_millis();
    Ok(format!("refused after {count} of {pids}; bomb with a timeout of 2 s over after {millis} ms, nothing left"))
}

/// Nothing inside counts processes, and the engine's limit is one for the runtime as a whole: a bomb is ended by its
/// timeout, or takes its own sandbox with it.
async fn fork_bomb_on_own_kernel(lab: &Lab, room: Room) -> Found {
    let counted = lab.counted(&room).await?;
    let Counted { pids, pids_max, .. } = counted;
    if pids == 0 || pids_max == 0 {
        return Err(Fault::NotRun(format!("the engine counts {pids} processes of the sandbox and allows {pids_max}")));
    }
    let neighbour = lab.room().await?;
    let timeout = Duration::from_secs(2);
    let started = Instant::now();
    let bomb = room.sh_for("b() { b | b & }; b; sleep 300", timeout).await;
    let elapsed = started.elapsed();
    neighbour.leave().await?;
    let ending = match bomb {
        Err(SandboxError::Lost { .. }) => {
            lab.room().await?.leave().await?;
            "took its sandbox with it, which is said, and the next one works"
        }
        Ok(bomb) => {
            ensure(bomb.outcome() == Outcome::TimedOut, || format!("the bomb came to: {}", bomb.summary()))?;
            ensure(elapsed < timeout + GRACE + SWEEP_MAX, || {
                format!("it took {elapsed:?} to end a bomb of {timeout:?}")
            })?;
            let left = room.say("ls -d /proc/[0-9]* | wc -l").await?;
            ensure(left.trim().parse::<u32>().is_ok_and(|left| left <= 6), || format!("{left} processes are left"))?;
            room.leave().await?;
            "was swept up, nothing left"
        }
        Err(error) => return Err(error.into()),
    };
    Ok(format!(
        "NOT limited inside: the engine allows {pids_max} threads of the runtime; bomb with a timeout of 2 s over after {} ms: it {ending}; a neighbour went on",
        elapsed.as_millis()
    ))
}

async fn pids_held(lab: &Lab) -> Found {
    let room = lab.room().await?;
    room.sandbox.write("known", b"content", None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let pids = LIMITS.pids.to_string();
    let hold = room.request(&["python3", "-c", FORK_UNTIL_REFUSED, &pids, "300"], Duration::from_secs(4));
    let act = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        let read = room.sandbox.read("known", 100).await?;
        let ran = room.sh("echo inside").await?;
        Ok::<_, Fault>((read, ran, started.elapsed()))
    };
    let (held, acted) = tokio::join!(room.run(&hold), act);
    let (held, (read, ran, elapsed)) = (held?, acted?);
    ensure(held.text().starts_with("refused"), || format!("the limit was not met: {}", held.summary()))?;
    ensure(held.outcome() == Outcome::TimedOut, || format!("the holder ended otherwise: {}", held.summary()))?;
    let answer = match (&read, ran.outcome()) {
        (Ok(_), Outcome::Exited { code: 0 }) => "both calls worked",
        (_, Outcome::Exited { code: 0 | 126 }) => "calls were refused in words",
        (_, other) => return Err(Fault::Broken(format!("a call beside it came to: {other}"))),
    };
    room.leave().await?;
    Ok(format!(
        "{} at the limit: {answer} within {} ms; the holder was swept up",
        held.text().trim(),
        elapsed.as_millis()
    ))
}

async fn daemons(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let command = "setsid sleep 3001 & (setsid sh -c 'sleep 3002 & sleep 3002' &) ; nohup sleep 3003 >/dev/null 2>&1 & \
        sh -c 'trap \"\" HUP; (sleep 3004 &)' & sleep 3005";
    let (ended, beside) = tokio::join!(
        room.sh_for(command, Duration::from_secs(1)),
        room.sh_for("sleep 5; echo alive", Duration::from_secs(20))
    );
    let (ended, beside) = (ended?, beside?);
    ensure(ended.outcome() == Outcome::TimedOut, || format!("no timeout: {}", ended.summary()))?;
    ensure(beside.text() == "alive\n", || format!("the command beside it did not survive: {}", beside.summary()))?;
    let left = room.say("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 300[0-9]'; true").await?;
    ensure(left.is_empty(), || format!("left running: {left}"))?;
    room.leave().await?;
    Ok("setsid, double fork, nohup and ignored HUP: nothing left after the timeout; a command beside them went on"
        .into())
}

async fn term_ignored(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let timeout = Duration::from_secs(1);
    let started = Instant::now();
    let ended = room
        .sh_for(
            "trap '' TERM; (while :; do sleep 1; done) & sleep 300 & kill -STOP $!; kill -STOP $$; sleep 300",
            timeout,
        )
        .await?;
    let elapsed = started.elapsed();
    ensure(ended.outcome() == Outcome::TimedOut, || format!("no timeout: {}", ended.summary()))?;
    ensure(elapsed < timeout + GRACE + SWEEP_MAX, || format!("it took {elapsed:?}"))?;
    let left = room.say("cat /proc/[0-9]*/comm | grep -c '^sleep$'; true").await?;
    ensure(left.trim() == "0", || format!("{} are left", left.trim()))?;
    room.leave().await?;
    Ok(format!("gone after {} ms: a timeout of 1 s and the grace; tracing is refused altogether", elapsed.as_millis()))
}

async fn stdout_held(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let started = Instant::now();
    let ended = room.sh("sleep 300 & setsid sleep 300 & echo done").await?;
    let elapsed = started.elapsed();
    ensure(ended.outcome() == Outcome::Exited { code: 0 } && ended.text() == "done\n", || ended.summary())?;
    ensure(elapsed < Duration::from_secs(2), || format!("the call was held for {elapsed:?}"))?;
    let killed = ended.output().stragglers_killed;
    ensure(killed >= 2, || format!("the result says that {killed} were left behind"))?;
    room.leave().await?;
    Ok(format!("returned after {} ms; the result names {killed} left behind", elapsed.as_millis()))
}

/// Signals, traces and opens everything that belongs to root; prints what worked.
const ATTACK_ROOT: &str = "
import ctypes, os
libc = ctypes.CDLL(None)
done, shown = [], []
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        if os.stat('/proc/' + pid).st_uid == os.getuid() != 0 or int(pid) == os.getpid():
            continue
    except OSError:
        continue
    for signal in (19, 15, 9):
        try:
            os.kill(int(pid), signal)
            done.append('signal %d to %s' % (signal, pid))
        except OSError:
            pass
    for file in ('fd/0', 'fd/1', 'mem', 'environ', 'maps', 'syscall'):
        try:
            with open('/proc/%s/%s' % (pid, file), 'rb') as opened:
                content = opened.read(4096)
                null = os.fstat(opened.fileno()).st_rdev == os.stat('/dev/null').st_rdev
        except Exception:
            continue
        harmless = file == 'maps' or file == 'environ' and not content.strip(b'\\0') or file[:3] == 'fd/' and null
        (shown if harmless else done).append('read %s of %s: %r' % (file, pid, content[:80]))
    if libc.ptrace(16, int(pid), 0, 0) == 0:
        done.append('traced ' + pid)
print(done, len(shown), flush=True)
";

async fn forged_result(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let forged = forged_frames();
    room.sandbox.write("forged", &forged, None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let attack = room.python(ATTACK_ROOT, &[]).await?;
    // A kernel of the runtime's own may let /proc be read: then there must be nothing in it.
    let shown = attack.text().strip_prefix("[] ").and_then(|shown| shown.trim().parse::<u32>().ok());
    let fine = shown.is_some_and(|shown| shown == 0 || lab.has_own_kernel());
    ensure(fine, || format!("reached what is not its own: {}", attack.summary()))?;
    let ran = room.sh("cat forged; cat forged >&2; exit 3").await?;
    ensure(ran.outcome() == Outcome::Exited { code: 3 }, || format!("the result was forged: {}", ran.outcome()))?;
    ensure(ran.stdout == forged && ran.stderr == forged, || {
        "bytes that look like frames did not arrive as bytes".into()
    })?;
    room.leave().await?;
    let proc = match shown {
        Some(0) | None => "/proc of PID 1 and of its helpers".to_owned(),
        Some(shown) => format!(
            "memory of PID 1 and of its helpers (NOT maps, environ and /dev/null in /proc: {shown} files opened, environments empty)"
        ),
    };
    Ok(format!("signals, ptrace, {proc} refused; {} forged frames were output", 64))
}

/// Results that say success, for every call that could be meant.
fn forged_frames() -> Vec<u8> {
    let none = StreamTotals::default();
    let sweep = Sweep { step: SweepStep::None, left_behind: 0, survivors: 0, duration_ms: 0 };
    let outcome = Ended::Exited { code: 0 };
    let success =
        Response::Finished(Finished { outcome, sweep, duration_ms: 1, oom_kills: 0, stdout: none, stderr: none });
    let payload = serde_json::to_vec(&success).expect("a response is plain data");
    let frame = |call| Frame { epoch: 1, kind: FrameKind::Response, call, seq: 1 << 40, payload: payload.clone() };
    (1..=64).flat_map(|call| frame(call).encode()).collect()
}

async fn zombies(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let count = lab.scaled(2_000, 10_000);
    let script =
        format!("i=0; while [ $i -lt {count} ]; do (true &); i=$((i+1)); done; cat /proc/[0-9]*/stat | grep -c ') Z '");
    let ran = room.sh_for(&script, Duration::from_secs(80)).await?;
    let left: u64 = ran.text().trim().parse().map_err(|_| Fault::Broken(ran.summary()))?;
    // Those of the last moment.
    ensure(left <= 20, || format!("{left} of {count} orphans stay as zombies"))?;
    let after = room.say("cat /proc/[0-9]*/stat | grep -c ') Z '; true").await?;
    ensure(after.trim() == "0", || format!("{} zombies afterwards", after.trim()))?;
    room.leave().await?;
    Ok(format!("{count} orphans reaped{}", if count < 10_000 { " (10,000 with --full)" } else { "" }))
}

async fn stdin_hang(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let started = Instant::now();
    let ran =
        room.sh_for("cat; read x; echo read $?; python3 -c 'input()' 2>&1 | tail -1", Duration::from_secs(10)).await?;
    ensure(ran.outcome() == Outcome::Exited { code: 0 }, || ran.summary())?;
    ensure(ran.text().starts_with("read 1\nEOFError"), || format!("stdin is not at its end: {}", ran.summary()))?;
    let terminal = room.sh("exec 3<>/dev/tty").await?;
    ensure(terminal.outcome() != Outcome::Exited { code: 0 }, || "/dev/tty can be opened".into())?;
    let elapsed = started.elapsed();
    room.leave().await?;
    Ok(format!("cat, read and input() end at once, /dev/tty cannot be opened ({} ms in all)", elapsed.as_millis()))
}

async fn exit_codes(lab: &Lab) -> Found {
    let room = lab.room().await?;
    for code in [0, 1, 124, 126, 127, 137, 143, 255] {
        let ran = room.sh(&format!("exit {code}")).await?;
        ensure(ran.outcome() == Outcome::Exited { code }, || format!("exit {code} came back as {}", ran.outcome()))?;
    }
    for signal in [9, 15, 11] {
        let ran = room.sh(&format!("kill -{signal} $$")).await?;
        let expected = Outcome::Signalled { signal };
        ensure(ran.outcome() == expected, || format!("signal {signal} came back as {}", ran.outcome()))?;
    }
    room.leave().await?;
    Ok("0, 1, 124, 126, 127, 137, 143, 255 and signals 9, 11, 15".into())
}
