//! Rules that hold for every command: streams, colour, closed pipes, GitHub's runner.

use std::io::Read;
use std::process::Stdio;

use super::record_a_run;
use crate::support::TestEnvironment;

#[test]
fn colour_is_off_where_nobody_watches_and_on_where_it_is_forced() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    assert!(!environment.greenroom(&["runs"]).stdout.contains('\x1b'));
    let environment = environment.with("FORCE_COLOR", "1");
    assert!(environment.greenroom(&["runs"]).stdout.contains("\x1b[32mverified"));
    let environment = environment.with("NO_COLOR", "1");
    assert!(!environment.greenroom(&["runs"]).stdout.contains('\x1b'));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let environment = TestEnvironment::new();
    let request = serde_json::json!({"id": 1, "output": "x\n"}).to_string() + "\n";
    environment.write("many.jsonl", &request.repeat(20_000));
    let mut command = environment.command(&["parse", "--jsonl", "many.jsonl"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("greenroom starts");
    drop(child.stdout.take());
    let mut complaint = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut complaint).expect("text");
    assert_eq!((child.wait().expect("it ends").code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn under_github_actions_untrusted_text_commands_nothing() {
    let environment = TestEnvironment::new().with("GITHUB_ACTIONS", "true");
    record_a_run(&environment);
    environment.write("log.txt", "E   ::set-output name=x::y\n");
    let finished = environment.greenroom(&["show", "last"]);
    let first = finished.stdout.lines().next().expect("a first line");
    let token = first.strip_prefix("::stop-commands::").expect("commands are stopped before anything else");
    assert!(token.len() > 26, "{token}");
    assert_eq!(finished.stderr, format!("::{token}::\n"));
    let again = environment.greenroom(&["show", "last"]);
    assert!(!again.stdout.contains(token), "the mark cannot be guessed");
}

#[test]
fn json_lines_hold_no_mark_of_the_runner() {
    let environment = TestEnvironment::new().with("GITHUB_ACTIONS", "true");
    let input = serde_json::json!({"id": "##[add-mask]x", "output": ""}).to_string();
    let finished = environment.greenroom_reading(&["parse", "--jsonl", "-"], input.as_bytes());
    assert!(!finished.stdout.contains("##["), "{finished}");
    assert_eq!(finished.lines()[0]["id"], "##[add-mask]x");
}

#[test]
fn under_github_actions_findings_stand_at_their_lines_and_in_the_steps_summary() {
    let log = "lib/a.py:3: error: 100% wrong::set-output name=x::y  [arg-type]\n\
               lib/a.py:9: error: also wrong  [misc]\nFound 2 errors in 1 file (checked 1 source file)\n";
    let here = TestEnvironment::new();
    let plain = here.greenroom_reading(&["parse", "-"], log.as_bytes());
    assert!(!plain.stderr.contains("::error"), "only where a runner reads along: {plain}");

    let environment = TestEnvironment::new();
    let (root, summary) = (environment.root().to_owned(), environment.root().join("summary.md"));
    let environment = environment
        .with("GITHUB_ACTIONS", "true")
        .with("GITHUB_WORKSPACE", root.parent().and_then(std::path::Path::to_str).expect("a folder"))
        .with("GITHUB_STEP_SUMMARY", summary.to_str().expect("a plain name"));
    let finished = environment.greenroom_reading(&["parse", "-"], log.as_bytes());
    let token = finished.stdout.lines().next().and_then(|line| line.strip_prefix("::stop-commands::"));
    let resumed = format!("::{}::", token.expect("commands are stopped first"));
    let folder = root.file_name().and_then(std::ffi::OsStr::to_str).expect("a name");
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{finished}");
    assert_eq!(lines[0], resumed, "heard only after the last of the untrusted text");
    assert!(lines[1].starts_with(&format!("::error file={folder}/lib/a.py,line=3,title=mypy")), "{finished}");
    assert!(lines[1].contains("::100%25 wrong::set-output name=x::y"), "{finished}");
    let written = std::fs::read_to_string(&summary).expect("the summary");
    assert!(written.starts_with("### Greenroom\n\n```text\n") && written.contains("lib/a.py:3"), "{written}");
}
