//! The plug is pulled, as far as a kernel lets itself be asked: at any instant the disk below the file system holds what
//! was synced and perhaps more. A copy of that disk, mounted, must hold every record that was acknowledged, and every
//! content that such a record names.

use std::path::{Path, PathBuf};

use greenroom::event::Event;
use greenroom::id::{BlobId, RunId};
use greenroom::store::{RunDir, RunStore, Store};

use crate::disks::{Mount, ext4, make_ext4, may_mount, must, run, text};

const RECORDS: u64 = 12;
const COPIES_MAX: usize = 100;
const CONTROLS_MAX: usize = 60;

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    if std::env::var_os("GREENROOM_DOCKER_TESTS").is_none() || !may_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    let disk = folder.path().join("mounted");
    std::fs::create_dir(&disk).unwrap();
    make_ext4(&image, 16);
    let _disk = ext4(&image, &disk);
    let id = RunId::generate();
    let store = RunStore::create(&disk, &id).unwrap();
    let mut named: Vec<BlobId> = Vec::new();
    for turn in 1..=RECORDS {
        let content = format!("content {turn}\n").repeat(200);
        named.push(store.put_blob(content.as_bytes()).unwrap());
        store.append(&names(named.last().unwrap())).unwrap();
        // Now: nothing is unmounted, nothing is asked to be written.
        let after = AfterTheCut::of(&image, folder.path(), &turn.to_string());
        assert_acknowledged(&after.mounted, &id, &named);
    }
    // The control: what was not acknowledged is not on the disk, so the copies prove something. Somebody on this machine
    // may have asked for everything to be synced just then, but not each time.
    let lost = (1..=CONTROLS_MAX).any(|number| {
        let unsynced = store.put_blob(format!("not acknowledged {number}\n").repeat(500).as_bytes()).unwrap();
        let after = AfterTheCut::of(&image, folder.path(), &format!("control-{number}"));
        let dir = RunDir::find(&after.mounted, id.as_str()).unwrap();
        dir.blobs().get(&unsynced).is_err()
    });
    assert!(lost, "the disk has what nobody synced: this file system proves nothing");
}

/// The disk as it was at one instant, mounted as after a restart.
struct AfterTheCut {
    mounted: PathBuf,
    _mount: Mount,
}

impl AfterTheCut {
    fn of(image: &Path, folder: &Path, name: &str) -> AfterTheCut {
        // A file of its own each time: a loop device of the last one may still go away, and would be used again.
        let copy = folder.join(format!("copy-{name}"));
        copy_of_one_instant(image, &copy);
        let mounted = folder.join(format!("after-{name}"));
        std::fs::create_dir(&mounted).unwrap();
        let mount = ext4(&copy, &mounted);
        AfterTheCut { mounted, _mount: mount }
    }
}

/// Copying takes time, and whatever syncs this machine meanwhile (another test, a daemon) moves blocks between what is
/// read and what is not yet: such a copy is no disk that ever was. One that equals the disk after it was made is.
fn copy_of_one_instant(image: &Path, copy: &Path) {
    for _ in 0..COPIES_MAX {
        must("cp", &["--sparse=always", text(image), text(copy)]);
        if run("cmp", &["--silent", text(image), text(copy)]).status.success() {
            return;
        }
    }
    panic!("the disk never held still for a copy");
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
