//! From nothing to a container that answers, beside a container that only comes and goes.

use std::time::Instant;

use futures_util::StreamExt;
use serde::Serialize;

use super::rivals::{DockerCli, TRUE, in_full};
use super::{Samples, Spread, Tell};
use crate::error::{Error, Result};
use crate::sandbox::{Launcher, SandboxSpec};

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Starts {
    /// Create, verify, attach, start, and PID 1's answer; with an empty workspace.
    pub greenroom: Spread,
    /// Until a sandbox and its volumes are gone.
    pub greenroom_stop: Spread,
    /// `docker run --rm --network none IMAGE true`; `None` without a `docker` command.
    pub docker_run: Option<Spread>,
}

pub(super) async fn measure(
    launcher: &dyn Launcher,
    spec: &SandboxSpec,
    cli: Option<&DockerCli>,
    starts: usize,
    tell: Tell<'_>,
) -> Result<Starts> {
    let [mut greenroom, mut greenroom_stop, mut docker_run] = [const { Samples(Vec::new()) }; 3];
    for turn in 0..starts {
        tell(&format!("start, turn {} of {starts}", turn + 1));
        let start = Instant::now();
        let sandbox = launcher.start(spec, futures_util::stream::empty().boxed()).await?;
        greenroom.push(start.elapsed());
        let start = Instant::now();
        sandbox.stop().await?;
        greenroom_stop.push(start.elapsed());
        if let Some(cli) = cli {
            let start = Instant::now();
            in_full(cli.run(&["--entrypoint", TRUE, &spec.image.digest])).await?;
            docker_run.push(start.elapsed());
        }
    }
    let spread = |samples: Samples| samples.spread().ok_or_else(|| Error::usage("no starts were asked for"));
    Ok(Starts {
        greenroom: spread(greenroom)?,
        greenroom_stop: spread(greenroom_stop)?,
        docker_run: docker_run.spread(),
    })
}
