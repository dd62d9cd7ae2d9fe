use super::super::merge::{Merged, merge};
use super::super::{Entry, Manifest, TreePath};
use super::Blobs;

/// `NAME=CONTENT` is a file, `NAME/` a folder.
fn tree(entries: &[&str]) -> Manifest {
    let blobs = Blobs::default();
    let entry = |text: &&str| match text.split_once('=') {
        Some((name, content)) => (path(name), blobs.file(0o644, content.as_bytes())),
        None => (path(text.trim_end_matches('/')), Entry::Directory { mode: 0o755 }),
    };
    Manifest { entries: entries.iter().map(entry).collect() }
}

fn path(name: &str) -> TreePath {
    TreePath::new(name).unwrap()
}

fn told(merged: &Merged) -> (Vec<String>, Vec<String>) {
    let applied = merged.apply.iter().map(|change| change.path.to_text()).collect();
    (applied, merged.conflicts.iter().map(TreePath::to_text).collect())
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_only_they_changed_is_applied_and_what_only_we_changed_stays() {
    let base = tree(&["edited=1", "removed=1", "ours=1"]);
    let theirs = tree(&["edited=2", "ours=1", "new/", "new/file=1"]);
    let ours = tree(&["edited=1", "removed=1", "ours=2"]);
    assert_eq!(told(&merge(&base, &theirs, &ours)), (strings(&["edited", "new/file", "removed"]), Vec::new()));
}

#[test]
fn what_both_changed_alike_is_there_already() {
    let (base, both) = (tree(&["edited=1", "removed=1"]), tree(&["edited=2", "new=1"]));
    assert_eq!(merge(&base, &both, &both), Merged::default());
}

#[test]
fn what_both_changed_differently_is_named() {
    let base = tree(&["edited=1", "removed=1", "kept=1"]);
    let theirs = tree(&["edited=2", "kept=2", "new=2"]);
    let ours = tree(&["edited=3", "removed=3", "new=3"]);
    assert_eq!(told(&merge(&base, &theirs, &ours)), (Vec::new(), strings(&["edited", "kept", "new", "removed"])));
}

#[test]
fn a_file_and_a_folder_of_one_name_are_in_each_other_s_way() {
    let base = tree(&["same=1"]);
    let folder = tree(&["same=1", "x/", "x/file=1"]);
    let file = tree(&["same=1", "x=1"]);
    assert_eq!(told(&merge(&base, &folder, &file)), (Vec::new(), strings(&["x/file"])));
    assert_eq!(told(&merge(&base, &file, &folder)), (Vec::new(), strings(&["x"])));
}

#[test]
fn a_folder_that_they_made_a_file_of_goes_with_what_was_in_it() {
    let base = tree(&["x/", "x/file=1"]);
    let theirs = tree(&["x=1"]);
    assert_eq!(told(&merge(&base, &theirs, &base)), (strings(&["x", "x/file"]), Vec::new()));
}
