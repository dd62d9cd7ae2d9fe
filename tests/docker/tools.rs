//! What a model does wrong comes back to it as something it can act on, and the run goes on.
//!
//! Each of these faults of a model, and a test that it does no harm:
//!
//! | fault | test |
//! |---|---|
//! | arguments that are no JSON | here, and `tools::tests::malformed_arguments_name_the_tool_and_the_field`, `what_is_refused_is_said_in_few_words` |
//! | a tool that is none | here, and `tools::tests::an_unknown_tool_is_answered_with_the_real_ones` |
//! | a path that is none | here: nothing is created |
//! | the same call again, A-B-A-B | `agent::progress::tests`, `bench::loops::tests`, `context::tests::a_run_that_stands_still_…` |
//! | done too early | `honesty::submitting_a_red_tree_unchanged_is_not`, `state_tests::submitting_in_vain_…`, `endurance` |
//! | refusals, empty answers, nothing but reasoning | `state_tests::a_model_that_refuses_or_says_nothing_…_parks_…` |
//! | a huge argument | here, `context::budget::tests::a_huge_argument_…`, `tests/model.rs: an_answer_beyond_its_limit_…` |
//! | an edit that fits nowhere or twice | here, and `tools::edit_file::tests` |
//! | several calls at once | here: in their order, each in the journal |
//! | the workspace is deleted | `tests/snapshots.rs: every_step_restores_exactly_…` |
//! | tests are edited until they pass | `judgement::no_cheat_is_verified_…` |
//! | a refuted guess again | `notebook::tests::a_refuted_hypothesis_…`, `context::…_in_the_last_ones_though_the_writer_lies` |
//! | output that looks right and is not | `honesty::exit_code_0_with_a_failing_report_is_not`, `…::a_process_that_answers_for_the_program_is_not` |

use greenroom::event::Event;
use greenroom::task::Outcome;
use serde_json::json;

use super::House;

#[test]
fn mistakes_are_answered_and_the_run_goes_on_to_verified() {
    let Some(house) = House::open() else { return };
    let model = house.script(&[
        &[
            ("bash", json!({"cmd": "ls"})),
            ("bash", json!("{\"command\": ")),
            ("rm", json!({"path": "calc.py"})),
            ("read_file", json!({"path": "absent.py"})),
            ("read_file", json!({"path": "."})),
            ("edit_file", json!({"path": "check.py", "old_string": "add", "new_string": "sub"})),
            ("edit_file", json!({"path": "calc.py", "old_string": "a * b", "new_string": "a + b"})),
            ("list_files", json!({"path": "absent"})),
            ("search", json!({"pattern": "(unclosed"})),
            ("edit_file", json!({"path": "src/nowhere.py", "old_string": "a", "new_string": "b"})),
            ("write_file", json!({"path": "huge.txt", "content": "x".repeat(5 << 20)})),
        ],
        &[("bash", json!({"command": "exit 3"}))],
        &[
            ("edit_file", json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"})),
            ("submit", json!({"summary": "It adds now."})),
            ("bash", json!({"command": "echo > calc.py"})),
        ],
    ]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["summary"], "It adds now.");
    assert_eq!(run.result["files_changed"], json!(["calc.py"]));

    let answers = house.answers();
    let told: Vec<&str> =
        answers.iter().filter(|answer| answer.is_error).map(|answer| answer.content.as_str()).collect();
    let words = [
        "unknown field `cmd`",
        "not JSON",
        "no tool `rm`",
        "absent.py",
        "",
        "3 times",
        "does not occur",
        "absent",
        "(",
        "nowhere.py",
        "more than 4194304",
    ];
    assert_eq!(told.len(), words.len(), "{told:#?}");
    for (told, word) in told.iter().zip(words) {
        assert!(told.contains(word), "{told} lacks {word}");
    }
    let failing = &answers[words.len()];
    assert!(!failing.is_error, "a command that fails is data: {failing:?}");
    assert_eq!(failing.outcome, Some(Outcome::Exited { code: 3 }));
    assert_eq!(answers.len(), words.len() + 3, "what comes after submit is not carried out");
}

#[test]
fn a_timeout_leaves_nothing_running_while_the_sandbox_lives_on() {
    let Some(house) = House::open() else { return };
    let stubborn = "setsid sleep 300 & (trap '' TERM; sleep 300) & sleep 300";
    let who = "for p in /proc/[0-9]*; do cat $p/comm; done 2>/dev/null | sort | uniq -c; echo looked";
    let control = "sleep 300 & for p in /proc/[0-9]*; do cat $p/comm; done 2>/dev/null; kill $!";
    let model = house.script(&[
        &[("bash", json!({"command": control}))],
        &[("bash", json!({"command": stubborn, "timeout_s": 1}))],
        &[("bash", json!({"command": who}))],
    ]);
    house.run_small(&model, &[]);
    let answers = house.answers();
    assert!(answers[0].content.contains("sleep"), "the same look sees one that runs: {}", answers[0].content);
    assert_eq!(answers[1].outcome, Some(Outcome::TimedOut));
    assert!(answers[2].content.contains("looked") && !answers[2].content.contains("sleep"), "{}", answers[2].content);
}

#[test]
fn a_job_goes_on_between_calls_until_it_is_stopped() {
    let Some(house) = House::open() else { return };
    let server = "cd /; echo up in $PLACE; until [ -e /tmp/go ]; do sleep 0.05; done; touch /tmp/seen; sleep 300";
    let model = house.script(&[
        &[("bash", json!({"command": "export PLACE=here"}))],
        &[("job", json!({"action": "start", "name": "web", "command": server}))],
        &[("bash", json!({"command": "sleep 300 & touch /tmp/go; until [ -e /tmp/seen ]; do sleep 0.05; done"}))],
        &[("job", json!({"action": "output", "name": "web", "since": 3}))],
        &[("job", json!({"action": "start", "name": "web", "command": "true"}))],
        &[("job", json!({"action": "start", "name": "typo", "command": "no-such-program"}))],
        &[("job", json!({"action": "stop", "name": "web"})), ("job", json!({"action": "list"}))],
        &[("job", json!({"action": "output", "name": "none"})), ("job", json!({"action": "stop"}))],
    ]);
    house.run_small(&model, &[]);
    let answers = house.answers();
    let told = |n: usize, words: &str| assert!(answers[n].content.contains(words), "{words}: {:?}", answers[n]);
    told(1, "job `web` is running");
    told(2, "1 processes it left behind were killed");
    told(3, "here are 3 to 11:\nin here\n");
    told(4, "a job `web` runs already");
    told(5, "`typo` has ended: exit code 127");
    told(5, "no-such-program");
    told(6, "`web` was stopped");
    told(7, "`typo` has ended");
    told(8, "there is no job `none`");
    told(9, "needs the `name`");
    let refused: Vec<usize> = (0..answers.len()).filter(|&n| answers[n].is_error).collect();
    assert_eq!(refused, [4, 8, 9]);
}

#[test]
fn a_run_without_end_stops_at_its_limit_of_steps() {
    let Some(house) = House::open() else { return };
    let idle: &[_] = &[("bash", json!({"command": "true"}))];
    let model = house.script(&[idle; 6]);
    let run = house.run_small(&model, &["--steps", "3"]);
    assert_eq!(run.ended(), ("limit", 4), "{}", run.finished);
    let calls = house.events("last").iter().filter(|event| matches!(event, Event::ToolCallStarted { .. })).count();
    assert_eq!(calls, 3);
}
