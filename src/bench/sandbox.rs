//! `greenroom bench sandbox`: calls, starts, a flood, many at once; and the project's promises about them.

use std::collections::BTreeMap;

use bollard::Docker;
use futures_util::StreamExt;
use serde::Serialize;

use super::calls::{self, Calls};
use super::flood::{self, Flood};
use super::forks::{self, Forks};
use super::parallel::{self, Parallel};
use super::rivals::{DockerCli, Rival};
use super::starts::{self, Starts};
use super::{Machine, Promise, Spread, Tell, round};
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::sandbox::{EngineFacts, Launcher, PreparedImage, ResourceLimits, SandboxSpec};

/// How much of each to measure.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    pub calls: usize,
    pub starts: usize,
    pub flood_bytes: u64,
    pub sandboxes: usize,
    /// In the workspace that is forked.
    pub files: usize,
}

/// How many forks are made of one sandbox.
const FORKS: usize = 5;

impl Amounts {
    pub const FULL: Amounts =
        Amounts { calls: 1000, starts: 10, flood_bytes: 10_000_000_000, sandboxes: 64, files: 10_000 };
    pub const QUICK: Amounts =
        Amounts { calls: 100, starts: 3, flood_bytes: 1_000_000_000, sandboxes: 8, files: 1_000 };
    /// Under a runtime that is several times slower.
    const SLOW: Amounts = Amounts { calls: 100, starts: 3, flood_bytes: 200_000_000, sandboxes: 4, files: 1_000 };

    fn min(self, other: Amounts) -> Amounts {
        Amounts {
            calls: self.calls.min(other.calls),
            starts: self.starts.min(other.starts),
            flood_bytes: self.flood_bytes.min(other.flood_bytes),
            sandboxes: self.sandboxes.min(other.sandboxes),
            files: self.files.min(other.files),
        }
    }
}

/// The runtime that is measured beside the one that was chosen, where the engine knows it.
pub const BESIDE: &str = "runsc";

/// Sandboxes under one runtime.
pub struct Under<'a> {
    pub launcher: &'a dyn Launcher,
    /// `None` is the engine's default.
    pub runtime: Option<&'a str>,
}

/// The last line of `bench sandbox --json`.
#[derive(Debug, Clone, Serialize)]
pub struct SandboxBench {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub bench: &'static str,
    pub exit_code: u8,
    pub machine: Machine,
    pub engine: String,
    pub image: String,
    /// `None` is the engine's default.
    pub runtime: Option<String>,
    #[serde(flatten)]
    pub figures: Figures,
    /// The same under [`BESIDE`], in smaller amounts.
    pub runsc: Option<Figures>,
    /// What is missing here, and why.
    pub not_measured: BTreeMap<&'static str, String>,
    pub promises: Vec<Promise>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub true_ms: PerWay,
    /// Greenroom's median to that of `docker exec`.
    pub true_ratio: Option<f64>,
    pub calls: Calls,
    /// Greenroom's median to that of `docker run --rm`.
    pub start_ratio: Option<f64>,
    pub starts: Starts,
    pub forks: Forks,
    pub flood: Flood,
    pub parallel: Parallel,
}

/// Medians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerWay {
    pub greenroom: f64,
    pub exec_api: f64,
    pub docker_exec: Option<f64>,
    pub sh: f64,
}

pub(crate) const LIMITS: ResourceLimits = ResourceLimits {
    memory_bytes: 512 << 20,
    pids: 256,
    // All there are: the alternatives are not held back either.
    cpu_millis: u32::MAX,
    tmp_bytes: 64 << 20,
    file_bytes: 1 << 30,
    disk_bytes: 16 << 30,
    disk_inodes: 1 << 20,
};

pub async fn measure(
    under: Under<'_>,
    beside: Option<Under<'_>>,
    facts: &EngineFacts,
    image: PreparedImage,
    amounts: Amounts,
    tell: Tell<'_>,
) -> Result<SandboxBench> {
    let machine = Machine::look();
    let docker = client(facts).await?;
    let name = image.image.name.clone();
    let spec = SandboxSpec { run: RunId::generate(), image: image.image, limits: LIMITS, env: image.env, data: None };
    let mut not_measured = BTreeMap::new();
    let cli = DockerCli::find(&facts.address, under.runtime).await;
    if cli.is_none() {
        not_measured.insert("docker", "there is no `docker` command on the PATH".to_owned());
    }
    let figures = figures(&under, &docker, cli.as_ref(), &spec, amounts, tell).await?;
    let mut runsc = None;
    match beside {
        Some(beside) => {
            let cli = DockerCli::find(&facts.address, beside.runtime).await;
            let tell = |line: &str| tell(&format!("under {BESIDE}: {line}"));
            match self::figures(&beside, &docker, cli.as_ref(), &spec, amounts.min(Amounts::SLOW), &tell).await {
                Ok(figures) => runsc = Some(figures),
                Err(error) => drop(not_measured.insert(BESIDE, error.to_string())),
            }
        }
        None if under.runtime == Some(BESIDE) => {}
        None => drop(not_measured.insert(BESIDE, "the engine has no runtime of that name".to_owned())),
    }
    let runtime = under.runtime.map(str::to_owned);
    let promises = promises(&figures);
    let engine = facts.version.clone();
    let (kind, bench, exit_code) = ("result", "sandbox", 0);
    Ok(SandboxBench {
        kind,
        bench,
        exit_code,
        machine,
        engine,
        image: name,
        runtime,
        figures,
        runsc,
        not_measured,
        promises,
    })
}

async fn figures(
    under: &Under<'_>,
    docker: &Docker,
    cli: Option<&DockerCli>,
    spec: &SandboxSpec,
    amounts: Amounts,
    tell: Tell<'_>,
) -> Result<Figures> {
    let (launcher, digest) = (under.launcher, spec.image.digest.as_str());
    // First: a file system remembers what was deleted a moment ago, and makes new files more slowly meanwhile.
    let forks = forks::measure(launcher, spec, (FORKS, amounts.files), tell).await?;
    let sandbox = launcher.start(spec, futures_util::stream::empty().boxed()).await?;
    let in_one = async {
        let mut rival = Rival::start(docker, digest, under.runtime).await?;
        let calls = calls::measure(sandbox.as_ref(), &mut rival, cli, amounts.calls, tell).await;
        rival.remove().await?;
        let token = amounts.calls as u64 + 1;
        let flood = flood::measure(sandbox.as_ref(), digest, cli, amounts.flood_bytes, token, tell).await?;
        Ok((calls?, flood))
    };
    let in_one: Result<_> = in_one.await;
    sandbox.stop().await?;
    let (calls, flood) = in_one?;
    let starts = starts::measure(launcher, spec, cli, amounts.starts, tell).await?;
    let parallel = parallel::measure(launcher, docker, spec, amounts.sandboxes, tell).await?;
    let ratio = |own: Spread, rival: Option<Spread>| rival.map(|rival| round(own.median_ms / rival.median_ms, 4));
    Ok(Figures {
        true_ms: PerWay {
            greenroom: calls.greenroom.median_ms,
            exec_api: calls.exec_api.median_ms,
            docker_exec: calls.docker_exec.map(|spread| spread.median_ms),
            sh: calls.sh.median_ms,
        },
        true_ratio: ratio(calls.greenroom, calls.docker_exec),
        calls,
        start_ratio: ratio(starts.greenroom, starts.docker_run),
        starts,
        forks,
        flood,
        parallel,
    })
}

async fn client(facts: &EngineFacts) -> Result<Docker> {
    let failed = |error: bollard::errors::Error| Error::no_sandbox("the container engine is gone").because(error);
    Docker::connect_with_host(&facts.address).map_err(failed)?.negotiate_version().await.map_err(failed)
}

fn promises(bench: &Figures) -> Vec<Promise> {
    let mut promises = vec![Promise::at_most("`true`, median ms", 2.0, bench.true_ms.greenroom)];
    if let Some(ratio) = bench.true_ratio {
        promises.push(Promise::at_most("`true` to `docker exec`", 0.05, ratio));
    }
    if let Some(ratio) = bench.start_ratio {
        promises.push(Promise::at_most("start to `docker run --rm`", 0.9, ratio));
    }
    promises.push(Promise::at_most("five forks running, ms", 2500.0, bench.forks.running_ms));
    if let Some(ratio) = bench.flood.speed_ratio {
        promises.push(Promise::at_least("flood to `docker run | wc -c`", 0.5, ratio));
    }
    if let Some(bytes) = bench.flood.runner_rss {
        promises.push(Promise::at_most("runner memory in the flood, MiB", 80.0, round(bytes as f64 / 1048576.0, 1)));
    }
    let Parallel { asked, up, leftovers, .. } = bench.parallel;
    promises.push(Promise::at_least("sandboxes up at once", asked as f64, up as f64));
    promises.push(Promise::at_most("left behind by them", 0.0, leftovers as f64));
    promises
}
