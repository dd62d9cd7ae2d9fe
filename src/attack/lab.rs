//! Where attacks take place: an engine, a prepared image, and rooms (sandboxes) opened on it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, StatsOptions};
use futures_util::{StreamExt, stream};

use super::{Fault, ensure};
use crate::id::{CallToken, RunId};
use crate::sandbox::{
    DockerLauncher, Engine, ExecOutput, ExecRequest, Launcher, OutputSink, PreparedImage, ResourceLimits, Sandbox,
    SandboxError, SandboxSpec, Stream, TarStream, Weaker,
};
use crate::task::Outcome;

/// Small, so that meeting them is quick and costs the machine little.
pub(super) const LIMITS: ResourceLimits = ResourceLimits {
    memory_bytes: 256 << 20,
    pids: 128,
    cpu_millis: 1000,
    tmp_bytes: 32 << 20,
    file_bytes: 64 << 20,
    disk_bytes: 192 << 20,
    disk_inodes: 10_000,
};
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// How long removal of a container whose room was dropped may take.
const GONE_MAX: Duration = Duration::from_secs(15);
const ENGINE_ANSWERS_MAX: Duration = Duration::from_secs(10);

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Numbers scaled down; the notes say so.
    Quick,
    Full,
    /// Also what endangers other people's containers.
    Destructive,
}

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Setting {
    pub runtime: Option<String>,
    pub weaker: Weaker,
    pub extent: Extent,
    /// A shell command that restarts the engine; without it only the system's own one can be restarted.
    pub restart: Option<String>,
}

pub struct Lab {
    pub(super) engine: Engine,
    pub(super) docker: Docker,
    pub(super) image: PreparedImage,
    setting: Setting,
    /// What this engine and runtime cannot do, as a first sandbox found out.
    unenforced: Weaker,
    has_own_kernel: bool,
    /// Names our containers: those of this lab and nobody else's.
    owner: String,
    /// Temporary files of the host's side.
    folder: PathBuf,
}

impl Lab {
    /// `image` needs `sh` and `python3`.
    pub fn new(engine: Engine, image: PreparedImage, setting: Setting) -> Result<Lab, String> {
        let docker = Docker::connect_with_host(&engine.facts.address).map_err(|error| error.to_string())?;
        let name = RunId::generate();
        let folder = std::env::temp_dir().join(format!("greenroom-attack-{name}"));
        let owner = format!("attack-{name}");
        Ok(Lab { engine, docker, image, setting, unenforced: Weaker::new(), has_own_kernel: false, owner, folder })
    }

    /// Starts one sandbox. What a runtime that was asked for by name cannot enforce, and sandboxes would be refused for,
    /// is answered with the refusal's words, and done without from here on; nothing of the kind is done for the engine's
    /// own default.
    pub async fn look_at_runtime(&mut self) -> Option<String> {
        match self.room().await {
            Err(SandboxError::Hardening { detail, unenforced }) if self.setting.runtime.is_some() => {
                self.unenforced = unenforced;
                self.has_own_kernel = self.is_another_kernel_inside().await;
                (!self.unenforced.is_empty()).then_some(detail)
            }
            // The cases will say it.
            Ok(_) | Err(_) => None,
        }
    }

    pub fn unenforced(&self) -> &Weaker {
        &self.unenforced
    }

    /// The runtime brings a kernel of its own, which the engine's limits meet as one process: what goes too far inside may
    /// take the whole sandbox with it.
    pub(super) fn has_own_kernel(&self) -> bool {
        self.has_own_kernel
    }

    async fn is_another_kernel_inside(&self) -> bool {
        let Ok(room) = self.room().await else { return false };
        room.say("uname -r").await.is_ok_and(|release| release.trim() != self.engine.facts.kernel)
    }

    /// What the engine counts for a sandbox: where nothing can be seen from inside, that shows whether a limit is one.
    pub(super) async fn counted(&self, room: &Room) -> Result<Counted, Fault> {
        let container = &room.sandbox.facts().container;
        let options = StatsOptions { stream: false, one_shot: true };
        let mut stats = self.docker.stats(container, Some(options));
        let stats = match tokio::time::timeout(ENGINE_ANSWERS_MAX, stats.next()).await {
            Ok(Some(Ok(stats))) => stats,
            Ok(Some(Err(error))) => return Err(Fault::broken(format!("the engine is in trouble: {error}"))),
            Ok(None) | Err(_) => return Err(Fault::broken("the engine does not say what a sandbox uses")),
        };
        let pids = stats.pids_stats.unwrap_or_default();
        let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or(0);
        let (pids, pids_max) = (pids.current.unwrap_or(0), pids.limit.unwrap_or(0));
        Ok(Counted { pids, pids_max, cpu: Duration::from_nanos(cpu) })
    }

    pub fn extent(&self) -> Extent {
        self.setting.extent
    }

    pub(super) fn weaker(&self) -> &Weaker {
        &self.setting.weaker
    }

    pub(super) fn runtime(&self) -> Option<&str> {
        self.setting.runtime.as_deref()
    }

    pub(super) fn restart_command(&self) -> Option<&str> {
        self.setting.restart.as_deref()
    }

    /// `quick`, or `full` where everything was asked for.
    pub(super) fn scaled(&self, quick: u64, full: u64) -> u64 {
        match self.setting.extent {
            Extent::Quick => quick,
            Extent::Full | Extent::Destructive => full,
        }
    }

    /// A new folder on the host, gone with the lab.
    pub(super) fn folder(&self, name: &str) -> std::io::Result<PathBuf> {
        let path = self.folder.join(format!("{name}-{}", RunId::generate()));
        // Made when it is first needed: a lab that is about to be killed leaves none.
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(super) fn launcher(&self) -> DockerLauncher {
        self.launcher_on(self.engine.clone())
    }

    /// On the same engine by another way.
    pub(super) fn launcher_on(&self, engine: Engine) -> DockerLauncher {
        DockerLauncher::new(engine, self.owner.as_str())
            .with_runtime(self.setting.runtime.clone())
            .without(self.setting.weaker.clone())
            .accepting(self.unenforced.clone())
    }

    pub(super) fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            run: RunId::generate(),
            image: self.image.image.clone(),
            limits: LIMITS,
            env: self.image.env.clone(),
            data: None,
        }
    }

    pub(super) async fn room(&self) -> Result<Room, SandboxError> {
        self.room_of(&self.launcher(), &self.spec(), nothing()).await
    }

    pub(super) async fn room_of(
        &self,
        launcher: &dyn Launcher,
        spec: &SandboxSpec,
        tree: TarStream,
    ) -> Result<Room, SandboxError> {
        let sandbox = launcher.start(spec, tree).await?;
        Ok(Room { sandbox, next_token: AtomicU64::new(1) })
    }

    /// The engine answers and has nothing of ours any more.
    pub(super) async fn as_before(&self) -> Result<(), Fault> {
        let deadline = tokio::time::Instant::now() + GONE_MAX;
        loop {
            let left = self.containers_of(&self.owner).await?;
            if left.is_empty() {
                return Ok(());
            }
            ensure(tokio::time::Instant::now() < deadline, || format!("left behind: {}", left.join(", ")))?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ids of the containers that carry this owner's label, running or not.
    pub(super) async fn containers_of(&self, owner: &str) -> Result<Vec<String>, Fault> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.owner={owner}")])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        match tokio::time::timeout(ENGINE_ANSWERS_MAX, self.docker.list_containers(Some(options))).await {
            Ok(Ok(found)) => Ok(found.into_iter().filter_map(|container| container.id).collect()),
            Ok(Err(error)) => Err(Fault::broken(format!("the engine is in trouble: {error}"))),
            Err(_) => {
                let seconds = ENGINE_ANSWERS_MAX.as_secs();
                Err(Fault::broken(format!("the engine did not answer within {seconds} s")))
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %self.folder.display(), "could not remove a temporary folder");
        }
    }
}

/// An empty workspace.
pub(super) fn nothing() -> TarStream {
    stream::empty().boxed()
}

/// By the engine, of one sandbox.
pub(super) struct Counted {
    pub(super) pids: u64,
    /// 0 without a limit.
    pub(super) pids_max: u64,
    pub(super) cpu: Duration,
}

/// A sandbox under attack.
pub(super) struct Room {
    pub(super) sandbox: Box<dyn Sandbox>,
    next_token: AtomicU64,
}

/// What a command came to.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) ended: Option<ExecOutput>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl OutputSink for Ran {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }
}

impl Ran {
    pub(super) fn output(&self) -> &ExecOutput {
        self.ended.as_ref().expect("a room hands out commands that have ended")
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.output().outcome
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Outcome and the ends of both streams, for a note.
    pub(super) fn summary(&self) -> String {
        let end = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).trim().to_owned();
        let parts = [self.outcome().to_string(), end(&self.stdout), end(&self.stderr)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ")
    }
}

impl Room {
    pub(super) fn request(&self, argv: &[&str], timeout: Duration) -> ExecRequest {
        let token = CallToken(self.next_token.fetch_add(1, Ordering::Relaxed));
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        ExecRequest { argv, ..ExecRequest::shell(token, "", timeout) }
    }

    pub(super) async fn run(&self, request: &ExecRequest) -> Result<Ran, SandboxError> {
        let mut ran = Ran::default();
        ran.ended = Some(self.sandbox.exec(request, &mut ran).await?);
        Ok(ran)
    }

    pub(super) async fn sh(&self, command: &str) -> Result<Ran, SandboxError> {
        self.sh_for(command, COMMAND_MAX).await
    }

    pub(super) async fn sh_for(&self, command: &str, timeout: Duration) -> Result<Ran, SandboxError> {
        self.run(&self.request(&["/bin/sh", "-c", command], timeout)).await
    }

    /// A script with its arguments.
    pub(super) async fn python(&self, script: &str, arguments: &[&str]) -> Result<Ran, SandboxError> {
        self.python_for(script, arguments, COMMAND_MAX).await
    }

    pub(super) async fn python_for(
        &self,
        script: &str,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<Ran, SandboxError> {
        let argv: Vec<&str> = ["python3", "-c", script].iter().chain(arguments).copied().collect();
        self.run(&self.request(&argv, timeout)).await
    }

    /// Stdout of a command that has to succeed.
    pub(super) async fn say(&self, command: &str) -> Result<String, Fault> {
        let ran = self.sh(command).await?;
        ensure(ran.outcome() == Outcome::Exited { code: 0 }, || format!("`{command}`: {}", ran.summary()))?;
        Ok(ran.text())
    }

    /// The sandbox is as usable as before.
    pub(super) async fn next_call_works(&self) -> Result<(), Fault> {
        let said = self.say("echo still here").await?;
        ensure(said == "still here\n", || format!("the next call answers {said:?}"))
    }

    /// The next call works, and then the room goes.
    pub(super) async fn leave(self) -> Result<(), Fault> {
        self.next_call_works().await?;
        Ok(self.sandbox.stop().await?)
    }
}
