use insta::assert_snapshot;

use super::{RUN, record_a_run};
use crate::support::TestEnvironment;

#[test]
fn without_runs_the_next_move_is_said() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["runs"]), @r#"
    [exit 0]
    no runs yet; start one with `greenroom run --repo DIR`
    "#);
}

#[test]
fn a_run_is_one_line() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    assert_snapshot!(environment.greenroom(&["runs"]), @r#"
    01k0000000000000000000test  <minute>  verified    /projects/a  mend it
    [exit 0]
    "#);
    let line = environment.greenroom(&["runs", "--json"]).lines().remove(0);
    assert_eq!((&line["run"], &line["status"], &line["steps"]), (&RUN.into(), &"verified".into(), &1.into()));
}

#[test]
fn a_damaged_journal_is_told_and_does_not_hide_the_others() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let other = "01k0000000000000000001test";
    let journal =
        std::fs::read_to_string(environment.state().join("runs").join(RUN).join("journal.jsonl")).expect("a journal");
    environment.write(&format!("greenroom/state/runs/{other}/journal.jsonl"), &journal.replacen("mend", "bend", 1));
    assert_snapshot!(environment.greenroom(&["runs"]), @r#"
    01k0000000000000000001test  -                 damaged     the journal is damaged at byte 0 (line 1): the hash does not match
    01k0000000000000000000test  <minute>  verified    /projects/a  mend it
    [exit 0]
    "#);
}
