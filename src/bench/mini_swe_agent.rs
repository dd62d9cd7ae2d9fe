//! mini-swe-agent beside `bench steps`, where a Python has it: its own agent, scripted model and Docker environment.
//!
//! What is measured is what its users wait for: everything from the first step to the last, saving the trajectory after
//! each included, which is the only thing there that outlives the process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{Samples, Spread, Tell, round};
use crate::error::{Error, Result};

const SCRIPT: &str = include_str!("mini_swe_agent.py");
/// Of each step, generously.
const STEP_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MiniSweAgent {
    pub version: String,
    pub steps: usize,
    /// From step to step, saving included.
    pub mean_ms: f64,
    /// Of the steps alone.
    pub step: Spread,
}

#[derive(Deserialize)]
struct Said {
    version: String,
    steps_ms: Vec<f64>,
    whole_ms: f64,
}

/// Whether this Python has it.
pub async fn is_installed(python: &Path) -> bool {
    let found = Command::new(python)
        .args(["-c", "import importlib.util as u, sys; sys.exit(u.find_spec('minisweagent') is None)"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    found.is_ok_and(|status| status.success())
}

/// So many steps in a container of `image`, an image's id or tag.
pub async fn run(python: &Path, folder: &Path, image: &str, steps: usize, tell: Tell<'_>) -> Result<MiniSweAgent> {
    tell(&format!("{steps} steps by mini-swe-agent"));
    let failed = |cause: String| Error::internal("mini-swe-agent could not be measured").because(cause);
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    let child = Command::new(python)
        .args(["-c", SCRIPT, image, &steps.to_string()])
        .arg(folder.join("trajectory.json"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let patience = STEP_PATIENCE * u32::try_from(steps).unwrap_or(u32::MAX) + Duration::from_secs(60);
    let output = tokio::time::timeout(patience, child).await.map_err(|_| failed("it does not end".into()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let last = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().last().unwrap_or_default().to_owned();
    if !output.status.success() {
        return Err(failed(last(&output.stderr)));
    }
    let said: Said = serde_json::from_str(&last(&output.stdout)).map_err(|error| failed(error.to_string()))?;
    let mut samples = Samples::default();
    said.steps_ms.iter().for_each(|ms| samples.push(Duration::from_secs_f64(ms / 1000.0)));
    let step = samples.spread().ok_or_else(|| failed("it made no step".into()))?;
    Ok(MiniSweAgent {
        version: said.version,
        steps: said.steps_ms.len(),
        mean_ms: round(said.whole_ms / said.steps_ms.len() as f64, 3),
        step,
    })
}
