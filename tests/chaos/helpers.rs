//! Helpers five levels deep, each of which counts, changes files that are merged upwards, and has a helper of its own; the
//! program is killed at any instant, and in the middle of a merge. Every journal of the tree ends as undisturbed, nothing
//! is left, and no more is spent than was allowed.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use greenroom::event::Event;
use greenroom::helper::DEPTH_MAX;
use greenroom::store::{Record, RunDir};
use serde_json::{Value, json};

use crate::Extent;
use crate::house::{Dice, Ending, House, environment, normalised, wait};
use crate::support::containers_are_asked_for;

/// Two lines a level: one before its helper, one after.
const COUNTED: usize = 2 * (DEPTH_MAX as usize + 1);
const TOKENS_MAX: u64 = 4_000_000;
/// Containers of dead runners end by themselves when their lease does.
const LEFT_MAX: Duration = Duration::from_secs(120);

fn house() -> House {
    let environment = environment();
    environment.write("repo/check.sh", &format!("test \"$(wc -l < counter)\" -eq {COUNTED}\n"));
    environment.write("repo/counter", "");
    environment.write("repo/all.txt", "all\n");
    let count = "n=$(( $(wc -l < counter) + 1 )); echo $n >> counter;";
    let before =
        format!("{count} mkdir -p d$n; echo $n > d$n/x; chmod +x d$n/x; ln -s ../counter d$n/link; echo $n >> all.txt");
    let after = format!("{count} rm -rf d$(( {COUNTED} - n )); echo $n > ~/seen; sed -i \"1s/$/ $n/\" all.txt");
    let bash = |command: &str| json!({"type": "tool_use", "name": "bash", "input": {"command": command}});
    let helper = json!({"type": "tool_use", "name": "helper", "input": {"task": "Count on.", "writes": true,
        "steps": 40, "budget_percent": 90}});
    let edit = json!({"type": "tool_use", "name": "write_file", "input": {"path": "by_name", "content": "same\n"}});
    let submit = json!({"type": "tool_use", "name": "submit", "input": {"summary": "counted on"}});
    let turn =
        |calls: &[&Value]| json!({"content": calls, "usage": {"input_tokens": 900, "output_tokens": 50}}).to_string();
    let (before, after) = (bash(&before), bash(&after));
    let checks = json!({"type": "tool_use", "name": "run_checks", "input": {}});
    let below = [turn(&[&before, &edit]), turn(&[&helper]), turn(&[&after]), turn(&[&submit])];
    let above = [turn(&[&before]), turn(&[&helper, &after]), turn(&[&checks]), turn(&[&submit])];
    environment.write("helper.jsonl", &below.join("\n"));
    environment.write("script.jsonl", &above.join("\n"));
    let more = ["--helpers", "9", "--helper-model", "scripted:helper.jsonl", "--tokens-max"];
    let more = more.iter().map(|word| (*word).to_owned()).chain([TOKENS_MAX.to_string()]).collect();
    House { environment, steps: COUNTED, more }
}

/// The journals below the newest run, the highest level first.
fn below(house: &House) -> Vec<Vec<Record>> {
    let dirs = house.dir().map_or_else(Vec::new, |dir| dir.helpers().unwrap());
    dirs.iter().map(|dir: &RunDir| dir.journal().unwrap().records).collect()
}

fn ends(house: &House) -> Vec<Vec<Value>> {
    below(house).iter().map(|records| normalised(records)).collect()
}

/// What the providers were asked for and said that it took, in all journals.
fn answered_tokens(journals: &[Vec<Record>]) -> u64 {
    let usage = |record: &Record| match &record.event {
        Event::ModelResponded { response, .. } => {
            response.usage.input_tokens.unwrap_or(0) + response.usage.output_tokens.unwrap_or(0)
        }
        _ => 0,
    };
    journals.iter().flatten().map(usage).sum()
}

fn assert_within_budget(house: &House, what: &str) {
    let shown = house.environment.greenroom(&["show", "last", "--json"]);
    let charged = shown.lines().pop().unwrap()["tokens"].as_u64().unwrap();
    let journals = [below(house), vec![house.records()]].concat();
    let answered = answered_tokens(&journals);
    assert!(answered <= charged && charged <= TOKENS_MAX, "{what}: {answered} answered, {charged} charged");
}

/// Containers of this state folder, and their volumes.
fn on_the_engine(house: &House) -> (Vec<String>, BTreeSet<String>) {
    let owner = blake3::hash(house.environment.state().as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned();
    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &format!("label=greenroom.owner={owner}")]);
    let format = "{{range .Mounts}}{{println .Name}}{{end}}";
    let volumes = containers.iter().flat_map(|id| docker(&["inspect", "--format", format, id]));
    let volumes = volumes.filter(|name| !name.is_empty()).collect();
    (containers, volumes)
}

/// The engine has nothing of this state folder any more once the leases of those that were killed have ended.
fn assert_nothing_left(house: &House, mut volumes: BTreeSet<String>, what: &str) -> usize {
    let began = Instant::now();
    loop {
        let (containers, more) = on_the_engine(house);
        volumes.extend(more);
        if containers.is_empty() {
            break;
        }
        assert!(began.elapsed() < LEFT_MAX, "{what}: containers were left: {containers:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    for volume in &volumes {
        let there = Command::new("docker").args(["volume", "inspect", volume]).output().unwrap();
        assert!(!there.status.success(), "{what}: volume {volume} was left");
    }
    volumes.len()
}

fn assert_ends_as(house: &House, reference: &Ending, helpers: &[Vec<Value>], what: &str) {
    house.assert_ends_as(reference, what);
    let found = ends(house);
    assert_eq!(found.len(), helpers.len(), "{what}: helpers are missing or too many");
    for (level, (found, wanted)) in found.iter().zip(helpers).enumerate() {
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert_eq!(found, wanted, "{what}: event {at} of level {} differs", level + 1);
        }
        assert_eq!(found.len(), wanted.len(), "{what}: level {}", level + 1);
    }
    assert_within_budget(house, what);
}

/// What undisturbed ones come to: the run, its helpers, and how long it takes.
fn calm() -> (Ending, Vec<Vec<Value>>, Duration) {
    let house = house();
    let began = Instant::now();
    house.finish("undisturbed");
    let took = began.elapsed();
    let (ending, helpers) = (house.ending(), ends(&house));
    assert_eq!(helpers.len(), DEPTH_MAX as usize, "one a level");
    let deepest = serde_json::to_string(helpers.last().unwrap()).unwrap();
    assert!(deepest.contains("at most 5 levels deep"), "the sixth level is refused");
    assert_ends_as(&house, &ending, &helpers, "undisturbed");
    assert_nothing_left(&house, BTreeSet::new(), "undisturbed");
    (ending, helpers, took)
}

#[test]
fn helpers_five_levels_deep_that_are_killed_end_as_if_nothing_had_been() {
    if !containers_are_asked_for() {
        return;
    }
    let extent = Extent::of_environment();
    let (reference, helpers, took) = calm();
    let seed = extent.seed();
    let mut dice = Dice(seed | 1);
    let (mut injected, mut fired, mut runs, mut volumes) = (0, 0, 0, 0);
    while fired < extent.helper_kills {
        let house = house();
        let mut seen = BTreeSet::new();
        let mut kills = 0;
        // The longer one lives, the deeper it gets; the next finds all levels as they were left.
        while kills < 8 && !house.is_done() {
            let mut child = house.go_on(None);
            std::thread::sleep(Duration::from_millis(500 + dice.below(took.as_millis() as u64 / 2)));
            seen.extend(on_the_engine(&house).1);
            if child.try_wait().unwrap().is_some() {
                wait(child);
                break;
            }
            injected += 1;
            child.kill().unwrap();
            let (code, signal, stderr) = wait(child);
            match signal {
                Some(9) => (kills, fired) = (kills + 1, fired + 1),
                _ => {
                    assert_eq!(code, Some(0), "{stderr}");
                    injected -= 1;
                }
            }
            for dir in house.dir().iter().flat_map(|dir| dir.helpers().unwrap()) {
                // A line that was torn off is cut off by its next owner; nothing before it is damaged.
                assert!(dir.valid_prefix().unwrap().1.is_none(), "seed {seed}");
            }
        }
        let what = format!("seed {seed}, {kills} kills");
        house.finish(&what);
        assert_ends_as(&house, &reference, &helpers, &what);
        volumes += assert_nothing_left(&house, seen, &what);
        runs += 1;
    }
    eprintln!(
        "chaos: seed {seed}: {DEPTH_MAX} levels of helpers: kills injected {injected}, fired {fired}, in {runs} runs; \
         {volumes} volumes seen, none left"
    );
    assert_eq!(injected, fired);
}

#[test]
fn stopped_where_helpers_begin_and_where_they_are_merged_the_run_ends_the_same() {
    if !containers_are_asked_for() {
        return;
    }
    let extent = Extent::of_environment();
    let (reference, helpers, _) = calm();
    let faults: &[&str] = match extent.is_full {
        true => &[
            "helper_merging:1",
            "helper_merging:2",
            "helper_merging:9",
            "sandbox_started:2",
            "sandbox_started:6",
            "sandbox_before_start:4",
            "record_torn:12",
            "record_committed:20",
            "record_committed:21",
            "record_committed:22",
            "record_before:40",
            "tool_ran:3",
            "tool_ran:9",
            "step_snapshotted:8",
            "tree_captured:1",
            "tree_captured:3",
            "model_answered:7",
        ],
        false => &["helper_merging:2", "sandbox_started:3", "record_committed:12"],
    };
    for fault in faults {
        let house = house();
        let (code, signal, stderr) = wait(house.begin(Some(fault)));
        assert_eq!((code, signal, house.fired()), (None, Some(9), 1), "{fault}: {stderr}");
        let seen = on_the_engine(&house).1;
        if extent.is_full && fault.starts_with("helper_merging") {
            // All levels go with the process, whether anybody goes on or not.
            assert_nothing_left(&house, seen.clone(), fault);
        }
        house.finish(fault);
        assert_ends_as(&house, &reference, &helpers, fault);
        assert_nothing_left(&house, seen, fault);
    }
    eprintln!("chaos: {} faults where helpers begin and are merged, all fired", faults.len());
}
