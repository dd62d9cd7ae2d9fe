//! The supervisor as PID 1 of real containers. Runs with GREENROOM_DOCKER_TESTS=1.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::*;
use support::{Neighbour, Sandbox, docker_wanted};

fn exited(code: i32) -> Outcome {
    Outcome::Exited { code }
}

#[test]
fn hello_tells_what_confinement_is_seen_from_inside() {
    if !docker_wanted("hello_tells_what_confinement_is_seen_from_inside") {
        return;
    }
    let (mut sandbox, hello) = Sandbox::start(&[]);
    let command = &hello.hardening.command;
    assert_eq!((&command.uids, &command.gids, command.groups.len()), (&vec![1000; 4], &vec![1000; 4], 0));
    for set in [command.cap_effective, command.cap_permitted, command.cap_bounding, command.cap_ambient] {
        assert_eq!(set, Some(0));
    }
    assert_eq!((command.no_new_privs, command.seccomp), (Some(true), Some(2)));
    assert_eq!(hello.hardening.supervisor.cap_permitted, Some(1 << 6 | 1 << 7));
    assert_eq!(hello.hardening.supervisor.cap_bounding, Some(0));
    assert_eq!(hello.hardening.root_read_only, Some(true));
    assert_eq!(hello.hardening.memory_bytes_max, Some(256 << 20));
    assert_eq!(hello.hardening.pids_max, Some(256));
    assert_eq!(hello.hardening.interfaces.as_deref(), Some(&["lo".to_owned()][..]));
    assert!(hello.hardening.oom_counter);

    // The same by a real command's own word; and nothing of the supervisor is open to it.
    let script = "cat /proc/self/oom_score_adj; ls /proc/self/fd; cat /proc/1/environ; ls /proc/1/fd; kill -9 1; id -u";
    let answer = sandbox.shell(script, 5_000);
    assert_eq!(answer.stdout(), "1000\n0\n1\n2\n3\n1000\n", "fd 3 is the directory ls reads");
}

#[test]
fn exit_codes_and_signals_are_told_verbatim() {
    if !docker_wanted("exit_codes_and_signals_are_told_verbatim") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let request = sandbox.exec(&["true"], 5_000);
    assert_eq!(sandbox.ask(&request).finished().outcome, exited(0));
    for code in [0, 1, 124, 126, 127, 137, 143, 255] {
        let answer = sandbox.shell(&format!("exit {code}"), 5_000);
        assert_eq!(answer.finished().outcome, exited(code));
        assert_eq!(answer.finished().sweep.step, SweepStep::None);
    }
    assert_eq!(sandbox.shell("kill -9 $$", 5_000).finished().outcome, Outcome::Signalled { signal: 9 });
    let missing = sandbox.exec(&["no-such-program"], 5_000);
    assert_eq!(sandbox.ask(&missing).error(), ErrorKind::NotFound);
    // Refused, hence never run: the token is free again.
    let Request::Exec(mut again) = missing else { unreachable!() };
    again.argv = vec!["true".into()];
    assert_eq!(sandbox.ask(&Request::Exec(again.clone())).finished().outcome, exited(0));
    assert_eq!(sandbox.ask(&Request::Exec(again)).error(), ErrorKind::DuplicateCall);
}

#[test]
fn stdin_ends_at_once_unless_it_is_given() {
    if !docker_wanted("stdin_ends_at_once_unless_it_is_given") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let request = sandbox.exec(&["cat"], 5_000);
    assert_eq!(sandbox.ask(&request).finished().outcome, exited(0));
    let Request::Exec(mut exec) = sandbox.exec(&["cat"], 5_000) else { unreachable!() };
    let content = b"0123456789\xff\xf5GR\xf7".repeat(20_000);
    exec.stdin = Stdin::Bytes { bytes_total: content.len() as u64 };
    let call = sandbox.open(&Request::Exec(exec));
    sandbox.feed(call, &content);
    assert_eq!(sandbox.collect(call).bytes(Stream::Stdout), content);
}

#[test]
fn a_timeout_leaves_nothing_of_the_tree() {
    if !docker_wanted("a_timeout_leaves_nothing_of_the_tree") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let script = "setsid sleep 300 & (setsid sh -c 'sleep 301 & sleep 302 &' &) ; (trap '' TERM; sleep 303) & \
                  sleep 304 & kill -STOP $!; trap '' TERM; sleep 305; sleep 306";
    let answer = sandbox.shell(script, 500);
    let finished = answer.finished();
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert_eq!((finished.sweep.step, finished.sweep.survivors), (SweepStep::Kill, 0));
    assert!(finished.sweep.left_behind > 0);
    assert!(answer.took < Duration::from_secs(10), "took {:?}", answer.took);
    assert_eq!(sandbox.others_alive(), "");

    let gentle = sandbox.shell("sleep 300", 200);
    assert_eq!(gentle.finished().outcome, Outcome::TimedOut);
    assert_eq!(gentle.finished().sweep.step, SweepStep::Term);

    let request = sandbox.exec(&["sleep", "300"], 60_000);
    let call = sandbox.open(&request);
    sandbox.send(call, &Request::Cancel);
    assert_eq!(sandbox.collect(call).finished().outcome, Outcome::Cancelled);
}

#[test]
fn children_that_stay_behind_do_not_delay_the_result() {
    if !docker_wanted("children_that_stay_behind_do_not_delay_the_result") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let answer = sandbox.shell("setsid sleep 300 & echo done", 60_000);
    assert_eq!((answer.finished().outcome, answer.stdout().as_str()), (exited(0), "done\n"));
    assert_eq!((answer.finished().sweep.step, answer.finished().sweep.left_behind), (SweepStep::Kill, 1));
    assert!(answer.took < Duration::from_secs(10), "took {:?}", answer.took);
    assert_eq!(sandbox.others_alive(), "");
    // Another command's children are none of its business.
    let request = sandbox.exec(&["sh", "-c", "sleep 0.6 & wait; echo kept"], 5_000);
    let slow = sandbox.open(&request);
    assert_eq!(sandbox.shell("sleep 300 & exit 3", 5_000).finished().outcome, exited(3));
    assert_eq!(sandbox.collect(slow).stdout(), "kept\n");
}

#[test]
fn a_fork_bomb_ends_at_its_timeout() {
    if !docker_wanted("a_fork_bomb_ends_at_its_timeout") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let answer = sandbox
        .shell("f() { f | f & f; }; f 2>/dev/null; while :; do setsid sh -c 'sleep 300 &' 2>/dev/null; done", 500);
    assert_eq!(answer.finished().sweep.survivors, 0);
    assert!(answer.took < Duration::from_secs(20), "took {:?}", answer.took);
    assert_eq!(sandbox.others_alive(), "");
    // Whatever a command does to all its like, it does not reach us.
    sandbox.shell("kill -9 -1; kill -STOP -1", 5_000);
    assert_eq!(sandbox.shell("exit 7", 5_000).finished().outcome, exited(7));
}

#[test]
fn a_flood_is_counted_and_bounded() {
    if !docker_wanted("a_flood_is_counted_and_bounded") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let answer = sandbox.shell("yes | head -c 300000000; echo the end >&2; echo THE END", 60_000);
    let finished = answer.finished();
    assert_eq!(finished.stdout.bytes_total, 300_000_008);
    assert_eq!(finished.stdout.bytes_dropped, 300_000_008 - (1 << 20) - (64 << 10));
    assert!(answer.stdout().ends_with("y\nTHE END\n"));
    assert_eq!(answer.bytes(Stream::Stdout).len(), (1 << 20) + (64 << 10));
    assert_eq!(answer.bytes(Stream::Stderr), b"the end\n");
    eprintln!("flood: 300 MB in {:?}", answer.took);

    let answer = sandbox.shell("dd if=/dev/zero bs=1M count=2000 2>/dev/null", 60_000);
    assert_eq!(answer.finished().stdout.bytes_total, 2000 << 20);
    eprintln!("flood: 2,000 MiB in large writes in {:?}", answer.took);

    // All of it to the host, in order and without a gap.
    let Request::Exec(mut exec) = sandbox.exec(&["dd", "if=/dev/zero", "bs=1M", "count=200"], 60_000) else {
        unreachable!()
    };
    exec.output.head_bytes_max = u64::MAX;
    let answer = sandbox.ask(&Request::Exec(exec));
    let mut next = 0;
    for (_, offset, bytes) in answer.chunks.iter().filter(|(stream, ..)| *stream == Stream::Stdout) {
        assert_eq!(*offset, next);
        next += bytes.len() as u64;
    }
    assert_eq!((next, answer.finished().stdout.bytes_dropped), (200 << 20, 0));
    eprintln!("flood: 200 MiB to the host in {:?}", answer.took);

    let Request::Exec(mut exec) = sandbox.exec(&["yes"], 60_000) else { unreachable!() };
    exec.output.total_bytes_max = 10 << 20;
    let answer = sandbox.ask(&Request::Exec(exec));
    assert_eq!(answer.finished().outcome, Outcome::OutputLimit);
    assert!(answer.finished().stdout.bytes_total > 10 << 20);
}

#[test]
fn a_host_that_reads_nothing_stops_no_timeout() {
    if !docker_wanted("a_host_that_reads_nothing_stops_no_timeout") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let script = "head -c 100000000 /dev/zero; echo on its way >&2; sleep 300";
    let Request::Exec(mut exec) = sandbox.exec(&["sh", "-c", script], 3_000) else { unreachable!() };
    exec.output.head_bytes_max = 1 << 40;
    let call = sandbox.open(&Request::Exec(exec.clone()));
    // Nothing is acknowledged: the window fills, and yet the command goes on, and ends in time.
    let other = sandbox.shell("echo alive", 5_000);
    assert_eq!(other.stdout(), "alive\n");
    while sandbox.hello(sandbox.epoch() + 1, 60_000).calls[0].state == CallPhase::Running {}
    let answer = sandbox.ask(&Request::Exec(exec));
    assert!(sandbox.call() > call, "another call");
    assert_eq!(answer.finished().outcome, Outcome::TimedOut);
    assert_eq!(answer.bytes(Stream::Stderr), b"on its way\n");
    assert_eq!(answer.without_gaps(Stream::Stdout), 100_000_000);
    assert_eq!(answer.finished().stdout, StreamTotals { bytes_total: 100_000_000, bytes_dropped: 0 });
}

#[test]
fn running_out_of_memory_is_told_from_137() {
    if !docker_wanted("running_out_of_memory_is_told_from_137") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let bomb = "x=0123456789abcdef; while :; do x=$x$x; done";
    for script in [bomb.to_owned(), format!("({bomb}); exit 5")] {
        let answer = sandbox.shell(&script, 20_000);
        assert!(matches!(answer.finished().outcome, Outcome::OutOfMemory { shared: false, .. }), "{answer:?}");
        assert!(answer.finished().oom_kills > 0);
    }
    assert_eq!(sandbox.shell("exit 137", 5_000).finished().outcome, exited(137));
}

#[test]
fn a_neighbour_that_writes_is_not_taken_for_a_command_beside_a_zombie() {
    if !docker_wanted("a_neighbour_that_writes_is_not_taken_for_a_command_beside_a_zombie") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&["-v", "/home/agent"]);
    let roots = vec!["/home/agent".into()];
    sandbox.send(0, &Request::WatchDisk(DiskLimits { roots, bytes_max: 8 << 20, inodes_max: 1000 }));
    // `cat` never reaps what the shell it replaced had forked.
    let Request::Exec(mut exec) = sandbox.exec(&["sh", "-c", "true & exec cat"], 60_000) else { unreachable!() };
    exec.stdin = Stdin::Bytes { bytes_total: 2 };
    let call = sandbox.open(&Request::Exec(exec));
    while !sandbox.shell("grep -h State /proc/[0-9]*/status", 5_000).stdout().contains('Z') {}
    let neighbour = Neighbour::write("96");
    // A while of looking: the file system now has so much less.
    assert_eq!(sandbox.shell("sleep 0.5", 5_000).finished().outcome, exited(0));
    sandbox.feed(call, b"!\n");
    assert_eq!(sandbox.collect(call).finished().outcome, exited(0));
    drop(neighbour);
    // The same amount of its own is too much.
    let own = sandbox.shell("dd if=/dev/zero of=/home/agent/x bs=1M count=96 && sleep 5", 60_000);
    assert_eq!(own.finished().outcome, Outcome::DiskLimit);
}

#[test]
fn a_new_client_follows_what_runs_and_what_has_ended() {
    if !docker_wanted("a_new_client_follows_what_runs_and_what_has_ended") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let quick = sandbox.exec(&["sh", "-c", "echo quick; echo and loud >&2; exit 3"], 20_000);
    assert_eq!(sandbox.ask(&quick).finished().outcome, exited(3));
    let Request::Exec(mut slow) = sandbox.exec(&["sh", "-c", "echo 1; read x; echo $x"], 20_000) else {
        unreachable!()
    };
    slow.stdin = Stdin::Bytes { bytes_total: 6 };
    let slow = Request::Exec(slow);
    let call = sandbox.open(&slow);
    while sandbox.frame().unwrap().kind != FrameKind::Data {}
    // Half a frame is left behind, and the client is gone in mid-call.
    let half = Frame { epoch: 1, kind: FrameKind::Data, call: 9, seq: 0, payload: vec![b'x'; 5000] }.encode();
    sandbox.send_raw(&half[..2000]);
    sandbox.reattach();
    let hello = sandbox.hello(2, 60_000);
    let state = |token: &str, state| CallState { token: token.into(), state };
    assert_eq!(hello.calls, [state("step-1", CallPhase::Finished), state("step-2", CallPhase::Running)]);
    assert_eq!(hello.call_highest, call);
    // What ended is told again, what runs goes on, and both from the beginning.
    let again = sandbox.ask(&quick);
    assert_eq!((again.finished().outcome, again.stdout().as_str()), (exited(3), "quick\n"));
    assert_eq!(again.bytes(Stream::Stderr), b"and loud\n");
    let following = sandbox.open(&slow);
    sandbox.feed(following, b"hello\n");
    assert_eq!(sandbox.collect(following).stdout(), "1\nhello\n");
    // Once a client, and for the same words alone.
    assert_eq!(sandbox.ask(&quick).error(), ErrorKind::DuplicateCall);
    sandbox.hello(3, 60_000);
    let Request::Exec(mut other) = quick.clone() else { unreachable!() };
    other.argv.push("x".into());
    assert_eq!(sandbox.ask(&Request::Exec(other)).error(), ErrorKind::DuplicateCall);
    // What the host has safe is let go, and is never run again for that.
    sandbox.send(0, &Request::Forget { token_prefix: "step-1".into() });
    assert_eq!(sandbox.ask(&quick).error(), ErrorKind::DuplicateCall);
    assert_eq!(sandbox.hello(4, 60_000).calls, [state("step-2", CallPhase::Finished)]);
}

#[test]
fn the_client_before_has_no_say_any_longer() {
    if !docker_wanted("the_client_before_has_no_say_any_longer") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    sandbox.hello(2, 60_000);
    for request in [Request::Shutdown, Request::Hello { lease_ms: 100 }] {
        for epoch in [1, 2] {
            if let (2, Request::Shutdown) = (epoch, &request) {
                continue;
            }
            let payload = serde_json::to_vec(&request).unwrap();
            let stale = Frame { epoch, kind: FrameKind::Request, call: 0, seq: 0, payload };
            sandbox.send_raw(&stale.encode());
            let refused = support::response(&sandbox.frame().unwrap());
            assert!(
                matches!(refused, Response::Failed { error: CallError { kind: ErrorKind::StaleEpoch, .. } }),
                "{request:?} of epoch {epoch}: {refused:?}"
            );
        }
    }
    assert_eq!(sandbox.shell("exit 4", 5_000).finished().outcome, exited(4));
}

#[test]
fn what_was_said_is_kept_where_no_command_looks() {
    if !docker_wanted("what_was_said_is_kept_where_no_command_looks") {
        return;
    }
    let (mut sandbox, hello) = Sandbox::start(&[]);
    assert!(hello.hardening.spool_private);
    let Request::Exec(mut exec) = sandbox.exec(&["dd", "if=/dev/zero", "bs=1M", "count=300"], 60_000) else {
        unreachable!()
    };
    exec.output.head_bytes_max = u64::MAX;
    let exec = Request::Exec(exec);
    assert_eq!(sandbox.ask(&exec).without_gaps(Stream::Stdout), 300 << 20, "more than fits into memory");
    let answer = sandbox.shell("ls -a /.greenroom/spool; ls /proc/1/fd; touch /.greenroom/spool/x", 5_000);
    assert_eq!((answer.stdout().as_str(), answer.finished().outcome), ("", exited(1)));
    sandbox.hello(2, 60_000);
    assert_eq!(sandbox.ask(&exec).without_gaps(Stream::Stdout), 300 << 20, "again");
}

/// What a job that goes on has said, once it is so many bytes. Its streams are two pipes: what is to be in order between
/// them has to be waited for before the rest is set off.
fn said_by(sandbox: &mut Sandbox, name: &str, bytes: usize) -> String {
    let began = Instant::now();
    let mut said = String::new();
    while said.len() < bytes {
        assert!(began.elapsed() < Duration::from_secs(30), "`{name}` has said only {said:?}");
        let since = said.len() as u64;
        let answer = sandbox.ask(&Request::JobOutput { name: name.into(), since, bytes_max: 1 << 20 });
        assert!(matches!(&answer.last, Response::Job { job } if job.end.is_none()), "{:?}", answer.last);
        said.push_str(&answer.stdout());
    }
    said
}

#[test]
fn a_job_goes_on_between_calls_and_nothing_else_does() {
    if !docker_wanted("a_job_goes_on_between_calls_and_nothing_else_does") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let start = |sandbox: &mut Sandbox, name: &str, script: &str| {
        let Request::Exec(exec) = sandbox.exec(&["sh", "-c", script], 1) else { unreachable!() };
        let request = Request::StartJob { name: name.into(), exec };
        (sandbox.ask(&request), request)
    };
    let state = |answer: &support::Answer| match &answer.last {
        Response::Job { job } => job.clone(),
        other => panic!("no job but {other:?}"),
    };
    let script = "echo up; echo err >&2; until [ -e go ]; do sleep 0.05; done; echo seen; sleep 300";
    let (started, request) = start(&mut sandbox, "server", script);
    assert_eq!((state(&started).name.as_str(), state(&started).end), ("server", None));
    assert_eq!(said_by(&mut sandbox, "server", 7), "up\nerr\n");
    // Stragglers of calls are swept beside it, and it is not.
    let swept = sandbox.shell("sleep 301 & touch go", 5_000);
    assert_eq!((swept.finished().outcome, swept.finished().sweep.left_behind), (exited(0), 1));
    assert_eq!(said_by(&mut sandbox, "server", 12), "up\nerr\nseen\n");
    assert_eq!(sandbox.others_alive().lines().filter(|line| line.contains("sleep")).count(), 1);
    // Another client finds it, and does not start it again by the same token.
    sandbox.hello(2, 60_000);
    assert_eq!(state(&sandbox.ask(&request)).output_bytes, 12);
    assert_eq!(start(&mut sandbox, "server", "true").0.error(), ErrorKind::AlreadyExists);
    for n in 1..JOBS_MAX {
        start(&mut sandbox, &format!("idle {n}"), "sleep 300");
    }
    assert_eq!(start(&mut sandbox, "one more", "sleep 300").0.error(), ErrorKind::TooLarge);
    for n in 1..JOBS_MAX {
        sandbox.ask(&Request::StopJob { name: format!("idle {n}") });
    }
    let stopped = state(&sandbox.ask(&Request::StopJob { name: "server".into() }));
    assert!(matches!(&stopped.end, Some(JobEnd::Finished(end)) if end.outcome == Outcome::Cancelled), "{stopped:?}");
    assert_eq!(sandbox.others_alive(), "");
    let rest = sandbox.ask(&Request::JobOutput { name: "server".into(), since: 7, bytes_max: 3 });
    assert_eq!((rest.stdout().as_str(), state(&rest)), ("see", stopped));
    assert_eq!(sandbox.ask(&Request::StopJob { name: "nobody".into() }).error(), ErrorKind::NotFound);
    // One that ends by itself, and says more than is kept.
    start(&mut sandbox, "loud", "head -c 3000000 /dev/zero; exit 3");
    let loud = loop {
        let Response::Jobs { jobs } = sandbox.ask(&Request::ListJobs).last else { panic!("no list") };
        if let Some(ended) = jobs.into_iter().find(|job| job.name == "loud" && job.end.is_some()) {
            break ended;
        }
    };
    assert!(matches!(&loud.end, Some(JobEnd::Finished(end)) if end.outcome == exited(3)), "{loud:?}");
    let kept = sandbox.ask(&Request::JobOutput { name: "loud".into(), since: 0, bytes_max: u64::MAX });
    assert_eq!(kept.bytes(Stream::Stdout).len(), JOB_OUTPUT_BYTES_MAX);
    assert_eq!(kept.chunks[0].1, 3_000_000 - JOB_OUTPUT_BYTES_MAX as u64);
}

#[test]
fn without_renewal_the_container_ends() {
    if !docker_wanted("without_renewal_the_container_ends") {
        return;
    }
    let mut sandbox = Sandbox::silent(&[]);
    let began = Instant::now();
    sandbox.hello(1, 600);
    let request = sandbox.exec(&["sleep", "300"], 300_000);
    sandbox.open(&request);
    sandbox.send(0, &Request::Renew);
    sandbox.wait_for_end();
    assert!(began.elapsed() < Duration::from_secs(10));
    // The engine removes it a moment later.
    while sandbox.is_known() {
        assert!(began.elapsed() < Duration::from_secs(30), "the container is still known");
    }
}

#[test]
fn file_calls_reach_what_uid_1000_reaches() {
    if !docker_wanted("file_calls_reach_what_uid_1000_reaches") {
        return;
    }
    let (mut sandbox, _) = Sandbox::start(&[]);
    let path = |path: &str| ByteString::from(path);
    let write = |sandbox: &mut Sandbox, name: &str, content: &[u8], expect: Precondition| {
        let call = sandbox.open(&Request::Write {
            path: name.into(),
            bytes_total: content.len() as u64,
            mode: None,
            parents: Parents::Create,
            expect,
        });
        sandbox.feed(call, content);
        sandbox.collect(call)
    };
    let content = b"fn main() {}\n// \xff needle\n".repeat(100_000);
    let written = write(&mut sandbox, "/workspace/src/deep/main.rs", &content, Precondition::Absent);
    let hash = blake3::hash(&content).to_hex().to_string();
    assert_eq!(written.last, Response::WriteDone { bytes: content.len() as u64, blake3: hash.clone(), created: true });
    let read = |sandbox: &mut Sandbox, name: &str| {
        sandbox.ask(&Request::Read { path: name.into(), offset: 0, bytes_max: 1 << 30 })
    };
    let answer = read(&mut sandbox, "/workspace/src/deep/main.rs");
    assert_eq!(answer.bytes(Stream::File), content);
    assert!(matches!(&answer.last, Response::ReadDone(done) if done.blake3.as_ref() == Some(&hash)));

    // What was expected and what was found.
    let wrong = Precondition::Blake3 { hex: "00".repeat(32) };
    assert_eq!(write(&mut sandbox, "/workspace/src/deep/main.rs", b"x", wrong).error(), ErrorKind::HashMismatch);
    let right = Precondition::Blake3 { hex: hash };
    assert!(matches!(
        write(&mut sandbox, "/workspace/src/deep/main.rs", b"needle\n", right).last,
        Response::WriteDone { created: false, .. }
    ));
    let answer = sandbox.shell("ls -ln /workspace/src/deep; ls -A /workspace/src/deep", 5_000).stdout();
    assert!(answer.contains("-rw-r--r--    1 1000     1000") && answer.ends_with("\nmain.rs\n"), "{answer}");

    // What cannot be had, and why.
    sandbox.shell("mkfifo fifo; ln -s /proc/self/environ link; ln -s nowhere dangling", 5_000);
    assert_eq!(write(&mut sandbox, "/etc/passwd", b"x", Precondition::Any).error(), ErrorKind::ReadOnly);
    assert_eq!(write(&mut sandbox, "/proc/self/comm", b"x", Precondition::Any).error(), ErrorKind::Permission);
    for (name, kind) in [
        ("/workspace/none", ErrorKind::NotFound),
        ("/workspace/src", ErrorKind::IsDirectory),
        ("/workspace/fifo", ErrorKind::NotAFile),
        ("/workspace/link", ErrorKind::Permission),
        ("/proc/self/status", ErrorKind::Permission),
        ("/proc/1/environ", ErrorKind::Permission),
        ("/proc/self/fd/0", ErrorKind::NotAFile),
        ("workspace", ErrorKind::BadRequest),
    ] {
        assert_eq!(read(&mut sandbox, name).error(), kind, "{name}");
    }

    let listed = sandbox.ask(&Request::List {
        path: path("/workspace"),
        depth_max: 9,
        entries_max: 100,
        glob: Some("*.rs".into()),
    });
    let [Response::Entries { entries }] = &listed.interim[..] else { panic!("{listed:?}") };
    assert_eq!(entries[0].path, path("src/deep/main.rs"));
    let searched = sandbox.ask(&Request::Search {
        pattern: "ne+dle$".into(),
        path: path("/workspace"),
        glob: None,
        matches_max: 5,
        bytes_max: 1000,
    });
    assert!(matches!(searched.last, Response::SearchDone { matches: 1, files_searched: 1, cut: false, .. }));
    let [Response::Matches { matches }] = &searched.interim[..] else { panic!("{searched:?}") };
    assert_eq!((&matches[0].path, matches[0].line, matches[0].text.as_str()), (&path("src/deep/main.rs"), 1, "needle"));
    let walked = sandbox.ask(&Request::Walk {
        root: path("/workspace"),
        exclude: vec![],
        hash: HashWhich::All,
        entries_max: 100,
    });
    let [Response::WalkEntries { entries }] = &walked.interim[..] else { panic!("{walked:?}") };
    let names: Vec<_> = entries.iter().map(|entry| (entry.path.to_str().unwrap(), entry.kind)).collect();
    assert_eq!(
        names,
        [
            ("", FileKind::Dir),
            ("dangling", FileKind::Symlink),
            ("fifo", FileKind::Other),
            ("link", FileKind::Symlink),
            ("src", FileKind::Dir),
            ("src/deep", FileKind::Dir),
            ("src/deep/main.rs", FileKind::File),
        ]
    );
    let expected = Some(blake3::hash(b"needle\n").to_hex().to_string());
    assert_eq!((entries[6].blake3.clone(), entries[3].target.clone()), (expected, Some(path("/proc/self/environ"))));
    assert_eq!(
        sandbox.ask(&Request::Remove { path: path("/workspace/src"), depth: RemoveDepth::One }).error(),
        ErrorKind::NotEmpty
    );
    assert_eq!(
        sandbox.ask(&Request::Remove { path: path("/workspace/src"), depth: RemoveDepth::Tree }).last,
        Response::Removed
    );
    assert_eq!(sandbox.ask(&Request::Stat { path: path("/workspace/src") }).error(), ErrorKind::NotFound);
}
