//! Logs that break off, with nothing known of how the command ended. `examples/cuts.rs` does the same to whole corpora.

use greenroom_parsers::Verdict::{self, Failed, Passed, Unknown};
use greenroom_parsers::{ToolOutput, parse};

fn verdict(text: &str) -> Verdict {
    parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).verdict
}

#[test]
fn go_passes_with_the_closing_line_of_every_package_that_began() {
    let run = "=== RUN   TestA\n--- PASS: TestA (0.01s)\n";
    assert_eq!(verdict(&format!("{run}PASS\n")), Unknown);
    assert_eq!(verdict(&format!("{run}PASS\nok  \tp\t0.011s\n")), Passed);
    for begun in ["=", "=== ", "=== RUN   ", "=== RUN   TestB", "=== RUN   TestB\n"] {
        assert_ne!(verdict(&format!("{run}PASS\nok  \tp\t0.011s\n{begun}")), Passed, "{begun:?}");
    }
    for failed in ["FAIL\n", "FAIL\nexit status 1\n", "exit status 1\n", "PASS\nok  \tp\t0.011s\nFAIL\n"] {
        assert_eq!(verdict(&format!("{run}{failed}")), Failed, "{failed:?}");
    }
}

#[test]
fn cargo_test_passes_when_the_binary_it_announced_has_run() {
    let first = "     Running unittests src/lib.rs (target/debug/deps/a-1)\n\nrunning 1 test\ntest a ... ok\n\n\
                 test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n";
    assert_eq!(verdict(first), Passed);
    assert_eq!(verdict(&format!("{first}   Doc-tests a\n")), Unknown);
    assert_eq!(verdict(&format!("{first}     Running tests/b.rs (target/debug/deps/b-1)\n\nrun")), Unknown);
}

#[test]
fn mocha_passes_when_no_count_of_failures_can_follow() {
    assert_eq!(verdict("\n  ..\n\n  2 passing (6ms)\n"), Unknown);
    assert_eq!(verdict("\n  ..\n\n  2 passing (6ms)\n\n"), Passed);
}

#[test]
fn pytest_prints_its_totals_in_a_rule_as_wide_as_its_header() {
    let header = format!("{0} test session starts {0}\ncollected 2 items\n\ntests/test_a.py::test_a ", "=".repeat(28));
    assert_eq!(verdict(&format!("{header}\n===== 1 passed in 0.01s =====\n")), Unknown);
    assert_eq!(verdict(&format!("{header}PASSED\n\n{0} 1 passed in 0.01s {0}\n", "=".repeat(29))), Passed);
}

#[test]
fn a_junit_document_with_a_piece_missing_does_not_pass() {
    let rest = "<failure message=\"m\">m</failure></testcase></testsuite></testsuites>\n";
    assert_eq!(verdict(&format!("<testsuites tests=\"2\"><testsuite name=\"s\" tests=\"2\">{rest}")), Failed);
    assert_ne!(verdict(&format!("<testsuites name=\"x\" tests=\"2\" skip<property value=\"e\"/>{rest}")), Passed);
}

#[test]
fn a_lint_report_with_a_piece_missing_is_not_clean() {
    let clean = |text: &str| verdict(text) == Passed;
    for whole in [
        "<checkstyle version=\"5.0\">\n<file name=\"a.c\">\n</file>\n</checkstyle>\n",
        "<checkstyle version=\"5.0\"/>\n",
        "<?xml version=\"1.0\"?>\n<checkstyle version=\"5.0\"/>\n<?xml version=\"1.0\"?>\n<checkstyle version=\"5.0\"/>\n",
        "<results version=\"2\">\n<cppcheck version=\"2.8\"/>\n<errors>\n</errors>\n</results>\n",
        "<BugCollection version=\"4\"><Project><Jar>a.jar</Jar></Project><FindBugsSummary total_bugs=\"0\"/></BugCollection>\n",
    ] {
        assert!(clean(whole), "{whole}");
    }
    for holed in [
        // The root runs into a finding: its end is left over.
        "<checkstyle version=\"5. after 'for'.\" source=\"Whitespace\"/>\n</file>\n</checkstyle>\n",
        "<results versiono=\"in class\"/>\n<location file=\"a.h\" line=\"1\"/>\n</error>\n</errors>\n</results>\n",
        // A finding's attributes on what is none, half a name, a name twice.
        "<checkstyle version=\"5\"><file name=\"a.c\" message=\"bad\" severity=\"error\"/></checkstyle>\n",
        "<results version=\"2\"><errors><e verbose=\"bad\"/></errors></results>\n",
        "<jslint><file name=\"a.js\"><isshar=\"6\" reason=\"bad\"/></file></jslint>\n",
        "<pmd version=\"1\" version=\"2\"></pmd>\n",
        // The sums know of a finding, or are not there.
        "<BugCollection version=\"4\"><FindBugsSummary total_bugs=\"1\"/></BugCollection>\n",
        "<BugCollection version=\"4\"><Errors/></BugCollection>\n",
        "{\"FromLinter\": \"misspell\", \"SourceLines\": [{}],\n\"Report\": {\"Warnings\": []}}\n",
    ] {
        assert!(!clean(holed), "{holed}");
    }
}

#[test]
fn a_junit_document_that_lists_fewer_tests_than_it_counts_does_not_pass() {
    let listed = "<testcase name=\"a\"/><testcase name=\"b\"/>";
    assert_eq!(verdict(&format!("<testsuite name=\"s\" tests=\"2\">{listed}</testsuite>\n")), Passed);
    assert_eq!(verdict(&format!("<testsuite name=\"s\" tests=\"3\">{listed}</testsuite>\n")), Unknown);
    assert_eq!(
        verdict("<testsuite name=\"s\" tests=\"3\"\n e=\"x\"/>\n<property name=\"x\"/>\n</testsuite>\n"),
        Unknown
    );
    // What ran into it, or was cut off behind it.
    assert_eq!(
        verdict(&format!("<testsuite name=\"s\">{listed}<testcase name=\"c\"> at f\n</testcase></testsuite>\n")),
        Unknown
    );
    assert_eq!(verdict(&format!("<testsuites>\n<testsuite name=\"s\">{listed}</testsuite>\n<testsuite na\n")), Unknown);
    assert_eq!(verdict(&format!("<testsuite name=\"s\">{listed}</testsuite>\n</testsuites>\n")), Unknown);
}
