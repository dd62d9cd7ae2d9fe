//! One run of this very program against the simulated model: started, killed and resumed until it has an end.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::chain::{CHECK, Chain};
use super::dice::Dice;
use super::faults::Schedule;
use super::server::{Exchange, Rules, Simllm};
use super::simllm::{Mind, Persona, WriterPersona};
use crate::bench::Tell;
use crate::error::{Error, Result};

/// Of a thousand requests, where the provider has faults.
const PROVIDER_FAULTS_PER_MILLE: u64 = 50;
/// Steps from one kill to the next, about.
const KILL_EVERY_STEPS: u64 = 50;
/// A kill comes up to so much after the step it waits for.
const KILL_JITTER_MS: u64 = 40;
/// Times a run may park before it is given up.
const PARKS_MAX: usize = 30;
/// No line for so long: the run hangs.
const SILENCE_MAX: Duration = Duration::from_secs(300);
const SOAK_EVERY_STEPS: usize = 25;
const TOLD_EVERY_STEPS: usize = 100;
/// A key that must never be seen anywhere but in the header it travels in.
pub(super) const CANARY: &str = "sk-canary-7d1f0e9ab34c4c65";

/// What a run is put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Faults {
    None,
    Provider,
    Crash,
    /// Both, and submissions before the chain is complete.
    Everything,
}

impl Faults {
    pub(super) fn of_provider(self) -> bool {
        matches!(self, Faults::Provider | Faults::Everything)
    }

    pub(super) fn of_crash(self) -> bool {
        matches!(self, Faults::Crash | Faults::Everything)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub steps: usize,
    pub window_tokens: u64,
    pub faults: Faults,
    pub persona: Persona,
    pub writer: WriterPersona,
    /// Steps from one kill to the next.
    pub kill_every: Option<u64>,
}

impl Amount {
    pub(super) fn mind(&self, seed: u64) -> Mind {
        let submits_early = self.faults == Faults::Everything || self.persona == Persona::Saboteur;
        Mind { seed, persona: self.persona, writer: self.writer, submits_early, steps: self.steps }
    }
}

/// A `kill -9` that struck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    pub(super) at: Instant,
    /// From the start of the process that goes on until it dispatches something.
    pub(super) recovery: Option<Duration>,
}

/// What a process held, now and then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Soak {
    pub(super) step: usize,
    pub(super) rss_kib: u64,
    pub(super) files: usize,
}

/// A run that has an end.
pub(super) struct Walked {
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) kills: Vec<Kill>,
    pub(super) parks: usize,
    pub(super) soaks: Vec<Soak>,
    pub(super) audit_passed: bool,
    pub(super) home: PathBuf,
    pub(super) took: Duration,
}

pub(super) async fn walk(
    program: &Path,
    home: &Path,
    image: &str,
    amount: &Amount,
    chain: &Chain,
    tell: Tell<'_>,
) -> Result<Walked> {
    let repo = home.join("repo");
    for (name, text) in chain.files() {
        let path = repo.join(name);
        let folder = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| Error::internal("the chain cannot be written").because(error))?;
    }
    let seed = chain.seed;
    let schedule = match amount.faults.of_provider() {
        true => Schedule::Rate { seed, per_mille: PROVIDER_FAULTS_PER_MILLE },
        false => Schedule::None,
    };
    let rules = Rules {
        mind: amount.mind(seed),
        window_tokens: amount.window_tokens,
        refuses: true,
        schedule,
        canary: CANARY.into(),
    };
    let server = Simllm::start(rules).await.map_err(|error| Error::internal("no simulated model").because(error))?;
    let mut walk = Walk {
        program,
        home,
        base_url: server.base_url(),
        image,
        repo,
        task: chain.task(),
        amount: *amount,
        dice: Dice::new(seed ^ 0xdead),
        steps: 0,
        kills: Vec::new(),
        soaks: Vec::new(),
        tell,
    };
    let began = Instant::now();
    let (mut parks, mut first) = (0, true);
    let result = loop {
        match walk.process(first).await? {
            Ended::Killed => {}
            Ended::Itself(result) if result["status"] == "parked" && parks < PARKS_MAX => parks += 1,
            Ended::Itself(result) => break result,
        }
        first = false;
    };
    let took = began.elapsed();
    let audit = walk.command(&["audit", "last"]).output().await;
    let audit_passed = audit.is_ok_and(|output| output.status.success());
    let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    Ok(Walked {
        status: text("status"),
        reason: text("reason"),
        exchanges: server.log(),
        kills: walk.kills,
        parks,
        soaks: walk.soaks,
        audit_passed,
        home: home.to_owned(),
        took,
    })
}

struct Walk<'a> {
    program: &'a Path,
    home: &'a Path,
    base_url: String,
    image: &'a str,
    repo: PathBuf,
    task: String,
    amount: Amount,
    dice: Dice,
    steps: usize,
    kills: Vec<Kill>,
    soaks: Vec<Soak>,
    tell: Tell<'a>,
}

enum Ended {
    Killed,
    /// With its last line.
    Itself(Value),
}

impl Walk<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(args)
            .env("GREENROOM_HOME", self.home)
            .env("OPENAI_BASE_URL", &self.base_url)
            .env("OPENAI_API_KEY", CANARY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn spawn(&self, first: bool) -> Result<(Child, Lines<BufReader<ChildStdout>>, JoinHandle<String>)> {
        let mut command = match first {
            false => self.command(&["resume", "--last", "--json"]),
            true => {
                let mut command = self.command(&["run", "--json", "--model", "openai/simllm", "--check", CHECK]);
                command.args(["--image", self.image, "--task", &self.task]).arg("--repo").arg(&self.repo);
                command.args(["--context-tokens", &self.amount.window_tokens.to_string()]);
                command.args(["--steps", &(self.amount.steps * 5 + 100).to_string()]);
                command
            }
        };
        let failed = |error: std::io::Error| Error::internal("this program cannot be started").because(error);
        let mut child = command.spawn().map_err(failed)?;
        let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let mut complaints = child.stderr.take().expect("it was piped");
        let said = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = complaints.read_to_end(&mut text).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok((child, lines, said))
    }

    /// One process, to its own end or to its kill.
    async fn process(&mut self, first: bool) -> Result<Ended> {
        let began = Instant::now();
        let (mut child, mut lines, said) = self.spawn(first)?;
        let every = self.amount.kill_every.unwrap_or(KILL_EVERY_STEPS).max(2);
        let kill_at = match self.amount.faults.of_crash() {
            true => Some(self.steps + (every / 2 + self.dice.below(every)) as usize),
            false => None,
        };
        let mut awaited = if first { None } else { self.kills.len().checked_sub(1) };
        let mut last = String::new();
        loop {
            let line = tokio::time::timeout(SILENCE_MAX, lines.next_line()).await;
            let line = line.map_err(|_| Error::internal("the run under test hangs"))?;
            let Some(line) = line.map_err(|error| Error::internal("its output broke off").because(error))? else {
                break;
            };
            if let Some(kill) = awaited
                && DISPATCHES.iter().any(|kind| line.contains(kind))
            {
                self.kills[kill].recovery.get_or_insert(began.elapsed());
                awaited = None;
            }
            if line.contains(r#""type":"tool_call_finished""#) {
                self.steps += 1;
                self.note(&child);
                if kill_at.is_some_and(|at| self.steps >= at) {
                    tokio::time::sleep(Duration::from_millis(self.dice.below(KILL_JITTER_MS))).await;
                    let _ = child.start_kill();
                    let status = child.wait().await.map_err(|error| Error::internal("it has no end").because(error))?;
                    // One that had ended by itself was not killed.
                    if status.signal() == Some(9) {
                        self.kills.push(Kill { at: Instant::now(), recovery: None });
                        return Ok(Ended::Killed);
                    }
                }
            }
            last = line;
        }
        child.wait().await.map_err(|error| Error::internal("the run has no end").because(error))?;
        match serde_json::from_str::<Value>(&last) {
            Ok(result) if result["type"] == "result" => Ok(Ended::Itself(result)),
            _ => {
                let said = said.await.unwrap_or_default();
                let cause = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
                Err(Error::internal("the run under test has no result").because(cause))
            }
        }
    }

    fn note(&mut self, child: &Child) {
        if self.steps.is_multiple_of(TOLD_EVERY_STEPS) {
            (self.tell)(&format!("seed: {} steps, {} kills", self.steps, self.kills.len()));
        }
        if !self.steps.is_multiple_of(SOAK_EVERY_STEPS) {
            return;
        }
        let Some(pid) = child.id() else { return };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        if let Some(rss_kib) = rss {
            self.soaks.push(Soak { step: self.steps, rss_kib, files });
        }
    }
}

/// The first of these after a kill is the next thing done.
const DISPATCHES: [&str; 3] =
    [r#""type":"model_requested""#, r#""type":"tool_call_started""#, r#""type":"tool_call_finished""#];
