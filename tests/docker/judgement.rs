//! Runs that cheat and runs that are honest, from `fixtures/judgement`: none of the first is `verified`, and each names
//! where; all of the second are. With protection switched off, or where they were played, the cheats do pass.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenroom::event::Event;
use greenroom::id::BlobId;
use greenroom::judgement::{Rules, Strictness};
use greenroom::sandbox::{DockerLauncher, Engine, ImageRef, Images, ResourceLimits, SandboxSpec};
use greenroom::snapshot::Manifest;
use greenroom::store::{RunDir, RunStore, Store};
use greenroom::task::Task;
use greenroom::verify::{Case, verify};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{House, copy_folder, text};

/// Runs at a time.
const THREADS: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Played>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Played {
    name: String,
    repo: String,
    check: String,
    act: Vec<Act>,
    #[serde(default)]
    may_change: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    finding: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    control: Control,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Control {
    #[default]
    Plain,
    Sandbox,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Act {
    Write { write: String, content: String },
    Edit { edit: String, old: String, new: String },
    Bash { bash: String },
    Job { job: String },
}

impl Act {
    fn call(&self) -> (&str, Value) {
        match self {
            Act::Write { write, content } => ("write_file", json!({"path": write, "content": content})),
            Act::Edit { edit, old, new } => ("edit_file", json!({"path": edit, "old_string": old, "new_string": new})),
            Act::Bash { bash } => ("bash", json!({"command": bash})),
            Act::Job { job } => ("job", json!({"action": "start", "name": "answers", "command": job})),
        }
    }
}

impl Played {
    fn image(&self) -> &str {
        match self.repo.as_str() {
            "unittest" | "script" => "python",
            other => other,
        }
    }

    /// The whole program on a copy of its repository.
    fn run(&self) -> (House, Value) {
        let house = House::open().expect("asked for before");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/judgement/repos").join(&self.repo);
        let repo = house.environment.root().join("repo");
        copy_folder(&from, &repo);
        let mut calls: Vec<(&str, Value)> = self.act.iter().map(Act::call).collect();
        calls.push(("run_checks", json!({})));
        calls.push(("submit", json!({"summary": "done"})));
        let model = house.script(&[&calls]);
        let mut args = vec!["run", "--json", "--repo", text(&repo), "--image", self.image(), "--model", &model];
        args.extend(["--check", &self.check]);
        args.extend(self.may_change.iter().flat_map(|glob| ["--may-change", glob]));
        let finished = house.greenroom(&args);
        let result = finished.lines().pop().unwrap_or_else(|| panic!("no result: {finished}"));
        (house, result)
    }

    fn cheats(&self) -> Result<(), String> {
        let (house, result) = self.run();
        let told = || format!("{}: {}", result["reason"], result["findings"]);
        if result["status"] != "unverified" {
            return Err(format!("it is {}: {}", result["status"], told()));
        }
        let (place, rule) = (self.finding.as_deref().unwrap_or(""), self.rule.as_deref().unwrap_or(""));
        let names = |finding: &Value| {
            let at = format!("{}:{}", finding["file"].as_str().unwrap_or(""), finding["line"]);
            at == place && finding["rule"] == rule
        };
        let findings = result["findings"].as_array().map_or(&[][..], Vec::as_slice);
        if !findings.iter().any(names) {
            return Err(format!("nothing names {place} ({rule}): {}", told()));
        }
        match self.control {
            Control::Plain => self.passes_unprotected(&house),
            Control::Sandbox => {
                let answers = house.answers();
                let checks = answers.iter().find_map(|answer| answer.checks.as_ref());
                let green = checks.is_some_and(|checks| checks.iter().all(|check| check.passed()));
                if green {
                    Ok(())
                } else {
                    Err(format!("the trick does not even work where it was played: {checks:?}"))
                }
            }
        }
    }

    /// The same patch, judged by the checks alone.
    fn passes_unprotected(&self, house: &House) -> Result<(), String> {
        let dir = RunDir::find(&house.environment.state(), "last").expect("the run");
        let (store, journal) = RunStore::open(dir).expect("its journal");
        let store: Arc<dyn Store> = Arc::new(store);
        let manifest =
            |id: &BlobId| -> Manifest { serde_json::from_slice(&store.blob(id).expect("a blob")).expect("a manifest") };
        let (mut task, mut pristine, mut tree, mut image, mut env, mut run) =
            (None, None, None, None, Vec::new(), None);
        for record in &journal.records {
            match &record.event {
                Event::RunStarted { task: of_run, pristine: tree, plan, run: id, .. } => {
                    task = Some(of_run.clone());
                    pristine = tree.as_ref().map(manifest);
                    env = serde_json::from_value(plan["env"].clone()).expect("its environment");
                    run = Some(id.clone());
                }
                Event::SandboxStarted { image: name, image_digest, .. } => {
                    image = Some(ImageRef { name: name.clone(), digest: image_digest.clone() });
                }
                Event::TreeCaptured { tree: captured, .. } => tree = Some(manifest(captured)),
                _ => {}
            }
        }
        let (task, pristine, tree) = (task.expect("a task"), pristine.expect("a tree"), tree.expect("a captured tree"));
        let limits = ResourceLimits {
            memory_bytes: 2 << 30,
            pids: 512,
            cpu_millis: 2000,
            tmp_bytes: 512 << 20,
            file_bytes: 1 << 30,
            disk_bytes: 4 << 30,
            disk_inodes: 1 << 20,
        };
        let spec = SandboxSpec { run: run.expect("an id"), image: image.expect("an image"), limits, env, data: None };
        let task = Task { rules: Rules { strictness: Strictness::Plain, ..task.rules.clone() }, ..task };
        house.block(async {
            let engine = Engine::find().await.expect("an engine");
            let launcher = DockerLauncher::new(engine, "judgement-tests");
            let timeout = Duration::from_secs(120);
            let case = Case {
                launcher: &launcher,
                store: &store,
                spec: &spec,
                pristine: &pristine,
                tree,
                task: &task,
                frozen: None,
                timeout,
                installer: None,
                installed: false,
            };
            let verdict = verify(case, &CancellationToken::new()).await.map_err(|error| error.to_string())?;
            let checks = verdict.expect("nobody stopped it").checks;
            match checks.iter().all(|check| check.passed()) {
                true => Ok(()),
                false => Err(format!("it does not pass without protection either: {checks:?}")),
            }
        })
    }

    fn is_honest(&self) -> Result<(), String> {
        let (_house, result) = self.run();
        if result["status"] != "verified" {
            return Err(format!("it is {}: {}: {}", result["status"], result["reason"], result["findings"]));
        }
        let findings = result["findings"].as_array().map_or(&[][..], Vec::as_slice);
        let named = |place: &String| {
            findings.iter().any(|finding| {
                let file = finding["file"].as_str().unwrap_or("");
                *place == format!("{file}:{}", finding["line"]) || place == file
            })
        };
        match self.notes.iter().find(|place| !named(place)) {
            None => Ok(()),
            Some(place) => Err(format!("nothing is noted of {place}: {}", result["findings"])),
        }
    }
}

/// Plays all of a table, some at a time; says how many there are, and what is wrong with which.
fn play(table: &str, judge: fn(&Played) -> Result<(), String>) -> (usize, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/judgement").join(table);
    let text = std::fs::read_to_string(&path).expect("the table");
    let Table { mut case } = toml::from_str(&text).expect("a table of cases");
    if let Ok(only) = std::env::var("GREENROOM_ONLY") {
        case.retain(|played| played.name.contains(&only));
    }
    let images: std::collections::BTreeSet<&str> = case.iter().map(Played::image).collect();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let engine = Engine::find().await.expect("these tests need a container engine");
        for image in images {
            Images::new(engine.clone()).prepare(image, &|_| {}).await.expect("a toolchain image");
        }
    });
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(played) = case.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = judge(played) {
                        wrong.lock().expect("nobody panics here").push(format!("{}: {what}", played.name));
                    }
                }
            });
        }
    });
    (case.len(), wrong.into_inner().expect("nobody panicked"))
}

#[test]
fn no_cheat_is_verified_and_each_is_named_and_passes_unprotected() {
    let Some(_house) = House::open() else { return };
    let (count, wrong) = play("cheats.toml", Played::cheats);
    assert!(wrong.is_empty(), "{} of {count} cheats:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 20 || std::env::var_os("GREENROOM_ONLY").is_some());
}

#[test]
fn every_honest_run_is_verified() {
    let Some(_house) = House::open() else { return };
    let (count, wrong) = play("honest.toml", Played::is_honest);
    assert!(wrong.is_empty(), "{} of {count} honest runs:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 20 || std::env::var_os("GREENROOM_ONLY").is_some());
}

#[test]
fn what_cannot_be_done_ends_with_its_reasons() {
    let Some(house) = House::open() else { return };
    let model = house.script(&[&[("submit", json!({"infeasible": "check.py contradicts itself at line 3"}))]]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("infeasible", 5), "{}", run.finished);
    assert_eq!(run.result["reason"], "check.py contradicts itself at line 3");
}
