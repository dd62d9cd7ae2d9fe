//! Forks: sandboxes that begin where another one is.
//!
//! Their volumes are real copies, so that a fork is confined, verified and written to like any other sandbox. They are
//! made by a container of their own that holds the volumes of all of them and runs nothing but our own code: each file is
//! read once and written to every fork, while the forks' containers start.

use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{ContainerInspectResponse, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{AttachContainerOptions, StartContainerOptions};
use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use greenroom_supervisor::protocol::Copied;

use super::connect::{CALL, SLOW_CALL, within};
use super::docker::{Container, DockerSandbox};
use super::profile::{COPIED, DATA, Fill, Profile};
use super::{DockerLauncher, Sandbox, SandboxError, SandboxSpec};

/// Forks that are made in one go.
pub const FORKS_MAX: usize = 16;
/// Beside the time PID 1 of the copying container allows itself.
const COPY_MAX: Duration = Duration::from_secs(31 * 60);
const ANSWER_BYTES_MAX: usize = 64 << 10;
const FOLDER: &str = "/.greenroom/copy";

pub(super) async fn fork(
    launcher: &DockerLauncher,
    spec: &SandboxSpec,
    original: &str,
    count: usize,
) -> Result<Vec<Box<dyn Sandbox>>, SandboxError> {
    if count > FORKS_MAX {
        let what = format!("be forked {count} times at once");
        return Err(SandboxError::Refused { what, detail: format!("{FORKS_MAX} is the most") });
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let profile = Profile { fill: Fill::ByCopy, ..launcher.profile(spec).await? };
    let from = Volumes::of(&launcher.inspect(original).await?, spec)?;
    let body = profile.container(&spec.image.digest);
    let containers = try_join_all((0..count).map(|_| launcher.create(body.clone()))).await?;
    let forked = attempt(launcher, spec, &profile, &from, &containers).await;
    match forked {
        Ok(begun) => Ok(containers
            .into_iter()
            .zip(begun)
            .map(|(container, (link, facts))| {
                Box::new(DockerSandbox { link, container, facts, env: spec.env.clone() }) as Box<dyn Sandbox>
            })
            .collect()),
        Err(error) => {
            // Waited for: one that was never started has no lease that would end it after this process has gone.
            for removed in join_all(containers.iter().map(Container::remove)).await {
                if let Err(error) = removed {
                    tracing::warn!(%error, "could not remove a fork that did not start");
                }
            }
            Err(error)
        }
    }
}

type Begun = (super::link::Link, super::SandboxFacts);

async fn attempt(
    launcher: &DockerLauncher,
    spec: &SandboxSpec,
    profile: &Profile,
    from: &Volumes,
    containers: &[Container],
) -> Result<Vec<Begun>, SandboxError> {
    let inspected = try_join_all(containers.iter().map(|container| launcher.inspect(&container.id))).await?;
    let to = inspected
        .iter()
        .map(|seen| profile.verify_created(seen).and_then(|()| Volumes::of(seen, spec)))
        .collect::<Result<Vec<_>, _>>()?;
    let starts = try_join_all(containers.iter().map(|container| launcher.begin(container, profile, spec)));
    let (_, begun) = tokio::try_join!(copy(launcher, spec, profile, from, &to), starts)?;
    if let Some(limits) = profile.disk_limits() {
        // Only now: what was copied is not what a command wrote.
        begun.iter().for_each(|(link, _)| link.watch_disk(limits.clone()));
    }
    Ok(begun)
}

/// The names of the volumes that forks have copies of, by their place in a sandbox.
struct Volumes(Vec<(&'static str, String)>);

impl Volumes {
    fn of(seen: &ContainerInspectResponse, spec: &SandboxSpec) -> Result<Volumes, SandboxError> {
        let wanted = COPIED.into_iter().filter(|place| *place != DATA || spec.data.is_some());
        let named = |place: &'static str| {
            let mounts = seen.mounts.iter().flatten();
            let mount = mounts.into_iter().find(|mount| mount.destination.as_deref() == Some(place));
            let name = mount.and_then(|mount| mount.name.clone()).filter(|name| !name.is_empty());
            let missing = || SandboxError::Start { detail: format!("the engine names no volume at {place}") };
            Ok((place, name.ok_or_else(missing)?))
        };
        wanted.map(named).collect::<Result<_, _>>().map(Volumes)
    }
}

/// Runs the container that copies, and takes it away again. The volumes it borrowed stay with their owners.
async fn copy(
    launcher: &DockerLauncher,
    spec: &SandboxSpec,
    profile: &Profile,
    from: &Volumes,
    to: &[Volumes],
) -> Result<Copied, SandboxError> {
    let failed = |detail| SandboxError::Start { detail };
    let docker = &launcher.engine.docker;
    let container = launcher.create(body(profile, &spec.image.digest, from, to)).await?;
    let streams =
        AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() };
    let attached = within("attach", CALL, docker.attach_container(&container.id, Some(streams)), failed).await?;
    let start = docker.start_container(&container.id, None::<StartContainerOptions>);
    within("start container", SLOW_CALL, start, failed).await?;
    let said = tokio::time::timeout(COPY_MAX, listen(attached)).await;
    container.remove().await?;
    let said = said.map_err(|_| SandboxError::Deadline { what: "copying".to_owned(), seconds: COPY_MAX.as_secs() })?;
    match serde_json::from_slice::<Copied>(&said) {
        Ok(Copied { error: Some(error), .. }) => Err(failed(format!("copying the workspace: {error}"))),
        Ok(copied) => Ok(copied),
        Err(_) => Err(failed(format!("copying the workspace: {:?}", String::from_utf8_lossy(&said)))),
    }
}

/// Like a sandbox, but for what it takes to read and write anybody's files in the volumes. It holds nothing else, runs
/// nothing from them, and has no limit of memory, because what it writes counts as its own until it is on disk.
fn body(profile: &Profile, image: &str, from: &Volumes, to: &[Volumes]) -> bollard::models::ContainerCreateBody {
    const CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"];
    let mut body = profile.container(image);
    let mut arguments = vec!["copy".to_owned()];
    let mut mounts = Vec::new();
    for (index, (place, name)) in from.0.iter().enumerate() {
        let path = format!("{FOLDER}/from{place}");
        arguments.extend(["--from".to_owned(), path.clone()]);
        mounts.push(mount(name, path, Access::Read));
        for (number, volumes) in to.iter().enumerate() {
            let path = format!("{FOLDER}/to/{number}{place}");
            arguments.extend(["--to".to_owned(), path.clone()]);
            mounts.push(mount(&volumes.0[index].1, path, Access::Write));
        }
    }
    body.cmd = Some(arguments);
    body.volumes = None;
    // The end of this connection is the end of the container.
    body.stdin_once = Some(true);
    body.host_config = body.host_config.map(|host| HostConfig {
        mounts: Some(mounts),
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        memory: None,
        memory_swap: None,
        nano_cpus: None,
        ulimits: host.ulimits.map(|limits| limits.into_iter().filter(|l| l.name.as_deref() != Some("fsize")).collect()),
        ..host
    });
    body
}

enum Access {
    Read,
    Write,
}

fn mount(volume: &str, path: String, access: Access) -> Mount {
    Mount {
        source: Some(volume.to_owned()),
        target: Some(path),
        typ: Some(MountType::VOLUME),
        read_only: Some(matches!(access, Access::Read)),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

/// All it prints, up to its end.
async fn listen(mut attached: AttachContainerResults) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some(Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message })) = attached.output.next().await {
        said.extend_from_slice(&message);
        said.truncate(ANSWER_BYTES_MAX);
    }
    said
}
