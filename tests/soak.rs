//! Runners that are killed at any instant leave nothing once the lease is over.
//!
//! `GREENROOM_SOAK_KILLS=50 cargo test --test soak -- --nocapture` runs it; `doctor --attack --full --only cycles` has the
//! thousand sandboxes in a row and the 64 at once.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(45);
const PATIENCE: Duration = Duration::from_secs(60);

fn docker(args: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn containers(owner: &str) -> Vec<String> {
    docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("label=greenroom.owner={owner}")])
}

/// Those that are mounted by our containers, so that a neighbour's are not counted.
fn volumes(containers: &[String]) -> Vec<String> {
    let mut args = vec!["inspect", "--format", "{{range .Mounts}}{{.Name}}\n{{end}}"];
    args.extend(containers.iter().map(String::as_str));
    let output = Command::new("docker").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn nothing_is_left_of_runners_that_were_killed() {
    let Some(kills) = std::env::var("GREENROOM_SOAK_KILLS").ok().and_then(|kills| kills.parse::<u32>().ok()) else {
        eprintln!("skipped: GREENROOM_SOAK_KILLS=50 runs it, in real containers");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (home, repo, temporary) = (folder.path().join("home"), folder.path().join("repo"), folder.path().join("tmp"));
    for path in [&repo, &temporary] {
        std::fs::create_dir_all(path).unwrap();
    }
    std::fs::write(repo.join("a.py"), "print('x')\n").unwrap();
    let greenroom = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(args).env("GREENROOM_HOME", &home).env("TMPDIR", &temporary);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let repo = repo.display().to_string();
    let owner = greenroom::sandbox::DockerLauncher::owner_of(&home.join("state"));
    let run = ["exec", "--repo", &repo, "--image", "python", "--timeout", "600s", "--", "sleep", "599"];
    // Also the control: a whole command works here, and takes so long to begin.
    let began = Instant::now();
    let whole = ["exec", "--repo", &repo, "--image", "python", "--", "true"];
    assert!(greenroom(&whole).status().unwrap().success());
    let whole = began.elapsed();
    let (mut seen, mut at_once) = (BTreeSet::new(), 0);
    for kill in 0..kills {
        let mut runner = greenroom(&run).spawn().unwrap();
        // From before the container exists until well into the call.
        std::thread::sleep(whole * 2 * kill / kills.max(1));
        runner.kill().unwrap();
        runner.wait().unwrap();
        let left = containers(&owner);
        at_once += usize::from(!left.is_empty());
        seen.extend(volumes(&left));
    }
    eprintln!("{kills} kills over {:?} each: {at_once} left a container at first, {} volumes", whole * 2, seen.len());
    assert!(at_once > 0, "no kill came late enough to leave anything: the test shows nothing");
    let last = Instant::now();
    std::thread::sleep(LEASE);
    // What was created and never started has no PID 1 of ours: the next start takes it away.
    assert!(greenroom(&["gc", "--yes"]).status().unwrap().success());
    loop {
        let left = containers(&owner);
        if left.is_empty() {
            break;
        }
        assert!(last.elapsed() < LEASE + PATIENCE, "still there: {left:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    let all: BTreeSet<String> = docker(&["volume", "ls", "-q"]).into_iter().collect();
    assert_eq!(seen.intersection(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "volumes are left");
    let files: Vec<_> = std::fs::read_dir(&temporary).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.is_empty(), "temporary files are left: {files:?}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let argv = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&argv).contains(home.to_str().unwrap())
    });
    assert_eq!(processes.count(), 0, "processes are left");
    eprintln!("nothing left {:?} after the last kill", last.elapsed());
}
