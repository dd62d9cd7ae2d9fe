use std::path::PathBuf;

use greenroom::event::{Event, ToolOutcome};
use greenroom::id::CallToken;
use greenroom::message::ToolUse;
use greenroom::snapshot::seen::{Area, Attributes, Seen, SeenKind, Spot};
use greenroom::snapshot::tree::FileTree;
use greenroom::snapshot::{SnapshotRef, TreePath};
use greenroom::store::{RunDir, RunStore, Store};
use serde_json::{Value, json};

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

/// A workspace of plain files as a stored snapshot.
fn snapshot(store: &RunStore, files: &[(&str, &[u8])]) -> SnapshotRef {
    let mut tree = FileTree::default();
    for (inode, (path, content)) in (1..).zip(files) {
        tree.insert(&Seen {
            spot: Spot { area: Area::Workspace, path: TreePath::new(*path) },
            attributes: Attributes { mode: 0o644, ..Attributes::default() },
            kind: SeenKind::File { size: content.len() as u64, content: store.put_blob(content).expect("stored") },
            inode,
            links: 1,
        });
    }
    let (root, changed) = tree.write(&mut |bytes| store.put_blob(bytes)).expect("written");
    SnapshotRef { root, files: 0, bytes: 0, changed, stored_bytes: 0, left_out: 0, unstable: false }
}

fn bash(id: &str, command: &str) -> ToolUse {
    ToolUse { id: id.into(), name: "bash".into(), input: json!({ "command": command }) }
}

#[test]
fn the_files_that_each_step_changed_are_listed_also_after_a_rewind() {
    let environment = TestEnvironment::new();
    let store = record_a_run(&environment);
    let baseline = snapshot(&store, &[("a.py", b"1"), ("gone", b"")]);
    let trees = [
        &[("a.py", b"2".as_slice()), ("odd\nname", b"x")][..],
        &[("a.py", b"1"), ("gone", b"")],
        &[("a.py", b"3"), ("gone", b"")],
    ];
    let base = Event::BaselineFinished {
        checks: Vec::new(),
        build_output: Vec::new(),
        elapsed_ms: 0,
        snapshot: Some(baseline),
        frozen: None,
    };
    store.append(&base).expect("appended");
    for (token, files) in (1..).map(CallToken).zip(trees) {
        if token.0 == 3 {
            store.append(&Event::Rewound { to_step: 0 }).expect("appended");
        }
        let started = Event::ToolCallStarted { token, call: bash("c", "make") };
        let finished = Event::ToolCallFinished {
            token,
            result: Box::new(ToolOutcome::default()),
            elapsed_ms: 0,
            snapshot: Some(snapshot(&store, files)),
        };
        [started, finished].iter().for_each(|event| store.append(event).expect("appended"));
    }
    store.append(&Event::ToolCallStarted { token: CallToken(4), call: bash("d", "sleep 9") }).expect("appended");
    drop(store);
    let (code, line) = audit(&environment, &[]);
    assert_eq!(code, 0, "{line}");
    let commands = line["commands"].as_array().expect("a list");
    let files: Vec<&Value> = commands.iter().filter(|c| c["tool"] == "bash").map(|c| &c["files"]).collect();
    let deed = |path: &str, change: &str| json!({ "path": path, "change": change });
    let first = json!([deed("a.py", "changed"), deed("gone", "removed"), deed("odd\nname", "added")]);
    let second = json!([deed("a.py", "changed"), deed("gone", "added"), deed("odd\nname", "removed")]);
    let third = json!([deed("a.py", "changed")]);
    assert_eq!(files, [&first, &second, &third, &Value::Null]);
    assert_eq!(commands.last().map(|c| (&c["command"], &c["unfinished"])), Some((&"sleep 9".into(), &true.into())));
    let text = environment.greenroom(&["audit", RUN]).stdout;
    assert!(text.contains("added odd\\nname\n") && text.contains("sleep 9: begun, not ended"), "{text}");
}

#[test]
fn what_the_set_up_ran_and_where_it_reached_is_listed() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let recorded = RunDir::find(&environment.state(), RUN).expect("the run").journal().expect("its journal");
    let mut started = recorded.records[0].event.clone();
    if let Event::RunStarted { plan, .. } = &mut started {
        let six = json!({"name": "six", "version": "1.16.0"});
        *plan = json!({"setup": ["pip install six"], "packages": [{"manager": "pip", "packages": [six]}]});
    }
    let request = json!({"host": "packages.example", "port": 443, "bytes_up": 1, "bytes_down": 2, "verdict": {"kind": "allowed"}});
    let network = json!({"type": "network_used", "token": null, "requests": [request], "left_out": 0});
    let other = "01k0000000000000000001test";
    let store = RunStore::create(&environment.state(), &other.parse().expect("an id")).expect("a store");
    store.append(&started).expect("appended");
    store.append(&serde_json::from_value(network).expect("an event")).expect("appended");
    drop(store);
    let text = environment.greenroom(&["audit", other]).stdout;
    assert!(text.contains("set-up setup pip install six: done"), "{text}");
    assert!(text.contains("set-up, pip: six 1.16.0\n"), "{text}");
    assert!(text.contains("1 requests, 0 of them not served, to packages.example\n"), "{text}");
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
