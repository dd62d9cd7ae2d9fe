use serde_json::json;

use super::*;

fn call(name: &str, input: serde_json::Value) -> ToolUse {
    ToolUse { id: String::new(), name: name.into(), input }
}

fn bash(command: &str) -> ToolUse {
    call("bash", json!({"command": command}))
}

fn edit(old: &str, new: &str) -> ToolUse {
    call("edit_file", json!({"path": "a.py", "old_string": old, "new_string": new}))
}

fn step<'a>(call: &'a ToolUse, result: &'a str) -> Observed<'a> {
    let wrote_by_name = call.name == "edit_file";
    Observed { call, result, wrote_by_name, wrote: wrote_by_name, failures: None, refuted_again: false }
}

/// Call and result in order; what followed each.
fn story(steps: &[(ToolUse, &str)]) -> Vec<Standing> {
    let mut progress = Progress::default();
    steps.iter().map(|(call, result)| progress.observe(step(call, result))).collect()
}

fn told(standings: &[Standing]) -> Option<usize> {
    standings.iter().position(|standing| *standing != Standing::Moving)
}

fn times(standings: &[Standing]) -> Vec<usize> {
    standings.iter().enumerate().filter(|(_, s)| matches!(s, Standing::Tell(_))).map(|(n, _)| n).collect()
}

#[test]
fn the_same_call_with_the_same_answer_is_told_then_rebuilt_then_ends() {
    let standings = story(&vec![(bash("cat a.py"), "print(1)"); 12]);
    assert_eq!(told(&standings), Some(TELL_STEPS as usize));
    assert!(matches!(&standings[3], Standing::Tell(words) if words.contains("(`bash cat a.py`)")));
    assert!(matches!(standings[FRESH_STEPS as usize], Standing::Fresh(_)));
    assert!(matches!(standings[STOP_STEPS as usize], Standing::Stop(_)));
}

#[test]
fn a_call_that_writes_each_time_is_told_again_and_again_and_given_time() {
    let mut progress = Progress::default();
    let call = bash("./migrate --next");
    let observe = |_| progress.observe(Observed { wrote: true, ..step(&call, "done") });
    let standings: Vec<_> = (0..31).map(observe).collect();
    assert_eq!(times(&standings), [3, 8, 13, 23, 28]);
    assert!(!standings[..18].iter().any(|standing| matches!(standing, Standing::Fresh(_) | Standing::Stop(_))));
    assert!(matches!(standings[30], Standing::Stop(_)));
}

#[test]
fn whoever_waits_is_given_time_too() {
    let standings = story(&vec![(bash("sleep 30; tail -n 1 build.log"), "compiling"); 31]);
    assert_eq!(standings.iter().position(|standing| matches!(standing, Standing::Fresh(_))), Some(18));
    assert!(matches!(standings[30], Standing::Stop(_)));
}

const FILE: &str = "a line of the file that is long enough to be told apart from any other answer there may be\n";

#[test]
fn other_words_for_the_same_answer_are_the_same() {
    let words = ["cat a.py", "sed -n 1,200p a.py", "head -n 200 a.py", "cat  ./a.py"];
    assert_eq!(told(&story(&words.map(|command| (bash(command), FILE)))), Some(3));
}

#[test]
fn the_same_words_about_other_files_are_not() {
    let headers: Vec<_> = (0..20).map(|n| (bash(&format!("head -n 1 src/m{n}.py")), FILE)).collect();
    assert_eq!(told(&story(&headers)), None);
    // Once they are known, asking again shows nothing.
    assert_eq!(told(&story(&[&headers[..5], &headers[..5]].concat())), Some(7));
}

#[test]
fn edit_and_undo_leads_along_ways_already_gone() {
    let by_name: Vec<_> =
        (0..8).map(|n| (if n % 2 == 0 { edit("a", "b") } else { edit("b", "a") }, "edited")).collect();
    assert_eq!(told(&story(&by_name)), Some(4));
    let by_command: Vec<_> =
        (0..8).map(|n| (bash(if n % 2 == 0 { "sed -i s/a/b/ x" } else { "git checkout x" }), "")).collect();
    assert_eq!(told(&story(&by_command)), Some(4));
    let mixed: Vec<_> =
        (0..10).map(|n| (if n % 2 == 0 { edit("a", "b") } else { bash("git checkout a.py") }, "done")).collect();
    assert!(told(&story(&mixed)).is_some_and(|step| step <= 7));
}

#[test]
fn small_steps_with_the_same_red_answer_are_progress() {
    let steps: Vec<_> = (0..20)
        .flat_map(|n| {
            [(edit(&n.to_string(), &(n + 1).to_string()), "edited"), (bash("pytest -q"), "1 failed in 0.02s")]
        })
        .collect();
    assert_eq!(told(&story(&steps)), None);
}

#[test]
fn times_addresses_and_temporary_names_are_no_news() {
    let texts: Vec<String> =
        (0..6).map(|n| format!("{n} ms, object at 0x7f{n}, /tmp/tmp{n}/x, 12:00:0{n}: failed")).collect();
    let steps: Vec<_> = texts.iter().map(|text| (bash("pytest -q"), text.as_str())).collect();
    assert_eq!(told(&story(&steps)), Some(3));
}

#[test]
fn a_round_of_calls_with_noise_in_their_answers_is_told() {
    let texts: Vec<String> = (0..40).map(|n| format!("request {n} failed")).collect();
    let steps: Vec<_> =
        texts.iter().enumerate().map(|(n, text)| (bash(&format!("curl /{}", n % 4)), text.as_str())).collect();
    assert_eq!(told(&story(&steps)), Some(8));
}

#[test]
fn planning_again_in_other_words_shows_nothing() {
    let plan = |n: usize| call("plan", json!({"items": [{"text": format!("try way {n}"), "status": "open"}]}));
    let steps: Vec<_> = (0..12).map(|n| (plan(n), "kept; 1 of 1 to do")).collect();
    assert_eq!(told(&story(&steps)), Some(5));
    // A plan now and then is work.
    let steps: Vec<_> =
        (0..30).map(|n| (if n % 3 == 0 { plan(n) } else { bash(&format!("./try {n}")) }, "kept")).collect();
    assert_eq!(told(&story(&steps)), None);
}

#[test]
fn reading_again_after_a_rebuild_is_no_repetition() {
    let mut progress = Progress::default();
    let files: Vec<ToolUse> = (0..9).map(|n| bash(&format!("cat {n}"))).collect();
    for _ in 0..3 {
        for (n, call) in files.iter().enumerate() {
            assert_eq!(progress.observe(step(call, &format!("content {n}"))), Standing::Moving);
        }
        progress.window_rebuilt();
    }
}

#[test]
fn the_same_failures_after_many_edits_are_told_once_in_a_while() {
    let mut progress = Progress::default();
    let check = call("run_checks", json!({}));
    let standings: Vec<_> = (0..10)
        .map(|n| {
            progress.observe(step(&edit(&n.to_string(), "x"), "edited"));
            progress.observe(Observed { failures: Some(7), ..step(&check, "1 failed") })
        })
        .collect();
    assert_eq!(times(&standings), [4, 9]);
}

#[test]
fn a_guess_that_is_refuted_again_is_told() {
    let mut progress = Progress::default();
    let refutes = call("hypothesis", json!({"statement": "the cache", "verdict": "refuted"}));
    let standing = progress.observe(Observed { refuted_again: true, ..step(&refutes, "noted") });
    assert!(matches!(standing, Standing::Tell(_)), "{standing:?}");
}
