//! Ways out: the in-container probe, and working folders and images made to lead the runtime astray.

use std::time::Duration;

use bollard::models::{ContainerConfig, ContainerCreateBody, HealthConfig};
use bollard::query_parameters::{
    CommitContainerOptions, CreateContainerOptions, RemoveContainerOptions, RemoveImageOptions,
};

use super::lab::{Lab, nothing};
use super::probe::{self, Looked};
use super::{Case, Danger, Fault, Found, Group, ensure};
use crate::sandbox::ImageRef;
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Escape, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("probe", "capabilities, devices, mounts, /proc, /sys, system calls and sockets are refused", |lab| {
        Box::pin(from_inside(lab))
    }),
    case("hostile-image", "working folders and image settings that lead elsewhere are neutralised", |lab| {
        Box::pin(hostile_image(lab))
    }),
];

async fn from_inside(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let Looked { refused, answered } = probe::look(&room, lab.has_own_kernel()).await?;
    room.leave().await?;
    let answered = match answered.is_empty() {
        true => String::new(),
        false => format!(
            "; NOT by the runtime's own kernel, which has no filter before it, {}: {}",
            answered.len(),
            answered.join(", ")
        ),
    };
    Ok(format!("{refused} attempts refused{answered}"))
}

async fn hostile_image(lab: &Lab) -> Found {
    let room = lab.room().await?;
    // Descriptors that a runtime forgot to close lead to the host's file system.
    for fd in 3..24 {
        let mut request = room.request(&["ls", "/../../etc"], Duration::from_secs(10));
        request.cwd = format!("/proc/self/fd/{fd}");
        let ran = room.run(&request).await?;
        ensure(ran.outcome() != Outcome::Exited { code: 0 }, || format!("descriptor {fd} is a working folder"))?;
    }
    room.say("ln -s /proc/1/cwd out; ln -s /proc/self/fd/7 out7; ln -s / top").await?;
    for (cwd, enters) in [("/workspace/out", false), ("/workspace/out7", false), ("/workspace/top", true)] {
        let mut request = room.request(&["pwd", "-P"], Duration::from_secs(10));
        request.cwd = cwd.into();
        let ran = room.run(&request).await?;
        let entered = ran.outcome() == Outcome::Exited { code: 0 };
        ensure(entered == enters && (!entered || ran.text() == "/\n"), || {
            format!("working folder {cwd}: {}", ran.summary())
        })?;
    }
    room.leave().await?;
    let image = commit(lab).await?;
    let room = start_on(lab, &image).await;
    let options = RemoveImageOptions { force: true, ..Default::default() };
    let found = match room {
        Ok(room) => {
            let seen = room.say("id -u; pwd; env; ls -d /evil; cat /proc/1/cmdline | tr '\\0' ' '").await;
            let written = room.sh("echo x >/evil/x").await;
            room.leave().await?;
            seen.and_then(|seen| Ok((seen, written?)))
        }
        Err(fault) => Err(fault),
    };
    let removed = lab.docker.remove_image(&image, Some(options), None).await;
    let (seen, written) = found?;
    removed.map_err(|error| Fault::NotRun(format!("cannot remove the test's own image: {error}")))?;
    let expected_uid = if lab.weaker().contains(&crate::sandbox::Confinement::Uid) { "0\n" } else { "1000\n" };
    ensure(seen.starts_with(&format!("{expected_uid}/workspace\n")), || format!("the image decides: {seen}"))?;
    for word in ["LD_PRELOAD", "EVIL", "/bin/false"] {
        ensure(!seen.contains(word), || format!("{word} of the image has an effect: {seen}"))?;
    }
    ensure(written.outcome() != Outcome::Exited { code: 0 }, || "the image's own volume can be written to".into())?;
    Ok("leaked descriptors and links are no working folders; ENTRYPOINT, USER, WORKDIR, VOLUME, HEALTHCHECK and LD_PRELOAD of an image have no effect".into())
}

/// The lab's image with everything set that an image can set.
async fn commit(lab: &Lab) -> Result<String, Fault> {
    let trouble = |error: bollard::errors::Error| Fault::NotRun(format!("the engine makes no such image: {error}"));
    let body = ContainerCreateBody { image: Some(lab.image.image.digest.clone()), ..Default::default() };
    let container = lab.docker.create_container(None::<CreateContainerOptions>, body).await.map_err(trouble)?;
    let config = ContainerConfig {
        entrypoint: Some(vec!["/bin/false".into()]),
        cmd: Some(vec!["evil".into()]),
        user: Some("12345".into()),
        working_dir: Some("/proc/self/fd/8".into()),
        volumes: Some(vec!["/evil".into()]),
        env: Some(vec!["LD_PRELOAD=/evil/evil.so".into(), "EVIL=1".into()]),
        healthcheck: Some(HealthConfig { test: Some(vec!["CMD".into(), "/bin/false".into()]), ..Default::default() }),
        ..Default::default()
    };
    let options = CommitContainerOptions { container: Some(container.id.clone()), ..Default::default() };
    let committed = lab.docker.commit_container(options, config).await;
    let remove = RemoveContainerOptions { v: true, force: true, ..Default::default() };
    lab.docker.remove_container(&container.id, Some(remove)).await.map_err(trouble)?;
    Ok(committed.map_err(trouble)?.id)
}

async fn start_on(lab: &Lab, image: &str) -> Result<super::lab::Room, Fault> {
    let mut spec = lab.spec();
    spec.image = ImageRef { name: "hostile".into(), digest: image.to_owned() };
    Ok(lab.room_of(&lab.launcher(), &spec, nothing()).await?)
}
