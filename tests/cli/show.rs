use insta::assert_snapshot;

use super::{RUN, record_a_run};
use crate::support::TestEnvironment;

#[test]
fn a_run_is_told_step_by_step_and_cannot_act_on_the_terminal() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    assert_snapshot!(environment.greenroom(&["show", "last"]), @r#"
    mend it
    in /projects/a by scripted:cure.jsonl
    sandbox from python, 1 files (1 KiB) copied in
    baseline
        ✗ `python3 a.py` exit code 1: failed
    turn 1 The import is missing.\x1b[2J
    step 1 edit_file a.py
    captured 1 file changed
    verification in a clean container
        ✓ `python3 a.py` exit code 0: passed

    verified: 1 of 1 checks pass in a clean container
      run      01k0000000000000000000test
      check    `python3 a.py` failed → passed
      changed  a.py +2 -1
      why      Imported os.
      spent    1 step, 1 turn, 0 tokens, $0.0100, 1.2 s
      head     <hash>
      next     greenroom show 01k0000000000000000000test
               greenroom diff 01k0000000000000000000test
               greenroom apply 01k0000000000000000000test
    [exit 0]
    "#);
}

#[test]
fn json_begins_with_init_and_ends_with_result() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let lines = environment.greenroom(&["show", "--json", RUN]).lines();
    assert_eq!(lines[0]["type"], "init");
    assert_eq!(lines[0]["checks"], serde_json::json!(["python3 a.py"]));
    let mut result = lines.last().expect("a last line").clone();
    let (patch, head) = (result["patch"].take(), result["head"].take());
    assert_eq!(head.as_str().map(str::len), Some(64));
    assert_eq!(patch.as_str().map(str::len), Some(64));
    assert_snapshot!(serde_json::to_string_pretty(&result).expect("JSON"), @r#"
    {
      "cache_read_tokens": 0,
      "cache_write_tokens": 0,
      "checks": [
        {
          "baseline": "failed",
          "command": "python3 a.py",
          "final": "passed",
          "red_runs": 0,
          "runs": 0
        }
      ],
      "cost_usd": 0.01,
      "exit_code": 0,
      "files_changed": [
        "a.py"
      ],
      "findings": [],
      "head": null,
      "image": "python",
      "input_tokens": 0,
      "model": "scripted:cure.jsonl",
      "output_tokens": 0,
      "patch": null,
      "reason": "1 of 1 checks pass in a clean container",
      "rebuilds": 0,
      "repo": "/projects/a",
      "run": "01k0000000000000000000test",
      "score": null,
      "status": "verified",
      "steps": 1,
      "summary": "Imported os.",
      "tokens": 0,
      "turns": 1,
      "type": "result",
      "wall_ms": 1234,
      "weaker": [],
      "writer_tokens": 0
    }
    "#);
}

#[test]
fn a_run_that_is_not_there_is_named() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["show", "01kx"]), @r#"
    [exit 2]
    error: no run `01kx`
      hint: `greenroom runs` lists them
    "#);
}
