use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::{Blobs, on_disk, path, scratch};
use crate::snapshot::copy_in::{CopyError, CopyIn, CopyOptions, SkipReason, copy_in, target_state};
use crate::snapshot::{Entry, Manifest};

fn copy(repo: &Path) -> CopyIn {
    let blobs = Blobs::default();
    copy_in(repo, &CopyOptions::default(), &|bytes| blobs.put(bytes)).unwrap()
}

fn names(tree: &Manifest) -> Vec<String> {
    tree.entries.keys().map(|path| path.to_text()).collect()
}

fn reason<'a>(copied: &'a CopyIn, at: &str) -> Option<&'a SkipReason> {
    copied.skipped.iter().find(|s| s.path == path(at)).map(|s| &s.reason)
}

fn git(repo: &Path, args: &[&str]) {
    let command = |args: &[&str]| {
        Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
            .args(args)
            .current_dir(repo)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap()
    };
    let output = command(args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tree_comes_in_exactly_and_the_original_stays_as_it_was() {
    let repo = tempfile::tempdir().unwrap();
    let root = repo.path();
    fs::create_dir_all(root.join("src/empty")).unwrap();
    fs::write(root.join("src/run.sh"), "echo").unwrap();
    fs::set_permissions(root.join("src/run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(root.join(".hidden"), "").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"odd\xff\n")), "x").unwrap();
    fs::hard_link(root.join(".hidden"), root.join("second")).unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    symlink("/etc", root.join("folder-link")).unwrap();
    let before = on_disk(root);

    let copied = copy(root);
    assert_eq!(
        names(&copied.manifest),
        [".hidden", "folder-link", "link", "odd%FF\n", "second", "src", "src/empty", "src/run.sh"]
    );
    assert!(matches!(copied.manifest.entries[&path("src/run.sh")], Entry::File { mode: 0o755, size: 4, .. }));
    assert!(
        matches!(&copied.manifest.entries[&path("link")], Entry::Symlink { target } if target.to_text() == "/etc/passwd")
    );
    assert_eq!(on_disk(root), before);
    assert_eq!(copied.manifest.digest(), copy(root).manifest.digest());
}

#[test]
fn what_is_no_file_is_skipped_and_does_not_block() {
    let repo = tempfile::tempdir().unwrap();
    fs::write(repo.path().join("file"), "x").unwrap();
    assert!(Command::new("mkfifo").arg(repo.path().join("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(repo.path().join("socket")).unwrap();
    let copied = copy(repo.path());
    assert_eq!(names(&copied.manifest), ["file"]);
    assert_eq!(reason(&copied, "fifo"), Some(&SkipReason::Special("a FIFO")));
    assert_eq!(reason(&copied, "socket"), Some(&SkipReason::Special("a socket")));
}

#[test]
fn ignored_files_stay_outside_unless_tracked_or_asked_for() {
    let repo = tempfile::tempdir().unwrap();
    let root = repo.path();
    for folder in ["build/deep", "node_modules/a", "sub", "logs"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in [
        "build/out",
        "build/deep/kept",
        "node_modules/a/index.js",
        "sub/x.tmp",
        "sub/local",
        "a.tmp",
        "secret.env",
        "logs/tracked.log",
        "logs/other.log",
        "private",
    ] {
        fs::write(root.join(file), file).unwrap();
    }
    fs::write(root.join(".gitignore"), "/build/\nnode_modules\n*.tmp\n*.env\nlogs/\n").unwrap();
    fs::write(root.join("sub/.gitignore"), "!x.tmp\n/local\n").unwrap();
    git(root, &["init", "-q"]);
    git(root, &["add", "-f", "logs/tracked.log", "build/deep/kept"]);
    fs::write(root.join(".git/info/exclude"), "private\n").unwrap();

    for version in ["2", "4"] {
        git(root, &["update-index", "--index-version", version]);
        let copied = copy(root);
        let outside_git: Vec<String> =
            names(&copied.manifest).into_iter().filter(|n| !n.starts_with(".git/")).collect();
        assert_eq!(
            outside_git,
            [
                ".git",
                ".gitignore",
                "build",
                "build/deep",
                "build/deep/kept",
                "logs",
                "logs/tracked.log",
                "sub",
                "sub/.gitignore",
                "sub/x.tmp"
            ],
            "index version {version}"
        );
        for ignored in ["build/out", "node_modules", "sub/local", "a.tmp", "secret.env", "logs/other.log", "private"] {
            assert_eq!(reason(&copied, ignored), Some(&SkipReason::Ignored), "{ignored}");
        }
    }

    let options = CopyOptions { include: vec!["./node_modules/".into(), "secret.env".into()], ..Default::default() };
    let with = names(&target_state(root, &options).unwrap());
    assert!(with.contains(&"node_modules/a/index.js".into()) && with.contains(&"secret.env".into()), "{with:?}");
    assert!(!with.contains(&"a.tmp".into()) && !with.iter().any(|n| n.starts_with(".git/")), "{with:?}");
    for bad in ["../x", ".git/config", "missing"] {
        let options = CopyOptions { include: vec![bad.into()], ..Default::default() };
        assert!(matches!(target_state(root, &options), Err(CopyError::Include { .. })), "{bad}");
    }
}

#[test]
fn git_comes_in_readable_and_without_a_secret() {
    const CANARY: &[u8] = b"canary-5aeb31";
    let repo = tempfile::tempdir().unwrap();
    let root = repo.path();
    fs::write(root.join("a"), "a").unwrap();
    git(root, &["init", "-q"]);
    git(root, &["add", "a"]);
    git(root, &["commit", "-qm", "one"]);
    let text = String::from_utf8(CANARY.to_vec()).unwrap();
    git(root, &["remote", "add", "origin", &format!("https://{text}@host.invalid/x")]);
    git(root, &["config", "http.extraheader", &format!("AUTHORIZATION: {text}")]);
    for file in ["FETCH_HEAD", "credentials", "hooks/pre-commit", "logs/HEAD", "config.worktree", "unheard-of"] {
        fs::create_dir_all(root.join(".git").join(file).parent().unwrap()).unwrap();
        fs::write(root.join(".git").join(file), CANARY).unwrap();
    }
    symlink("/etc/passwd", root.join(".git/refs/heads/evil")).unwrap();
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("sub/.git"), "gitdir: /elsewhere").unwrap();

    let blobs = Blobs::default();
    let copied = copy_in(root, &CopyOptions::default(), &|bytes| blobs.put(bytes)).unwrap();
    for entry in copied.manifest.entries.values() {
        if let Entry::File { content, .. } = entry {
            let bytes = blobs.read(content).unwrap();
            assert!(!bytes.windows(CANARY.len()).any(|w| w == CANARY));
        }
    }
    assert!(!names(&copied.manifest).iter().any(|n| n == ".git/hooks" || n == ".git/refs/heads/evil"));
    assert_eq!(reason(&copied, "sub/.git"), Some(&SkipReason::GitPointer));
    assert_eq!(copied.repo_identity.branch.as_deref(), Some("refs/heads/main"));
    let commit = copied.repo_identity.commit.clone().unwrap();

    let copy = tempfile::tempdir().unwrap();
    blobs.lay_out(&copied.manifest, copy.path());
    fs::remove_file(root.join(".git/refs/heads/evil")).unwrap();
    git(copy.path(), &["fsck", "--strict"]);
    git(copy.path(), &["diff", "--exit-code", &commit]);
    git(root, &["pack-refs", "--all"]);
    assert_eq!(super::copy_in::copy(root).repo_identity.commit, Some(commit));
}

#[test]
fn what_is_no_repository_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("empty")).unwrap();
    let options = CopyOptions::default();
    assert!(matches!(target(&at("missing"), &options), Err(CopyError::Missing { .. })));
    assert!(matches!(target(&at("file"), &options), Err(CopyError::NotDirectory { .. })));
    assert!(matches!(target(&at("empty"), &options), Err(CopyError::Empty { .. })));
    let few = CopyOptions { files_max: 1, ..CopyOptions::default() };
    assert!(matches!(target(folder.path(), &few), Err(CopyError::TooManyFiles { files_max: 1 })));
    fs::write(at("file"), "12345").unwrap();
    let small = CopyOptions { bytes_max: 4, ..CopyOptions::default() };
    assert!(matches!(target(folder.path(), &small), Err(CopyError::TooManyBytes { .. })));
}

fn target(repo: &Path, options: &CopyOptions) -> Result<CopyIn, CopyError> {
    let blobs = Blobs::default();
    copy_in(repo, options, &|bytes| blobs.put(bytes))
}

#[test]
fn a_file_of_three_gibibytes_is_refused_before_it_is_read() {
    let repo = tempfile::tempdir().unwrap();
    fs::File::create(repo.path().join("sparse")).unwrap().set_len(3 << 30).unwrap();
    let error = target(repo.path(), &CopyOptions::default()).unwrap_err();
    assert!(matches!(&error, CopyError::FileTooLarge { path: at, .. } if *at == path("sparse")), "{error}");
}

#[test]
fn ten_thousand_files_come_in() {
    let repo = scratch();
    for folder in 0..100 {
        let at = repo.path().join(format!("d{folder}"));
        fs::create_dir(&at).unwrap();
        (0..100).for_each(|file| fs::write(at.join(file.to_string()), b"x").unwrap());
    }
    assert_eq!(copy(repo.path()).manifest.entries.len(), 10_100);
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_read_shows_nothing_of_the_outside() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("deep")).unwrap();
    for file in ["a", "b", "deep/c"] {
        fs::write(outside.path().join(file), "outside").unwrap();
    }
    let repo = tempfile::tempdir().unwrap();
    let root = repo.path();
    fs::create_dir_all(root.join("m/deep")).unwrap();
    for file in ["m/a", "m/b", "m/deep/c", "z"] {
        fs::write(root.join(file), file).unwrap();
    }
    let blobs = Blobs::default();
    let swap = |bytes: &[u8]| {
        if bytes == b"m/a" {
            fs::rename(root.join("m"), outside.path().join("was-m")).unwrap();
            symlink(outside.path(), root.join("m")).unwrap();
        }
        blobs.put(bytes)
    };
    let copied = copy_in(root, &CopyOptions::default(), &swap).unwrap();
    assert_eq!(names(&copied.manifest), ["m", "m/a", "m/b", "m/deep", "m/deep/c", "z"]);
    assert!(blobs.read(&crate::id::BlobId::of(b"outside")).is_err());
}

#[test]
fn a_link_that_leads_out_is_left_out_and_every_other_is_copied_as_it_is() {
    let repo = scratch();
    fs::create_dir(repo.path().join("d")).unwrap();
    let inside = [("d/up", "../file"), ("absolute", "/etc/passwd"), ("loop", "loop"), ("round", "d/../d/./x")];
    let outside = [("up", ".."), ("beside", "../other/file"), ("d/far", "../d/../../x")];
    for (link, target) in inside.iter().chain(&outside) {
        symlink(target, repo.path().join(link)).unwrap();
    }
    let copied = copy(repo.path());
    for (link, target) in inside {
        let target = crate::snapshot::TreePath::link_target(target).unwrap();
        assert_eq!(copied.manifest.entries.get(&path(link)), Some(&Entry::Symlink { target }), "{link}");
    }
    for (link, _) in outside {
        assert_eq!(reason(&copied, link), Some(&SkipReason::LinkOutside), "{link}");
    }
}
