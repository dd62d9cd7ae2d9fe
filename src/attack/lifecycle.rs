//! Life cycle: runners, containers, engines and images that end, vanish or lie while something runs.

use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, InspectContainerOptions, KillContainerOptions, ListVolumesOptions,
    RemoveContainerOptions, RemoveImageOptions, TopOptions,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::lab::{Lab, nothing};
use super::proxy::{Manner, Proxy};
use super::{Case, Danger, Fault, Found, Group, ensure, restart, runner};
use crate::sandbox::{Confinement, Engine, Images, SandboxError, reap};
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Lifecycle, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("runner-killed", "after kill -9 of the runner the container ends with its lease", |lab| {
        Box::pin(runner_killed(lab))
    }),
    case("two-runners", "two runners, Ctrl-C twice and a pause do not touch each other", |lab| {
        Box::pin(two_runners(lab))
    }),
    case("engine-trouble", "an engine that is gone, silent, failing or cut off is a typed error in time", |lab| {
        Box::pin(engine_trouble(lab))
    }),
    Case {
        id: "engine-restart",
        group: Group::Lifecycle,
        title: "a restart of the engine in mid-call is a typed error, and the next sandbox works",
        danger: Danger::WholeEngine,
        run: |lab| Box::pin(restart::engine_restart(lab)),
    },
    case("container-dies", "a container killed or removed in mid-call is a lost sandbox", |lab| {
        Box::pin(container_dies(lab))
    }),
    case("image-trouble", "missing, foreign and empty images work or are refused in words", |lab| {
        Box::pin(image_trouble(lab))
    }),
    case("hardening-dropped", "an engine that drops a confinement is refused", |lab| Box::pin(hardening_dropped(lab))),
    case("cycles", "many sandboxes, one after the other and at once, leave nothing", |lab| Box::pin(cycles(lab))),
];

/// How soon a call must notice that its sandbox is gone.
const NOTICED_MAX: Duration = Duration::from_secs(5);

fn refused(error: bollard::errors::Error) -> Fault {
    Fault::NotRun(format!("the engine refuses what the test needs: {error}"))
}

async fn runner_killed(lab: &Lab) -> Found {
    let bystander = lab.room().await?;
    let mut child = runner::doomed(lab)?;
    let stdout = child.stdout.take().expect("it was piped");
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first).await?;
    let container = first.trim().to_owned();
    ensure(!container.is_empty(), || "the second runner started no sandbox".into())?;
    child.kill().await?;
    let started = Instant::now();
    let longest = runner::DOOMED_LEASE + Duration::from_secs(15);
    while is_there(lab, &container).await {
        ensure(started.elapsed() < longest, || format!("still there {longest:?} after its runner was killed"))?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let gone = started.elapsed();
    bystander.leave().await?;
    reaped(lab).await?;
    Ok(format!(
        "gone {:.1} s after the kill (lease {} s), another sandbox unharmed; a container never started is reaped by its own owner only; `resume` is not tried here",
        gone.as_secs_f32(),
        runner::DOOMED_LEASE.as_secs()
    ))
}

/// What an owner created and never started goes at its next start; that of an owner with a longer name stays.
async fn reaped(lab: &Lab) -> Result<(), Fault> {
    let owner = format!("reaped-{}", crate::id::RunId::generate());
    let mut made = Vec::new();
    for owner in [owner.clone(), format!("{owner}x")] {
        let body = ContainerCreateBody {
            image: Some(lab.image.image.digest.clone()),
            labels: Some([("greenroom.owner".to_owned(), owner)].into()),
            ..Default::default()
        };
        made.push(lab.docker.create_container(None::<CreateContainerOptions>, body).await.map_err(refused)?.id);
    }
    let removed = reap(&lab.engine, &owner, Duration::ZERO).await;
    for id in &made {
        let remove = RemoveContainerOptions { v: true, force: true, ..Default::default() };
        // The first is gone already.
        let _ = lab.docker.remove_container(id, Some(remove)).await;
    }
    let removed = removed?;
    ensure(removed == made[..1], || format!("of {made:?}, of which the first was its own, it removed {removed:?}"))
}

async fn is_there(lab: &Lab, container: &str) -> bool {
    let seen = lab.docker.inspect_container(container, None::<InspectContainerOptions>).await;
    !matches!(seen, Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }))
}

async fn two_runners(lab: &Lab) -> Found {
    let home = lab.folder("home")?;
    let repo = lab.folder("repo")?;
    std::fs::write(repo.join("file"), "content")?;
    let stopped = runner::exec(lab, &home, &repo, &["sleep", "300"])?;
    let finishing = runner::exec(lab, &home, &repo, &["sh", "-c", "sleep 8; echo fine"])?;
    let owner = runner::owner(&home);
    let started = Instant::now();
    while lab.containers_of(&owner).await?.len() < 2 {
        ensure(started.elapsed() < Duration::from_secs(30), || "two runners did not come up within 30 s".into())?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Past the start of both commands.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let signalled = Instant::now();
    for _ in 0..2 {
        runner::interrupt(&stopped)?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let stopped = stopped.wait_with_output().await?;
    let elapsed = signalled.elapsed();
    ensure(stopped.status.code() == Some(130), || format!("Ctrl-C twice ended it with {:?}", stopped.status))?;
    let finished = finishing.wait_with_output().await?;
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    ensure(finished.status.success() && said.contains("fine"), || format!("the other: {:?} {said}", finished.status))?;
    let left = lab.containers_of(&owner).await?;
    // A removal that Ctrl-C cut short is finished by the lease.
    ensure(left.len() <= 1, || format!("left: {left:?}"))?;
    for id in &left {
        let remove = RemoveContainerOptions { v: true, force: true, ..Default::default() };
        let _ = lab.docker.remove_container(id, Some(remove)).await;
    }
    asleep(lab).await?;
    let kept = if left.is_empty() { "nothing left" } else { "one container left to its lease" };
    Ok(format!(
        "interrupted one over after {} ms, {kept}; the other finished; a lease outlives a pause longer than itself",
        elapsed.as_millis()
    ))
}

/// A laptop that sleeps longer than the lease.
async fn asleep(lab: &Lab) -> Result<(), Fault> {
    let launcher = lab.launcher().with_lease(Duration::from_secs(2));
    let room = lab.room_of(&launcher, &lab.spec(), nothing()).await?;
    let container = room.sandbox.facts().container.clone();
    lab.docker.pause_container(&container).await.map_err(refused)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    lab.docker.unpause_container(&container).await.map_err(refused)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    room.leave().await
}

async fn engine_trouble(lab: &Lab) -> Found {
    let folder = lab.folder("engine")?;
    let nobody = Engine::at(&format!("unix://{}", folder.join("none.sock").display())).await;
    ensure(nobody.is_err(), || "a socket that is not there is an engine".into())?;
    let proxy = Proxy::before(&lab.engine.facts.address, &folder)?;
    proxy.set(Manner::Silent);
    let started = Instant::now();
    let silent = Engine::at(&proxy.address()).await;
    let silence = started.elapsed();
    ensure(silent.is_err() && silence < Duration::from_secs(15), || {
        format!("a silent engine was waited for {silence:?}")
    })?;

    proxy.set(Manner::Honest);
    let engine = Engine::at(&proxy.address()).await.map_err(Fault::Broken)?;
    let launcher = lab.launcher_on(engine);
    proxy.set(Manner::Failing);
    let failing = lab.room_of(&launcher, &lab.spec(), nothing()).await;
    match failing {
        Err(SandboxError::Start { .. } | SandboxError::Image { .. }) => {}
        Err(error) => return Err(Fault::Broken(format!("500s came to: {error}"))),
        Ok(_) => return Err(Fault::broken("a sandbox was started by an engine that answers 500")),
    }
    proxy.set(Manner::Honest);
    let room = lab.room_of(&launcher, &lab.spec(), nothing()).await?;
    let container = room.sandbox.facts().container.clone();
    let cut = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.cut();
        Instant::now()
    };
    let (ended, cut_at) = tokio::join!(room.sh("sleep 3107"), cut);
    let noticed = cut_at.elapsed();
    ensure(matches!(ended, Err(SandboxError::Lost { .. })), || format!("a call cut off came to: {ended:?}"))?;
    ensure(noticed < NOTICED_MAX, || format!("noticed only after {noticed:?}"))?;
    // In Podman's words, which has no `ps` of the host's.
    let columns = lab.engine.facts.is_podman.then(|| TopOptions { ps_args: "pid,args".into() });
    let processes = lab.docker.top_processes(&container, columns).await.map_err(refused)?;
    let running = format!("{processes:?}").matches("sleep 3107").count();
    // The shell's and the program's own line.
    ensure(running <= 2, || format!("the command was started again: {running} lines name it"))?;
    room.sandbox.stop().await?;
    lab.as_before().await?;
    Ok(format!(
        "no socket, silence ({:.0} s), 500s and a cut connection ({} ms) are typed; nothing was run twice",
        silence.as_secs_f32(),
        noticed.as_millis()
    ))
}

async fn container_dies(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let inside = room.sh("kill -9 1; kill -TERM 1; kill -9 -1; echo on; kill -9 $$").await?;
    ensure(inside.outcome() == Outcome::Signalled { signal: 9 } && inside.text() == "on\n", || inside.summary())?;
    room.leave().await?;
    let mut slowest = Duration::ZERO;
    for way in ["kill", "remove"] {
        let room = lab.room().await?;
        let container = room.sandbox.facts().container.clone();
        let end = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let done = if way == "kill" {
                lab.docker.kill_container(&container, None::<KillContainerOptions>).await
            } else {
                let remove = RemoveContainerOptions { v: true, force: true, ..Default::default() };
                lab.docker.remove_container(&container, Some(remove)).await
            };
            done.map(|()| Instant::now()).map_err(refused)
        };
        let (first, second, ended) = tokio::join!(room.sh("sleep 300"), room.sandbox.read("/dev/null", 1), end);
        let noticed = ended?.elapsed();
        slowest = slowest.max(noticed);
        drop(second);
        ensure(matches!(first, Err(SandboxError::Lost { .. })), || format!("{way}: the call came to {first:?}"))?;
        ensure(noticed < NOTICED_MAX, || format!("{way}: noticed only after {noticed:?}"))?;
        let later = room.sh("true").await;
        ensure(matches!(later, Err(SandboxError::Lost { .. })), || format!("{way}: a later call came to {later:?}"))?;
        room.sandbox.stop().await?;
    }
    lab.room().await?.leave().await?;
    Ok(format!(
        "sandbox lost within {} ms, every later call says so too; a new sandbox works; kill 1 from inside is refused",
        slowest.as_millis()
    ))
}

async fn image_trouble(lab: &Lab) -> Found {
    let images = Images::new(lab.engine.clone());
    let started = Instant::now();
    let missing = images.prepare("localhost:1/greenroom-attack/none:missing", &|_| {}).await;
    ensure(matches!(missing, Err(SandboxError::Image { .. })), || "a missing image was prepared".into())?;
    let waited = started.elapsed();
    ensure(waited < Duration::from_secs(30), || format!("a missing image took {waited:?}"))?;
    let name = format!("greenroom-attack/{}", crate::id::RunId::generate());
    let empty = format!("{name}:empty");
    import(lab, &name, "empty", None).await?;
    let found = on_empty(lab, &images, &empty).await;
    remove_image(lab, &empty).await;
    found?;
    let foreign = if std::env::consts::ARCH == "aarch64" { "linux/amd64" } else { "linux/arm64" };
    let tag = format!("{name}:foreign");
    let other = match import(lab, &name, "foreign", Some(foreign)).await {
        Ok(()) => {
            let seen = lab.docker.inspect_image(&tag).await.map_err(refused)?;
            let is_foreign = seen.architecture.as_deref().is_some_and(|name| foreign.ends_with(name));
            let prepared = if is_foreign { Some(images.prepare(&tag, &|_| {}).await) } else { None };
            remove_image(lab, &tag).await;
            match prepared {
                Some(Err(SandboxError::Image { .. })) => "a foreign one is refused",
                Some(other) => return Err(Fault::Broken(format!("an image for {foreign} was taken: {other:?}"))),
                None => "a foreign one cannot be made on this engine",
            }
        }
        Err(_) => "a foreign one cannot be made on this engine",
    };
    Ok(format!(
        "a missing image is refused after {} ms; an image without sh, libc and passwd works; {other}",
        waited.as_millis()
    ))
}

/// An image with one folder in it.
async fn import(lab: &Lab, repo: &str, tag: &str, platform: Option<&str>) -> Result<(), Fault> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, "srv/", &[][..])?;
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(format!("{repo}:{tag}")),
        platform: platform.unwrap_or_default().into(),
        ..Default::default()
    };
    let body = bollard::body_full(archive.into_inner()?.into());
    lab.docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await.map_err(refused).map(drop)
}

async fn on_empty(lab: &Lab, images: &Images, name: &str) -> Result<(), Fault> {
    let prepared = images.prepare(name, &|_| {}).await?;
    let mut spec = lab.spec();
    spec.image = prepared.image.clone();
    let room = lab.room_of(&lab.launcher(), &spec, nothing()).await;
    let found = match room {
        Ok(room) => {
            let ran = room.sh("true").await;
            let written = room.sandbox.write("a/file", b"content", None).await;
            let read = room.sandbox.read("a/file", 100).await;
            room.sandbox.stop().await?;
            ensure(ran?.outcome() == Outcome::Exited { code: 127 }, || "a shell was found where there is none".into())
                .and(ensure(written?.is_ok() && read? == Ok(b"content".to_vec()), || "file calls do not work".into()))
        }
        Err(error) => Err(error.into()),
    };
    remove_image(lab, &prepared.image.digest).await;
    found
}

/// Ours, and made a moment ago; one that stays is found by `images list`.
async fn remove_image(lab: &Lab, name: &str) {
    let options = RemoveImageOptions { force: true, ..Default::default() };
    if let Err(error) = lab.docker.remove_image(name, Some(options), None).await {
        tracing::warn!(%error, name, "could not remove an image of the attack suite");
    }
}

async fn hardening_dropped(lab: &Lab) -> Found {
    /// With what the refusal must speak of, and the confinement that may have been left out on purpose.
    const FIELDS: [(&str, &str, Option<Confinement>); 10] = [
        ("ReadonlyRootfs", "read-only root", Some(Confinement::ReadOnlyRoot)),
        ("CapDrop", "capabilities", Some(Confinement::Capabilities)),
        ("SecurityOpt", "seccomp", Some(Confinement::Seccomp)),
        ("NetworkMode", "network", Some(Confinement::Network)),
        ("Memory", "memory", Some(Confinement::Memory)),
        ("MemorySwap", "swap", Some(Confinement::Memory)),
        ("PidsLimit", "pids", Some(Confinement::Pids)),
        ("NanoCpus", "cpus", Some(Confinement::Cpus)),
        ("Ulimits", "file size", Some(Confinement::FileSize)),
        ("AutoRemove", "automatic removal", None),
    ];
    let proxy = Proxy::before(&lab.engine.facts.address, &lab.folder("forgetful")?)?;
    let engine = Engine::at(&proxy.address()).await.map_err(Fault::Broken)?;
    let launcher = lab.launcher_on(engine);
    let mut tried = 0;
    for (field, word, confinement) in FIELDS {
        if confinement
            .is_some_and(|confinement| lab.weaker().union(lab.unenforced()).any(|missing| *missing == confinement))
        {
            continue;
        }
        proxy.set(Manner::Forgetful(field));
        match lab.room_of(&launcher, &lab.spec(), nothing()).await {
            // Some engines notice by themselves what a field left out makes of the others.
            Err(error @ (SandboxError::Hardening { .. } | SandboxError::Start { .. })) => {
                let said = error.to_string();
                ensure(said.to_lowercase().contains(word), || format!("without {field} the refusal is: {said}"))?;
            }
            Err(error) => return Err(Fault::Broken(format!("without {field}: {error}"))),
            Ok(_) => return Err(Fault::Broken(format!("an engine that ignores {field} got a sandbox"))),
        }
        tried += 1;
    }
    proxy.set(Manner::Honest);
    lab.as_before().await?;
    Ok(format!(
        "{tried} fields dropped one by one: each refused by name; Podman and rootless engines are tried where doctor runs on one"
    ))
}

async fn cycles(lab: &Lab) -> Found {
    let (count, parallel) = (lab.scaled(15, 1_000), lab.scaled(6, 64));
    let open_before = open_descriptors();
    let mut times = Vec::new();
    let mut volumes = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        volumes.extend(one_cycle(lab).await?);
        times.push(started.elapsed());
    }
    let at_once = Instant::now();
    let all: Vec<_> = stream::iter(0..parallel)
        .map(|_| one_cycle(lab))
        .buffer_unordered(usize::try_from(parallel).unwrap_or(64))
        .try_collect()
        .await?;
    let together = at_once.elapsed();
    volumes.extend(all.into_iter().flatten());
    lab.as_before().await?;
    let listed = lab.docker.list_volumes(None::<ListVolumesOptions>).await.map_err(refused)?;
    let left = listed.volumes.iter().flatten().filter(|volume| volumes.contains(&volume.name)).count();
    ensure(left == 0, || format!("{left} of {} volumes are left", volumes.len()))?;
    let open_after = open_descriptors();
    // Connections that are being closed still count for a moment.
    ensure(open_after <= open_before + 8, || format!("{open_before} descriptors before, {open_after} after"))?;
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let scale = if count < 1_000 { " (1,000 and 64 with --full)" } else { "" };
    Ok(format!(
        "{count} in a row and {parallel} at once{scale}: no container, volume or descriptor left; one takes {} ms median, {} ms p99; at once {:.1} s",
        median.as_millis(),
        p99.as_millis(),
        together.as_secs_f32()
    ))
}

/// Create, run, destroy; the volumes it had.
async fn one_cycle(lab: &Lab) -> Result<Vec<String>, Fault> {
    let room = lab.room().await?;
    let container = &room.sandbox.facts().container;
    let seen = lab.docker.inspect_container(container, None::<InspectContainerOptions>).await.map_err(refused)?;
    room.leave().await?;
    Ok(seen.mounts.into_iter().flatten().filter_map(|mount| mount.name).filter(|name| !name.is_empty()).collect())
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
