use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::{Blobs, as_git_sees, link, scratch, tree};
use crate::id::BlobId;
use crate::snapshot::change::changes;
use crate::snapshot::copy_in::{CopyError, CopyOptions, target_state};
use crate::snapshot::patch::{PatchError, PatchLimits, patch};
use crate::snapshot::{Entry, Manifest, TreePath};

fn git_apply(folder: &Path, patch: &str, reverse: bool) -> Result<(), String> {
    let mut child = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .args(reverse.then_some("--reverse"))
        .arg("-")
        .current_dir(folder)
        .env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn state(folder: &Path) -> Manifest {
    match target_state(folder, &CopyOptions::default()) {
        Ok(tree) => tree,
        Err(CopyError::Empty { .. }) => Manifest::default(),
        Err(error) => panic!("{error}"),
    }
}

/// `git apply` turns `before` into exactly `after`, and takes it back. On the way back only contents are compared:
/// git itself (2.47) forgets the mode of a deleted file when it reverses its own patches.
fn check(blobs: &Blobs, before: &Manifest, after: &Manifest) -> Result<(), String> {
    let text = patch(&changes(before, after), &|id| blobs.read(id), PatchLimits::default()).unwrap();
    if text.is_empty() {
        return if as_git_sees(before) == as_git_sees(after) { Ok(()) } else { Err("an empty patch".into()) };
    }
    let folder = scratch();
    blobs.lay_out(before, folder.path());
    git_apply(folder.path(), &text, false).map_err(|error| format!("{error}\n{text}"))?;
    let found = as_git_sees(&state(folder.path()));
    if found != as_git_sees(after) {
        return Err(format!("{found:?}\n{text}"));
    }
    git_apply(folder.path(), &text, true).map_err(|error| format!("back: {error}\n{text}"))?;
    let found = contents(&state(folder.path()));
    if found == contents(before) { Ok(()) } else { Err(format!("back: {found:?}\n{text}")) }
}

fn contents(tree: &Manifest) -> Vec<(TreePath, BlobId)> {
    let content = |entry: &Entry| match entry {
        Entry::File { content, .. } => Some(content.clone()),
        Entry::Symlink { target } => Some(BlobId::of(target.as_bytes())),
        Entry::Directory { .. } => None,
    };
    tree.entries.iter().filter_map(|(path, entry)| Some((path.clone(), content(entry)?))).collect()
}

#[test]
fn git_applies_every_kind_of_change() {
    let blobs = Blobs::default();
    let file = |bytes: &[u8]| blobs.file(0o644, bytes);
    let before = tree([
        ("crlf", file(b"one\r\ntwo\r\nthree\r\n")),
        ("lone-cr", file(b"a\rb\rc\n")),
        ("no-newline", file(b"x\ny")),
        ("gains-newline", file(b"x\ny")),
        ("empty-gone", file(b"")),
        ("filled", file(b"")),
        ("emptied", file(b"was\n")),
        ("binary", file(b"\0\x01\x02old")),
        ("to-binary", file(b"text\n")),
        ("latin1", file(b"caf\xe9\n")),
        ("mode", file(b"#!\n")),
        ("mode-and-text", blobs.file(0o755, b"#!\n")),
        ("link-moves", link("mode")),
        ("link-goes", link("mode")),
        ("link-to-file", link("mode")),
        ("file-to-link", file(b"mode")),
        ("file-to-folder", file(b"f\n")),
        ("folder-to-file/a/b", file(b"g\n")),
        ("link-to-folder", link("mode")),
        ("with space", file(b"1\n")),
        ("renamed-from", file(b"same\n")),
    ]);
    let mut after = tree([
        ("crlf", file(b"one\r\nTWO\r\nthree\n")),
        ("lone-cr", file(b"a\rB\rc\n")),
        ("no-newline", file(b"x\nz")),
        ("gains-newline", file(b"x\ny\n")),
        ("filled", file(b"now\n")),
        ("emptied", file(b"")),
        ("empty-new", file(b"")),
        ("binary", file(b"\0\x01\x02new")),
        ("binary-new", file(&(0..=255).cycle().take(5000).collect::<Vec<u8>>())),
        ("to-binary", file(b"text\n\0")),
        ("latin1", file(b"th\xe9\n")),
        ("mode", blobs.file(0o755, b"#!\n")),
        ("mode-and-text", blobs.file(0o644, b"#!!\n")),
        ("link-moves", link("crlf")),
        ("link-new", link("dangling/there")),
        ("link-to-file", file(b"mode")),
        ("file-to-link", link("mode")),
        ("file-to-folder/x/y", file(b"f\n")),
        ("folder-to-file", file(b"g\n")),
        ("link-to-folder/x", file(b"h\n")),
        ("with space", file(b"2\n")),
        ("also empty ", file(b"")),
        ("renamed-to", file(b"same\n")),
    ]);
    let odd: [&[u8]; 7] = [
        b"quo\"te",
        b"back\\slash",
        b"tab\there",
        "na\u{ef}ve \u{1f600}".as_bytes(),
        b"bytes\xff\xfe",
        b"nl\nx",
        b" b/x",
    ];
    for name in odd {
        after.entries.extend(tree([(name, file(b"odd\n"))]).entries);
    }
    check(&blobs, &before, &after).unwrap();
    check(&blobs, &Manifest::default(), &after).unwrap();
    check(&blobs, &after, &before).unwrap();
}

#[test]
fn out_of_time_or_space_a_patch_is_coarse_or_refused_but_never_wrong() {
    let blobs = Blobs::default();
    let text = |salt: u32| {
        (0..4000u32).map(|i| format!("{}\n", i.wrapping_mul(2_654_435_761) % (7 + salt))).collect::<String>()
    };
    let before = tree([("a", blobs.file(0o644, text(1).as_bytes()))]);
    let after = tree([("a", blobs.file(0o644, text(2).as_bytes()))]);
    let limits = PatchLimits { diff_time_max: std::time::Duration::ZERO, ..PatchLimits::default() };
    let coarse = patch(&changes(&before, &after), &|id| blobs.read(id), limits).unwrap();
    let folder = scratch();
    blobs.lay_out(&before, folder.path());
    git_apply(folder.path(), &coarse, false).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), text(2));

    let limits = PatchLimits { patch_bytes_max: 100, ..PatchLimits::default() };
    let refused = patch(&changes(&before, &after), &|id| blobs.read(id), limits);
    assert!(matches!(refused, Err(PatchError::TooLarge { .. })));
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![4 => "[ab]{0,2}\n", 1 => "[ab]\r\n", 1 => "\t é\\\n", 1 => Just("x".to_owned())];
    let text = proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes());
    prop_oneof![6 => text, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

#[derive(Debug, Clone)]
enum Leaf {
    File(bool, Vec<u8>),
    Link(&'static str),
}

fn leaves() -> impl Strategy<Value = Vec<(&'static [u8], Leaf)>> {
    let name = prop::sample::select(vec![
        &b"a"[..],
        b"b c",
        b"d/e",
        b"d/f",
        b"d/g/h",
        b"\xc3\xa9",
        b"q\"",
        b"t\tt",
        b"\xff",
        b"-x",
        b"d e/f g",
    ]);
    let leaf = prop_oneof![
        5 => (any::<bool>(), content()).prop_map(|(x, bytes)| Leaf::File(x, bytes)),
        1 => prop::sample::select(vec!["a", "no where", "d/e"]).prop_map(Leaf::Link),
    ];
    proptest::collection::vec((name, leaf), 0..8)
}

fn grown(blobs: &Blobs, leaves: Vec<(&'static [u8], Leaf)>) -> Manifest {
    tree(leaves.into_iter().map(|(name, leaf)| {
        let entry: Entry = match leaf {
            Leaf::File(executable, bytes) => blobs.file(if executable { 0o755 } else { 0o644 }, &bytes),
            Leaf::Link(target) => link(target),
        };
        (name, entry)
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn git_turns_any_tree_into_any_other(before in leaves(), after in leaves()) {
        let blobs = Blobs::default();
        let (before, after) = (grown(&blobs, before), grown(&blobs, after));
        check(&blobs, &before, &after).map_err(TestCaseError::fail)?;
    }
}
