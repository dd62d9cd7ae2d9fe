//! What cannot be worked on is told in one clear line, with a hint and the right exit code, and leaves nothing.

use serde_json::json;

use super::{CHECK, House};
use crate::support::Finished;

/// One `error:` line that names the object, a hint, and nothing on disk or engine.
fn assert_refused(house: &House, finished: &Finished, code: i32, object: &str) {
    assert_eq!(finished.code, code, "{finished}");
    let errors: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{finished}");
    assert!(errors[0].contains(object), "{} does not name {object}", errors[0]);
    assert!(finished.stderr.contains("\n  hint: "), "{finished}");
    assert!(!finished.stderr.contains("panicked"), "{finished}");
    assert_eq!(finished.stdout, "", "{finished}");
    house.assert_nothing_left();
    let runs = greenroom::store::list_runs(&house.environment.state()).expect("the state folder");
    assert!(runs.is_empty(), "{runs:?} was left");
}

fn refused(args: &[&str], code: i32, object: &str) {
    let Some(house) = House::open() else { return };
    house.small_repository();
    house.environment.write("notes/read.me", "No program here.");
    std::fs::create_dir(house.environment.root().join("empty")).expect("a folder");
    let finished = house.greenroom(&[&["run"], args].concat());
    assert_refused(&house, &finished, code, object);
    let finished = house.greenroom(&[&["run", "--json"], args].concat());
    let result = finished.lines().pop().expect("a result line");
    assert_eq!((&result["type"], &result["exit_code"]), (&json!("result"), &json!(code)), "{finished}");
    assert!(result["error"]["what"].as_str().is_some_and(|what| what.contains(object)), "{finished}");
    assert!(result["error"]["hints"][0].is_string(), "{finished}");
}

#[test]
fn a_missing_repository() {
    refused(&["--repo", "absent"], 2, "absent");
}

#[test]
fn a_repository_that_is_a_file() {
    refused(&["--repo", "repo/calc.py"], 2, "calc.py");
}

#[test]
fn a_task_on_an_empty_folder() {
    refused(&["--repo", "empty", "--task", "write a compiler"], 2, "empty");
}

#[test]
fn a_repository_without_manifest_image_and_check() {
    refused(&["--repo", "notes"], 2, "notes");
}

#[test]
fn a_repository_without_any_check() {
    refused(&["--repo", "notes", "--image", "python"], 2, "no check");
}

#[test]
fn a_model_nobody_serves() {
    refused(&["--repo", "repo", "--image", "python", "--check", CHECK, "--model", "nobody/model"], 2, "nobody");
}

#[test]
fn a_script_that_is_not_there() {
    refused(
        &["--repo", "repo", "--image", "python", "--check", CHECK, "--model", "scripted:absent.jsonl"],
        2,
        "absent",
    );
}

#[test]
fn an_image_that_cannot_be_had() {
    // Nothing listens there, so nothing is asked of any network.
    let image = "127.0.0.1:1/absent:1";
    refused(&["--repo", "repo", "--image", image, "--check", CHECK, "--model", "autofix"], 7, image);
}

#[test]
fn an_included_path_that_is_not_there() {
    refused(&["--repo", "repo", "--image", "python", "--check", CHECK, "--include", "absent.txt"], 2, "absent.txt");
}

#[test]
fn an_engine_that_is_stopped() {
    let Some(house) = House::open() else { return };
    let house = house.with("DOCKER_HOST", "unix:///nonexistent.sock");
    house.small_repository();
    for command in [&["run", "--check", CHECK, "--model", "autofix"][..], &["exec"]] {
        let mut args = command.to_vec();
        args.extend(["--repo", "repo", "--image", "python"]);
        if command == ["exec"] {
            args.extend(["--", "true"]);
        }
        assert_refused(&house, &house.greenroom(&args), 7, "engine");
    }
}

#[test]
fn a_check_that_never_ends_does_not_pass() {
    let Some(house) = House::open() else { return };
    let run = house.run_small("autofix", &["--check", "sleep 1000", "--check-timeout", "1s"]);
    assert_eq!(run.ended(), ("unverified", 3), "{}", run.finished);
    assert!(run.result["wall_ms"].as_u64() < Some(60_000), "{}", run.finished);
}
