use insta::assert_snapshot;

use crate::support::TestEnvironment;

const RUSTC: &str = "error[E0425]: cannot find value `x` in this scope\n --> src/main.rs:2:20\n  |\n2 |     println!(\"{}\", x);\n  |                    ^ not found in this scope\n\nerror: aborting due to 1 previous error\n";

const LIBTEST: &str = "running 2 tests\ntest tests::works ... ok\ntest tests::fails ... FAILED\n\nfailures:\n\n---- tests::fails stdout ----\nthread 'tests::fails' panicked at src/lib.rs:9:9:\nboom\n\nfailures:\n    tests::fails\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

#[test]
fn findings_come_first() {
    let finished = TestEnvironment::new().greenroom_reading(&["parse", "-"], RUSTC.as_bytes());
    assert!(
        finished.stdout.starts_with("src/main.rs:2:20: error[E0425]: cannot find value `x` in this scope\n"),
        "{finished}"
    );
    assert_eq!(finished.code, 0);
}

#[test]
fn json_is_the_report_on_one_line() {
    let environment = TestEnvironment::new();
    environment.write("log.txt", RUSTC);
    let finished = environment.greenroom(&["parse", "--json", "--exit-code", "101", "log.txt"]);
    let report = &finished.lines()[0];
    assert_eq!(report["verdict"], "error");
    assert_eq!(report["diagnostics"][0]["line"], 2);
    assert_eq!(finished.lines().len(), 1);
}

#[test]
fn the_schema_is_printed_without_reading_anything() {
    let finished = TestEnvironment::new().greenroom(&["parse", "--schema"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, greenroom_parsers::REPORT_SCHEMA), "{finished}");
}

#[test]
fn followed_output_is_told_as_it_is_read_and_ends_in_the_same_report() {
    let environment = TestEnvironment::new();
    environment.write("log.txt", LIBTEST);
    assert_snapshot!(environment.greenroom(&["parse", "--follow", "log.txt"]), @r"
    failed tests::fails
    panic: boom
        at ? src/lib.rs:9:9
    failed tests::fails src/lib.rs:9
        boom
    failed: 1 failed, 1 passed (libtest)
    [exit 0]
    ");
    let followed = environment.greenroom(&["parse", "--follow", "--json", "log.txt"]).lines();
    assert_eq!(followed[0], serde_json::json!({"type": "test_finished", "id": "tests::works", "status": "passed"}));
    let last = followed.last().expect("the report");
    let parsed = environment.greenroom(&["parse", "--json", "log.txt"]).lines().remove(0);
    assert_eq!((&last["type"], &last["report"]), (&"report".into(), &parsed));
}

#[test]
fn sarif_and_junit_name_the_finding() {
    let environment = TestEnvironment::new();
    environment.write("log.txt", RUSTC);
    let sarif = environment.greenroom(&["parse", "--sarif", "log.txt"]).lines().remove(0);
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "E0425");
    environment.write("tests.txt", LIBTEST);
    let junit = environment.greenroom(&["parse", "--junit", "tests.txt"]);
    assert!(junit.stdout.contains("name=\"fails\""), "{junit}");
    assert!(junit.stdout.contains("failures=\"1\""), "{junit}");
}

#[test]
fn many_outputs_are_answered_line_by_line() {
    let request = |id: u32, output: &str| serde_json::json!({"id": id, "tool": "rustc", "output": output}).to_string();
    let input = format!("{}\n\n{}\n", request(1, RUSTC), request(2, ""));
    let finished = TestEnvironment::new().greenroom_reading(&["parse", "--jsonl", "-"], input.as_bytes());
    let answers = finished.lines();
    assert_eq!(answers.len(), 2);
    assert_eq!((&answers[0]["id"], &answers[0]["report"]["diagnostics"][0]["code"]), (&1.into(), &"E0425".into()));
    assert_eq!((&answers[1]["id"], &answers[1]["report"]["verdict"]), (&2.into(), &"unknown".into()));
}

#[test]
fn a_bad_line_is_named_after_the_good_ones_were_answered() {
    let input = "{\"id\": \"a\", \"output\": \"\"}\n{\"id\": \"b\"}\n";
    let finished = TestEnvironment::new().greenroom_reading(&["parse", "--jsonl", "-"], input.as_bytes());
    assert_eq!(finished.lines().len(), 1);
    assert_eq!(finished.code, 2);
    assert_snapshot!(finished.stderr, @r#"
    error: line 2 of `-` is not a request
      cause: missing field `output` (column 11)
      hint: each line is {"id": …, "output": "…"}, with "tool", "command" and "exit_code" where known
    "#);
}

#[test]
fn a_missing_file_is_a_usage_error() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["parse", "absent.txt"]), @r#"
    [exit 2]
    error: cannot open `absent.txt`
      cause: No such file or directory (os error 2)
      hint: `-` reads stdin
    "#);
}

#[test]
fn without_a_file_what_is_piped_in_is_read() {
    let environment = TestEnvironment::new();
    let piped = environment.greenroom_reading(&["parse", "--json"], RUSTC.as_bytes());
    let named = environment.greenroom_reading(&["parse", "--json", "-"], RUSTC.as_bytes());
    assert_eq!((piped.code, &piped.stdout), (0, &named.stdout));
    assert!(piped.stdout.contains("E0425"), "{piped}");
}
