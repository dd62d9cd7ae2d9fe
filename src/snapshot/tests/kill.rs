//! `apply` killed between any two steps, once or again during its recovery.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::apply::{Story, every_kind};
use super::{as_git_sees, on_disk};
use crate::snapshot::apply::{ApplyError, Recovered, Step, recover};

/// Lets `count` steps pass, then stops everything.
fn killer(count: usize) -> impl FnMut(Step) -> io::Result<()> {
    let mut left = count;
    move |_| match left {
        0 => Err(io::Error::other("killed")),
        _ => {
            left -= 1;
            Ok(())
        }
    }
}

fn steps() -> usize {
    let story = every_kind();
    let mut count = 0;
    let plan = story.plan().unwrap();
    story
        .apply(&plan, &mut |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
    count
}

fn is_whole(story: &Story, expected: Recovered) {
    let wanted = if expected == Recovered::Finished { &story.after } else { &story.before };
    assert_eq!(as_git_sees(&story.now()), as_git_sees(wanted));
    assert_eq!(story.now().entries.keys().collect::<Vec<_>>(), wanted.entries.keys().collect::<Vec<_>>());
    let names: Vec<_> = fs::read_dir(story.repo()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|n| n.to_string_lossy().starts_with(".greenroom")), "{names:?}");
    assert_eq!(on_disk(&story.state_dir()), []);
}

#[test]
fn killed_anywhere_the_next_apply_ends_with_the_whole_patch() {
    let steps = steps();
    assert!(steps > 30, "{steps}");
    for kill_at in 0..steps {
        let story = every_kind();
        let plan = story.plan().unwrap();
        let killed = story.apply(&plan, &mut killer(kill_at));
        assert!(matches!(killed, Err(ApplyError::Interrupted(_))), "{kill_at}: {killed:?}");
        story.apply(&plan, &mut |_| Ok(())).unwrap_or_else(|error| panic!("{kill_at}: {error}"));
        is_whole(&story, Recovered::Finished);
    }
}

#[test]
fn killed_anywhere_recovery_leaves_all_or_nothing() {
    let mut outcomes = Vec::new();
    for kill_at in 0..steps() {
        let story = every_kind();
        let plan = story.plan().unwrap();
        // A panic, as an unwinding thread would leave it.
        let mut stop = killer(kill_at);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _ = story.apply(&plan, &mut |step| stop(step).map_err(|_| std::panic::resume_unwind(Box::new(()))));
        }));
        assert!(unwound.is_err());
        let outcome = recover(&story.state_dir()).unwrap();
        is_whole(&story, outcome);
        assert_eq!(recover(&story.state_dir()).unwrap(), Recovered::Nothing);
        outcomes.push(outcome);
    }
    assert!(outcomes.contains(&Recovered::Undone) && outcomes.contains(&Recovered::Finished));
    assert!(outcomes.is_sorted_by_key(|o| *o == Recovered::Finished), "{outcomes:?}");
}

#[test]
fn killed_again_and_again_it_still_converges() {
    let story = every_kind();
    let plan = story.plan().unwrap();
    // Recovery may be killed as well: one more step survives each time.
    let ended = (0..200).find(|allowed| story.apply(&plan, &mut killer(*allowed)).is_ok());
    assert!(ended.is_some());
    is_whole(&story, Recovered::Finished);
}

#[test]
fn a_conflict_after_the_kill_undoes_all_wherever_it_was() {
    let (mut undone, mut finished) = (0, 0);
    for kill_at in 0..steps() {
        let story = every_kind();
        let plan = story.plan().unwrap();
        story.apply(&plan, &mut killer(kill_at)).unwrap_err();
        // The user, not knowing, writes where a new file is to come.
        let at = story.repo().join("new-link");
        if fs::symlink_metadata(&at).is_ok() {
            finished += 1;
            continue;
        }
        fs::write(&at, "mine").unwrap();
        assert_eq!(recover(&story.state_dir()).unwrap(), Recovered::Undone, "{kill_at}");
        assert_eq!(fs::read(&at).unwrap(), b"mine");
        fs::remove_file(&at).unwrap();
        is_whole(&story, Recovered::Undone);
        undone += 1;
    }
    assert!(undone > 10 && finished > 0, "{undone} {finished}");
}

#[test]
fn without_its_staging_folder_an_interrupted_apply_says_so_and_touches_nothing() {
    let story = every_kind();
    let plan = story.plan().unwrap();
    let committed = steps() / 2;
    story.apply(&plan, &mut killer(committed)).unwrap_err();
    fs::remove_dir_all(story.repo().join(format!(".greenroom-apply-{}", story.run))).unwrap();
    let before = on_disk(&story.repo());
    assert!(matches!(recover(&story.state_dir()), Err(ApplyError::Stuck { .. })));
    assert_eq!(on_disk(&story.repo()), before);
}
