//! The whole program against real containers: each test has a state folder of its own, so that what is left behind
//! after any command can be told from everybody else's.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs them; without it they say that they were skipped, except on CI, where that fails.

mod apply;
mod bad_input;
mod canary;
mod candidates;
mod captured;
mod clone;
mod context;
mod copy_in;
mod endurance;
mod exec;
mod github;
mod helpers;
mod honesty;
mod images;
mod install;
mod judgement;
mod judgement_manifests;
mod leftovers;
mod locals;
mod model_server;
mod review;
mod score;
mod second_reader;
mod shell;
mod thrift;
mod tools;

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, ListVolumesOptions};
use greenroom::event::{Event, ToolOutcome};
use greenroom::sandbox::{Engine, Images};
use greenroom::store::RunDir;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Finished, TestEnvironment, containers_are_asked_for};

/// A sum that is wrong, in the smallest repository a check can tell.
const WRONG: &str = "def add(a, b):\n    return a - b\n";
const CHECK: &str = "python3 check.py";
const CHECK_FILE: &str = "from calc import add\n\nassert add(2, 3) == 5, add(2, 3)\n";

/// One installation of Greenroom on a real engine.
struct House {
    environment: TestEnvironment,
    runtime: Runtime,
    docker: Docker,
}

/// A run as its `--json` output tells it.
struct Run {
    finished: Finished,
    result: Value,
}

/// The engine's address, with the Python image prepared on it; found once for all tests of this process.
static ENGINE: OnceLock<String> = OnceLock::new();

impl House {
    /// `None` where these tests were not asked for.
    fn open() -> Option<House> {
        if !containers_are_asked_for() {
            return None;
        }
        let runtime = Runtime::new().expect("a runtime");
        let address = ENGINE.get_or_init(|| {
            runtime.block_on(async {
                let engine = Engine::find().await.expect("these tests need a container engine");
                let images = Images::new(engine.clone());
                images.prepare("python", &|_| {}).await.expect("the python image");
                engine.facts.address
            })
        });
        let docker = Docker::connect_with_host(address).expect("the address that just answered");
        let environment = TestEnvironment::new().with("DOCKER_HOST", address);
        Some(House { environment, runtime, docker })
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A copy of a fixture, so that nothing a test does can reach the original.
    fn fixture(&self, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tasks").join(name).join("repo");
        let to = self.environment.root().join(name);
        copy_folder(&from, &to);
        to
    }

    /// The wrong sum and its check.
    fn small_repository(&self) -> PathBuf {
        self.environment.write("repo/calc.py", WRONG);
        self.environment.write("repo/check.py", CHECK_FILE);
        self.environment.root().join("repo")
    }

    /// A model that plays these turns, each a list of calls.
    fn script(&self, turns: &[&[(&str, Value)]]) -> String {
        let line = |calls: &&[(&str, Value)]| {
            let content: Vec<Value> =
                calls.iter().map(|(name, input)| json!({"type": "tool_use", "name": name, "input": input})).collect();
            json!({"content": content}).to_string()
        };
        let text: Vec<String> = turns.iter().map(line).collect();
        format!("scripted:{}", self.environment.write("script.jsonl", &text.join("\n")).display())
    }

    /// `greenroom ARGS`, after which nothing of this installation may be left on the engine.
    fn greenroom(&self, args: &[&str]) -> Finished {
        let finished = self.environment.greenroom(args);
        self.assert_nothing_left_after(&finished);
        finished
    }

    /// `greenroom run --json` on the small repository.
    fn run_small(&self, model: &str, more: &[&str]) -> Run {
        let repo = self.small_repository();
        let mut args = vec!["--repo", text(&repo), "--image", "python", "--model", model];
        args.extend(more);
        if !more.contains(&"--check") {
            args.extend(["--check", CHECK]);
        }
        self.run(&args)
    }

    fn run(&self, args: &[&str]) -> Run {
        let finished = self.greenroom(&[&["run", "--json"], args].concat());
        let result = finished.lines().pop().unwrap_or_else(|| panic!("no result line: {finished}"));
        assert_eq!(result["type"], "result", "{finished}");
        assert_eq!(result["exit_code"], finished.code, "{finished}");
        Run { finished, result }
    }

    /// What the journal of a run holds, its chain verified.
    fn events(&self, run: &str) -> Vec<Event> {
        let journal = RunDir::find(&self.environment.state(), run).expect("the run").journal().expect("its journal");
        journal.records.into_iter().map(|record| record.event).collect()
    }

    /// What was answered to each tool call of the newest run, in order.
    fn answers(&self) -> Vec<ToolOutcome> {
        let answer = |event| match event {
            Event::ToolCallFinished { result, .. } => Some(*result),
            _ => None,
        };
        self.events("last").into_iter().filter_map(answer).collect()
    }

    /// Containers of this installation: the label is a hash of its state folder.
    fn containers(&self) -> Vec<ContainerInspectResponse> {
        let owner = blake3::hash(self.environment.state().as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned();
        let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.owner={owner}")])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        self.block(async {
            let mut seen = Vec::new();
            for container in self.docker.list_containers(Some(options)).await.expect("the engine lists") {
                let id = container.id.expect("a container has an id");
                // It may have ended since it was listed.
                seen.extend(self.docker.inspect_container(&id, None::<InspectContainerOptions>).await.ok());
            }
            seen
        })
    }

    fn volumes(&self) -> Vec<String> {
        let listed = self.block(self.docker.list_volumes(None::<ListVolumesOptions>)).expect("the engine lists");
        listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect()
    }

    /// No container, and no run whose journal has no end.
    fn assert_nothing_left(&self) {
        self.assert_nothing_left_after(&"it ended");
    }

    fn assert_nothing_left_after(&self, what: &dyn std::fmt::Display) {
        let left: Vec<_> = self.containers().into_iter().map(|container| container.name).collect();
        assert!(left.is_empty(), "containers were left: {left:?} after {what}");
        for run in greenroom::store::list_runs(&self.environment.state()).expect("the state folder") {
            let last = self.events(run.as_str()).pop();
            assert!(matches!(last, Some(Event::Finished { .. })), "run {run} has no end: {last:?} after {what}");
        }
    }
}

impl Run {
    /// Status and exit code.
    fn ended(&self) -> (&str, i32) {
        (self.result["status"].as_str().unwrap_or("no status"), self.finished.code)
    }
}

/// The names of a container's volumes.
fn volumes_of(container: &ContainerInspectResponse) -> Vec<String> {
    container.mounts.iter().flatten().filter_map(|mount| mount.name.clone()).filter(|name| !name.is_empty()).collect()
}

/// Every path below a folder with its content, mode and link target.
fn tree(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("its metadata");
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else if metadata.is_file() {
                std::fs::read(&path).expect("a file")
            } else {
                Vec::new()
            };
            if metadata.is_dir() {
                waiting.push(path.clone());
            }
            seen.push((path, metadata.mode(), content));
        }
    }
    seen.sort();
    seen
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp starts");
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Asks again until the answer is there, or fails after `seconds_max`.
fn wait_for<T>(what: &str, seconds_max: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed().as_secs() < seconds_max, "{what}: not within {seconds_max} s");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
