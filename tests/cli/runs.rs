use greenroom::event::Event;
use greenroom::store::{RunDir, RunStore, Store};
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

#[test]
fn an_end_before_a_rewind_is_no_status() {
    let environment = TestEnvironment::new();
    let store = record_a_run(&environment);
    store.append(&Event::Rewound { to_step: 0 }).expect("appended");
    drop(store);
    let line = environment.greenroom(&["runs", "--json"]).lines().remove(0);
    assert!(line["status"].is_null(), "{line}");
    let shown = environment.greenroom(&["show", RUN]).stdout;
    assert!(shown.contains(&format!("greenroom resume {RUN}")), "{shown}");
}

#[test]
fn a_process_that_was_killed_before_it_had_a_journal_leaves_a_run_without_events() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let other = "01k0000000000000000001test";
    environment.write(&format!("greenroom/state/runs/{other}/lock"), "123");
    let line = environment.greenroom(&["runs", "--json"]).lines().remove(0);
    assert_eq!((&line["run"], &line["damaged"]), (&other.into(), &serde_json::Value::Null), "{line}");
    for command in ["resume", "show", "audit"] {
        let refused = environment.greenroom(&[command, "last"]);
        assert!(refused.code == 2 && refused.stderr.contains("killed before its first event"), "{command}: {refused}");
    }
    // A journal that was taken away is something else.
    std::fs::remove_file(environment.state().join("runs").join(RUN).join("journal.jsonl")).expect("removed");
    environment.write(&format!("greenroom/state/runs/{RUN}/torn-9"), "x");
    assert_eq!(environment.greenroom(&["audit", RUN]).code, 1);
}

#[test]
fn a_data_folder_that_is_gone_is_named_before_anything_is_started() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let recorded = RunDir::find(&environment.state(), RUN).expect("the run").journal().expect("its journal");
    let mut started = recorded.records[0].event.clone();
    let resources = serde_json::json!({
        "memory_bytes": 1, "pids": 1, "cpu_millis": 1, "tmp_bytes": 1, "file_bytes": 1, "disk_bytes": 1, "disk_inodes": 1,
    });
    if let Event::RunStarted { plan, .. } = &mut started {
        *plan = serde_json::json!({
            "image_name": "python", "image": {"name": "python", "digest": "sha256:0"}, "resources": resources,
            "supervisor": "0", "env": [], "data": "/gone/data", "model": "scripted:cure.jsonl",
        });
    }
    let store = RunStore::create(&environment.state(), &"01k0000000000000000001test".parse().expect("an id"));
    store.expect("a store").append(&started).expect("appended");
    let refused = environment.greenroom(&["resume", "last"]);
    assert!(refused.code == 6 && refused.stderr.contains("`/gone/data`, which run"), "{refused}");
}
