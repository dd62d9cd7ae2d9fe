//! Many sandboxes at once: how many come up, how long that takes, and what is left when they are gone.

use std::collections::HashMap;
use std::time::Instant;

use bollard::Docker;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::Serialize;

use super::calls::greenroom_true;
use super::rivals::in_time;
use super::{Tell, round};
use crate::error::Result;
use crate::sandbox::{Launcher, Sandbox, SandboxSpec};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parallel {
    pub asked: usize,
    /// That started and ran a command.
    pub up: usize,
    /// Until the last of them had run it.
    pub seconds: f64,
    /// Until all of them were gone again.
    pub seconds_to_stop: f64,
    /// Containers and volumes of theirs that the engine still has.
    pub leftovers: usize,
    /// Why the first that failed did.
    pub failure: Option<String>,
}

pub(super) async fn measure(
    launcher: &dyn Launcher,
    docker: &Docker,
    spec: &SandboxSpec,
    asked: usize,
    tell: Tell<'_>,
) -> Result<Parallel> {
    tell(&format!("{asked} sandboxes at once"));
    let start = Instant::now();
    let begun = (0..asked).map(|_| async {
        let sandbox = launcher.start(spec, futures_util::stream::empty().boxed()).await?;
        match greenroom_true(sandbox.as_ref(), 0).await {
            Ok(()) => Ok(sandbox),
            Err(error) => {
                sandbox.stop().await?;
                Err(error)
            }
        }
    });
    let begun: Vec<Result<Box<dyn Sandbox>>> = join_all(begun).await;
    let seconds = start.elapsed().as_secs_f64();
    let mut failure = None;
    let mut sandboxes = Vec::new();
    for result in begun {
        match result {
            Ok(sandbox) => sandboxes.push(sandbox),
            Err(error) => failure = failure.or_else(|| Some(error.to_string())),
        }
    }
    let volumes = volumes(docker, &sandboxes).await?;
    tell("and their end");
    let start = Instant::now();
    for stopped in join_all(sandboxes.iter().map(|sandbox| sandbox.stop())).await {
        stopped?;
    }
    let seconds_to_stop = start.elapsed().as_secs_f64();
    let leftovers = containers(docker, spec).await? + still_there(docker, &volumes).await;
    let (seconds, seconds_to_stop) = (round(seconds, 2), round(seconds_to_stop, 2));
    Ok(Parallel { asked, up: sandboxes.len(), seconds, seconds_to_stop, leftovers, failure })
}

async fn volumes(docker: &Docker, sandboxes: &[Box<dyn Sandbox>]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for sandbox in sandboxes {
        let question = docker.inspect_container(&sandbox.facts().container, None::<InspectContainerOptions>);
        let mounts = in_time(question).await?.mounts.unwrap_or_default();
        names.extend(mounts.into_iter().filter_map(|mount| mount.name));
    }
    Ok(names)
}

async fn containers(docker: &Docker, spec: &SandboxSpec) -> Result<usize> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.run={}", spec.run)])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    Ok(in_time(docker.list_containers(Some(options))).await?.len())
}

async fn still_there(docker: &Docker, volumes: &[String]) -> usize {
    let mut count = 0;
    for name in volumes {
        count += usize::from(docker.inspect_volume(name).await.is_ok());
    }
    count
}
