//! `true` in a container that runs: through Greenroom and through every alternative, in turns.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::rivals::{DockerCli, Rival, TRUE};
use super::{Samples, Spread, Tell};
use crate::error::{Error, Result};
use crate::id::CallToken;
use crate::sandbox::{ExecRequest, OutputSink, Sandbox, Stream, WORKSPACE};
use crate::task::Outcome;

/// How many turns the measurement is cut into.
const TURNS: usize = 10;
/// Alternatives that take tens of milliseconds a call are called less often.
const SLOW_CALLS: [usize; 2] = [100, 30];

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calls {
    pub greenroom: Spread,
    pub exec_api: Spread,
    /// `None` without a `docker` command.
    pub docker_exec: Option<Spread>,
    pub sh: Spread,
}

pub(super) async fn measure(
    sandbox: &dyn Sandbox,
    rival: &mut Rival,
    cli: Option<&DockerCli>,
    calls: usize,
    tell: Tell<'_>,
) -> Result<Calls> {
    let [api_calls, cli_calls] = SLOW_CALLS.map(|most| most.min(calls));
    let share = |calls: usize, turn: usize| (turn + 1) * calls / TURNS - turn * calls / TURNS;
    let [mut greenroom, mut exec_api, mut docker_exec, mut sh] = [const { Samples(Vec::new()) }; 4];
    let mut next_token = 1;
    // What is loaded at first use is not what is measured.
    greenroom_true(sandbox, 0).await?;
    rival.shell_true().await?;
    rival.exec_api_true().await?;
    for turn in 0..TURNS {
        tell(&format!("`true`, turn {} of {TURNS}", turn + 1));
        for _ in 0..share(calls, turn) {
            let start = Instant::now();
            greenroom_true(sandbox, next_token).await?;
            greenroom.push(start.elapsed());
            next_token += 1;
        }
        for _ in 0..share(calls, turn) {
            let start = Instant::now();
            rival.shell_true().await?;
            sh.push(start.elapsed());
        }
        for _ in 0..share(api_calls, turn) {
            let start = Instant::now();
            rival.exec_api_true().await?;
            exec_api.push(start.elapsed());
        }
        if let Some(cli) = cli {
            for _ in 0..share(cli_calls, turn) {
                let start = Instant::now();
                rival.docker_exec_true(cli).await?;
                docker_exec.push(start.elapsed());
            }
        }
    }
    let spread = |samples: Samples| samples.spread().ok_or_else(|| Error::usage("no calls were asked for"));
    Ok(Calls {
        greenroom: spread(greenroom)?,
        exec_api: spread(exec_api)?,
        docker_exec: docker_exec.spread(),
        sh: spread(sh)?,
    })
}

pub(super) async fn greenroom_true(sandbox: &dyn Sandbox, token: u64) -> Result<()> {
    let request = request(token, &[TRUE], Duration::from_secs(60), 1 << 20);
    match sandbox.exec(&request, &mut Counted::default()).await?.outcome {
        Outcome::Exited { code: 0 } => Ok(()),
        outcome => Err(Error::internal(format!("`{TRUE}` in the sandbox: {outcome}"))),
    }
}

pub(super) fn request(token: u64, argv: &[&str], timeout: Duration, output_bytes_max: u64) -> ExecRequest {
    ExecRequest {
        token: CallToken(token),
        part: 0,
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        cwd: WORKSPACE.to_owned(),
        env: Vec::new(),
        timeout,
        output_bytes_max,
        stdio: crate::sandbox::Stdio::Pipes,
    }
}

/// How many bytes came.
#[derive(Debug, Default)]
pub(super) struct Counted(pub(super) u64);

impl OutputSink for Counted {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}
