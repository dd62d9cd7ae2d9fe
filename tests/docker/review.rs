//! `--review checkpoint`: a run that waits for a person at each checkpoint. A terminal of `script` stands in for theirs.

use std::io::Write;
use std::process::{Command, Stdio};

use greenroom::event::{Event, Review};
use serde_json::json;

use super::context::{answers_in, bash, counted};
use super::{CHECK, House, text};
use crate::support::upstream::{Server, Turn};

const WORDS: &str = "leave vendor/ alone";

/// `greenroom ARGS` with a terminal on which these lines are typed: exit code and what the terminal showed.
fn on_a_terminal(house: &House, args: &[&str], typed: &str) -> (Option<i32>, String) {
    let inner = house.environment.command(args);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line = words.map(quoted).collect::<Vec<_>>().join(" ");
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(house.environment.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = terminal.spawn().expect("script of util-linux starts");
    // Open until the end: a closed one is the end of what is typed.
    let mut keyboard = child.stdin.take().expect("it was piped");
    keyboard.write_all(typed.as_bytes()).expect("it is typed");
    let output = child.wait_with_output().expect("it ends");
    drop(keyboard);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_person_steers_at_one_checkpoint_says_no_at_the_next_and_the_run_goes_on_when_it_is_resumed() {
    let Some(house) = House::open() else { return };
    let server = house.block(Server::start(|request, _| {
        let cure = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
        let turn = match answers_in(&request.json()) {
            0 => bash("seq 1 2500"),
            1 => bash("seq 2 2501"),
            2 => Turn::text("").call("edit_file", cure),
            _ => Turn::text("").call("submit", json!({})),
        };
        counted(request, turn.reply())
    }));
    let house = house.with("OPENAI_BASE_URL", &server.url("/v1")).with("OPENAI_API_KEY", "sk-test");
    let repo = house.small_repository();
    let run = ["run", "--repo", text(&repo), "--image", "python", "--check", CHECK, "--model", "openai/x"];
    let more = ["--writer-model", "none", "--checkpoint-at", "4k,7k", "--review", "checkpoint"];
    let (code, shown) = on_a_terminal(&house, &[&run[..], &more].concat(), &format!("\n{WORDS}\nno\n"));
    assert_eq!(code, Some(6), "{shown}");
    assert!(shown.contains("checkpoint 1") && shown.contains("go on?") && shown.contains("Task tree"), "{shown}");
    let reviews = || -> Vec<Review> {
        let review = |event| if let Event::Reviewed { review, .. } = event { Some(review) } else { None };
        house.events("last").into_iter().filter_map(review).collect()
    };
    assert_eq!(reviews(), [Review::Steer { text: WORDS.into() }, Review::Stop]);
    let said: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| {
            String::from_utf8_lossy(&request.body).contains(&format!("The user says, while you work:\\n\\n{WORDS}"))
        })
        .collect();
    assert_eq!(said, [false, true]);
    let refused = house.greenroom(&["resume", "last"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("there is no terminal to ask on"), "{refused}");
    let resumed = house.greenroom(&["resume", "last", "--review", "none", "--json"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert_eq!(reviews().len(), 2);
}
