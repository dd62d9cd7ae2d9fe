//! `greenroom stop RUN`: asks the process that works on a run to park it, as Ctrl-C there would.

use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{Context, found};
use crate::error::{Error, ExitCode, Result};
use crate::output::human::style::{DIM, RESET};
use crate::store::RunDir;

/// Park a run that another process works on
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom stop last && greenroom resume last")]
pub struct StopArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
}

const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub async fn run(args: StopArgs, context: &mut Context) -> Result<ExitCode> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(owner) = dir.owner().map_err(found)? else {
        context.printer.note(&format!("nobody works on run {name}"))?;
        return Ok(ExitCode::Success);
    };
    let pid = owner.pid.and_then(Pid::from_raw).ok_or_else(|| {
        Error::internal(format!("the process that works on run {name} is only beginning")).hint("ask again")
    })?;
    kill_process(pid, Signal::INT).map_err(|error| {
        Error::internal(format!("cannot signal process {}, which works on run {name}", pid.as_raw_nonzero()))
            .because(std::io::Error::from(error))
    })?;
    let began = Instant::now();
    while dir.owner().map_err(found)?.is_some_and(|now| now.pid == owner.pid) {
        if began.elapsed() > WAIT_MAX {
            return Err(Error::internal(format!("run {name} has not stopped within {} s", WAIT_MAX.as_secs())).hint(
                format!("`kill -9 {}` ends it at once; `greenroom resume` goes on with it", pid.as_raw_nonzero()),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    context.printer.note(&format!("{DIM}parked{RESET} {name}"))?;
    Ok(ExitCode::Success)
}
