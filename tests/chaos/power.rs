//! The plug is pulled, as far as a kernel lets itself be asked: at any instant the disk below the file system holds what
//! was synced and perhaps more. A copy of that disk, mounted, must hold every record that was acknowledged, and every
//! content that such a record names.

use std::path::Path;

use greenroom::event::Event;
use greenroom::id::{BlobId, RunId};
use greenroom::store::{RunDir, RunStore, Store};

use crate::disks::{ext4, make_ext4, may_mount, must, text};

const RECORDS: u64 = 12;

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    if std::env::var_os("GREENROOM_DOCKER_TESTS").is_none() || !may_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, copy) = (folder.path().join("disk"), folder.path().join("copy"));
    let (disk, after) = (folder.path().join("mounted"), folder.path().join("after"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(&after).unwrap();
    make_ext4(&image, 16);
    let _disk = ext4(&image, &disk);
    let run = RunId::generate();
    let store = RunStore::create(&disk, &run).unwrap();
    let mut named: Vec<BlobId> = Vec::new();
    for turn in 1..=RECORDS {
        let content = format!("content {turn}\n").repeat(200);
        named.push(store.put_blob(content.as_bytes()).unwrap());
        store.append(&names(named.last().unwrap())).unwrap();
        // Now: nothing is unmounted, nothing is asked to be written.
        must("cp", &["--sparse=always", text(&image), text(&copy)]);
        let _after = ext4(&copy, &after);
        assert_acknowledged(&after, &run, &named);
    }
    // The control: what was not acknowledged is not on the disk, so the copies prove something.
    let unsynced = store.put_blob(&b"not acknowledged ".repeat(500)).unwrap();
    must("cp", &["--sparse=always", text(&image), text(&copy)]);
    let _after = ext4(&copy, &after);
    let dir = RunDir::find(&after, run.as_str()).unwrap();
    assert!(dir.blobs().get(&unsynced).is_err(), "the disk has what nobody synced: this file system proves nothing");
}

fn names(blob: &BlobId) -> Event {
    Event::TreeCaptured {
        tree: blob.clone(),
        patch: blob.clone(),
        files_changed: Vec::new(),
        workspace: None,
        artifacts_left_out: 0,
    }
}

fn assert_acknowledged(state: &Path, run: &RunId, named: &[BlobId]) {
    let dir = RunDir::find(state, run.as_str()).expect("the run's folder is on the disk");
    let journal = dir.journal().unwrap();
    assert!(
        journal.records.len() >= named.len(),
        "{} of {} records are on the disk",
        journal.records.len(),
        named.len()
    );
    for (number, blob) in named.iter().enumerate() {
        dir.blobs()
            .verify(blob)
            .unwrap_or_else(|error| panic!("record {number} is on the disk, what it names is not: {error}"));
    }
}
