use std::path::PathBuf;

use greenroom::event::Event;
use greenroom::store::{RunStore, Store};
use serde_json::Value;

use super::{RUN, record_a_run};
use crate::support::TestEnvironment;

fn audit(environment: &TestEnvironment, more: &[&str]) -> (i32, Value) {
    let args: Vec<&str> = ["audit", RUN, "--json"].iter().chain(more).copied().collect();
    let finished = environment.greenroom(&args);
    let line = finished.lines().pop().unwrap_or_else(|| panic!("{finished}"));
    (finished.code, line)
}

fn journal(environment: &TestEnvironment) -> PathBuf {
    environment.state().join("runs").join(RUN).join("journal.jsonl")
}

fn blobs(environment: &TestEnvironment) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(environment.state().join("blobs")).expect("the blobs");
    // Beside them lies a lock.
    let folders = folders.map(|folder| folder.expect("an entry").path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("its blobs"));
    files.map(|file| file.expect("an entry").path()).collect()
}

/// Every byte in the long form.
fn stride(short: usize) -> usize {
    if std::env::var("GREENROOM_CHAOS").is_ok_and(|extent| extent == "full") { 1 } else { short }
}

#[test]
fn a_run_as_it_was_written_is_intact_and_its_commands_are_listed() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let (code, line) = audit(&environment, &[]);
    assert_eq!((code, &line["ok"], &line["problems"]), (0, &true.into(), &serde_json::json!([])), "{line}");
    let commands: Vec<(&str, &str)> = line["commands"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|command| (command["place"].as_str().expect("text"), command["tool"].as_str().expect("text")))
        .collect();
    assert_eq!(commands, [("baseline", "check"), ("step 1", "edit_file"), ("verification", "check")]);
    let text = environment.greenroom(&["audit", "last"]);
    assert!(text.code == 0 && text.stdout.contains("intact") && text.stdout.contains("python3 a.py"), "{text}");
}

#[test]
fn a_flipped_byte_anywhere_in_the_journal_is_named() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let path = journal(&environment);
    let whole = std::fs::read(&path).expect("the journal");
    for at in (0..whole.len()).step_by(stride(61)).chain([whole.len() - 2, whole.len() - 1]) {
        let mut bent = whole.clone();
        bent[at] ^= 0x04;
        std::fs::write(&path, &bent).expect("tampered");
        let (code, line) = audit(&environment, &[]);
        let place = &line["problems"][0]["place"];
        assert_eq!((code, place["kind"].as_str()), (3, Some("journal")), "byte {at}: {line}");
        let begins = whole[..at].iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        assert_eq!(place["offset"], begins, "byte {at}");
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_blob_is_named() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    for path in blobs(&environment) {
        let whole = std::fs::read(&path).expect("the blob");
        for at in (0..whole.len()).step_by(stride(7)) {
            let mut bent = whole.clone();
            bent[at] ^= 0x10;
            std::fs::write(&path, &bent).expect("tampered");
            let (code, line) = audit(&environment, &[]);
            let blobs = line["problems"].as_array().expect("a list").iter().map(|problem| &problem["place"]["blob"]);
            // Where the file says which blob follows: that one, and nothing of the others.
            assert!(code == 3 && blobs.count() == 1, "byte {at} of {}: {line}", path.display());
        }
        std::fs::write(&path, &whole).expect("as it was");
    }
    assert_eq!(audit(&environment, &[]).0, 0);
}

#[test]
fn a_missing_blob_is_named_with_its_run() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let path = blobs(&environment).pop().expect("a blob");
    std::fs::remove_file(&path).expect("removed");
    let (code, line) = audit(&environment, &[]);
    assert_eq!((code, &line["problems"][0]["detail"]), (3, &"it is missing".into()), "{line}");
}

#[test]
fn a_journal_that_was_rewritten_whole_does_not_lead_to_the_printed_head() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let head = audit(&environment, &[]).1["head"].as_str().expect("a hash").to_owned();
    assert_eq!(audit(&environment, &["--head", &head]).0, 0);
    // Another history under the same id, every hash of it right.
    std::fs::remove_dir_all(environment.state().join("runs").join(RUN)).expect("removed");
    let store = RunStore::create(&environment.state(), &RUN.parse().expect("a run id")).expect("a store");
    store.append(&Event::Imported { head: head.clone() }).expect("appended");
    assert_eq!(audit(&environment, &[]).0, 0);
    let (code, line) = audit(&environment, &["--head", &head]);
    assert_eq!((code, &line["problems"][0]["place"]["kind"]), (3, &"head".into()), "{line}");
}

#[test]
fn a_head_that_is_no_hash_is_a_usage_error() {
    let finished = TestEnvironment::new().greenroom(&["audit", "last", "--head", "5f0c"]);
    assert!(finished.code == 2 && finished.stderr.contains("64 hex digits"), "{finished}");
}
