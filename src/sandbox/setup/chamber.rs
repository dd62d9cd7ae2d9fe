//! One set-up container: root inside, no network, and a way out that ends at the allow-list proxy.

use std::time::Duration;

use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    AttachContainerOptions, CommitContainerOptions, CreateContainerOptions, InspectContainerOptions,
    StartContainerOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use greenroom_supervisor::protocol::{Request, Response};
use tokio::task::JoinHandle;

use super::super::connect::{CALL, SLOW_CALL, within};
use super::super::docker::{Container, FIRST_EPOCH, post_mortem};
use super::super::link::{Item, Link};
use super::super::profile::{SET_UP_FILES, SUPERVISOR};
use super::super::{
    DockerLauncher, ExecOutput, ExecRequest, FileError, OutputSink, SandboxError, SandboxSpec, Stream, TarStream,
    WORKSPACE, commands, files, prepared,
};
use super::PROXY_PORT;
use crate::id::CallToken;
use crate::sandbox::proxy::Proxy;
use crate::task::Outcome;

pub(super) struct Chamber<'a> {
    launcher: &'a DockerLauncher,
    container: Container,
    link: Link,
    serving: JoinHandle<()>,
    env: Vec<(String, String)>,
    next_token: u64,
}

/// Labels of a running container, which mean nothing for an image and must not be taken for one of its containers.
const RUN_LABELS: [&str; 5] = ["greenroom", "greenroom.run", "greenroom.owner", "greenroom.lease", "greenroom.runner"];

impl<'a> Chamber<'a> {
    /// `files` go to [`SET_UP_FILES`]; `tree` to the workspace.
    pub(super) async fn start(
        launcher: &'a DockerLauncher,
        spec: &SandboxSpec,
        tree: Option<TarStream>,
        files: &[(&str, Vec<u8>)],
        proxy: Proxy,
    ) -> Result<Chamber<'a>, SandboxError> {
        let docker = &launcher.engine.docker;
        let failed = |detail| SandboxError::Start { detail };
        let profile = launcher.profile(spec).await?;
        if let Some(volume) = profile.image_volumes.iter().find(|path| path.trim_end_matches('/') == WORKSPACE) {
            let detail = format!("the image declares {volume} a volume, so nothing that is set up there can be kept");
            return Err(SandboxError::Image { image: spec.image.name.clone(), detail });
        }
        let body = profile.set_up_container(&spec.image.digest);
        let creation = docker.create_container(None::<CreateContainerOptions>, body);
        let created = within("create container", SLOW_CALL, creation, failed).await?;
        let container = Container::new(docker.clone(), created.id);
        let inspection = docker.inspect_container(&container.id, None::<InspectContainerOptions>);
        profile.verify_set_up_created(&within("inspect container", CALL, inspection, failed).await?)?;
        let archive = pack(files).map_err(|error| failed(format!("cannot pack the files of the set-up: {error}")))?;
        launcher.upload(&container, SET_UP_FILES, stream::iter([Ok(Bytes::from(archive))]).boxed()).await?;
        if let Some(tree) = tree {
            launcher.upload(&container, WORKSPACE, tree).await?;
        }
        let streams =
            AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() };
        let attached = within("attach", CALL, docker.attach_container(&container.id, Some(streams)), failed).await?;
        let start = docker.start_container(&container.id, None::<StartContainerOptions>);
        within("start container", SLOW_CALL, start, failed).await?;
        let epitaph = post_mortem(docker.clone(), container.id.clone());
        let (link, ack) = Link::open(attached.input, attached.output, FIRST_EPOCH, launcher.lease, epitaph).await?;
        profile.verify_set_up_inside(&ack.hardening)?;
        link.watch_disk(profile.set_up_disk_limits());
        let mut connections = link.carry();
        listen(&link).await?;
        let serving = tokio::spawn(async move {
            // Ends with this task: no connection outlives the set-up.
            let mut open = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    connection = connections.recv() => match connection {
                        Some(connection) => {
                            let proxy = proxy.clone();
                            open.spawn(async move { proxy.serve(connection).await });
                        }
                        None => return,
                    },
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(Chamber { launcher, container, link, serving, env: spec.env.clone(), next_token: 1 })
    }

    pub(super) async fn run(
        &mut self,
        command: &str,
        timeout: Duration,
        sink: &mut dyn OutputSink,
    ) -> Result<ExecOutput, SandboxError> {
        self.run_in(WORKSPACE, command, timeout, sink).await
    }

    pub(super) async fn run_in(
        &mut self,
        cwd: &str,
        command: &str,
        timeout: Duration,
        sink: &mut dyn OutputSink,
    ) -> Result<ExecOutput, SandboxError> {
        let mut request = ExecRequest::shell(CallToken(self.next_token), command, timeout);
        request.cwd = cwd.to_owned();
        self.next_token += 1;
        commands::exec(&self.link, &self.env, &request, sink).await
    }

    /// Whether a question succeeded, and the beginning of what it printed.
    pub(super) async fn answer(
        &mut self,
        cwd: &str,
        question: &str,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<(bool, String), SandboxError> {
        let mut answer = Answer { kept: Vec::new(), bytes_max };
        let ExecOutput { outcome, .. } = self.run_in(cwd, question, timeout, &mut answer).await?;
        Ok((outcome == Outcome::Exited { code: 0 }, String::from_utf8_lossy(&answer.kept).into_owned()))
    }

    pub(super) async fn read(&self, path: &str, bytes_max: u64) -> Result<Result<Vec<u8>, FileError>, SandboxError> {
        files::read(&self.link, path, bytes_max).await
    }

    pub(super) fn id(&self) -> &str {
        &self.container.id
    }

    pub(super) fn transfers(&self) -> &bollard::Docker {
        &self.launcher.engine.transfers
    }

    /// Makes an image of what stands now. Nothing of the phase itself is in it: environment and files were the
    /// commands' and a volume's, not the container's.
    pub(super) async fn commit(
        &self,
        repository: &str,
        tag: &str,
        labels: &[(&str, &str)],
    ) -> Result<String, SandboxError> {
        let failed = |detail| SandboxError::Start { detail };
        // The commands were root: who is PID 1 of the sandboxes to come is not for them to say.
        let supervisor = prepared::supervisor().map_err(|error| failed(format!("cannot pack PID 1: {error}")))?;
        self.launcher.upload(&self.container, "/", stream::iter([Ok(Bytes::from(supervisor))]).boxed()).await?;
        let own = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = ContainerConfig {
            entrypoint: Some(vec![SUPERVISOR.to_owned()]),
            cmd: Some(Vec::new()),
            labels: Some(RUN_LABELS.iter().map(|name| ((*name).to_owned(), String::new())).chain(own).collect()),
            ..Default::default()
        };
        let options = CommitContainerOptions {
            container: Some(self.container.id.clone()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            comment: Some("greenroom: set up".to_owned()),
            // Only PID 1 is left, which writes nothing.
            pause: false,
            ..Default::default()
        };
        let commit = self.launcher.engine.transfers.commit_container(options, config);
        Ok(within("commit the image that was set up", SLOW_CALL * 5, commit, failed).await?.id)
    }

    pub(super) async fn end(self) -> Result<(), SandboxError> {
        self.container.remove().await
    }
}

/// Keeps the beginning of what goes to stdout.
struct Answer {
    kept: Vec<u8>,
    bytes_max: usize,
}

impl OutputSink for Answer {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => {
                let room = self.bytes_max.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Stream::Stderr => {}
        }
    }
}

impl Drop for Chamber<'_> {
    fn drop(&mut self) {
        self.serving.abort();
        self.link.shut_down();
    }
}

async fn listen(link: &Link) -> Result<(), SandboxError> {
    let mut call = link.call(&Request::Listen { port: PROXY_PORT })?;
    match call.next().await? {
        Item::Response(Response::Listening { .. }) => Ok(()),
        Item::Response(Response::Failed { error }) => Err(SandboxError::Start { detail: error.message }),
        Item::Response(other) => Err(commands::unexpected("the way out of a set-up", &other)),
        Item::Chunk { .. } => Err(SandboxError::Lost { detail: "PID 1 sent output of no command".to_owned() }),
    }
}

fn pack(files: &[(&str, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()
}
