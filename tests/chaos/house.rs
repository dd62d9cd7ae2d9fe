//! One state folder with a repository and a script, the processes that work in it, and what must be equal at the end.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use greenroom::event::{Event, RunStatus};
use greenroom::snapshot::Manifest;
use greenroom::snapshot::seen::Area;
use greenroom::snapshot::tree::FileTree;
use greenroom::store::{Record, RunDir};
use serde_json::{Value, json};

use crate::support::TestEnvironment;

pub(crate) const CHECK: &str = "sh check.sh";
/// One process; a hang is a failure.
pub(crate) const PROCESS_TIME_MAX: Duration = Duration::from_secs(300);

/// One state folder with a repository and a script.
pub(crate) struct House {
    pub(crate) environment: TestEnvironment,
    pub(crate) steps: usize,
    /// Arguments of `run` beside the usual ones.
    pub(crate) more: Vec<String>,
}

/// What must be equal.
#[derive(Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) journal: Vec<Value>,
    pub(crate) workspace: Manifest,
    pub(crate) home: Manifest,
    pub(crate) counter: String,
}

/// On the engine that the caller uses.
pub(crate) fn environment() -> TestEnvironment {
    match std::env::var("DOCKER_HOST") {
        Ok(host) => TestEnvironment::new().with("DOCKER_HOST", &host),
        Err(_) => TestEnvironment::new(),
    }
}

impl House {
    pub(crate) fn new(steps: usize) -> Self {
        House::within(environment(), steps)
    }

    pub(crate) fn within(environment: TestEnvironment, steps: usize) -> Self {
        environment.write("repo/check.sh", &format!("test \"$(wc -l < counter)\" -eq {steps}\n"));
        environment.write("repo/kept.txt", "kept\n");
        environment.write("script.jsonl", &script(steps));
        House { environment, steps, more: Vec::new() }
    }

    pub(crate) fn spawn(&self, args: &[&str], failpoint: Option<&str>) -> Child {
        let mut command = self.environment.command(args);
        if let Some(failpoint) = failpoint {
            command.env("GREENROOM_FAILPOINT", failpoint).env("GREENROOM_FAILPOINT_LOG", self.fired_log());
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn begin(&self, failpoint: Option<&str>) -> Child {
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
        let more = self.more.iter().map(String::as_str);
        self.spawn(&args.into_iter().chain(more).collect::<Vec<_>>(), failpoint)
    }

    /// The next process of this run: a first one where none left a journal.
    pub(crate) fn go_on(&self, failpoint: Option<&str>) -> Child {
        match self.records().is_empty() {
            true => self.begin(failpoint),
            false => self.spawn(&["resume", "--last", "--json"], failpoint),
        }
    }

    pub(crate) fn fired_log(&self) -> PathBuf {
        self.environment.root().join("fired")
    }

    pub(crate) fn fired(&self) -> usize {
        std::fs::read_to_string(self.fired_log()).map_or(0, |log| log.lines().count())
    }

    pub(crate) fn dir(&self) -> Option<RunDir> {
        RunDir::find(&self.environment.state(), "last").ok()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.dir().and_then(|dir| dir.journal().ok()).map_or_else(Vec::new, |journal| journal.records)
    }

    /// Without a fault until it is done.
    pub(crate) fn finish(&self, what: &str) {
        if self.is_done() {
            return;
        }
        let (code, signal, stderr) = wait(self.go_on(None));
        assert_eq!((code, signal), (Some(0), None), "{what}: {stderr}");
    }

    /// Its end is committed, and is not that it was parked.
    pub(crate) fn is_done(&self) -> bool {
        let verified =
            |event: &Event| matches!(event, Event::Finished { outcome, .. } if outcome.status == RunStatus::Verified);
        self.records().last().is_some_and(|record| verified(&record.event))
    }

    pub(crate) fn ending(&self) -> Ending {
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
    pub(crate) fn assert_ends_as(&self, reference: &Ending, what: &str) {
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

    pub(crate) fn remove_containers(&self) -> usize {
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
pub(crate) fn wait(mut child: Child) -> (Option<i32>, Option<i32>, String) {
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
pub(crate) fn script(steps: usize) -> String {
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
pub(crate) fn normalised(records: &[Record]) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    for record in records {
        let parked = matches!(&record.event, Event::Finished { outcome, .. } if outcome.status == RunStatus::Parked);
        if parked || matches!(record.event, Event::Resumed { .. } | Event::SandboxReplaced { .. }) {
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

static TOOK: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"\b\d+\.\d s\b").unwrap());

pub(crate) fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["elapsed_ms", "duration_ms", "container", "hardening", "run", "repo", "plan", "model"] {
                members.remove(name);
            }
            // What a death in the middle of a request costs is charged, in what a helper took and in what is left for it.
            if let Some(Value::Object(helper)) = members.get_mut("helper") {
                ["input_tokens", "output_tokens", "cost_usd"].iter().for_each(|name| drop(helper.remove(*name)));
                if let Some(Value::Object(limits)) = members.get_mut("limits") {
                    limits.remove("tokens_max");
                }
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
        // What the model is told says how long a check took, and so does a checkpoint that repeats it.
        Value::String(text) => *text = TOOK.replace_all(text, "<time>").into_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What an undisturbed run comes to, and how long it takes.
pub(crate) fn undisturbed(steps: usize) -> (Ending, Duration) {
    undisturbed_in(House::new(steps))
}

pub(crate) fn undisturbed_in(house: House) -> (Ending, Duration) {
    let began = Instant::now();
    house.finish("undisturbed");
    let took = began.elapsed();
    let ending = house.ending();
    house.assert_ends_as(&ending, "undisturbed");
    (ending, took)
}

/// Small and seeded: the same seed gives the same faults.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
