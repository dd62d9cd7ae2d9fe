//! `greenroom bench steps`: whole durable steps of `true`, measured from outside a run of this very program.
//!
//! The model is a script: nothing waits for a provider. Everything else is as in any run: journal, blobs, snapshot,
//! feedback, prompt. A step's time is that between two of its `tool_call_finished` lines.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::mini_swe_agent::MiniSweAgent;
use super::{Machine, Promise, Samples, Spread, Tell, round};
use crate::agent::RunState;
use crate::error::{Error, Result};
use crate::sandbox::{Launcher, Sandbox, SandboxSpec};
use crate::snapshot::tree::FileTree;
use crate::store::RunDir;

/// Files in one folder of the workspace.
const FOLDER_FILES: usize = 100;
const WALKS: usize = 15;

/// One run to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub steps: usize,
    pub files: usize,
}

/// The last line of `bench steps --json`.
#[derive(Debug, Clone, Serialize)]
pub struct StepsBench {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub bench: &'static str,
    pub exit_code: u8,
    pub machine: Machine,
    pub image: String,
    /// Every run with a simulated model.
    pub simulated_model: bool,
    pub runs: Vec<Steps>,
    pub walks: Vec<Walk>,
    /// Empty where there is none on this machine.
    pub mini_swe_agent: Vec<MiniSweAgent>,
    pub promises: Vec<Promise>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Steps {
    pub steps: usize,
    pub files: usize,
    pub step: Spread,
    /// Means of the second and of the last tenth of the steps; what comes first warms up.
    pub second_tenth_ms: f64,
    pub last_tenth_ms: f64,
    /// Journal and blobs after the first step, over the steps since.
    pub bytes_per_step: f64,
    /// Reading and folding the journal, and the newest snapshot's folders.
    pub resume_ready_ms: f64,
}

/// A census in which nothing has changed: the floor of a step that may write.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Walk {
    pub files: usize,
    pub census: Spread,
}

/// Measures runs of `program` (this one), each with a state folder of its own below `folder`.
pub async fn run(program: &Path, folder: &Path, image: &str, amount: Amount, tell: Tell<'_>) -> Result<Steps> {
    let Amount { steps, files } = amount;
    tell(&format!("{steps} steps over {files} files"));
    let home = folder.join(format!("{files}-{steps}"));
    let repo = home.join("repo");
    fill(&repo, files).map_err(|error| failed("the files of the workspace cannot be written", error))?;
    let script = home.join("script.jsonl");
    let turn = r#"{"content":[{"type":"tool_use","name":"bash","input":{"command":"true"}}]}"#;
    std::fs::write(&script, format!("{turn}\n").repeat(steps + 1)).map_err(|error| failed("no script", error))?;
    let mut child = Command::new(program)
        .args(["run", "--may-idle", "--json", "--image", image, "--task", "measure", "--check", "true", "--repo"])
        .arg(&repo)
        .arg("--model")
        .arg(format!("scripted:{}", script.display()))
        .args(["--steps", &steps.to_string()])
        .env("GREENROOM_HOME", &home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed("this program cannot be started", error))?;
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let mut complaints = child.stderr.take().expect("it was piped");
    let said = tokio::spawn(async move {
        let mut text = Vec::new();
        let _ = complaints.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut at, mut after_first) = (Vec::with_capacity(steps), None);
    while let Some(line) = lines.next_line().await.map_err(|error| failed("the run's output broke off", error))? {
        if line.contains(r#""type":"tool_call_finished""#) {
            at.push(Instant::now());
            after_first.get_or_insert_with(|| bytes_below(&home.join("state")));
        }
    }
    child.wait().await.map_err(|error| failed("the run has no end", error))?;
    if at.len() != steps {
        let said = said.await.unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        return Err(Error::internal(format!("{} of {steps} steps were made", at.len())).because(last));
    }
    let bytes = bytes_below(&home.join("state")).saturating_sub(after_first.unwrap_or(0));
    let tenth = (steps / 10).max(1);
    let took: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = |part: &[Duration]| part.iter().sum::<Duration>().as_secs_f64() * 1000.0 / part.len().max(1) as f64;
    let mut samples = Samples::default();
    took.iter().for_each(|step| samples.push(*step));
    let resume_ready_ms = round(resume_ready(&home.join("state"))?.as_secs_f64() * 1000.0, 1);
    std::fs::remove_dir_all(&home).map_err(|error| failed("what was measured cannot be removed", error))?;
    Ok(Steps {
        steps,
        files,
        step: samples.spread().ok_or_else(|| Error::usage("there is nothing to measure in one step"))?,
        second_tenth_ms: round(mean(&took[(tenth.min(took.len() - 1))..(2 * tenth).min(took.len())]), 3),
        last_tenth_ms: round(mean(&took[took.len() - tenth.min(took.len())..]), 3),
        bytes_per_step: round(bytes as f64 / (steps - 1).max(1) as f64, 1),
        resume_ready_ms,
    })
}

/// Everything that a runner has to read before it can go on.
fn resume_ready(state: &Path) -> Result<Duration> {
    let unreadable = |what: String| Error::internal("the run that was measured cannot be read").because(what);
    let began = Instant::now();
    let dir = RunDir::find(state, "last").map_err(|error| unreadable(error.to_string()))?;
    let journal = dir.journal().map_err(|error| unreadable(error.to_string()))?;
    let folded = RunState::replay(journal.records.iter().map(|record| &record.event));
    let folded = folded.ok_or_else(|| unreadable("its journal is empty".to_owned()))?;
    if let Some(snapshot) = folded.snapshot() {
        FileTree::load(&snapshot.root, &|id| dir.blobs().get(id)).map_err(|error| unreadable(error.to_string()))?;
    }
    Ok(began.elapsed())
}

/// Censuses of a workspace with so many files, in which nothing happens.
pub async fn walk(launcher: &dyn Launcher, spec: &SandboxSpec, files: usize, tell: Tell<'_>) -> Result<Walk> {
    tell(&format!("{WALKS} walks over {files} files"));
    let sandbox = launcher.start(spec, super::forks::tree(files)).await?;
    let measured = walks(sandbox.as_ref()).await;
    sandbox.stop().await?;
    Ok(Walk { files, census: measured? })
}

async fn walks(sandbox: &dyn Sandbox) -> Result<Spread> {
    let mut generation = sandbox.census(0).await?.generation;
    // Once more, for what was too fresh the first time.
    generation = sandbox.census(generation).await?.generation;
    let mut samples = Samples::default();
    for _ in 0..WALKS {
        let began = Instant::now();
        generation = sandbox.census(generation).await?.generation;
        samples.push(began.elapsed());
    }
    samples.spread().ok_or_else(|| Error::internal("no walk was measured"))
}

pub fn bench(
    image: String,
    machine: Machine,
    runs: Vec<Steps>,
    walks: Vec<Walk>,
    peers: Vec<MiniSweAgent>,
) -> StepsBench {
    let mut promises = Vec::new();
    for run in &runs {
        match run.files {
            1_000 if run.steps <= 1_000 => {
                promises.push(Promise::at_most("step at 1,000 files, median ms", 10.0, run.step.median_ms));
            }
            100_000 => promises.push(Promise::at_most("step at 100,000 files, median ms", 160.0, run.step.median_ms)),
            _ => {}
        }
        if run.steps >= 10_000 {
            let ratio = round(run.last_tenth_ms / run.second_tenth_ms, 3);
            promises.push(Promise::at_most("last to second tenth of 10,000", 1.05, ratio));
            promises.push(Promise::at_most("10,000 steps ready to resume, ms", 2000.0, run.resume_ready_ms));
        }
    }
    StepsBench {
        kind: "result",
        bench: "steps",
        exit_code: 0,
        machine,
        image,
        simulated_model: true,
        runs,
        walks,
        mini_swe_agent: peers,
        promises,
    }
}

fn fill(repo: &Path, files: usize) -> std::io::Result<()> {
    for number in 0..files {
        let folder = repo.join(format!("d{}", number / FOLDER_FILES));
        if number % FOLDER_FILES == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        std::fs::write(folder.join(format!("f{number}.txt")), format!("{number}\n"))?;
    }
    Ok(())
}

pub(super) fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => waiting.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::internal(what.to_owned()).because(error)
}
