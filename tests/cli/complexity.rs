//! The child in which the grammars read source that nobody vouches for.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn child(variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.arg("__complexity").env_clear().envs(variables.iter().copied());
    for name in ["GREENROOM_PLANT", "GREENROOM_PLANT_LOG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts")
}

/// The soft and the hard limit of a name, as the kernel holds them.
fn limit(child: &Child, name: &str) -> Option<(String, String)> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))?;
    let mut words = line.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

#[test]
fn the_child_that_reads_hostile_source_is_limited() {
    let mut child = child(&[]);
    let began = Instant::now();
    // The last of them; it waits for its question then.
    while limit(&child, "Max open files").is_none_or(|(_, hard)| hard != "3") {
        assert!(began.elapsed() < Duration::from_secs(30), "it sets its limits first");
        std::thread::yield_now();
    }
    let both = |value: &str| Some((value.to_owned(), value.to_owned()));
    for (name, value) in [
        ("Max cpu time", "5"),
        ("Max address space", "1073741824"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
    ] {
        assert_eq!(limit(&child, name), both(value), "{name}");
    }
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "nothing is no question");
}

#[test]
fn the_child_answers_only_where_it_can_see_no_variable() {
    let question = br#"{"language": "python", "before": null, "after": "def f(x):\n    return x\n"}"#;
    let ask = |variables: &[(&str, &str)]| {
        let mut child = child(variables);
        child.stdin.take().expect("piped").write_all(question).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).contains("\"cyclomatic\":1"))
    };
    assert_eq!(ask(&[]), (Some(0), true));
    assert_eq!(ask(&[("SOME_API_KEY", "secret")]), (Some(1), false));
}
