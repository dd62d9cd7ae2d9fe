use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Blobs, as_git_sees, link, on_disk, tree};
use crate::snapshot::copy_in::{CopyOptions, target_state};
use crate::snapshot::extract::{ExtractError, ExtractLimits, Links, write_tree};

#[test]
fn a_tree_is_written_below_a_new_folder() {
    let blobs = Blobs::default();
    let tree = tree([
        ("out/chart.svg", blobs.file(0o644, b"<svg>")),
        ("out/run", blobs.file(0o4755, b"#!")),
        ("link", link("out/run")),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("dest");
    let limits = ExtractLimits { links: Links::Write, ..ExtractLimits::default() };
    write_tree(&dest, &tree, &|id| blobs.read(id), limits).unwrap();
    assert_eq!(as_git_sees(&target_state(&dest, &CopyOptions::default()).unwrap()), as_git_sees(&tree));
    assert_eq!(fs::metadata(dest.join("out/run")).unwrap().permissions().mode() & 0o7000, 0);
    let again = write_tree(&dest, &tree, &|id| blobs.read(id), limits);
    assert!(matches!(again, Err(ExtractError::Exists { .. })));
}

#[test]
fn a_link_at_the_destination_is_not_written_through() {
    let blobs = Blobs::default();
    let outside = tempfile::tempdir().unwrap();
    let dest = tempfile::tempdir().unwrap();
    symlink(outside.path(), dest.path().join("a")).unwrap();
    symlink(outside.path().join("new"), dest.path().join("dangling")).unwrap();
    for name in ["a/x", "a/b/x", "dangling"] {
        let tree = tree([(name, blobs.file(0o644, b"x"))]);
        assert!(write_tree(dest.path(), &tree, &|id| blobs.read(id), ExtractLimits::default()).is_err(), "{name}");
    }
    // A link inside the tree cannot be a way out for what comes after it, either.
    let mut hostile = tree([("l/x", blobs.file(0o644, b"x"))]);
    hostile.entries.insert(super::path("l"), link(outside.path().to_str().unwrap()));
    let limits = ExtractLimits { links: Links::Write, ..ExtractLimits::default() };
    assert!(write_tree(dest.path(), &hostile, &|id| blobs.read(id), limits).is_err());
    assert_eq!(on_disk(outside.path()), []);
}

#[test]
fn limits_are_checked_before_anything_is_written() {
    let blobs = Blobs::default();
    let tree = tree([("a/b/c", blobs.file(0o644, b"12345")), ("l", link("a"))]);
    let fine = ExtractLimits { links: Links::Write, ..ExtractLimits::default() };
    for limits in [
        ExtractLimits { entries_max: 3, ..fine },
        ExtractLimits { depth_max: 2, ..fine },
        ExtractLimits { bytes_max: 4, ..fine },
        ExtractLimits { links: Links::Refuse, ..fine },
    ] {
        let dest = tempfile::tempdir().unwrap();
        assert!(write_tree(dest.path(), &tree, &|id| blobs.read(id), limits).is_err(), "{limits:?}");
        assert_eq!(on_disk(dest.path()), []);
    }
}
