use greenroom::event::Event;
use greenroom::id::RunId;
use greenroom::store::{Blobs, RunStore, Store};

use super::{RUN, record_a_run};
use crate::support::{Finished, TestEnvironment};

/// Without an engine: only what lies in the state folder is looked at.
fn gc(environment: &TestEnvironment, more: &[&str]) -> Finished {
    let args: Vec<&str> = ["gc", "--json"].iter().chain(more).copied().collect();
    let finished = environment.greenroom(&args);
    assert_eq!(finished.code, 0, "{finished}");
    finished
}

fn environment() -> TestEnvironment {
    TestEnvironment::new().with("DOCKER_HOST", "unix:///nobody/listens/here")
}

fn is_intact(environment: &TestEnvironment, run: &str) {
    let audit = environment.greenroom(&["audit", run]);
    assert_eq!(audit.code, 0, "{audit}");
}

#[test]
fn contents_that_no_journal_names_go_and_no_other() {
    let environment = environment();
    record_a_run(&environment);
    let second = RunId::generate();
    let store = RunStore::create(&environment.state(), &second).expect("a store");
    let (tree, patch) =
        (store.put_blob(br#"{"entries":{}}"#).expect("stored"), store.put_blob(b"its own").expect("stored"));
    let unnamed = store.put_blob(&b"named by nobody ".repeat(100)).expect("stored");
    let captured =
        Event::TreeCaptured { tree, patch, files_changed: Vec::new(), workspace: None, artifacts_left_out: 0 };
    store.append(&captured).expect("appended");
    let line = gc(&environment, &["--yes"]).lines().pop().expect("a line");
    assert_eq!(line["contents"], 0, "while a run is being written: {line}");
    drop(store);
    let told = gc(&environment, &[]);
    let line = told.lines().pop().expect("a line");
    assert_eq!((&line["contents"], &line["freed"]), (&1.into(), &false.into()), "{told}");
    let blobs = || Blobs::new(environment.state().join("blobs"));
    assert!(blobs().get(&unnamed).is_ok(), "telling frees nothing");
    let line = gc(&environment, &["--yes"]).lines().pop().expect("a line");
    assert_eq!((&line["contents"], &line["freed"]), (&1.into(), &true.into()), "{line}");
    assert!(blobs().get(&unnamed).is_err());
    is_intact(&environment, RUN);
    is_intact(&environment, second.as_str());
    assert_eq!(gc(&environment, &[]).lines().pop().expect("a line")["contents"], 0);
}

#[test]
fn of_a_run_that_is_old_its_contents_go_with_it() {
    let environment = environment();
    record_a_run(&environment);
    let line = gc(&environment, &["--yes", "--runs-older-than", "0"]).lines().pop().expect("a line");
    assert_eq!((&line["runs"], line["contents"].as_u64().is_some_and(|count| count > 0)), (&1.into(), true), "{line}");
    let packs = std::fs::read_dir(environment.state().join("blobs/packs")).expect("the packs");
    assert_eq!(packs.count(), 0);
}

#[test]
fn where_a_run_is_damaged_nothing_is_freed() {
    let environment = environment();
    record_a_run(&environment);
    let packs = environment.state().join("blobs/packs");
    let pack = std::fs::read_dir(&packs).expect("the packs").next().expect("one").expect("an entry").path();
    let mut bytes = std::fs::read(&pack).expect("the pack");
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(&pack, &bytes).expect("tampered");
    let line = gc(&environment, &["--yes"]).lines().pop().expect("a line");
    assert_eq!(line["contents"], 0);
    assert!(line["kept"].to_string().contains("is damaged"), "{line}");
    assert_eq!(std::fs::read(&pack).expect("the pack"), bytes);
}

#[test]
fn a_run_that_never_had_an_event_goes_after_a_day_and_stands_in_nobodys_way() {
    let environment = environment();
    record_a_run(&environment);
    let other = "01k0000000000000000001test";
    environment.write(&format!("greenroom/state/runs/{other}/lock"), "123");
    let line = gc(&environment, &["--yes"]).lines().pop().expect("a line");
    assert_eq!((&line["runs"], line["kept"].to_string().contains(other)), (&0.into(), false), "{line}");
    let folder = environment.state().join("runs").join(other);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 60 * 60);
    std::fs::File::open(&folder).expect("the folder").set_modified(long_ago).expect("aged");
    let line = gc(&environment, &["--yes"]).lines().pop().expect("a line");
    assert_eq!((&line["runs"], folder.exists()), (&1.into(), false), "{line}");
    is_intact(&environment, RUN);
}
