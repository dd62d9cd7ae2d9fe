//! The attack suite: what untrusted code would try, against the user's own engine, through the same launcher as a run.
//!
//! One file a group, one function a case. Every attack stops by itself a little beyond the point where the confinement
//! has to stop it, so that the suite harms nobody even where it finds a hole. After each case the engine has to answer,
//! and nothing of the case may be left.

mod escape;
mod filesystem;
mod lab;
mod lifecycle;
mod network;
mod probe;
mod processes;
mod proxy;
mod resources;
mod restart;
mod runner;
mod set_up_proxy;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

pub use lab::{Extent, Lab, Setting};
pub use runner::{DOOMED, play_doomed};

use crate::sandbox::{Confinement, SandboxError};

/// The toolchain whose image attacks run in: it has `sh` and `python3`.
pub const IMAGE: &str = "python";
/// So many cases have to hold for the whole to count: the others may be such as cannot be tried here.
pub const HELD_MIN: usize = 28;
/// A case that takes longer has found something that hangs.
const CASE_MAX: Duration = Duration::from_secs(90);
const FULL_CASE_MAX: Duration = Duration::from_secs(30 * 60);

/// One thing to try.
pub struct Case {
    pub id: &'static str,
    pub group: Group,
    pub title: &'static str,
    /// Whether containers that are not ours could suffer.
    pub danger: Danger,
    run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    Processes,
    Resources,
    Filesystem,
    Escape,
    Network,
    Lifecycle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    OwnContainersOnly,
    WholeEngine,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    #[serde(rename = "type")]
    kind: &'static str,
    pub id: &'static str,
    pub group: Group,
    pub title: &'static str,
    pub status: Status,
    /// What was seen: measurements of a case that held, the hole of one that broke, the reason of one that did not run.
    pub note: String,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Held,
    Broken,
    NotRun,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Held => "held",
            Status::Broken => "broken",
            Status::NotRun => "not run",
        })
    }
}

type Run = for<'a> fn(&'a Lab) -> BoxFuture<'a, Found>;

/// The note of a case that held, or why it did not.
type Found = Result<String, Fault>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Broken(String),
    NotRun(String),
}

impl Fault {
    fn broken(note: impl Into<String>) -> Fault {
        Fault::Broken(note.into())
    }
}

/// A sandbox that fails where the attack does not mean it to has been broken by it.
impl From<SandboxError> for Fault {
    fn from(error: SandboxError) -> Self {
        Fault::Broken(error.to_string())
    }
}

/// Our own temporary files and processes: nothing is known about the sandbox then.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Fault::NotRun(format!("this machine does not play along: {error}"))
    }
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Broken(broken())) }
}

/// All cases in the order in which they run.
pub fn cases() -> Vec<Case> {
    [processes::CASES, resources::CASES, filesystem::CASES, escape::CASES, network::CASES, lifecycle::CASES]
        .into_iter()
        .flatten()
        .map(|case| Case { ..*case })
        .collect()
}

/// Tries one case and looks afterwards whether everything is as it was before.
pub async fn carry_out(case: &Case, lab: &Lab) -> Verdict {
    let started = Instant::now();
    let found = match (case.danger, lab.extent()) {
        (Danger::WholeEngine, Extent::Quick | Extent::Full) => {
            Err(Fault::NotRun("endangers other people's containers; --destructive runs it".into()))
        }
        (Danger::OwnContainersOnly, _) | (Danger::WholeEngine, Extent::Destructive) => {
            let missing: Vec<_> = needs(case.id, lab).iter().filter(|name| lab.unenforced().contains(name)).collect();
            match missing.first() {
                Some(name) => {
                    let runtime = lab.runtime().unwrap_or("the engine");
                    Err(Fault::NotRun(format!("{runtime} does not show from inside that it enforces `{name}`")))
                }
                None => attempt(case, lab).await,
            }
        }
    };
    let (status, note) = match found {
        Ok(note) => (Status::Held, note),
        Err(Fault::Broken(note)) => (Status::Broken, note),
        Err(Fault::NotRun(note)) => (Status::NotRun, note),
    };
    Verdict {
        kind: "case",
        id: case.id,
        group: case.group,
        title: case.title,
        status,
        note,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// The confinements a case is about, where one that is missing makes trying it pointless, or a danger to the machine.
fn needs(id: &str, lab: &Lab) -> &'static [Confinement] {
    match id {
        // Looked at from outside.
        "fork-bomb" | "cpu-spin" | "probe" if lab.has_own_kernel() => &[],
        "fork-bomb" | "pids-held" => &[Confinement::Pids],
        "memory-bomb" | "swap" => &[Confinement::Memory],
        "cpu-spin" => &[Confinement::Cpus],
        "disk-fill" => &[Confinement::Disk],
        "inode-bomb" => &[Confinement::Disk, Confinement::FileSize],
        "probe" => &[Confinement::Seccomp],
        "no-network" => &[Confinement::Network],
        _ => &[],
    }
}

async fn attempt(case: &Case, lab: &Lab) -> Found {
    let limit = match lab.extent() {
        Extent::Quick => CASE_MAX,
        Extent::Full | Extent::Destructive => FULL_CASE_MAX,
    };
    // A runner that panics has been broken by its own sandbox; the cases after it are still of interest.
    let caught = AssertUnwindSafe((case.run)(lab)).catch_unwind();
    let found = match tokio::time::timeout(limit, caught).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(Fault::Broken("the runner panicked".into())),
        Err(_) => Err(Fault::Broken(format!("it did not end within {} s", limit.as_secs()))),
    };
    let after = lab.as_before().await;
    match (found, after) {
        (Ok(_), Err(fault)) => Err(fault),
        (Err(Fault::Broken(note)), Err(Fault::Broken(more))) => Err(Fault::Broken(format!("{note}; {more}"))),
        (found, _) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut ids: Vec<_> = cases().iter().map(|case| case.id).collect();
        assert!(ids.len() >= 32, "{}", ids.len());
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
