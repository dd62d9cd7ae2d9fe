//! Commands in real containers, as a user types them: `exec`, `run`, `diff`, `apply`, `cp`.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs these; without it they say that they were skipped.

use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::support::{Finished, TestEnvironment, containers_are_asked_for};

const CURE: &str = concat!(
    r#"{"content":[{"type":"text","text":"The import is missing."},{"type":"tool_use","name":"edit_file","input":{"path":"a.py","old_string":"def f()","new_string":"import os\n\ndef f()"}},{"type":"tool_use","name":"run_checks","input":{}}]}"#,
    "\n",
    r#"{"content":[{"type":"tool_use","name":"submit","input":{"summary":"a.py used os without importing it."}}]}"#,
    "\n"
);

/// A Python project with a missing import, and a cure for it. `None` where these tests were not asked for.
fn broken_project() -> Option<TestEnvironment> {
    if !containers_are_asked_for() {
        return None;
    }
    let mut environment = TestEnvironment::new();
    for name in ["DOCKER_HOST", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        if let Ok(value) = std::env::var(name) {
            environment = environment.with(name, &value);
        }
    }
    environment.write("repo/pyproject.toml", "");
    environment.write("repo/a.py", "def f():\n    return os.name\n");
    environment.write("repo/check.py", "import a\nassert a.f() == 'posix'\nopen('made.txt', 'w').write('x')\n");
    environment.write("cure.jsonl", CURE);
    Some(environment)
}

const RUN: &[&str] = &["run", "--repo", "repo", "--model", "scripted:cure.jsonl", "--check", "python3 check.py"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

fn result(finished: &Finished) -> serde_json::Value {
    finished.lines().pop().unwrap_or_else(|| panic!("no last line: {finished}"))
}

/// The engine's own word on what is left of this state folder's runs.
fn leftovers(run: &serde_json::Value) -> String {
    let filter = format!("label=greenroom.run={}", run.as_str().expect("a run id"));
    let output = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output();
    String::from_utf8(output.expect("docker answers").stdout).expect("ids")
}

#[test]
fn exec_reports_how_the_command_failed() {
    let Some(environment) = broken_project() else { return };
    let finished = environment.greenroom(&["exec", "--repo", "repo", "--json", "--", "python3", "-c", "import nope"]);
    let last = result(&finished);
    assert_eq!(finished.code, 3, "{finished}");
    assert_eq!(last["outcome"], serde_json::json!({"kind": "exited", "code": 1}));
    assert_eq!((&last["type"], &last["exit_code"]), (&"result".into(), &3.into()));
    assert!(last["stderr"]["head"].as_str().is_some_and(|text| text.contains("ModuleNotFoundError")), "{finished}");
    assert_eq!(leftovers(&last["run"]), "");
}

#[test]
fn exec_keeps_the_commands_streams_apart_from_its_own() {
    let Some(environment) = broken_project() else { return };
    let finished = environment.greenroom(&["exec", "--repo", "repo", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "out\n"), "{finished}");
    assert!(finished.stderr.contains("err\n") && finished.stderr.contains("exit code 0"), "{finished}");
}

#[test]
fn exec_ends_what_never_ends() {
    let Some(environment) = broken_project() else { return };
    let args = ["exec", "--repo", "repo", "--timeout", "500ms", "--json", "--", "sleep", "600"];
    let finished = environment.greenroom(&args);
    assert_eq!((finished.code, &result(&finished)["outcome"]["kind"]), (4, &"timed_out".into()), "{finished}");
}

#[test]
fn a_run_ends_verified_and_its_patch_is_applied_whole() {
    let Some(environment) = broken_project() else { return };
    let finished = environment.greenroom(&with(RUN, &["--json"]));
    let lines = finished.lines();
    let last = result(&finished);
    assert_eq!(finished.code, 0, "{finished}");
    assert_eq!(
        (&lines[0]["type"], &last["type"], &last["status"]),
        (&"init".into(), &"result".into(), &"verified".into())
    );
    assert_eq!(last["files_changed"], serde_json::json!(["a.py"]), "what the check makes is build output");
    assert_eq!(leftovers(&last["run"]), "");

    let before = std::fs::read_to_string(environment.root().join("repo/a.py")).expect("the file");
    assert_eq!(before, "def f():\n    return os.name\n", "the repository is not touched before `apply`");
    let diff = environment.greenroom(&["diff", "last"]);
    assert!(diff.stdout.contains("+import os\n"), "{diff}");

    let copied = environment.greenroom(&["cp", "last:a.py", "copy.py"]);
    assert_eq!(copied.code, 0, "{copied}");
    let applied = environment.greenroom(&["apply", "last"]);
    assert_snapshot!(applied, @r#"
    M a.py
    [exit 0]
    "#);
    let after = std::fs::read_to_string(environment.root().join("repo/a.py")).expect("the file");
    assert_eq!(after, "import os\n\ndef f():\n    return os.name\n");
    assert_eq!(std::fs::read_to_string(environment.root().join("copy.py")).expect("the copy"), after);
    assert_snapshot!(environment.greenroom(&["apply", "last"]).stderr.replace(last["run"].as_str().expect("an id"), "RUN"), @"the patch of run RUN is applied already");
}

#[test]
fn a_target_that_moved_is_refused_and_left_as_it_is() {
    let Some(environment) = broken_project() else { return };
    assert_eq!(environment.greenroom(RUN).code, 0);
    environment.write("repo/new.txt", "mine");
    assert_snapshot!(environment.greenroom(&["apply", "last"]), @r#"
    [exit 2]
    error: the patch does not fit: 1 other files changed since the run began, `new.txt` for one
      hint: commit or stash what changed, or say `--allow-moved`
    "#);
    environment.write("repo/a.py", "mine");
    assert_snapshot!(environment.greenroom(&["apply", "last", "--allow-moved"]), @r#"
    [exit 2]
    error: the patch does not fit: `a.py` changed since the run began
      hint: nothing was changed; `greenroom diff` prints the patch, to be applied by hand
    "#);
    assert_eq!(std::fs::read_to_string(environment.root().join("repo/a.py")).expect("the file"), "mine");
}

#[test]
fn without_a_cure_the_run_is_unverified() {
    let Some(environment) = broken_project() else { return };
    environment.write("cure.jsonl", "# nothing\n");
    let finished = environment.greenroom(&with(RUN, &["--json"]));
    assert_eq!((finished.code, &result(&finished)["status"]), (3, &"unverified".into()), "{finished}");
}

#[test]
fn a_check_that_never_ends_does_not_pass() {
    let Some(environment) = broken_project() else { return };
    environment.write("cure.jsonl", "{\"content\":[{\"type\":\"tool_use\",\"name\":\"submit\",\"input\":{}}]}\n");
    let args = [
        "run",
        "--repo",
        "repo",
        "--model",
        "scripted:cure.jsonl",
        "--check",
        "sleep 600",
        "--check-timeout",
        "300ms",
        "--json",
    ];
    let finished = environment.greenroom(&args);
    let last = result(&finished);
    assert_eq!((finished.code, &last["status"]), (3, &"unverified".into()), "{finished}");
    assert_eq!(leftovers(&last["run"]), "");
}

#[test]
fn ctrl_c_parks_the_run_and_removes_its_container() {
    ends_in_order(rustix::process::Signal::INT);
}

#[test]
fn so_does_a_request_to_terminate() {
    ends_in_order(rustix::process::Signal::TERM);
}

#[test]
fn so_does_a_terminal_that_is_closed() {
    ends_in_order(rustix::process::Signal::HUP);
}

fn ends_in_order(signal: rustix::process::Signal) {
    use std::io::{BufRead, BufReader, Read};
    let Some(environment) = broken_project() else { return };
    let args = ["run", "--repo", "repo", "--model", "autofix", "--check", "sleep 600", "--json"];
    let mut child =
        environment.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("greenroom starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("sandbox_started") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("a line"), 0, "it ended before the sandbox started");
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not 0");
    rustix::process::kill_process(pid, signal).expect("the signal is sent");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let last: serde_json::Value = serde_json::from_str(rest.lines().last().expect("a last line")).expect("JSON");
    assert_eq!((&last["status"], &last["exit_code"]), (&"parked".into(), &130.into()));
    assert_eq!(leftovers(&last["run"]), "");
}

#[test]
fn an_image_that_cannot_be_had_is_one_clear_error() {
    let Some(environment) = broken_project() else { return };
    let finished = environment.greenroom(&with(RUN, &["--image", "greenroom.invalid/none:1"]));
    assert_eq!(finished.code, 7, "{finished}");
    assert!(finished.stderr.contains("error: image `greenroom.invalid/none:1` cannot be had\n"), "{finished}");
    assert!(environment.greenroom(&["runs", "--json"]).lines().is_empty(), "no run is left behind");
}
