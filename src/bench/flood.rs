//! A command that writes without end: how fast that passes through, and what it costs the runner in memory.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::calls::{Counted, request};
use super::rivals::DockerCli;
use super::{Tell, machine, round};
use crate::error::{Error, Result};
use crate::sandbox::Sandbox;

const FLOOD_MAX: Duration = Duration::from_secs(3600);
const READ_BYTES: usize = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Flood {
    pub bytes: u64,
    pub greenroom_bytes_per_second: f64,
    /// `docker run --log-driver none … | wc -c`, half before and half after; `None` without a `docker` command.
    pub docker_run_bytes_per_second: Option<f64>,
    /// Of Greenroom's to the alternative's.
    pub speed_ratio: Option<f64>,
    /// The highest resident memory of this process meanwhile, in bytes.
    pub runner_rss: Option<u64>,
}

pub(super) async fn measure(
    sandbox: &dyn Sandbox,
    image: &str,
    cli: Option<&DockerCli>,
    bytes: u64,
    token: u64,
    tell: Tell<'_>,
) -> Result<Flood> {
    let mut rival = Duration::ZERO;
    if let Some(cli) = cli {
        tell("flood through `docker run`, first half");
        rival += through_docker_run(cli.clone(), image.to_owned(), bytes / 2).await?;
    }
    tell("flood through greenroom");
    machine::forget_peak();
    let mut counted = Counted::default();
    let start = Instant::now();
    let command = ["head", "-c", &bytes.to_string(), "/dev/zero"];
    let output = sandbox.exec(&request(token, &command, FLOOD_MAX, bytes + 1), &mut counted).await?;
    let own = start.elapsed();
    let runner_rss = machine::peak_memory_bytes();
    if counted.0 != bytes {
        let outcome = output.outcome;
        return Err(Error::internal(format!("{} of {bytes} bytes came through, and then: {outcome}", counted.0)));
    }
    if let Some(cli) = cli {
        tell("flood through `docker run`, second half");
        rival += through_docker_run(cli.clone(), image.to_owned(), bytes - bytes / 2).await?;
    }
    let per_second = |time: Duration| round(bytes as f64 / time.as_secs_f64().max(1e-9), 0);
    let docker_run_bytes_per_second = cli.map(|_| per_second(rival));
    Ok(Flood {
        bytes,
        greenroom_bytes_per_second: per_second(own),
        docker_run_bytes_per_second,
        speed_ratio: docker_run_bytes_per_second.map(|rival| round(per_second(own) / rival, 3)),
        runner_rss,
    })
}

async fn through_docker_run(cli: DockerCli, image: String, bytes: u64) -> Result<Duration> {
    let failed = |error: std::io::Error| Error::internal("`docker run` cannot be measured").because(error);
    let length = bytes.to_string();
    // The default log driver would write all of it to disk as JSON.
    let mut command = cli.run(&["--log-driver", "none", "--entrypoint", "head", &image]);
    command.args(["-c", &length, "/dev/zero"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let work = move || {
        let start = Instant::now();
        let mut child = command.spawn()?;
        let mut stdout = child.stdout.take().expect("it was piped");
        let (mut buffer, mut count) = (vec![0; READ_BYTES], 0);
        loop {
            match stdout.read(&mut buffer)? {
                0 => break,
                length => count += length as u64,
            }
        }
        child.wait()?;
        Ok((start.elapsed(), count))
    };
    let (time, count) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("`docker run` cannot be measured").because(error))?
        .map_err(failed)?;
    match count == bytes {
        true => Ok(time),
        false => Err(Error::internal(format!("`docker run` printed {count} of {bytes} bytes"))),
    }
}
