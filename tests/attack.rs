//! Every confinement has its control: the attack suite run without it must say what breaks.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs them; without it they say that they were skipped, except on CI, where that fails.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "chaos/engine.rs"]
mod engine;

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

struct Finished {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Finished {
    fn status(&self, id: &str) -> &str {
        let case = self.lines.iter().find(|line| line["type"] == "case" && line["id"] == id).unwrap();
        case["status"].as_str().unwrap()
    }

    fn result(&self) -> &Value {
        self.lines.last().unwrap()
    }
}

fn asked_for() -> bool {
    let asked_for = std::env::var_os("GREENROOM_DOCKER_TESTS").is_some_and(|value| value == "1");
    if !asked_for {
        let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!on_ci, "on CI the container tests run: set GREENROOM_DOCKER_TESTS=1");
        eprintln!("skipped: needs a container engine; GREENROOM_DOCKER_TESTS=1 runs it");
    }
    asked_for
}

fn attack(arguments: &[&str]) -> Finished {
    attack_on(None, arguments)
}

/// On the engine of this machine, or on another.
fn attack_on(engine: Option<&str>, arguments: &[&str]) -> Finished {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.args(["doctor", "--attack", "--json"]).args(arguments).env("GREENROOM_HOME", home.path());
    command.envs(engine.map(|address| ("DOCKER_HOST", address)));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Finished {
        code: output.status.code(),
        lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    }
}

/// One at a time: without a disk watch a control fills the file system that the others' sandboxes are on, and without a
/// CPU limit it takes what they need.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The cases that a confinement carries, with it and without it.
fn check(confinement: &str, cases: &[&str]) {
    if !asked_for() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let only = cases.join(",");
    let with = attack(&["--only", &only]);
    assert_eq!((with.code, &with.result()["exit_code"]), (Some(0), &0.into()), "{:#?}", with.lines);
    assert_eq!(with.result()["held"], cases.len());
    let without = attack(&["--only", &only, "--allow-weaker", confinement]);
    assert_eq!(without.code, Some(3), "{:#?}", without.lines);
    for case in cases {
        assert_eq!(without.status(case), "broken", "{case} without {confinement}: {:#?}", without.lines);
    }
    assert_eq!(without.result()["weaker"], serde_json::json!([confinement]));
}

#[test]
fn without_seccomp_the_probe_gets_through() {
    check("seccomp", &["probe"]);
}

#[test]
fn without_no_new_privileges_the_probe_says_so() {
    check("no-new-privileges", &["probe"]);
}

#[test]
fn without_dropped_capabilities_the_probe_has_them() {
    check("capabilities", &["probe"]);
}

#[test]
fn without_an_own_uid_the_helpers_of_pid_1_are_in_reach() {
    check("uid", &["probe", "forged-result"]);
}

#[test]
fn without_a_read_only_root_it_is_written_to() {
    check("read-only-root", &["probe", "disk-fill"]);
}

#[test]
fn with_a_network_something_is_reached() {
    check("network", &["no-network"]);
}

#[test]
fn without_a_memory_limit_twice_of_it_is_had() {
    check("memory", &["memory-bomb", "swap"]);
}

#[test]
fn without_a_pids_limit_forking_goes_on() {
    check("pids", &["fork-bomb", "pids-held"]);
}

#[test]
fn without_a_cpu_limit_more_is_used() {
    check("cpus", &["cpu-spin"]);
}

#[test]
fn without_a_file_size_limit_a_file_of_a_terabyte_is_made() {
    check("file-size", &["inode-bomb"]);
}

#[test]
fn without_a_disk_watch_the_disk_fills() {
    check("disk", &["disk-fill", "inode-bomb"]);
}

/// An engine of the test's own: no other one is ever restarted.
#[test]
fn an_engine_restarted_in_mid_call_costs_one_sandbox() {
    if !asked_for() {
        return;
    }
    if let Some(why) = engine::impossible() {
        eprintln!("skipped: {why}");
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut engine = engine::PrivateEngine::start(&engine::images());
    let at = engine.address();
    let case = ["--destructive", "--only", "engine-restart"];
    let unknown = attack_on(Some(&at), &case);
    assert_eq!(unknown.status("engine-restart"), "not_run", "it is not the system's: {:#?}", unknown.lines);
    let nothing = attack_on(Some(&at), &[&case[..], &["--restart-with", "true"]].concat());
    assert_eq!(nothing.status("engine-restart"), "not_run", "nothing was restarted: {:#?}", nothing.lines);
    let folder = tempfile::tempdir().unwrap();
    let wish = folder.path().join("wish");
    let command = format!("touch {0}; while test -e {0}; do sleep 0.05; done", wish.display());
    for live_restore in [false, true] {
        if live_restore {
            assert_eq!(engine.kill(), Some(9));
            engine.up(live_restore);
        }
        let found = std::thread::scope(|scope| {
            let attack = scope.spawn(|| attack_on(Some(&at), &[&case[..], &["--restart-with", &command]].concat()));
            engine::until("the wish for a restart", || (wish.exists() || attack.is_finished()).then_some(()));
            assert_eq!(engine.kill(), Some(9));
            engine.up(live_restore);
            std::fs::remove_file(&wish).unwrap();
            attack.join().unwrap()
        });
        assert_eq!(found.status("engine-restart"), "held", "live restore {live_restore}: {:#?}", found.lines);
        assert_eq!(found.code, Some(0));
    }
}

#[test]
fn an_unknown_case_confinement_or_runtime_is_a_usage_error() {
    if !asked_for() {
        return;
    }
    for arguments in [["--only", "none"], ["--allow-weaker", "none"], ["--runtime", "none"]] {
        assert_eq!(attack(&arguments).code, Some(2), "{arguments:?}");
    }
}
