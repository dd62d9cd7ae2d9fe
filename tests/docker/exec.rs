//! `exec`: one command of a repository nobody trusts, and how it ended.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{House, text};
use crate::support::Finished;

fn result(finished: &Finished) -> Value {
    finished.lines().pop().unwrap_or_else(|| panic!("no result line: {finished}"))
}

#[test]
fn a_traceback_is_reported_with_its_type_file_and_line() {
    let Some(house) = House::open() else { return };
    let repo = house.fixture("csv_pipeline");
    let finished = house.greenroom(&["exec", "--json", "--repo", text(&repo), "--", "python3", "-c", "import nope"]);
    assert_eq!(finished.code, 3, "{finished}");
    let result = result(&finished);
    assert_eq!(result["outcome"], serde_json::json!({"kind": "exited", "code": 1}), "{finished}");
    let trace = &result["report"]["traces"][0];
    assert_eq!((&trace["language"], &trace["exception"]), (&"python".into(), &"ModuleNotFoundError".into()));
    assert_eq!((&trace["frames"][0]["file"], &trace["frames"][0]["line"]), (&"<string>".into(), &1.into()), "{trace}");
}

#[test]
fn the_commands_own_output_and_success_come_through() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let command = ["sh", "-c", "echo out; echo err >&2; id -u"];
    let args = ["exec", "--repo", text(&repo), "--image", "python", "--"];
    let finished = house.greenroom(&[&args[..], &command[..]].concat());
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "out\n1000\n"), "{finished}");
    assert!(finished.stderr.contains("err\n"), "{finished}");
}

#[test]
fn a_timeout_ends_the_whole_tree_at_once() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let stubborn = "setsid sleep 300 & (trap '' TERM; sleep 300) & sleep 300";
    let args = ["exec", "--json", "--repo", text(&repo), "--image", "python", "--timeout", "2s", "--"];
    let timed = |command: &str| {
        let began = Instant::now();
        let finished = house.environment.greenroom(&[&args[..], &["sh", "-c", command]].concat());
        (finished, began.elapsed())
    };
    let (_, of_a_sandbox) = timed("true");
    let (finished, took) = timed(stubborn);
    house.assert_nothing_left();
    assert_eq!(finished.code, 4, "{finished}");
    let result = result(&finished);
    assert_eq!(result["outcome"]["kind"], "timed_out", "{finished}");
    // 2 s of time, 1 s between TERM and KILL; the rest is for a machine that does other things too.
    let alone = took.saturating_sub(of_a_sandbox);
    assert!(alone < Duration::from_secs(15), "{took:?}, of which a sandbox takes {of_a_sandbox:?}");
}

#[test]
fn a_memory_bomb_is_out_of_memory_not_an_exit_code() {
    let Some(house) = House::open() else { return };
    house.environment.write("greenroom/config.toml", "[sandbox]\nmemory = \"128m\"\n");
    let repo = house.small_repository();
    let args = ["exec", "--json", "--repo", text(&repo), "--image", "python", "--"];
    let finished = house.greenroom(&[&args[..], &["python3", "-c", "x = bytearray(1 << 30)"]].concat());
    assert_eq!(finished.code, 4, "{finished}");
    assert_eq!(result(&finished)["outcome"]["kind"], "out_of_memory", "{finished}");
}

#[test]
fn a_command_killed_by_its_own_signal_is_not_taken_for_a_limit() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let args = ["exec", "--json", "--repo", text(&repo), "--image", "python", "--"];
    for (command, outcome) in
        [("exit 137", r#"{"code":137,"kind":"exited"}"#), ("kill -9 $$", r#"{"kind":"signalled","signal":9}"#)]
    {
        let finished = house.greenroom(&[&args[..], &["sh", "-c", command]].concat());
        assert_eq!(finished.code, 3, "{finished}");
        assert_eq!(result(&finished)["outcome"].to_string(), outcome, "{finished}");
    }
}

#[test]
fn a_terminal_is_there_when_it_is_asked_for_and_nobody_types_on_it() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let look = "test -t 0 && test -t 1 && test -t 2 && stty size && echo here >/dev/tty && test -w \"$(tty)\" && \
                read line; echo \"read $?\"; echo apart >&2";
    let exec = |more: &[&str]| {
        let args = [&["exec", "--json", "--repo", text(&repo), "--image", "python"], more, &["--", "sh", "-c", look]];
        house.greenroom(&args.concat()).lines().pop().expect("a result")
    };
    let with = exec(&["--tty"]);
    assert_eq!(with["stdout"]["head"], "24 120\nhere\nread 1\napart\n", "{with}");
    let without = exec(&[]);
    assert_eq!(without["stdout"]["head"], "read 1\n", "{without}");
}
