use std::collections::BTreeSet;

use super::{Blobs, as_git_sees, link, path, tree};
use crate::snapshot::change::{ChangeKind, changes, created, patch_changes, patched};

#[test]
fn each_kind_of_change_is_told_apart() {
    let blobs = Blobs::default();
    let before = tree([
        ("same", blobs.file(0o644, b"s")),
        ("gone", blobs.file(0o644, b"g")),
        ("old-name", blobs.file(0o644, b"moved")),
        ("text", blobs.file(0o644, b"1")),
        ("script", blobs.file(0o644, b"#!")),
        ("private", blobs.file(0o600, b"p")),
        ("kind", blobs.file(0o644, b"k")),
    ]);
    let after = tree([
        ("same", blobs.file(0o644, b"s")),
        ("new-name", blobs.file(0o644, b"moved")),
        ("text", blobs.file(0o644, b"2")),
        ("script", blobs.file(0o755, b"#!")),
        ("private", blobs.file(0o644, b"p")),
        ("kind", link("same")),
        ("fresh/file", blobs.file(0o644, b"f")),
    ]);
    let found: Vec<(String, ChangeKind)> =
        changes(&before, &after).iter().map(|c| (c.path.to_text(), c.kind())).collect();
    let expected = [
        ("fresh/file", ChangeKind::Added),
        ("gone", ChangeKind::Removed),
        ("kind", ChangeKind::TypeChanged),
        ("new-name", ChangeKind::Renamed),
        ("old-name", ChangeKind::Removed),
        ("script", ChangeKind::ModeChanged),
        ("text", ChangeKind::Modified),
    ];
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(as_git_sees(&patched(&before, &changes(&before, &after))), as_git_sees(&after));
}

#[test]
fn build_output_ignored_files_and_git_stay_out_of_the_patch() {
    let blobs = Blobs::default();
    let before = tree([
        (".gitignore", blobs.file(0o644, b"*.pyc\ndist/\n")),
        (".git/HEAD", blobs.file(0o644, b"ref")),
        ("tracked.pyc", blobs.file(0o644, b"1")),
        ("src/a", blobs.file(0o644, b"a")),
    ]);
    let mut checked = before.clone();
    checked.entries.extend(tree([("out/chart.svg", blobs.file(0o644, b"<svg>"))]).entries);
    let output = created(&before, &checked);
    assert_eq!(output, BTreeSet::from([path("out")]));

    let after = tree([
        // The agent's own ignore file hides nothing: only the pristine one counts.
        (".gitignore", blobs.file(0o644, b"*\n")),
        (".git/HEAD", blobs.file(0o644, b"other")),
        ("sub/.git/config", blobs.file(0o644, b"x")),
        ("tracked.pyc", blobs.file(0o644, b"2")),
        ("src/a", blobs.file(0o644, b"b")),
        ("src/a.pyc", blobs.file(0o644, b"c")),
        ("dist/x", blobs.file(0o644, b"x")),
        ("out/chart.svg", blobs.file(0o644, b"<svg>")),
        ("out/more/page", blobs.file(0o644, b"p")),
        ("outer", blobs.file(0o644, b"o")),
    ]);
    let kept = patch_changes(&before, &after, &output, &|id| blobs.read(id)).unwrap();
    let names: Vec<String> = kept.iter().map(|c| c.path.to_text()).collect();
    assert_eq!(names, [".gitignore", "outer", "src/a", "tracked.pyc"]);
}

#[test]
fn a_patched_tree_gains_parents_and_loses_emptied_folders() {
    let blobs = Blobs::default();
    let before = tree([("a/b/c", blobs.file(0o644, b"1")), ("d", blobs.file(0o644, b"2"))]);
    let after = tree([("a", blobs.file(0o644, b"now a file")), ("d/e/f", blobs.file(0o644, b"3"))]);
    let result = patched(&before, &changes(&before, &after));
    assert_eq!(result, after);
}
