//! Best of several proposals, by execution: each idea is carried out in a fork of its own and checked there.

use greenroom::event::{Candidate, Event};
use serde_json::{Value, json};

use super::House;

/// Long beside what forks cost on a busy machine.
const SLEEPING: &str = "sleep 5; python3 check.py";

fn idea(words: &str, by: &str) -> String {
    let call = json!({"type": "tool_use", "name": "edit_file",
        "input": {"path": "calc.py", "old_string": "a - b", "new_string": by}});
    json!({"content": [{"type": "text", "text": words}, call]}).to_string()
}

fn submit() -> String {
    json!({"content": [{"type": "tool_use", "name": "submit", "input": {}}]}).to_string()
}

/// What `CandidatesRan` says: the proposals, which one won, and how long all of it took.
fn ran(house: &House) -> Option<(Vec<Candidate>, u32, u64)> {
    house.events("last").into_iter().find_map(|event| match event {
        Event::CandidatesRan { candidates, winner, elapsed_ms, .. } => Some((candidates, winner, elapsed_ms)),
        _ => None,
    })
}

fn play(house: &House, lines: &[String], more: &[&str]) -> super::Run {
    let model = format!("scripted:{}", house.environment.write("ideas.jsonl", &lines.join("\n")).display());
    let args = [&["--check", SLEEPING, "--baseline-runs", "1", "--verification", "plain"], more].concat();
    house.run_small(&model, &args)
}

#[test]
fn of_five_ideas_the_one_that_works_goes_on_and_all_cost_less_than_two() {
    let Some(house) = House::open() else { return };
    let ideas = ["b - a", "a * b", "a + b", "abs(a - b)", "-(a - b)"];
    let lines: Vec<String> = ideas.iter().map(|by| idea(&format!("return {by}"), by)).chain([submit()]).collect();
    let five = play(&house, &lines, &["--candidates", "5", "--when", "always"]);
    assert_eq!(five.ended(), ("verified", 0), "{}", five.finished);
    let (candidates, winner, five_ms) = ran(&house).expect("five were tried");
    assert_eq!((candidates.len(), winner), (5, 2), "{candidates:?}");
    assert_eq!(candidates.iter().filter(|candidate| candidate.passed == 1).count(), 1, "{candidates:?}");
    let diff = house.environment.greenroom(&["diff", "last"]);
    assert!(diff.stdout.contains("+    return a + b"), "{diff}");
    let steps: Vec<Value> = house.answers().iter().map(|answer| json!(answer.checks.is_some())).collect();
    assert_eq!(steps, [false, true, false], "the winner's edit, its checks, and `submit`");

    let check = json!({"content": [{"type": "tool_use", "name": "run_checks", "input": {}}]}).to_string();
    let one = play(&house, &[idea("return a + b", "a + b"), check, submit()], &[]);
    assert_eq!(one.ended(), ("verified", 0), "{}", one.finished);
    assert!(ran(&house).is_none(), "one at a time where nothing else was asked for");
    let one_ms: u64 = house
        .events("last")
        .iter()
        .filter_map(|event| match event {
            Event::ToolCallFinished { elapsed_ms, .. } => Some(*elapsed_ms),
            _ => None,
        })
        .sum();
    assert!(five_ms <= 2 * one_ms, "five took {five_ms} ms, one {one_ms} ms");
}

#[test]
fn where_nothing_works_the_run_goes_on_from_the_best_and_says_what_failed() {
    let Some(house) = House::open() else { return };
    let lines = [idea("swap", "b - a"), idea("multiply", "a * b"), submit()];
    let run = play(&house, &lines, &["--candidates", "2", "--when", "always", "--steps", "3"]);
    assert_ne!(run.result["status"], "verified", "{}", run.finished);
    let (candidates, _, _) = ran(&house).expect("two were tried");
    assert!(candidates.iter().all(|candidate| candidate.passed == 0), "{candidates:?}");
    let shown = house.environment.greenroom(&["show", "last"]);
    assert!(shown.stdout.contains("2 proposals") && shown.stdout.contains("multiply"), "{shown}");
}

/// Both are right and of one size, so that only a judge can prefer the second.
#[test]
fn between_equals_a_judge_decides_and_without_one_the_first_goes_on() {
    let Some(house) = House::open() else { return };
    let lines = [idea("as it is said", "a + b"), idea("the other way round", "b + a"), submit()];
    let words = json!({"number": 2, "why": "it reads better"}).to_string();
    let answer = json!({"content": [{"type": "text", "text": words}]}).to_string();
    let judge = format!("scripted:{}", house.environment.write("judge.jsonl", &answer).display());
    let quick = ["--candidates", "2", "--when", "always", "--check", "python3 check.py"];
    let run = |more: &[&str]| {
        let model = format!("scripted:{}", house.environment.write("ideas.jsonl", &lines.join("\n")).display());
        let run = house.run_small(&model, &[&quick[..], &["--baseline-runs", "1"], more].concat());
        let (candidates, winner, _) = ran(&house).expect("two were tried");
        assert!(candidates.iter().all(|candidate| candidate.passed == 1), "{candidates:?}: {}", run.finished);
        assert!(candidates.iter().all(|candidate| candidate.score.is_some()), "{candidates:?}");
        winner
    };
    assert_eq!(run(&[]), 0);
    assert_eq!(run(&["--judge-model", &judge]), 1);
}

#[test]
fn killed_among_the_proposals_the_run_asks_again_and_leaves_nothing() {
    let Some(house) = House::open() else { return };
    for point in ["candidate_tried:2", "candidates_ranked"] {
        let lines = [idea("swap", "b - a"), idea("add", "a + b"), submit()];
        let model = format!("scripted:{}", house.environment.write("ideas.jsonl", &lines.join("\n")).display());
        let repo = house.small_repository();
        let log = house.environment.root().join(format!("fired-{}", point.replace(':', "-")));
        let args =
            ["run", "--repo", super::text(&repo), "--image", "python", "--model", &model, "--check", super::CHECK];
        let mut command = house.environment.command(&[&args[..], &["--candidates", "2", "--when", "always"]].concat());
        let died = command.env("GREENROOM_FAILPOINT", point).env("GREENROOM_FAILPOINT_LOG", &log).output();
        assert_eq!(died.expect("it starts").status.code(), None, "{point}");
        assert!(log.exists(), "{point} did not fire");
        let resumed = house.environment.greenroom(&["resume", "last", "--json"]);
        let result = resumed.lines().pop().expect("a result");
        assert_eq!(result["status"], "verified", "{point}: {resumed}");
        let (_, winner, _) = ran(&house).expect("two were tried in the end");
        assert_eq!(winner, 1, "{point}");
        super::wait_for("the forks of the dead runner", 120, || house.containers().is_empty().then_some(()));
    }
}
