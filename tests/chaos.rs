//! The fault harness: the real binary is stopped at every seam and at random instants while it works in real containers,
//! and each time the resumed run must end as an undisturbed one: same files, same journal but for what a clock, a process
//! or a container's name puts there.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs the short form; `GREENROOM_CHAOS=full` the long one (`make chaos`), whose random seed
//! `GREENROOM_CHAOS_SEED` repeats. Every fault proves that it fired: a failpoint by its log, a kill by the signal that
//! the process died of.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code)]
mod support;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use greenroom::event::{Event, RunStatus};
use greenroom::failpoint::Failpoint;
use greenroom::snapshot::Manifest;
use greenroom::snapshot::seen::Area;
use greenroom::snapshot::tree::FileTree;
use greenroom::store::{Record, RunDir};
use serde_json::{Value, json};

use support::{TestEnvironment, containers_are_asked_for};

const CHECK: &str = "sh check.sh";
/// Kills of one run at most; the next begins anew.
const KILLS_MAX: usize = 30;
/// One process; a hang is a failure.
const PROCESS_TIME_MAX: Duration = Duration::from_secs(300);

/// How long the script is and how many faults there are.
struct Extent {
    steps: usize,
    kills: usize,
    /// Hits of each record seam at which the program stops.
    record_hits: Vec<u64>,
    threads: usize,
}

impl Extent {
    fn of_environment() -> Self {
        match std::env::var("GREENROOM_CHAOS").as_deref() {
            Ok("full") => Extent { steps: 60, kills: 300, record_hits: (1..=40).collect(), threads: 2 },
            _ => Extent { steps: 6, kills: 6, record_hits: vec![9], threads: 2 },
        }
    }
}

/// One state folder with a repository and a script.
struct House {
    environment: TestEnvironment,
    steps: usize,
}

/// What must be equal.
#[derive(Debug, PartialEq)]
struct Ending {
    journal: Vec<Value>,
    workspace: Manifest,
    home: Manifest,
    counter: String,
}

impl House {
    fn new(steps: usize) -> Self {
        let mut environment = TestEnvironment::new();
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            environment = environment.with("DOCKER_HOST", &host);
        }
        environment.write("repo/check.sh", &format!("test \"$(wc -l < counter)\" -eq {steps}\n"));
        environment.write("repo/kept.txt", "kept\n");
        environment.write("script.jsonl", &script(steps));
        House { environment, steps }
    }

    fn spawn(&self, args: &[&str], failpoint: Option<&str>) -> Child {
        let mut command = self.environment.command(args);
        if let Some(failpoint) = failpoint {
            command.env("GREENROOM_FAILPOINT", failpoint).env("GREENROOM_FAILPOINT_LOG", self.fired_log());
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn begin(&self, failpoint: Option<&str>) -> Child {
        let args = [
            "run",
            "--repo",
            "repo",
            "--image",
            "python",
            "--model",
            "scripted:script.jsonl",
            "--check",
            CHECK,
            "--json",
        ];
        self.spawn(&args, failpoint)
    }

    /// The next process of this run: a first one where none left a journal.
    fn go_on(&self, failpoint: Option<&str>) -> Child {
        match self.records().is_empty() {
            true => self.begin(failpoint),
            false => self.spawn(&["resume", "--last", "--json"], failpoint),
        }
    }

    fn fired_log(&self) -> PathBuf {
        self.environment.root().join("fired")
    }

    fn fired(&self) -> usize {
        std::fs::read_to_string(self.fired_log()).map_or(0, |log| log.lines().count())
    }

    fn dir(&self) -> Option<RunDir> {
        RunDir::find(&self.environment.state(), "last").ok()
    }

    fn records(&self) -> Vec<Record> {
        self.dir().and_then(|dir| dir.journal().ok()).map_or_else(Vec::new, |journal| journal.records)
    }

    /// Without a fault until it is done.
    fn finish(&self, what: &str) {
        if self.is_done() {
            return;
        }
        let (code, signal, stderr) = wait(self.go_on(None));
        assert_eq!((code, signal), (Some(0), None), "{what}: {stderr}");
    }

    /// Its end is committed, and is not that it was parked.
    fn is_done(&self) -> bool {
        let verified =
            |event: &Event| matches!(event, Event::Finished { outcome, .. } if outcome.status == RunStatus::Verified);
        self.records().last().is_some_and(|record| verified(&record.event))
    }

    fn ending(&self) -> Ending {
        let dir = self.dir().unwrap();
        let records = self.records();
        let root = records
            .iter()
            .rev()
            .find_map(|record| match &record.event {
                Event::ToolCallFinished { snapshot, .. } | Event::BaselineFinished { snapshot, .. } => snapshot.clone(),
                _ => None,
            })
            .unwrap()
            .root;
        let read = |id: &greenroom::id::BlobId| dir.blobs().get(id);
        let tree = FileTree::load(&root, &read).unwrap();
        let workspace = tree.manifest(Area::Workspace);
        let counter = workspace.entries.iter().find(|(path, _)| path.as_bytes() == b"counter").map(|(_, entry)| {
            let greenroom::snapshot::Entry::File { content, .. } = entry else { panic!("counter is no file") };
            String::from_utf8(tree.content(content, &read).unwrap()).unwrap()
        });
        Ending {
            journal: normalised(&records),
            home: tree.manifest(Area::Home),
            workspace,
            counter: counter.unwrap_or_default(),
        }
    }

    /// Equal to the undisturbed run, and nothing lost or done twice.
    fn assert_ends_as(&self, reference: &Ending, what: &str) {
        let ending = self.ending();
        let counted: String = (1..=self.steps).map(|n| format!("{n}\n")).collect();
        assert_eq!(ending.counter, counted, "{what}: a step was lost or done twice");
        for (at, (found, wanted)) in ending.journal.iter().zip(&reference.journal).enumerate() {
            assert_eq!(found, wanted, "{what}: event {at} differs");
        }
        assert_eq!(ending.journal.len(), reference.journal.len(), "{what}: events are missing or too many");
        assert_eq!(ending, *reference, "{what}");
        let audit = self.environment.greenroom(&["audit", "last"]);
        assert_eq!(audit.code, 0, "{what}: {audit}");
    }

    fn remove_containers(&self) -> usize {
        let run = self.dir().unwrap().path().file_name().unwrap().to_string_lossy().into_owned();
        let filter = format!("label=greenroom.run={run}");
        let output = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output().unwrap();
        let ids: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        for id in &ids {
            // It may be ending by itself.
            let _ = Command::new("docker").args(["rm", "--force", "--volumes", id]).output().unwrap();
        }
        ids.len()
    }
}

/// Exit code, signal, and what it said.
fn wait(mut child: Child) -> (Option<i32>, Option<i32>, String) {
    let began = Instant::now();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
        text
    });
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > PROCESS_TIME_MAX => {
                child.kill().unwrap();
                panic!("a process did not end within {} s", PROCESS_TIME_MAX.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    (status.code(), status.signal(), reader.join().unwrap())
}

/// Commands, file calls and checks that come to the same however often the whole is repeated.
fn script(steps: usize) -> String {
    let bash = |command: String| ("bash", json!({"command": command}));
    let mut lines = Vec::new();
    for n in 1..=steps {
        let more = match n % 10 {
            1 => "mkdir -p deep/er && echo x > deep/er/x && sleep 0.05".to_owned(),
            2 => format!("ln -sf ../kept.txt deep/link{n}; export NAME=v{n}"),
            3 => "chmod 700 deep; echo out; echo err >&2; sleep 0.1".to_owned(),
            4 => format!("mkdir -p empty{n}; echo $NAME > name; (exit 3)"),
            5 => "ln -f kept.txt hard; rm -rf empty4".to_owned(),
            6 => format!("mkdir -p ~/lib && echo {n} > ~/lib/n && sleep 0.02"),
            7 => "cd deep && seq 1 2000".to_owned(),
            8 => "cd /workspace; mv kept.txt moved.txt && mv moved.txt kept.txt".to_owned(),
            9 => "printf 'a\\nb\\n' > lines; chmod +x lines".to_owned(),
            _ => "rm -f deep/link*; ls -la | wc -l > /dev/null".to_owned(),
        };
        let mut calls = vec![bash(format!("echo {n} >> /workspace/counter; {more}"))];
        match n % 5 {
            1 => calls.push(("write_file", json!({"path": "written.txt", "content": format!("version {n}\n")}))),
            2 => calls
                .push(("edit_file", json!({"path": "written.txt", "old_string": "version", "new_string": "Version"}))),
            3 => calls.push(("read_file", json!({"path": "counter"}))),
            4 => calls.push(("run_checks", json!({}))),
            _ => {}
        }
        lines.push(calls);
    }
    lines.push(vec![("submit", json!({"summary": "counted"}))]);
    let line = |calls: &Vec<(&str, Value)>| {
        let content: Vec<Value> =
            calls.iter().map(|(name, input)| json!({"type": "tool_use", "name": name, "input": input})).collect();
        json!({"content": content}).to_string()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Without what recovery adds, and without times, durations, processes, owners, container names and mtimes.
fn normalised(records: &[Record]) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    for record in records {
        if matches!(record.event, Event::Resumed { .. } | Event::SandboxReplaced { .. }) {
            continue;
        }
        let mut event = serde_json::to_value(&record.event).unwrap();
        strip(&mut event);
        // A request that nobody answered is sent again.
        if event["type"] == "model_requested" && events.last().is_some_and(|last| *last == event) {
            continue;
        }
        events.push(event);
    }
    events
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["elapsed_ms", "duration_ms", "container", "hardening", "run", "repo", "plan", "model"] {
                members.remove(name);
            }
            // The root's hash covers mtimes; what was stored depends on what was stored before.
            if let Some(Value::Object(snapshot)) = members.get_mut("snapshot") {
                for name in ["root", "stored_bytes", "changed"] {
                    snapshot.remove(name);
                }
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What an undisturbed run comes to, and how long it takes.
fn undisturbed(steps: usize) -> (Ending, Duration) {
    let house = House::new(steps);
    let began = Instant::now();
    house.finish("undisturbed");
    let took = began.elapsed();
    let ending = house.ending();
    house.assert_ends_as(&ending, "undisturbed");
    (ending, took)
}

/// Small and seeded: the same seed gives the same faults.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
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
        Failpoint::ToolBeforeDispatch | Failpoint::ToolRan | Failpoint::StepSnapshotted => run(&[1, 2, 5]),
        Failpoint::ResumeOpened | Failpoint::ResumeSandbox => vec![Way::Resume],
        Failpoint::SandboxLost => vec![Way::ResumeWithoutContainer],
        // Commands of their own: see the tests below.
        Failpoint::RewindBefore | Failpoint::ForkCopied => Vec::new(),
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
    let seed = std::env::var("GREENROOM_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond() as u64);
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
        let ending = house.ending();
        assert_eq!(ending.counter, reference.counter, "{fault}");
        assert_eq!(ending.workspace, reference.workspace, "{fault}");
    }
}

#[test]
fn of_two_runners_that_race_for_a_run_one_wins() {
    if !containers_are_asked_for() {
        return;
    }
    let (reference, _) = undisturbed(4);
    let house = House::new(4);
    wait(house.begin(Some("tool_ran:3")));
    let racers: Vec<Child> = (0..4).map(|_| house.go_on(None)).collect();
    let ended: Vec<(Option<i32>, Option<i32>, String)> = racers.into_iter().map(wait).collect();
    let won = ended.iter().filter(|(code, ..)| *code == Some(0)).count();
    assert_eq!(won, 1, "{ended:?}");
    assert!(ended.iter().filter(|(code, ..)| *code == Some(2)).count() == 3, "{ended:?}");
    house.assert_ends_as(&reference, "racers");
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
        if point == Failpoint::RewindBefore {
            house.assert_ends_as(&before, point.name());
        }
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
