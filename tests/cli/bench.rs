//! `greenroom bench`: what it says, not how fast this machine is.

#![allow(clippy::print_stderr)]

use crate::support::TestEnvironment;

#[test]
fn parsers_are_measured_over_two_logs() {
    let environment = TestEnvironment::new();
    let finished = environment.greenroom(&["bench", "parsers", "--bytes", "1m", "--json"]);
    assert_eq!(finished.code, 0, "{finished}");
    let last = finished.lines().pop().expect("a last line");
    assert_eq!((&last["type"], &last["bench"], &last["exit_code"]), (&"result".into(), &"parsers".into(), &0.into()));
    for log in ["noisy", "dense"] {
        assert!(last[log]["mb_per_second"].as_f64().is_some_and(|speed| speed > 0.0), "{last}");
        assert!(last[log]["diagnostics"].as_u64().is_some_and(|found| found > 0), "{last}");
    }
}

#[test]
fn loops_are_told_from_work() {
    let environment = TestEnvironment::new();
    let finished = environment.greenroom(&["bench", "loops", "--traces", "64", "--json"]);
    assert_eq!(finished.code, 0, "{finished}");
    let last = finished.lines().pop().expect("a last line");
    assert_eq!(
        (&last["bench"], &last["false_stops"], &last["note"]),
        (&"loops".into(), &0.into(), &"made traces, no model".into())
    );
    let shapes = last["shapes"].as_array().expect("shapes");
    assert!(shapes.len() == 16 && shapes.iter().all(|shape| shape["found"] == shape["traces"]), "{last}");
}

#[test]
fn sandboxes_are_measured_beside_their_alternatives_and_leave_nothing() {
    if std::env::var_os("GREENROOM_DOCKER_TESTS").is_none_or(|value| value != "1") {
        eprintln!("skipped: set GREENROOM_DOCKER_TESTS=1 to run it in real containers");
        return;
    }
    let mut environment = TestEnvironment::new();
    for name in ["DOCKER_HOST", "XDG_RUNTIME_DIR"] {
        if let Ok(value) = std::env::var(name) {
            environment = environment.with(name, &value);
        }
    }
    let args = ["bench", "sandbox", "--quick", "--calls", "10", "--starts", "1", "--flood", "3m", "--sandboxes", "2"];
    let args = [&args[..], &["--files", "200"]].concat();
    let finished = environment.greenroom(&[&args[..], &["--json"]].concat());
    assert_eq!(finished.code, 0, "{finished}");
    let last = finished.lines().pop().expect("a last line");
    assert_eq!((&last["type"], &last["bench"], &last["exit_code"]), (&"result".into(), &"sandbox".into(), &0.into()));
    for way in ["greenroom", "exec_api", "docker_exec", "sh"] {
        assert!(last["true_ms"][way].as_f64().is_some_and(|ms| ms > 0.0), "{way}: {last}");
    }
    assert_eq!(last["calls"]["greenroom"]["n"], 10);
    assert!(last["start_ratio"].is_number() && last["flood"]["runner_rss"].is_number(), "{last}");
    assert_eq!(last["flood"]["bytes"], 3 << 20);
    assert_eq!((&last["parallel"]["up"], &last["parallel"]["leftovers"]), (&2.into(), &0.into()), "{last}");
    assert_eq!((&last["forks"]["count"], &last["forks"]["files"]), (&5.into(), &200.into()), "{last}");
    assert!(last["forks"]["running_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{last}");
    assert!(finished.stderr.contains("sandboxes at once"), "progress goes to stderr: {finished}");
}
