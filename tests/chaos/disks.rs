//! Disks that are full, go away or cannot be written any more, for real: small file systems of the harness's own under
//! the state folder. The run parks before it acts on anything that is not on the disk, and goes on later.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engine::until;
use crate::house::{House, environment, undisturbed, wait};
use crate::support::containers_are_asked_for;

const STEPS: usize = 8;
/// Records that a run of ours has before it is disturbed: it works by then.
const RECORDS: usize = 12;

/// A mount, which goes with this value.
pub(crate) struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may have left somebody in it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

pub(crate) fn run(program: &str, args: &[&str]) -> std::process::Output {
    Command::new(program).args(args).output().unwrap()
}

pub(crate) fn must(program: &str, args: &[&str]) {
    let output = run(program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Mounting is root's.
pub(crate) fn may_mount() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: only root may mount");
    }
    may
}

pub(crate) fn tmpfs(at: &Path, size: &str) -> Mount {
    must("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", text(at)]);
    Mount(at.to_owned())
}

/// An ext4 in a file. Nothing is written out by itself while a test takes: only what is synced is on the disk.
pub(crate) fn ext4(image: &Path, at: &Path) -> Mount {
    must("mount", &["-t", "ext4", "-o", "loop,commit=900", text(image), text(at)]);
    Mount(at.to_owned())
}

pub(crate) fn make_ext4(image: &Path, mebibytes: u64) {
    std::fs::File::create(image).unwrap().set_len(mebibytes << 20).unwrap();
    must("mkfs.ext4", &["-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", text(image)]);
}

fn house() -> House {
    House::within(environment(), STEPS)
}

fn works(house: &House) {
    until("the run works", || (house.records().len() >= RECORDS).then_some(()));
}

/// Until not a byte more goes in.
fn fill(path: &Path) {
    let mut filler = std::fs::File::create(path).unwrap();
    let block = vec![7u8; 1 << 16];
    let error = loop {
        if let Err(error) = filler.write_all(&block) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "the fault fired");
    while filler.write(&[7]).is_ok() {}
}

#[test]
fn on_a_full_disk_the_run_parks_and_goes_on_when_there_is_room() {
    if !containers_are_asked_for() || !may_mount() {
        return;
    }
    let (reference, _) = undisturbed(STEPS);
    let house = house();
    let state = house.environment.root().join("greenroom");
    let _disk = tmpfs(&state, "32m");
    let child = house.begin(None);
    works(&house);
    let filler = state.join("filler");
    fill(&filler);
    let (code, signal, stderr) = wait(child);
    assert_eq!((code, signal), (Some(6), None), "{stderr}");
    assert!(stderr.contains("No space left") && stderr.contains("greenroom resume"), "{stderr}");
    // Without room it says so again, and nothing is lost by that.
    let (code, _, stderr) = wait(house.go_on(None));
    assert_eq!(code, Some(6), "{stderr}");
    std::fs::remove_file(filler).unwrap();
    house.finish("there is room again");
    house.assert_ends_as(&reference, "a full disk");
}

#[test]
fn on_a_disk_that_turns_read_only_the_run_parks_and_goes_on_when_it_is_mended() {
    if !containers_are_asked_for() || !may_mount() {
        return;
    }
    let (reference, _) = undisturbed(STEPS);
    let house = house();
    let state = house.environment.root().join("greenroom");
    let image = house.environment.root().join("disk");
    make_ext4(&image, 64);
    let disk = ext4(&image, &state);
    let child = house.begin(None);
    works(&house);
    // What the kernel does to a file system whose metadata are broken.
    must("mount", &["-o", "remount,abort", text(&state)]);
    let refused = std::fs::write(state.join("probe"), b"x").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "the fault fired");
    let (code, signal, stderr) = wait(child);
    assert_eq!((code, signal), (Some(6), None), "{stderr}");
    assert!(stderr.contains("greenroom resume"), "{stderr}");
    let (code, _, stderr) = wait(house.go_on(None));
    assert!(code == Some(6) && stderr.contains("Read-only file system"), "exit {code:?}: {stderr}");
    drop(disk);
    mend(&image);
    let _disk = ext4(&image, &state);
    house.finish("the disk is mended");
    house.assert_ends_as(&reference, "a disk that turned read-only");
}

/// The medium below the file system has no room left: what `write` took, `fsync` cannot write.
#[test]
fn where_a_sync_fails_the_run_parks_and_everything_acknowledged_is_there() {
    if !containers_are_asked_for() || !may_mount() {
        return;
    }
    let (reference, _) = undisturbed(STEPS);
    let house = house();
    let state = house.environment.root().join("greenroom");
    let medium = house.environment.root().join("medium");
    std::fs::create_dir(&medium).unwrap();
    let _below = tmpfs(&medium, "64m");
    let image = medium.join("disk");
    make_ext4(&image, 128);
    let disk = ext4(&image, &state);
    let child = house.begin(None);
    works(&house);
    let filler = medium.join("filler");
    fill(&filler);
    let (code, signal, stderr) = wait(child);
    assert_eq!((code, signal), (Some(6), None), "{stderr}");
    // It was the medium: the file system itself has room. What it says depends on what it was writing out just then.
    let said = ["Input/output error", "Read-only file system", "No space left on device"];
    assert!(said.iter().any(|said| stderr.contains(said)), "{stderr}");
    let free = rustix::fs::statvfs(&state).unwrap();
    assert!(free.f_bavail * free.f_frsize > 16 << 20, "the file system is full, not its medium");
    let acknowledged = house.records().len();
    drop(disk);
    std::fs::remove_file(filler).unwrap();
    mend(&image);
    let _disk = ext4(&image, &state);
    let left = house.records().len();
    // The page cache may have shown one record more, whose sync failed.
    assert!(left + 1 >= acknowledged.max(RECORDS), "{left} of {acknowledged}");
    house.finish("the medium has room again");
    house.assert_ends_as(&reference, "a sync that failed");
}

/// Exit status 1: it found errors and corrected them.
fn mend(image: &Path) {
    let output = run("e2fsck", &["-f", "-y", text(image)]);
    assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
}
