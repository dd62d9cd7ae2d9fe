//! Sandboxes as containers of a Docker-compatible engine: start one, talk to its PID 1, leave nothing of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions,
    StartContainerOptions, UploadToContainerOptions,
};
use futures_util::StreamExt;
use greenroom_supervisor::protocol::HelloAck;

use super::connect::{CALL, Engine, SLOW_CALL, is_not_found, within};
use super::link::Link;
use super::profile::{DATA, DataVolume, Dialect, Fill, Profile};
use super::{
    ContentSink, ExecOutput, ExecRequest, FileError, Filling, HOME, Job, JobOutput, Launcher, ListRequest, Listing,
    OutputSink, ResourceLimits, Sandbox, SandboxError, SandboxFacts, SandboxSpec, SearchRequest, SearchResult,
    TarStream, WORKSPACE, Weaker, census, commands, data, files, fork, jobs,
};
use crate::id::{BlobId, CallToken};
use crate::snapshot::Manifest;
use crate::snapshot::seen::{Census, Order, Spot};

/// A runner that was not heard of for so long is dead, and its sandboxes end by themselves.
pub const LEASE: Duration = Duration::from_secs(45);
/// Which process made it, so that one that has died is not waited for.
pub(super) const RUNNER_LABEL: &str = "greenroom.runner";
pub(super) const OWNER_LABEL: &str = "greenroom.owner";
pub(super) const RUN_LABEL: &str = "greenroom.run";
/// The first client of a new container.
pub(super) const FIRST_EPOCH: u32 = 1;
/// An upload that moves nothing for so long has failed.
const STALLED: Duration = Duration::from_secs(120);

/// Starts sandboxes on one engine.
#[derive(Debug, Clone)]
pub struct DockerLauncher {
    pub(super) engine: Engine,
    owner: String,
    pub(super) lease: Duration,
    runtime: Option<String>,
    weaker: Weaker,
    left_out: Weaker,
}

impl DockerLauncher {
    /// `owner` names this installation's state folder, so that two of them on one engine never take each other's
    /// containers for their own.
    pub fn new(engine: Engine, owner: impl Into<String>) -> Self {
        DockerLauncher {
            engine,
            owner: owner.into(),
            lease: LEASE,
            runtime: None,
            weaker: Weaker::new(),
            left_out: Weaker::new(),
        }
    }

    /// How the sandboxes of one state folder are labelled.
    pub fn owner_of(state: &std::path::Path) -> String {
        blake3::hash(state.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned()
    }

    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Under another runtime that the engine knows by this name.
    pub fn with_runtime(mut self, name: Option<String>) -> Self {
        self.runtime = name;
        self
    }

    /// Also where some confinements do not hold. They are asked for all the same; the facts of each sandbox name them.
    pub fn accepting(mut self, weaker: Weaker) -> Self {
        self.weaker.extend(weaker);
        self
    }

    /// Without some confinements, to see what breaks; the facts of each sandbox name them.
    pub fn without(mut self, weaker: Weaker) -> Self {
        self.weaker.extend(&weaker);
        self.left_out.extend(weaker);
        self
    }

    pub(super) async fn profile(&self, spec: &SandboxSpec) -> Result<Profile, SandboxError> {
        let image = within("inspect image", CALL, self.engine.docker.inspect_image(&spec.image.digest), |detail| {
            SandboxError::Image { image: spec.image.name.clone(), detail }
        })
        .await?;
        let config = image.config.unwrap_or_default();
        let name = |variable: String| variable.split('=').next().map(str::to_owned);
        let labels = [
            ("greenroom", "1".to_owned()),
            (RUN_LABEL, spec.run.to_string()),
            (OWNER_LABEL, self.owner.clone()),
            ("greenroom.lease", self.lease.as_secs().to_string()),
            (RUNNER_LABEL, super::reap::this_runner()),
        ];
        // More CPUs than the machine has is an error to the engine, and means all of them to everybody else.
        let cpu_millis = spec.limits.cpu_millis.min(self.engine.facts.cpus.saturating_mul(1000));
        // What lies in /tmp counts as memory: were it full of that, every command would be killed, `rm` too.
        let tmp_bytes = spec.limits.tmp_bytes.min(spec.limits.memory_bytes / 2);
        let dialect = match self.engine.facts.is_podman {
            true => Dialect::podman().map_err(|error| SandboxError::Start { detail: error.to_string() })?,
            false => Dialect::Docker,
        };
        Ok(Profile {
            limits: ResourceLimits { cpu_millis, tmp_bytes, ..spec.limits },
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<HashMap<_, _>>(),
            image_env: config.env.unwrap_or_default().into_iter().filter_map(name).collect(),
            image_volumes: config.volumes.unwrap_or_default(),
            fill: Fill::FromImage,
            data: if spec.data.is_some() { DataVolume::Filled } else { DataVolume::None },
            runtime: self.runtime.clone(),
            weaker: self.weaker.clone(),
            left_out: self.left_out.clone(),
            dialect,
        })
    }
}

#[async_trait]
impl Launcher for DockerLauncher {
    async fn start_filled(&self, spec: &SandboxSpec, filling: Filling) -> Result<Box<dyn Sandbox>, SandboxError> {
        let profile = self.profile(spec).await?;
        let container = self.create(profile.container(&spec.image.digest)).await?;
        match self.open(&container, &profile, spec, filling).await {
            Ok((link, facts)) => Ok(Box::new(DockerSandbox { link, container, facts, env: spec.env.clone() })),
            Err(error) => {
                // Waited for: one that was never started has no lease that would end it after this process has gone.
                if let Err(error) = container.remove().await {
                    tracing::warn!(%error, container = container.id, "could not remove a sandbox that did not start");
                }
                Err(error)
            }
        }
    }

    async fn attach(
        &self,
        spec: &SandboxSpec,
        container: &str,
        epoch: u32,
    ) -> Result<Option<Box<dyn Sandbox>>, SandboxError> {
        let Some((link, facts)) = self.open_again(spec, container, epoch).await? else { return Ok(None) };
        let container = Container::new(self.engine.docker.clone(), container.to_owned());
        Ok(Some(Box::new(DockerSandbox { link, container, facts, env: spec.env.clone() })))
    }

    async fn fork(
        &self,
        spec: &SandboxSpec,
        original: &dyn Sandbox,
        count: usize,
    ) -> Result<Vec<Box<dyn Sandbox>>, SandboxError> {
        fork::fork(self, spec, &original.facts().container, count).await
    }
}

impl DockerLauncher {
    /// Fills a created container, starts it and looks at its confinement.
    async fn open(
        &self,
        container: &Container,
        profile: &Profile,
        spec: &SandboxSpec,
        filling: Filling,
    ) -> Result<(Link, SandboxFacts), SandboxError> {
        profile.verify_created(&self.inspect(&container.id).await?)?;
        self.upload(container, WORKSPACE, filling.workspace).await?;
        self.upload(container, HOME, filling.home).await?;
        if let Some(folder) = &spec.data {
            self.upload(container, DATA, data::tar_of(folder.clone())).await?;
        }
        let (link, facts) = self.begin(container, profile, spec).await?;
        if let Some(limits) = profile.disk_limits() {
            link.watch_disk(limits);
        }
        Ok((link, facts))
    }

    pub(super) async fn create(&self, body: ContainerCreateBody) -> Result<Container, SandboxError> {
        let creation = self.engine.docker.create_container(None::<CreateContainerOptions>, body);
        let created = within("create container", SLOW_CALL, creation, |detail| SandboxError::Start { detail }).await?;
        // From here on the container goes with this value, whatever becomes of it.
        Ok(Container::new(self.engine.docker.clone(), created.id))
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, SandboxError> {
        let question = self.engine.docker.inspect_container(container, None::<InspectContainerOptions>);
        within("inspect container", CALL, question, |detail| SandboxError::Start { detail }).await
    }

    /// Starts a container whose volumes are as they should be, or will be before its first command, and looks at its
    /// confinement from inside.
    pub(super) async fn begin(
        &self,
        container: &Container,
        profile: &Profile,
        spec: &SandboxSpec,
    ) -> Result<(Link, SandboxFacts), SandboxError> {
        let docker = &self.engine.docker;
        let failed = |detail| SandboxError::Start { detail };
        let attached = within("attach", CALL, docker.attach_container(&container.id, Some(streams())), failed).await?;
        within(
            "start container",
            SLOW_CALL,
            docker.start_container(&container.id, None::<StartContainerOptions>),
            failed,
        )
        .await?;
        let post_mortem = post_mortem(docker.clone(), container.id.clone());
        let (link, ack) = Link::open(attached.input, attached.output, FIRST_EPOCH, self.lease, post_mortem).await?;
        let facts = self.facts(profile, spec, &container.id, &ack)?;
        Ok((link, facts))
    }

    /// Looks from inside at a sandbox whose PID 1 has answered.
    pub(super) fn facts(
        &self,
        profile: &Profile,
        spec: &SandboxSpec,
        container: &str,
        ack: &HelloAck,
    ) -> Result<SandboxFacts, SandboxError> {
        profile.verify_inside(&ack.hardening)?;
        Ok(SandboxFacts {
            container: container.to_owned(),
            image: spec.image.clone(),
            hardening: serde_json::to_value(&ack.hardening).expect("facts are plain data"),
            runtime: self.runtime.clone(),
            weaker: self.weaker.clone(),
        })
    }

    /// Fills a volume of the created container. The engine answers only at the end, so what is watched is whether it
    /// still takes something.
    pub(super) async fn upload(&self, container: &Container, path: &str, tar: TarStream) -> Result<(), SandboxError> {
        let mut tar = Box::pin(tar.peekable());
        if tar.as_mut().peek().await.is_none() {
            return Ok(());
        }
        let moved = Arc::new(tokio::sync::Notify::new());
        // What went wrong on our side; the engine only sees a body that breaks off.
        let broken = Arc::new(std::sync::Mutex::new(None));
        let body = tar.inspect({
            let (moved, broken) = (moved.clone(), broken.clone());
            move |chunk| {
                moved.notify_one();
                if let Err(error) = chunk {
                    *broken.lock().expect("nothing panics while holding it") = Some(error.to_string());
                }
            }
        });
        let options = UploadToContainerOptions { path: path.to_owned(), ..Default::default() };
        let upload =
            self.engine.transfers.upload_to_container(&container.id, Some(options), bollard::body_try_stream(body));
        tokio::pin!(upload);
        let result = loop {
            tokio::select! {
                result = &mut upload => break result,
                () = moved.notified() => {}
                () = tokio::time::sleep(STALLED) => {
                    let what = format!("filling {path}");
                    return Err(SandboxError::Deadline { what, seconds: STALLED.as_secs() });
                }
            }
        };
        let ours = broken.lock().expect("nothing panics while holding it").take();
        match (result, ours) {
            (_, Some(detail)) => Err(SandboxError::Start { detail: format!("cannot fill {path}: {detail}") }),
            (Err(error), None) => {
                Err(SandboxError::Start { detail: format!("cannot fill {path}: {}", super::connect::describe(&error)) })
            }
            (Ok(()), None) => Ok(()),
        }
    }
}

pub(super) fn streams() -> AttachContainerOptions {
    AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() }
}

/// A running sandbox.
pub(super) struct DockerSandbox {
    pub(super) link: Link,
    pub(super) container: Container,
    pub(super) facts: SandboxFacts,
    pub(super) env: Vec<(String, String)>,
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    async fn exec(&self, command: &ExecRequest, sink: &mut dyn OutputSink) -> Result<ExecOutput, SandboxError> {
        commands::exec(&self.link, &self.env, command, sink).await
    }

    async fn read(&self, path: &str, bytes_max: u64) -> Result<Result<Vec<u8>, FileError>, SandboxError> {
        files::read(&self.link, path, bytes_max).await
    }

    async fn write(
        &self,
        path: &str,
        content: &[u8],
        expect: Option<&BlobId>,
    ) -> Result<Result<(), FileError>, SandboxError> {
        files::write(&self.link, path, content, expect).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Result<Listing, FileError>, SandboxError> {
        files::list(&self.link, request).await
    }

    async fn search(&self, request: &SearchRequest) -> Result<Result<SearchResult, FileError>, SandboxError> {
        files::search(&self.link, request).await
    }

    async fn census(&self, since: u64) -> Result<Census, SandboxError> {
        census::census(&self.link, since).await
    }

    async fn collect(&self, spots: &[Spot], sink: &mut dyn ContentSink) -> Result<(), SandboxError> {
        census::collect(&self.link, spots, sink).await
    }

    async fn settle(&self, orders: &[Order]) -> Result<(), SandboxError> {
        census::settle(&self.link, orders).await
    }

    async fn walk(&self) -> Result<Manifest, SandboxError> {
        files::walk(&self.link).await
    }

    async fn start_job(&self, name: &str, command: &ExecRequest) -> Result<Job, SandboxError> {
        jobs::start(&self.link, &self.env, name, command).await
    }

    async fn job_output(&self, name: &str, since: u64, bytes_max: u64) -> Result<JobOutput, SandboxError> {
        jobs::output(&self.link, name, since, bytes_max).await
    }

    async fn stop_job(&self, name: &str) -> Result<Job, SandboxError> {
        jobs::stop(&self.link, name).await
    }

    async fn jobs(&self) -> Result<Vec<Job>, SandboxError> {
        jobs::list(&self.link).await
    }

    fn committed(&self, token: CallToken) {
        self.link.forget(commands::token_prefix(token));
    }

    async fn stop(&self) -> Result<(), SandboxError> {
        if self.container.is_settled() {
            return Ok(());
        }
        if self.link.is_fenced().await {
            self.container.leave();
        }
        self.container.remove().await
    }
}

impl Drop for DockerSandbox {
    fn drop(&mut self) {
        if self.link.knows_it_is_fenced() {
            self.container.leave();
        }
        if !self.container.is_settled() {
            // Should removal from here not succeed, PID 1 ends now rather than with its lease.
            self.link.shut_down();
        }
    }
}

/// A container that exists. Dropping it removes it, as well as a drop can.
pub(super) struct Container {
    docker: Docker,
    pub(super) id: String,
    /// Removed, or somebody else's.
    settled: AtomicBool,
}

impl Container {
    pub(super) fn new(docker: Docker, id: String) -> Self {
        Container { docker, id, settled: AtomicBool::new(false) }
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Another runner has it now: it is not ours to remove.
    fn leave(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// With its anonymous volumes, whatever state it is in. Returns once it is gone.
    pub(super) async fn remove(&self) -> Result<(), SandboxError> {
        if self.is_settled() {
            return Ok(());
        }
        remove(&self.docker, &self.id).await?;
        self.settled.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.is_settled() {
            return;
        }
        let (docker, id) = (self.docker.clone(), self.id.clone());
        // A thread with a runtime of its own: the one we are in may be shutting down. If the process ends first, the
        // lease takes care of it.
        let thread = std::thread::Builder::new().name("remove-sandbox".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            if let Err(error) = runtime.block_on(remove(&docker, &id)) {
                tracing::warn!(%error, container = id, "could not remove a sandbox; its lease will");
            }
        });
        if let Err(error) = thread {
            tracing::warn!(%error, "could not start a thread to remove a sandbox; its lease will");
        }
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), SandboxError> {
    let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
    let removal = async {
        match docker.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            // It ended by itself and is being removed: what counts is that it is gone.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 409, .. }) => gone(docker, id).await,
            Err(error) => Err(error),
        }
    };
    within("remove container", SLOW_CALL, removal, |detail| SandboxError::Start { detail }).await
}

async fn gone(docker: &Docker, id: &str) -> Result<(), bollard::errors::Error> {
    loop {
        match docker.inspect_container(id, None::<InspectContainerOptions>).await {
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Why the connection to PID 1 ended, as far as the engine can say.
pub(super) async fn post_mortem(docker: Docker, id: String) -> String {
    let question = docker.inspect_container(&id, None::<InspectContainerOptions>);
    match tokio::time::timeout(CALL, question).await {
        Err(_) => "the container engine does not answer".to_owned(),
        Ok(Err(error)) if is_not_found(&error) => "the container ended and was removed".to_owned(),
        Ok(Err(error)) => format!("the container engine is in trouble: {}", super::connect::describe(&error)),
        Ok(Ok(seen)) => {
            let state = seen.state.unwrap_or_default();
            match (state.running, state.oom_killed, state.exit_code) {
                (Some(true), ..) => "the engine closed the connection to a container that still runs".to_owned(),
                (_, Some(true), _) => "the container ended: the machine ran out of memory for it".to_owned(),
                (_, _, Some(code)) => format!("the container ended with code {code}"),
                (_, _, None) => "the container ended".to_owned(),
            }
        }
    }
}
