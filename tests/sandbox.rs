//! Sandboxes in real containers. Each test is a story of its own; all of them need an engine and one toolchain image.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs them; without it they say that they were skipped, except on CI, where that fails.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "sandbox/reattach.rs"]
mod reattach;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    BuildImageOptions, CreateContainerOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions,
    ListVolumesOptions, LogsOptions, RemoveContainerOptions, RemoveImageOptions, StartContainerOptions,
    WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use greenroom::id::{BlobId, CallToken, RunId};
use greenroom::sandbox::{
    DockerLauncher, Engine, ExecOutput, ExecRequest, FileError, Images, Launcher, ListRequest, OutputSink,
    PreparedImage, ResourceLimits, Sandbox, SandboxError, SandboxSpec, SearchRequest, Stream, TarStream,
};
use greenroom::snapshot::{Entry, TreePath};
use greenroom::task::Outcome;
use tokio::sync::OnceCell;

#[path = "sandbox/forks.rs"]
mod forks;

const LIMITS: ResourceLimits = ResourceLimits {
    memory_bytes: 256 << 20,
    pids: 128,
    cpu_millis: 1500,
    tmp_bytes: 32 << 20,
    file_bytes: 64 << 20,
    disk_bytes: 1 << 30,
    disk_inodes: 100_000,
};

static IMAGE: OnceCell<PreparedImage> = OnceCell::const_new();

/// An engine with a sandbox on it.
struct House {
    docker: Docker,
    image: PreparedImage,
    run: RunId,
    sandbox: Box<dyn Sandbox>,
    next_token: std::cell::Cell<u64>,
}

#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl OutputSink for Output {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }
}

/// `None` where these tests were not asked for.
async fn engine() -> Option<Engine> {
    let asked_for = std::env::var_os("GREENROOM_DOCKER_TESTS").is_some_and(|value| value == "1");
    if !asked_for {
        let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!on_ci, "on CI the container tests run: set GREENROOM_DOCKER_TESTS=1");
        eprintln!("skipped: needs a container engine; GREENROOM_DOCKER_TESTS=1 runs it");
        return None;
    }
    Some(Engine::find().await.unwrap())
}

impl House {
    async fn open() -> Option<House> {
        House::open_with(Vec::new(), None).await
    }

    async fn open_with(tree: Vec<u8>, data: Option<std::path::PathBuf>) -> Option<House> {
        let engine = engine().await?;
        let image = IMAGE.get_or_init(|| prepared(&engine)).await.clone();
        let run = RunId::generate();
        let sandbox = start(&engine, &image, &run, LIMITS, tree, data).await.unwrap();
        let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
        Some(House { docker, image, run, sandbox, next_token: 1.into() })
    }

    fn request(&self, command: &str) -> ExecRequest {
        let token = CallToken(self.next_token.get());
        self.next_token.set(token.0 + 1);
        ExecRequest::shell(token, command, Duration::from_secs(30))
    }

    async fn exec(&self, request: &ExecRequest) -> (ExecOutput, Output) {
        let mut output = Output::default();
        let ended = self.sandbox.exec(request, &mut output).await.unwrap();
        (ended, output)
    }

    async fn sh(&self, command: &str) -> (Outcome, String, String) {
        let (ended, output) = self.exec(&self.request(command)).await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (ended.outcome, text(output.stdout), text(output.stderr))
    }

    /// Stdout of a command that has to succeed.
    async fn say(&self, command: &str) -> String {
        let (outcome, stdout, stderr) = self.sh(command).await;
        assert_eq!(outcome, Outcome::Exited { code: 0 }, "{command}: {stderr}");
        stdout
    }

    async fn close(self) {
        self.sandbox.stop().await.unwrap();
        assert_eq!(containers(&self.docker, &self.run).await, 0);
    }
}

async fn prepared(engine: &Engine) -> PreparedImage {
    Images::new(engine.clone()).prepare("python", &|line| eprintln!("{line}")).await.unwrap()
}

async fn start(
    engine: &Engine,
    image: &PreparedImage,
    run: &RunId,
    limits: ResourceLimits,
    tree: Vec<u8>,
    data: Option<std::path::PathBuf>,
) -> Result<Box<dyn Sandbox>, SandboxError> {
    let spec = SandboxSpec { run: run.clone(), image: image.image.clone(), limits, env: image.env.clone(), data };
    DockerLauncher::new(engine.clone(), "tests").start(&spec, tar_stream(tree)).await
}

fn tar_stream(tar: Vec<u8>) -> TarStream {
    let chunks: Vec<std::io::Result<Bytes>> = if tar.is_empty() { Vec::new() } else { vec![Ok(tar.into())] };
    stream::iter(chunks).boxed()
}

fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

async fn containers(docker: &Docker, run: &RunId) -> usize {
    let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.run={run}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    docker.list_containers(Some(options)).await.unwrap().len()
}

async fn volume_names(docker: &Docker) -> Vec<String> {
    let listed = docker.list_volumes(None::<ListVolumesOptions>).await.unwrap();
    listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect()
}

fn exited(code: i32) -> Outcome {
    Outcome::Exited { code }
}

#[tokio::test]
async fn exit_codes_and_signals_come_back_as_they_were() {
    let Some(house) = House::open().await else { return };
    for code in [0, 1, 124, 126, 127, 137, 143, 255] {
        assert_eq!(house.sh(&format!("exit {code}")).await.0, exited(code));
    }
    assert_eq!(house.sh("kill -9 $$").await.0, Outcome::Signalled { signal: 9 });
    house.close().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failed_command() {
    let Some(house) = House::open().await else { return };
    let mut request = house.request("");
    request.argv = vec!["no-such-program".into()];
    let (ended, output) = house.exec(&request).await;
    assert_eq!(ended.outcome, exited(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-program"));
    house.close().await;
}

#[tokio::test]
async fn stdout_and_stderr_stay_apart_and_every_byte_arrives() {
    let Some(house) = House::open().await else { return };
    let (outcome, stdout, stderr) = house.sh("echo out; echo err >&2; printf '\\001\\000\\377' ; cat").await;
    assert_eq!((outcome, stderr.as_str()), (exited(0), "err\n"), "stdin is at its end from the start");
    assert_eq!(stdout, "out\n\u{1}\0\u{fffd}");
    let (ended, output) = house.exec(&house.request("head -c 30000000 /dev/zero | tr '\\0' x")).await;
    assert_eq!((ended.outcome, ended.stdout_bytes, output.stdout.len()), (exited(0), 30_000_000, 30_000_000));
    assert!(output.stdout.iter().all(|&byte| byte == b'x'));
    house.close().await;
}

#[tokio::test]
async fn more_output_than_allowed_ends_the_command() {
    let Some(house) = House::open().await else { return };
    let mut request = house.request("yes");
    request.output_bytes_max = 1 << 20;
    assert_eq!(house.exec(&request).await.0.outcome, Outcome::OutputLimit);
    assert_eq!(house.say("echo next").await, "next\n");
    house.close().await;
}

#[tokio::test]
async fn commands_run_as_nobody_special() {
    let Some(house) = House::open().await else { return };
    assert_eq!(house.say("id -u; id -g; id -G; id -un").await, "1000\n1000\n1000\nagent\n");
    let status = house.say("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").await;
    let fields: HashMap<_, _> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(fields[set], "0000000000000000", "{set}");
    }
    assert_eq!((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"));
    for forbidden in
        ["kill -9 1", "unshare -U true", "mount -t tmpfs none /mnt", "cat /proc/1/environ", "chroot / true"]
    {
        assert_ne!(house.sh(forbidden).await.0, exited(0), "{forbidden}");
    }
    assert_eq!(house.say("echo alive").await, "alive\n");
    house.close().await;
}

#[tokio::test]
async fn only_the_declared_places_can_be_written_to() {
    let Some(house) = House::open().await else { return };
    house.say("touch /workspace/a ~/a /tmp/a && printf '#!/bin/sh\\nexit 0\\n' >/tmp/run && chmod +x /tmp/run && /tmp/run").await;
    let written = house
        .say("for d in / /etc /usr /var /var/tmp /root /opt /home /data /.greenroom /run; do touch $d/x 2>/dev/null && echo $d; done; true")
        .await;
    assert_eq!(written, "");
    let (outcome, _, stderr) = house.sh("head -c 100000000 /dev/zero >/workspace/big").await;
    assert_ne!(outcome, exited(0), "beyond the file size limit: {stderr}");
    let (outcome, ..) = house.sh("head -c 40000000 /dev/zero >/tmp/big").await;
    assert_ne!(outcome, exited(0), "beyond the size of /tmp");
    house.close().await;
}

#[tokio::test]
async fn data_can_be_read_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "1,2\n").unwrap();
    let Some(house) = House::open_with(Vec::new(), Some(folder.path().to_owned())).await else { return };
    assert_eq!(house.say("cat /data/a.csv").await, "1,2\n");
    for attempt in
        ["echo x >>/data/a.csv", "rm -f /data/a.csv", "touch /data/b", "mv /data/a.csv /data/c", "chmod 777 /data"]
    {
        assert_ne!(house.sh(attempt).await.0, exited(0), "{attempt}");
    }
    house.close().await;
}

#[tokio::test]
async fn the_network_is_out_of_reach_and_the_probe_can_see() {
    let Some(house) = House::open().await else { return };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The same attempt twice; the control finds out the address of its gateway, which is this machine.
    let probe = |gateway: &str| {
        format!(
            "import socket, struct\n\
             routes = [line.split() for line in open('/proc/net/route')]\n\
             gateway = {gateway}\n\
             print(gateway)\n\
             try:\n  socket.create_connection((gateway, {port}), 5); print('reached')\n\
             except OSError as error:\n  print(error)"
        )
    };
    let from_routes = "[socket.inet_ntoa(struct.pack('<L', int(r[2], 16))) for r in routes if r[1] == '00000000'][0]";
    let control = ContainerCreateBody {
        image: Some(house.image.image.digest.clone()),
        entrypoint: Some(["python3", "-c", &probe(from_routes)].map(str::to_owned).to_vec()),
        labels: Some(HashMap::from([("greenroom.run".to_owned(), house.run.to_string())])),
        host_config: Some(HostConfig { network_mode: Some("bridge".to_owned()), ..Default::default() }),
        ..Default::default()
    };
    let docker = &house.docker;
    let id = docker.create_container(None::<CreateContainerOptions>, control).await.unwrap().id;
    docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
    let ended: Vec<_> = docker.wait_container(&id, None::<WaitContainerOptions>).collect().await;
    let options = LogsOptions { stdout: true, stderr: true, ..Default::default() };
    let said: String = docker.logs(&id, Some(options)).map(|line| line.unwrap().to_string()).collect().await;
    let removal = RemoveContainerOptions { v: true, force: true, ..Default::default() };
    docker.remove_container(&id, Some(removal)).await.unwrap();
    let (gateway, outcome) = said.trim().split_once('\n').unwrap();
    assert_eq!(outcome, "reached", "the control cannot see, so the probe proves nothing: {ended:?}");

    let mut request = house.request("");
    request.argv = ["python3", "-c", &probe(&format!("'{gateway}'"))].map(str::to_owned).to_vec();
    let (_, output) = house.exec(&request).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("unreachable"), "{:?}", output.stdout);
    house.close().await;
}

#[tokio::test]
async fn a_timeout_leaves_nothing_running_and_the_next_call_works() {
    let Some(house) = House::open().await else { return };
    let mut request = house
        .request("setsid sleep 300 & (trap '' TERM; sleep 300) & (setsid sh -c 'sleep 300 & sleep 300' &) ; sleep 300");
    request.timeout = Duration::from_millis(500);
    let started = Instant::now();
    let (ended, _) = house.exec(&request).await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(ended.stragglers_killed > 0);
    let left = house.say("cat /proc/[0-9]*/comm | grep -c sleep; true").await;
    assert_eq!(left, "0\n");
    house.close().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_command_with_it() {
    let Some(house) = House::open().await else { return };
    let request = house.request("sleep 300");
    let mut output = Output::default();
    let waiting = house.sandbox.exec(&request, &mut output);
    assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.say("cat /proc/[0-9]*/comm | grep -c sleep; true").await != "0\n" {
        assert!(Instant::now() < deadline, "still running 20 s after its caller went away");
    }
    house.close().await;
}

#[tokio::test]
async fn too_much_memory_is_called_by_its_name_and_the_next_call_works() {
    let Some(house) = House::open().await else { return };
    let (outcome, ..) = house.sh("python3 -c 'x = bytearray(1 << 30)'").await;
    assert_eq!(outcome, Outcome::OutOfMemory);
    assert_eq!(house.say("echo next").await, "next\n");
    house.close().await;
}

#[tokio::test]
async fn a_fork_bomb_meets_the_limit_and_is_swept_up() {
    let Some(house) = House::open().await else { return };
    let mut request = house.request("b() { b | b & }; b; sleep 300");
    request.timeout = Duration::from_secs(1);
    let started = Instant::now();
    let (ended, _) = house.exec(&request).await;
    assert_ne!(ended.outcome, exited(0));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(house.say("echo next").await, "next\n");
    house.close().await;
}

#[tokio::test]
async fn files_are_read_written_listed_and_searched() {
    let tree = tar_of(&[("src/a.py", "import os\nprint('x')\n"), ("README", "hello\n")]);
    let Some(house) = House::open_with(tree, None).await else { return };
    let sandbox = &house.sandbox;
    assert_eq!(sandbox.read("README", 1000).await.unwrap().unwrap(), b"hello\n");
    assert!(matches!(
        sandbox.read("README", 3).await.unwrap(),
        Err(FileError::TooLarge { bytes: 6, bytes_max: 3, .. })
    ));
    assert!(matches!(sandbox.read("nope", 3).await.unwrap(), Err(FileError::NotFound { .. })));
    assert!(matches!(sandbox.read("src", 3).await.unwrap(), Err(FileError::IsDirectory { .. })));
    assert!(sandbox.write("/etc/x", b"", None).await.unwrap().is_err());

    let large: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    sandbox.write("deep/er/large.bin", &large, None).await.unwrap().unwrap();
    assert!(sandbox.read("deep/er/large.bin", 10_000_000).await.unwrap().unwrap() == large);
    assert_eq!(house.say("stat -c '%u %a' deep/er/large.bin").await, "1000 644\n");
    let stale = BlobId::of(b"something else");
    assert!(matches!(sandbox.write("README", b"new", Some(&stale)).await.unwrap(), Err(FileError::Changed { .. })));
    sandbox.write("README", b"new", Some(&BlobId::of(b"hello\n"))).await.unwrap().unwrap();
    assert_eq!(sandbox.read("README", 1000).await.unwrap().unwrap(), b"new");

    let list = |path: &str, pattern: Option<&str>| ListRequest {
        path: path.into(),
        pattern: pattern.map(str::to_owned),
        entries_max: 100,
    };
    assert_eq!(sandbox.list(&list(".", None)).await.unwrap().unwrap().entries, ["README", "deep/", "src/"]);
    assert_eq!(sandbox.list(&list(".", Some("**/*.py"))).await.unwrap().unwrap().entries, ["src/a.py"]);

    for path in [".", "src", "src/a.py"] {
        let request = SearchRequest { pattern: r"^import \w+".into(), path: path.into(), glob: None, matches_max: 10 };
        let found = sandbox.search(&request).await.unwrap().unwrap();
        let place: Vec<_> = found.matches.iter().map(|m| (m.path.as_str(), m.line, m.text.as_str())).collect();
        assert_eq!(place, [("src/a.py", 1, "import os")], "searched in {path}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_walk_sees_every_entry_with_mode_and_content() {
    let tree = tar_of(&[("a.txt", "a\n")]);
    let Some(house) = House::open_with(tree, None).await else { return };
    house.say("mkdir -p d/empty && chmod 750 d && ln -s ../outside link && printf x >d/run && chmod 755 d/run && mkfifo pipe").await;
    let manifest = house.sandbox.walk().await.unwrap();
    let path = |text: &str| TreePath::new(text).unwrap();
    let names: Vec<_> = manifest.entries.keys().map(TreePath::to_text).collect();
    assert_eq!(names, ["a.txt", "d", "d/empty", "d/run", "link"]);
    let file = |mode, content: &[u8]| Entry::File { mode, size: content.len() as u64, content: BlobId::of(content) };
    assert_eq!(manifest.entries[&path("a.txt")], file(0o644, b"a\n"));
    assert_eq!(manifest.entries[&path("d/run")], file(0o755, b"x"));
    assert_eq!(manifest.entries[&path("d")], Entry::Directory { mode: 0o750 });
    assert_eq!(
        manifest.entries[&path("link")],
        Entry::Symlink { target: TreePath::link_target("../outside").unwrap() }
    );
    house.close().await;
}

#[tokio::test]
async fn nothing_of_the_hosts_environment_is_inside() {
    let Some(house) = House::open().await else { return };
    // Cargo sets this one for every test.
    let canary = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let inside = house.say("env; cat /proc/self/environ").await;
    assert!(!inside.contains(&canary) && inside.contains("HOME=/home/agent"), "{inside}");
    let seen = house.docker.inspect_container(&house.sandbox.facts().container, None::<InspectContainerOptions>).await;
    assert!(!serde_json::to_string(&seen.unwrap()).unwrap().contains(&canary));
    house.close().await;
}

#[tokio::test]
async fn a_container_killed_in_mid_call_is_a_lost_sandbox_for_every_call() {
    let Some(house) = House::open().await else { return };
    let container = house.sandbox.facts().container.clone();
    let (first, second) = (house.request("echo started; sleep 300"), house.request("sleep 300"));
    let (mut a, mut b) = (Killer { docker: Some((house.docker.clone(), container)) }, Output::default());
    let (one, other) = tokio::join!(house.sandbox.exec(&first, &mut a), house.sandbox.exec(&second, &mut b));
    for result in [one, other] {
        assert!(matches!(result, Err(SandboxError::Lost { .. })), "{result:?}");
    }
    let later = house.sandbox.read("x", 1).await;
    assert!(matches!(later, Err(SandboxError::Lost { .. })), "{later:?}");
    house.close().await;
}

/// Kills the container when the command says its first word.
struct Killer {
    docker: Option<(Docker, String)>,
}

impl OutputSink for Killer {
    fn chunk(&mut self, _: Stream, _: &[u8]) {
        if let Some((docker, container)) = self.docker.take() {
            tokio::spawn(async move {
                docker.kill_container(&container, None::<KillContainerOptions>).await.unwrap();
            });
        }
    }
}

#[tokio::test]
async fn stopping_leaves_no_container_and_no_volume() {
    let Some(house) = House::open().await else { return };
    let container = house.sandbox.facts().container.clone();
    let seen = house.docker.inspect_container(&container, None::<InspectContainerOptions>).await.unwrap();
    let volumes: Vec<_> = seen.mounts.unwrap().into_iter().filter_map(|mount| mount.name).collect();
    assert_eq!(volumes.len(), 3, "workspace, home and spool");
    assert!(volumes.iter().all(|name| !name.is_empty()));
    house.sandbox.stop().await.unwrap();
    house.sandbox.stop().await.unwrap();
    assert_eq!(containers(&house.docker, &house.run).await, 0);
    let left = volume_names(&house.docker).await;
    assert!(!volumes.iter().any(|name| left.contains(name)));
}

#[tokio::test]
async fn what_an_image_says_about_itself_is_overridden() {
    let Some(engine) = engine().await else { return };
    IMAGE.get_or_init(|| prepared(&engine)).await;
    let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
    let name = format!("greenroom-test-hostile:{}", RunId::generate());
    let dockerfile = "FROM greenroom/python:latest\n\
        USER 0\n\
        RUN install -d -m 777 /var/evil\n\
        VOLUME /var/evil\n\
        ENV LD_PRELOAD=/nope.so\n\
        HEALTHCHECK --interval=1s CMD touch /workspace/health\n\
        ENTRYPOINT [\"sleep\"]\n\
        CMD [\"300\"]\n\
        USER 4242\n";
    build(&docker, &name, dockerfile).await;
    let images = Images::new(engine.clone());
    let image = images.prepare(&name, &|_| {}).await.unwrap();
    assert_eq!(images.prepare(&name, &|line| panic!("made again: {line}")).await.unwrap(), image);
    assert!(!image.env.iter().any(|(variable, _)| variable.starts_with("LD_")));

    let run = RunId::generate();
    let sandbox = start(&engine, &image, &run, LIMITS, Vec::new(), None).await.unwrap();
    let seen = docker.inspect_container(&sandbox.facts().container, None::<InspectContainerOptions>).await.unwrap();
    let config = serde_json::to_string(&seen.config.unwrap().env).unwrap();
    assert!(!config.contains("/nope.so"), "{config}");
    let mut output = Output::default();
    let command = "id -u; touch /var/evil/x; ls /workspace; cat /proc/1/comm";
    let request = ExecRequest::shell(CallToken(1), command, Duration::from_secs(30));
    sandbox.exec(&request, &mut output).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1000\nsupervisor\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Read-only file system"), "{:?}", output.stderr);
    let volumes: Vec<_> = seen.mounts.unwrap().into_iter().filter_map(|mount| mount.name).collect();
    sandbox.stop().await.unwrap();
    let left = volume_names(&docker).await;
    assert!(!volumes.iter().any(|name| left.contains(name)));

    let listed = images.list().await.unwrap();
    assert!(listed.iter().any(|image| image.name == name));
    assert!(listed.iter().any(|image| image.name == "python" && image.digest.is_some()));
    let removed = images.remove(&name).await.unwrap();
    assert!(removed.len() == 1 && removed[0].starts_with("greenroom/prepared:"), "{removed:?}");
    docker.remove_image(&name, None::<RemoveImageOptions>, None).await.unwrap();
}

async fn build(docker: &Docker, name: &str, dockerfile: &str) {
    let context = tar_of(&[("Dockerfile", dockerfile)]);
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(name.to_owned()),
        rm: true,
        forcerm: true,
        ..Default::default()
    };
    let mut news = docker.build_image(options, None, Some(bollard::body_full(context.into())));
    while let Some(line) = news.next().await {
        line.unwrap();
    }
}

#[tokio::test]
async fn an_image_nobody_has_is_said_to_be_missing() {
    let Some(engine) = engine().await else { return };
    let name = "greenroom.invalid/no/such:image";
    let started = Instant::now();
    let error = Images::new(engine).prepare(name, &|_| {}).await.unwrap_err();
    assert!(matches!(&error, SandboxError::Image { image, .. } if image == name), "{error}");
    assert!(error.to_string().contains("toolchains: python"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(40));
}

#[tokio::test]
async fn a_sandbox_that_is_only_dropped_goes_too() {
    let Some(house) = House::open().await else { return };
    let container = house.sandbox.facts().container.clone();
    let removal = WaitContainerOptions { condition: "removed".to_owned() };
    let removed = house.docker.wait_container(&container, Some(removal)).collect::<Vec<_>>();
    drop(house.sandbox);
    assert!(tokio::time::timeout(Duration::from_secs(20), removed).await.is_ok(), "its lease is 45 s");
    assert_eq!(containers(&house.docker, &house.run).await, 0);
}

#[tokio::test]
async fn containers_that_were_never_started_are_reaped_by_their_owner_alone() {
    let Some(engine) = engine().await else { return };
    let image = IMAGE.get_or_init(|| prepared(&engine)).await.clone();
    let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
    let mine = format!("tests-{}", RunId::generate());
    let mut ids = Vec::new();
    for owner in [mine.clone(), format!("{mine}-other")] {
        let body = ContainerCreateBody {
            image: Some(image.image.digest.clone()),
            labels: Some(HashMap::from([("greenroom.owner".to_owned(), owner)])),
            ..Default::default()
        };
        ids.push(docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id);
    }
    let hour = Duration::from_secs(3600);
    assert_eq!(greenroom::sandbox::reap(&engine, &mine, hour).await.unwrap(), [""; 0]);
    let gone = greenroom::sandbox::reap(&engine, &mine, Duration::ZERO).await.unwrap();
    assert_eq!(gone, [ids[0].clone()]);
    docker.remove_container(&ids[1], None::<RemoveContainerOptions>).await.unwrap();
}

/// Plays the runner of the test below in a process of its own, and dies without a word while a command runs.
const DOOMED_RUN: &str = "GREENROOM_TEST_DOOMED_RUN";

#[tokio::test]
async fn a_runner_that_dies_leaves_nothing_after_the_lease() {
    let Some(engine) = engine().await else { return };
    let image = IMAGE.get_or_init(|| prepared(&engine)).await.clone();
    if let Ok(run) = std::env::var(DOOMED_RUN) {
        let spec =
            SandboxSpec { run: run.parse().unwrap(), image: image.image, limits: LIMITS, env: image.env, data: None };
        let launcher = DockerLauncher::new(engine, "tests").with_lease(Duration::from_secs(4));
        let sandbox = launcher.start(&spec, tar_stream(Vec::new())).await.unwrap();
        // Longer than the lease: it is renewed though nothing is asked.
        let request = ExecRequest::shell(CallToken(1), "sleep 5; echo now; sleep 300", Duration::from_secs(600));
        let _ = sandbox.exec(&request, &mut Aborts).await;
        unreachable!("the first word ends this process");
    }
    let run = RunId::generate();
    let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
    let volumes = volume_names(&docker).await;
    let mut runner = tokio::process::Command::new(std::env::current_exe().unwrap());
    runner.args(["--exact", "a_runner_that_dies_leaves_nothing_after_the_lease"]).env(DOOMED_RUN, run.as_str());
    let output = runner.output().await.unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{output:?}");
    let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.run={run}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let left = docker.list_containers(Some(options)).await.unwrap();
    let container = left[0].id.clone().unwrap();
    let seen = docker.inspect_container(&container, None::<InspectContainerOptions>).await.unwrap();
    let its_volumes: Vec<_> = seen.mounts.unwrap().into_iter().filter_map(|mount| mount.name).collect();
    assert!(its_volumes.iter().all(|name| !volumes.contains(name)) && its_volumes.len() == 3);
    let removed = docker.wait_container(&container, Some(WaitContainerOptions { condition: "removed".to_owned() }));
    let ended = tokio::time::timeout(Duration::from_secs(20), removed.collect::<Vec<_>>()).await;
    assert!(ended.is_ok(), "still there 20 s after a lease of 4 s");
    assert_eq!(containers(&docker, &run).await, 0);
    let volumes = volume_names(&docker).await;
    assert!(!its_volumes.iter().any(|name| volumes.contains(name)));
}

struct Aborts;

impl OutputSink for Aborts {
    fn chunk(&mut self, _: Stream, _: &[u8]) {
        std::process::abort();
    }
}
