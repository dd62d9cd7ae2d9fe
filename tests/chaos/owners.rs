//! Who may write to a run: of many that race one, and never one that was overtaken while it slept. And clocks that jump
//! decide nothing.

use std::process::{Child, Command};

use greenroom::event::Event;

use crate::Extent;
use crate::engine::until;
use crate::house::{House, environment, undisturbed, wait};
use crate::support::containers_are_asked_for;

#[test]
fn of_many_runners_that_race_for_a_run_one_wins() {
    if !containers_are_asked_for() {
        return;
    }
    let racers = Extent::of_environment().racers;
    let (reference, _) = undisturbed(4);
    let house = House::new(4);
    wait(house.begin(Some("tool_ran:3")));
    let racing: Vec<Child> = (0..racers).map(|_| house.go_on(None)).collect();
    let ended: Vec<(Option<i32>, Option<i32>, String)> = racing.into_iter().map(wait).collect();
    let count = |wanted: i32| ended.iter().filter(|(code, ..)| *code == Some(wanted)).count();
    assert_eq!((count(0), count(2)), (1, racers - 1), "{ended:?}");
    eprintln!("chaos: {racers} runners raced, one won");
    house.assert_ends_as(&reference, "racers");
}

#[test]
fn an_owner_that_was_overtaken_while_it_slept_writes_nothing_more() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(4);
    let house = House::new(4);
    let sleeper = house.begin(Some("tool_ran:3=stop"));
    until("it sleeps", || is_stopped(&sleeper).then_some(()));
    assert_eq!(house.fired(), 1, "the fault fired");
    // While it holds the run nobody else gets it, asleep or not.
    let (code, _, stderr) = wait(house.go_on(None));
    assert!(code == Some(2) && stderr.contains(&sleeper.id().to_string()), "{stderr}");
    // An operator who is sure that it is dead takes the lock away.
    std::fs::remove_file(house.dir().unwrap().path().join("lock")).unwrap();
    house.finish("taken over");
    let journal = std::fs::read(house.dir().unwrap().journal_path()).unwrap();
    signal(&sleeper, "-CONT");
    let (code, signal, stderr) = wait(sleeper);
    assert!(signal.is_none() && code.is_some_and(|code| [6, 7].contains(&code)), "exit {code:?}: {stderr}");
    assert_eq!(std::fs::read(house.dir().unwrap().journal_path()).unwrap(), journal, "it wrote nothing");
    house.assert_ends_as(&reference, "overtaken");
}

/// Fault: the state folder is copied, as a backup that somebody works in does.
#[test]
fn a_copy_of_a_run_takes_no_sandbox_of_the_first_and_both_end_alike() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(4);
    let (house, copy) = (House::new(4), House::new(4));
    wait(house.begin(Some("tool_ran:3")));
    assert_eq!(house.fired(), 1, "the fault fired");
    let to = copy.environment.root().join("greenroom");
    assert!(Command::new("cp").arg("-a").arg(house.environment.state()).arg(to).status().unwrap().success());
    copy.finish("the copy");
    house.finish("the first");
    let fresh = |house: &House| {
        house.records().iter().filter(|record| matches!(record.event, Event::SandboxReplaced { .. })).count()
    };
    assert_eq!((fresh(&copy), fresh(&house)), (1, 0), "the first one's sandbox was alive, and its own");
    copy.assert_ends_as(&reference, "the copy");
    house.assert_ends_as(&reference, "the first");
}

fn is_stopped(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Answers every question for the time of day with another day, years back and forth; the monotonic clock stays.
const JUMPING_CLOCK: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int calls;
    long answer = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += (calls++ % 2 ? 1 : -1) * 400L * 24 * 60 * 60;
    return (int)answer;
}
";

#[test]
fn clocks_that_jump_decide_nothing() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(4);
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
    std::fs::write(&source, JUMPING_CLOCK).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if !built.is_ok_and(|status| status.success()) {
        assert!(!Extent::of_environment().is_full, "no C compiler to build a clock with");
        eprintln!("skipped: no C compiler to build a clock with");
        return;
    }
    let environment = environment().with("LD_PRELOAD", library.to_str().unwrap());
    let house = House::within(environment, 4);
    let (_, signal, _) = wait(house.begin(Some("tool_ran:3")));
    assert_eq!(signal, Some(9));
    house.finish("with a clock that jumps");
    let times: Vec<i64> = house.records().iter().map(|record| record.at_ms).collect();
    let back = times.windows(2).filter(|pair| pair[1] < pair[0] - 24 * 60 * 60 * 1000).count();
    assert!(back > 3, "the fault fired: {times:?}");
    eprintln!("chaos: the clock went back by years {back} times in {} records", times.len());
    house.assert_ends_as(&reference, "a clock that jumps");
}
