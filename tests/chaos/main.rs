//! The fault harness: the real binary is stopped at every seam and at random instants while it works in real containers,
//! and each time the resumed run must end as an undisturbed one: same files, same journal but for what a clock, a process
//! or a container's name puts there.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs the short form; `GREENROOM_CHAOS=full` the long one (`make chaos`), whose random seed
//! `GREENROOM_CHAOS_SEED` repeats. Every fault proves that it fired: a failpoint by its log, a kill by the signal that
//! the process died of.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod disks;
mod engine;
mod helpers;
mod house;
mod owners;
mod power;

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use greenroom::failpoint::Failpoint;

use house::{Dice, House, undisturbed, wait};
use support::containers_are_asked_for;

/// Kills of one run at most; the next begins anew.
const KILLS_MAX: usize = 30;

/// How long the script is and how many faults there are.
struct Extent {
    steps: usize,
    kills: usize,
    /// Hits of each record seam at which the program stops.
    record_hits: Vec<u64>,
    threads: usize,
    racers: usize,
    engine_steps: usize,
    helper_kills: usize,
    /// With and without live restore, each.
    engine_kills: usize,
    is_full: bool,
}

impl Extent {
    fn of_environment() -> Self {
        match std::env::var("GREENROOM_CHAOS").as_deref() {
            Ok("full") => Extent {
                steps: 60,
                kills: 300,
                record_hits: (1..=40).collect(),
                threads: 2,
                racers: 32,
                engine_steps: 20,
                helper_kills: 100,
                engine_kills: 12,
                is_full: true,
            },
            _ => Extent {
                steps: 6,
                kills: 6,
                record_hits: vec![9],
                threads: 2,
                racers: 6,
                engine_steps: 6,
                helper_kills: 4,
                engine_kills: 1,
                is_full: false,
            },
        }
    }

    /// `GREENROOM_CHAOS_SEED`, or another one every time.
    fn seed(&self) -> u64 {
        let seed = std::env::var("GREENROOM_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond() as u64)
    }
}

/// How a seam is reached.
enum Way {
    /// While the run begins and works, at this hit.
    Run(u64),
    /// While a later process takes over.
    Resume,
    /// The same after the container was removed.
    ResumeWithoutContainer,
}

fn ways(point: Failpoint, extent: &Extent) -> Vec<Way> {
    let run = |hits: &[u64]| hits.iter().map(|hit| Way::Run(*hit)).collect();
    match point {
        Failpoint::RecordBefore | Failpoint::RecordTorn | Failpoint::RecordWritten | Failpoint::RecordCommitted => {
            run(&extent.record_hits)
        }
        Failpoint::RecordSync => run(&[7]),
        Failpoint::BlobWritten | Failpoint::BlobSynced => run(&[1, 8]),
        // Of a pack, which a process begins once.
        Failpoint::BlobRenamed => run(&[1]),
        Failpoint::SandboxBeforeStart
        | Failpoint::SandboxStarted
        | Failpoint::BaselineRan
        | Failpoint::TreeCaptured
        | Failpoint::Verified => run(&[1]),
        Failpoint::ModelBeforeRequest | Failpoint::ModelAnswered => run(&[3]),
        Failpoint::ToolBeforeDispatch | Failpoint::ToolRan | Failpoint::StepSnapshotted => run(&[1, 2, 4, 5]),
        Failpoint::ResumeOpened | Failpoint::ResumeSandbox => vec![Way::Resume],
        Failpoint::SandboxLost => vec![Way::ResumeWithoutContainer],
        // Commands of their own: see the tests below.
        Failpoint::RewindBefore | Failpoint::ForkCopied => Vec::new(),
        // One answer a turn here: see `tests/docker/candidates.rs`.
        Failpoint::CandidateTried | Failpoint::CandidatesRanked => Vec::new(),
        // Nobody speaks here: see `tests/docker/context.rs`.
        Failpoint::LetterCommitted => Vec::new(),
        // This run has no helpers: see `helpers.rs`.
        Failpoint::HelperMerging => Vec::new(),
    }
}

#[test]
fn stopped_at_every_seam_the_run_ends_as_if_nothing_had_been() {
    if !containers_are_asked_for() {
        return;
    }
    let extent = Extent::of_environment();
    let steps = extent.steps.min(10);
    let (reference, _) = undisturbed(steps);
    let cases: Vec<(Failpoint, Way)> = Failpoint::ALL
        .into_iter()
        .flat_map(|point| ways(point, &extent).into_iter().map(move |way| (point, way)))
        .collect();
    let injected = cases.len();
    let left = Mutex::new(cases);
    let fired: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..extent.threads {
            scope.spawn(|| {
                while let Some((point, way)) = { left.lock().unwrap().pop() } {
                    let house = House::new(steps);
                    stop_at(&house, point, way);
                    assert_eq!(house.fired(), 1, "{} did not fire", point.name());
                    *fired.lock().unwrap().entry(point.name()).or_default() += 1;
                    house.finish(point.name());
                    house.assert_ends_as(&reference, point.name());
                }
            });
        }
    });
    let fired = fired.into_inner().unwrap();
    let total: usize = fired.values().sum();
    eprintln!("chaos: {} seams; injected {injected}, fired {total}: {fired:?}", Failpoint::ALL.len());
    assert_eq!(total, injected);
}

fn stop_at(house: &House, point: Failpoint, way: Way) {
    let die = |child: Child| {
        let (code, signal, stderr) = wait(child);
        assert_eq!((code, signal), (None, Some(9)), "{}: {stderr}", point.name());
    };
    match way {
        Way::Run(hit) => die(house.begin(Some(&format!("{}:{hit}", point.name())))),
        Way::Resume | Way::ResumeWithoutContainer => {
            die(house.begin(Some("tool_ran:3")));
            std::fs::remove_file(house.fired_log()).unwrap();
            if matches!(way, Way::ResumeWithoutContainer) {
                assert!(house.remove_containers() > 0, "there was a container to remove");
            }
            die(house.go_on(Some(point.name())));
        }
    }
}

#[test]
fn killed_at_any_instant_the_run_ends_as_if_nothing_had_been() {
    if !containers_are_asked_for() {
        return;
    }
    let extent = Extent::of_environment();
    let (reference, took) = undisturbed(extent.steps);
    let seed = extent.seed();
    let counts = Mutex::new((0usize, 0usize, 0usize));
    std::thread::scope(|scope| {
        for thread in 0..extent.threads {
            let (counts, reference) = (&counts, &reference);
            let mut dice = Dice(seed.wrapping_add(thread as u64 * 7_919) | 1);
            scope.spawn(move || {
                while counts.lock().unwrap().1 < extent.kills {
                    let house = House::new(extent.steps);
                    let (injected, fired) = kill_at_random(&house, took, &mut dice);
                    house.finish("killed at random");
                    house.assert_ends_as(reference, &format!("seed {seed}, {fired} kills"));
                    let mut counts = counts.lock().unwrap();
                    *counts = (counts.0 + injected, counts.1 + fired, counts.2 + 1);
                }
            });
        }
    });
    let (injected, fired, runs) = counts.into_inner().unwrap();
    eprintln!("chaos: seed {seed}: kills injected {injected}, fired {fired}, in {runs} runs of {} steps", extent.steps);
    assert_eq!(injected, fired);
}

/// A few times in a row, until a process was faster than its fault.
fn kill_at_random(house: &House, took: Duration, dice: &mut Dice) -> (usize, usize) {
    let (mut injected, mut fired) = (0, 0);
    while fired < KILLS_MAX {
        let mut child = house.go_on(None);
        std::thread::sleep(Duration::from_millis(dice.below(took.as_millis() as u64 + 1)));
        if child.try_wait().unwrap().is_some() {
            wait(child);
            break;
        }
        child.kill().unwrap();
        let (code, signal, _) = wait(child);
        // It may have ended by itself in between: then nothing was injected.
        if signal == Some(9) {
            injected += 1;
            fired += 1;
        } else {
            assert_eq!(code, Some(0));
            break;
        }
        // The end was committed before the signal came.
        if house.is_done() {
            break;
        }
    }
    (injected, fired)
}

#[test]
fn a_disk_that_fails_under_the_journal_parks_the_run_and_it_goes_on() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(3);
    for fault in ["record_sync:9=eio", "record_before:9=enospc", "blob_written:6=enospc"] {
        let house = House::new(3);
        let (code, _, stderr) = wait(house.begin(Some(fault)));
        assert_eq!((code, house.fired()), (Some(6), 1), "{fault}: {stderr}");
        assert!(stderr.contains("greenroom resume"), "{fault}: {stderr}");
        house.finish(fault);
        house.assert_ends_as(&reference, fault);
    }
}

#[test]
fn a_rewind_and_a_fork_that_are_killed_leave_the_run_as_it_was() {
    if !containers_are_asked_for() {
        return;
    }
    let house = House::new(3);
    house.finish("undisturbed");
    let before = house.ending();
    for (args, point) in [
        (["rewind", "last", "--to", "1"], Failpoint::RewindBefore),
        (["fork", "last", "--at", "1"], Failpoint::ForkCopied),
    ] {
        let parent = house.dir().unwrap();
        let records = parent.journal().unwrap().records.len();
        let (_, signal, _) = wait(house.spawn(&args, Some(point.name())));
        assert_eq!((signal, house.fired()), (Some(9), 1), "{}", point.name());
        std::fs::remove_file(house.fired_log()).unwrap();
        assert_eq!(parent.journal().unwrap().records.len(), records, "{}", point.name());
        // Half a fork would be the newest run.
        house.assert_ends_as(&before, point.name());
    }
}

#[test]
fn rewound_to_a_step_the_run_goes_on_from_its_files_and_its_conversation() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(4);
    let house = House::new(4);
    house.finish("undisturbed");
    let rewound = house.environment.greenroom(&["rewind", "last", "--to", "3"]);
    assert_eq!(rewound.code, 0, "{rewound}");
    house.finish("after the rewind");
    let ending = house.ending();
    assert_eq!((ending.counter, ending.workspace), (reference.counter.clone(), reference.workspace));
    let forked = house.environment.greenroom(&["fork", "last", "--at", "2"]);
    assert_eq!(forked.code, 0, "{forked}");
    house.finish("the fork");
    assert_eq!(house.ending().counter, reference.counter);
}

#[test]
fn what_is_done_stands_in_the_journal_before_it_is_done() {
    if !containers_are_asked_for() {
        return;
    }
    for (point, recorded) in [("model_answered:1", "model_requested"), ("tool_ran:1", "tool_call_started")] {
        let house = House::new(1);
        let (_, signal, stderr) = wait(house.begin(Some(point)));
        assert_eq!((signal, house.fired()), (Some(9), 1), "{point}: {stderr}");
        let last = serde_json::to_value(&house.records().last().unwrap().event).unwrap();
        assert_eq!(last["type"], recorded, "{point}");
    }
}

#[test]
fn an_edit_that_was_under_way_is_made_once() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(2);
    let house = House::new(2);
    // The second turn's second call.
    stop_at(&house, Failpoint::ToolRan, Way::Run(4));
    assert_eq!(house.fired(), 1);
    house.finish("an edit under way");
    house.assert_ends_as(&reference, "an edit under way");
}
