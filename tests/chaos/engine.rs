//! A container engine of the harness's own, to be killed at will: its own processes, network, mounts, data and socket, so
//! that nothing of it is left when its namespaces end, and no other engine notices.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A machine that is busy with other things starts engines slowly.
const START_PATIENCE: Duration = Duration::from_secs(180);
const LOG_BYTES_SHOWN: usize = 3_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct PrivateEngine {
    folder: TempDir,
    /// The first process of its namespaces; when it dies, everything in them does.
    house: Child,
    daemon: Option<Child>,
    live_restore: bool,
}

/// Why there can be none here.
pub(crate) fn impossible() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can start an engine");
    }
    let found = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
    };
    (!["dockerd", "docker", "unshare", "nsenter"].into_iter().all(found)).then_some("dockerd is not installed here")
}

impl PrivateEngine {
    /// With the images that a run of ours needs, from the engine of this machine.
    pub(crate) fn start(images: &[String]) -> PrivateEngine {
        let folder = tempfile::tempdir().unwrap();
        // A shell, because somebody has to bury what outlives its parent.
        let house = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", "sleep infinity & wait"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut engine = PrivateEngine { folder, house, daemon: None, live_restore: false };
        engine.up(false);
        engine.load(images);
        engine
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path("socket").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The child of `unshare`, which is the first process inside.
    fn inside(&self) -> String {
        let path = format!("/proc/{0}/task/{0}/children", self.house.id());
        until("the namespaces", || {
            let children = std::fs::read_to_string(&path).ok()?;
            Some(children.split_whitespace().next()?.to_owned())
        })
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside(), "--net", "--mount", "--pid", "--"]).stdin(Stdio::null());
        command
    }

    /// Until it answers.
    pub(crate) fn up(&mut self, live_restore: bool) {
        assert!(self.daemon.is_none(), "one at a time");
        self.live_restore = live_restore;
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.enter();
        command.arg("dockerd").arg("--host").arg(self.address());
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(self.path(name));
        }
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.arg(format!("--live-restore={live_restore}"));
        // What an engine that was killed left there may be the number of another process by now.
        let _ = std::fs::remove_file(self.path("pid"));
        self.daemon = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let began = Instant::now();
        while !self.docker(&["version"]).status.success() {
            let log = self.log();
            let end = log.floor_char_boundary(log.len().saturating_sub(LOG_BYTES_SHOWN));
            assert!(began.elapsed() < START_PATIENCE, "the private engine does not answer; its log:\n{}", &log[end..]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL; answers when it is dead, and what it died of.
    pub(crate) fn kill(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().expect("it runs");
        // `nsenter` forks; the engine is its child.
        let path = format!("/proc/{0}/task/{0}/children", daemon.id());
        let engine = std::fs::read_to_string(path).unwrap();
        let engine = engine.split_whitespace().next().expect("the engine runs").parse().unwrap();
        let engine = rustix::process::Pid::from_raw(engine).unwrap();
        rustix::process::kill_process(engine, rustix::process::Signal::KILL).unwrap();
        let status = daemon.wait().unwrap();
        // `nsenter` dies of what its child died of.
        let signal = status.signal().or_else(|| status.code()?.checked_sub(128));
        assert!(!self.docker(&["version"]).status.success(), "nobody answers any more");
        signal
    }

    pub(crate) fn docker(&self, args: &[&str]) -> std::process::Output {
        Command::new("docker").arg("--host").arg(self.address()).args(args).stdin(Stdio::null()).output().unwrap()
    }

    fn load(&self, images: &[String]) {
        let mut save = Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().unwrap();
        let load = Command::new("docker")
            .args(["--host", &self.address(), "load", "--quiet"])
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(save.wait().unwrap().success() && load.status.success(), "{load:?}");
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // `--kill-child`: with this one everything in its namespaces ends, and so do the mounts.
        let _ = self.house.kill();
        let _ = self.house.wait();
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.wait();
        }
    }
}

/// Tags of the engine of this machine that a run in `python` can need.
pub(crate) fn images() -> Vec<String> {
    let output = Command::new("docker")
        .args(["image", "ls", "greenroom/python", "--format", "{{.Repository}}:{{.Tag}}"])
        .output()
        .unwrap();
    let tags: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|tag| !tag.contains("<none>"))
        .map(Into::into)
        .collect();
    assert!(!tags.is_empty(), "`greenroom images build python` first");
    tags
}

pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}
