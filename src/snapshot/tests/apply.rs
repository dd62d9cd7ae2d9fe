use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Blobs, as_git_sees, link, on_disk, path, scratch, tree};
use crate::id::RunId;
use crate::snapshot::apply::{ApplyError, Moved, Plan, Recovered, Refusal, Step, apply, plan, recover};
use crate::snapshot::change::changes;
use crate::snapshot::copy_in::{CopyOptions, copy_in, target_state};
use crate::snapshot::{Entry, Manifest};

/// A repository on disk, the run's state folder, and the trees before and after.
pub(super) struct Story {
    pub(super) blobs: Blobs,
    folder: TempDir,
    pub(super) before: Manifest,
    pub(super) after: Manifest,
    pub(super) run: RunId,
}

impl Story {
    /// Lays out a repository and copies it in; `edit` makes the tree after.
    pub(super) fn new(build: impl FnOnce(&Blobs) -> Manifest, edit: impl FnOnce(&Blobs, &mut Manifest)) -> Story {
        let blobs = Blobs::default();
        let folder = scratch();
        for name in ["repo", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let repo = folder.path().join("repo");
        blobs.lay_out(&build(&blobs), &repo);
        let before = copy_in(&repo, &CopyOptions::default(), &|bytes| blobs.put(bytes)).unwrap().manifest;
        let mut after = before.clone();
        edit(&blobs, &mut after);
        Story { blobs, folder, before, after, run: RunId::generate() }
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn plan_with(&self, others: Moved) -> Result<Plan, ApplyError> {
        let target = target_state(&self.repo(), &CopyOptions::default()).unwrap();
        plan(&self.repo(), &self.before, &self.after, &changes(&self.before, &self.after), &target, others)
    }

    pub(super) fn plan(&self) -> Result<Plan, ApplyError> {
        self.plan_with(Moved::Refuse)
    }

    pub(super) fn apply(&self, plan: &Plan, on_step: &mut dyn FnMut(Step) -> io::Result<()>) -> Result<(), ApplyError> {
        apply(&self.repo(), &self.state_dir(), &self.run, plan, &|id| self.blobs.read(id), on_step)
    }

    fn run(&self) -> Result<(), ApplyError> {
        self.apply(&self.plan()?, &mut |_| Ok(()))
    }

    pub(super) fn now(&self) -> Manifest {
        target_state(&self.repo(), &CopyOptions::default()).unwrap()
    }

    fn refusals(&self) -> Vec<Refusal> {
        match self.plan() {
            Err(ApplyError::Refused { refusals }) => refusals,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// One change of every kind, with folders that come, go and trade places with files.
pub(super) fn every_kind() -> Story {
    Story::new(
        |blobs| {
            tree([
                ("keep/same", blobs.file(0o644, b"same")),
                ("text", blobs.file(0o640, b"one\n")),
                ("tool", blobs.file(0o750, b"#!")),
                ("plain", blobs.file(0o644, b"#!")),
                ("gone/deep/only", blobs.file(0o644, b"gone")),
                ("link", link("text")),
                ("file-to-folder", blobs.file(0o644, b"f")),
                ("folder-to-file/a/b", blobs.file(0o644, b"g")),
                ("folder-to-file/c", blobs.file(0o644, b"h")),
                ("file-to-link", blobs.file(0o644, b"i")),
            ])
        },
        |blobs, after| {
            let gone = ["gone", "folder-to-file", "file-to-folder"].map(path);
            after.entries.retain(|at, _| !gone.iter().any(|folder| at.is_within(folder)));
            let new = tree([
                ("text", blobs.file(0o644, b"two\n")),
                ("tool", blobs.file(0o644, b"#!")),
                ("plain", blobs.file(0o755, b"#!")),
                ("link", link("keep/same")),
                ("file-to-folder/x/y", blobs.file(0o644, b"f")),
                ("folder-to-file", blobs.file(0o644, b"g")),
                ("file-to-link", link("text")),
                ("new/folder/script", blobs.file(0o755, b"#!")),
                ("new-link", link("new/folder")),
            ]);
            after.entries.extend(new.entries);
        },
    )
}

#[test]
fn every_kind_of_change_is_carried_out_and_nothing_is_left_behind() {
    let story = every_kind();
    story.run().unwrap();
    assert_eq!(as_git_sees(&story.now()), as_git_sees(&story.after));
    assert_eq!(story.now().entries.keys().collect::<Vec<_>>(), story.after.entries.keys().collect::<Vec<_>>());
    assert_eq!(on_disk(&story.state_dir()), []);
    let mode = |name: &str| fs::metadata(story.repo().join(name)).unwrap().permissions().mode() & 0o7777;
    // Only the executable bit travels; what the owner allowed to whom stays.
    assert_eq!([mode("text"), mode("tool"), mode("plain")], [0o640, 0o640, 0o755]);
    let own = fs::metadata(story.folder.path()).unwrap().uid();
    assert_eq!(fs::metadata(story.repo().join("new/folder/script")).unwrap().uid(), own);
    assert!(matches!(story.plan(), Err(ApplyError::AlreadyApplied)), "a second time says so");
}

#[test]
fn a_second_name_of_a_hard_linked_file_keeps_its_content() {
    let story = Story::new(
        |blobs| tree([("a", blobs.file(0o644, b"1"))]),
        |blobs, after| drop(after.entries.insert(path("a"), blobs.file(0o644, b"2"))),
    );
    let outside = story.folder.path().join("outside");
    fs::hard_link(story.repo().join("a"), &outside).unwrap();
    story.run().unwrap();
    assert_eq!(fs::read(story.repo().join("a")).unwrap(), b"2");
    assert_eq!(fs::read(outside).unwrap(), b"1");
}

fn adding(name: &'static str, entry: impl FnOnce(&Blobs) -> Entry) -> Story {
    Story::new(
        |blobs| tree([("a", blobs.file(0o644, b"1"))]),
        |blobs, after| drop(after.entries.insert(path(name), entry(blobs))),
    )
}

#[test]
fn what_a_patch_may_never_hold_is_refused() {
    for name in [".git/config", ".GIT/hooks/x", "sub/.Git/config", "git~1/config", ".git ", ".git"] {
        let story = adding(name, |blobs| blobs.file(0o755, b"x"));
        assert_eq!(story.refusals(), [Refusal::GitPath { path: path(name) }]);
    }
    for target in ["/etc/passwd", "../outside", "a/../../x", ".git/config"] {
        assert!(matches!(adding("l", |_| link(target)).refusals()[..], [Refusal::LinkOutside { .. }]), "{target}");
    }
    for mode in [0o4755, 0o2755] {
        assert!(matches!(adding("s", |blobs| blobs.file(mode, b"x")).refusals()[..], [Refusal::SetId { .. }]));
    }
    let reserved = adding(".greenroom-apply-x", |blobs| blobs.file(0o644, b"x"));
    assert!(matches!(reserved.refusals()[..], [Refusal::Reserved { .. }]));
}

#[test]
fn files_that_run_by_themselves_are_listed_in_the_plan() {
    let story = adding(".github/workflows/ci.yml", |blobs| blobs.file(0o644, b"on: push"));
    assert_eq!(story.plan().unwrap().runs_by_itself, [path(".github/workflows/ci.yml")]);
}

#[test]
fn a_touched_file_that_moved_is_refused_even_when_others_may_move() {
    let alter: [fn(&Path); 5] = [
        |repo| fs::write(repo.join("text"), "mine").unwrap(),
        |repo| fs::set_permissions(repo.join("text"), fs::Permissions::from_mode(0o600)).unwrap(),
        |repo| fs::remove_file(repo.join("text")).unwrap(),
        |repo| {
            fs::create_dir(repo.join("new"))
                .and_then(|()| fs::create_dir(repo.join("new/folder")))
                .and_then(|()| fs::write(repo.join("new/folder/script"), "mine"))
                .unwrap()
        },
        |repo| fs::write(repo.join("folder-to-file/mine"), "mine").unwrap(),
    ];
    for (index, alter) in alter.into_iter().enumerate() {
        let story = every_kind();
        alter(&story.repo());
        let before = on_disk(&story.repo());
        let refused = story.plan_with(Moved::Allow);
        assert!(matches!(refused, Err(ApplyError::Refused { .. })), "{index}: {refused:?}");
        assert_eq!(on_disk(&story.repo()), before, "{index}");
    }
}

#[test]
fn other_files_that_moved_are_refused_unless_allowed() {
    let story = every_kind();
    fs::write(story.repo().join("keep/same"), "mine").unwrap();
    fs::write(story.repo().join("untracked"), "mine").unwrap();
    assert!(matches!(story.refusals()[..], [Refusal::OthersMoved { count: 2, .. }]));
    let plan = story.plan_with(Moved::Allow).unwrap();
    assert_eq!(plan.moved, [path("keep/same"), path("untracked")]);
    story.apply(&plan, &mut |_| Ok(())).unwrap();
    assert_eq!(fs::read(story.repo().join("keep/same")).unwrap(), b"mine");
    assert_eq!(fs::read(story.repo().join("text")).unwrap(), b"two\n");
}

#[test]
fn a_folder_swapped_for_a_link_is_not_written_through() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x"), "1").unwrap();
    let story = || {
        Story::new(
            |blobs| tree([("a/x", blobs.file(0o644, b"1")), ("b", blobs.file(0o644, b"b"))]),
            |blobs, after| {
                after.entries.insert(path("a/x"), blobs.file(0o644, b"2"));
                after.entries.insert(path("a/new"), blobs.file(0o644, b"2"));
            },
        )
    };
    let swap = |repo: &Path| {
        fs::rename(repo.join("a"), repo.join("was-a")).unwrap();
        symlink(outside.path(), repo.join("a")).unwrap();
    };
    let early = story();
    swap(&early.repo());
    assert!(early.refusals().contains(&Refusal::ThroughLink { path: path("a/x") }));

    // After every check, and before any of the moves.
    let late = story();
    let plan = late.plan().unwrap();
    let repo = late.repo();
    let result = late.apply(&plan, &mut |step| {
        if step == Step::Committed {
            swap(&repo);
        }
        Ok(())
    });
    assert!(matches!(result, Err(ApplyError::Undone { .. })), "{result:?}");
    assert_eq!(fs::read(outside.path().join("x")).unwrap(), b"1");
    assert_eq!(on_disk(outside.path()).len(), 1);
    assert!(!fs::read_dir(&repo).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().starts_with(".greenroom")));
}

#[test]
fn a_file_edited_during_apply_undoes_all_of_it_and_keeps_the_edit() {
    for edit_at in 1..12 {
        let story = every_kind();
        let plan = story.plan().unwrap();
        let before = on_disk(&story.repo());
        let repo = story.repo();
        let mut carried = 0;
        let mut edited = false;
        let result = story.apply(&plan, &mut |step| {
            if step == Step::Carried {
                carried += 1;
                if carried == edit_at && fs::read(repo.join("text")).is_ok_and(|old| old == b"one\n") {
                    fs::write(repo.join("text"), "mine").unwrap();
                    edited = true;
                }
            }
            Ok(())
        });
        let text = fs::read(repo.join("text")).unwrap();
        match (edited, result) {
            (false, Ok(())) => assert_eq!(text, b"two\n"),
            (true, Err(ApplyError::Undone { .. })) => {
                assert_eq!(text, b"mine");
                fs::write(repo.join("text"), "one\n").unwrap();
                assert_eq!(on_disk(&repo), before);
            }
            (edited, result) => panic!("edited {edited} at {edit_at}: {result:?}"),
        }
        assert_eq!(on_disk(&story.state_dir()), []);
    }
}

#[test]
fn two_at_once_do_not_mix() {
    let story = every_kind();
    let plan = story.plan().unwrap();
    let mut second = None;
    story
        .apply(&plan, &mut |step| {
            if step == Step::StagingMade {
                let other = tempfile::tempdir().unwrap();
                let read = |id: &_| story.blobs.read(id);
                second = Some(apply(&story.repo(), other.path(), &RunId::generate(), &plan, &read, &mut |_| Ok(())));
            }
            Ok(())
        })
        .unwrap();
    assert!(matches!(second, Some(Err(ApplyError::Busy { .. }))), "{second:?}");
    assert_eq!(recover(&story.state_dir()).unwrap(), Recovered::Nothing);
}

#[test]
fn a_missing_blob_changes_nothing() {
    let story = every_kind();
    let before = on_disk(&story.repo());
    let plan = story.plan().unwrap();
    let read = |_: &_| Err(io::ErrorKind::NotFound.into());
    let result = apply(&story.repo(), &story.state_dir(), &story.run, &plan, &read, &mut |_| Ok(()));
    assert!(matches!(result, Err(ApplyError::Content { .. })), "{result:?}");
    assert_eq!(on_disk(&story.repo()), before);
    assert_eq!(on_disk(&story.state_dir()), []);
}

#[test]
fn what_another_run_left_behind_is_named() {
    let story = every_kind();
    fs::create_dir(story.repo().join(".greenroom-apply-other")).unwrap();
    assert_eq!(story.refusals(), [Refusal::OtherApply { name: ".greenroom-apply-other".into() }]);
}
