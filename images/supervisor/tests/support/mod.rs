//! A sandbox container around the static supervisor, and a client that speaks its protocol.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether tests with containers were asked for; says so if not.
pub(crate) fn docker_wanted(test: &str) -> bool {
    let wanted = std::env::var("GREENROOM_DOCKER_TESTS").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("skipped: {test} (set GREENROOM_DOCKER_TESTS=1)");
    }
    wanted
}

/// The supervisor as it is shipped: static. Built once per test run, beside the usual target directory.
fn supervisor() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../static");
        let status = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--release", "--bin", "greenroom-supervisor", "--target", &target, "--target-dir"])
            .arg(&folder)
            .args(["--config", "profile.release.opt-level=\"s\"", "--config", "profile.release.panic=\"abort\""])
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .unwrap();
        assert!(status.success(), "the static supervisor did not build");
        folder.join(target).join("release/greenroom-supervisor")
    })
}

/// An image of busybox and the supervisor, removed when its last sandbox is gone.
struct Image {
    name: String,
}

impl Image {
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let image = Arc::new(Self::import());
            *shared = Arc::downgrade(&image);
            image
        })
    }

    fn import() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let busybox = std::env::var_os("GREENROOM_BUSYBOX").unwrap_or_else(|| "/bin/busybox".into());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{}-{count}", std::process::id()));
        for folder in ["bin", "sbin", "proc", "sys", "dev", "etc", "tmp", "workspace", "home/agent"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::copy(busybox, root.join("bin/busybox")).expect("a static busybox (package busybox-static)");
        std::fs::copy(supervisor(), root.join("sbin/greenroom-supervisor")).unwrap();
        for applet in [
            "sh", "true", "cat", "sleep", "setsid", "dd", "ls", "id", "yes", "head", "kill", "ps", "grep", "mkfifo",
            "touch",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        std::fs::create_dir_all(root.join(SPOOL_FOLDER.trim_start_matches('/'))).unwrap();
        let mode = |bits| <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(bits);
        std::fs::set_permissions(root.join(SPOOL_FOLDER.trim_start_matches('/')), mode(0o700)).unwrap();
        // Volumes take their mode from the folder they stand for.
        std::fs::set_permissions(root.join("home/agent"), mode(0o777)).unwrap();
        let name = format!("greenroom-supervisor-test:{}-{count}", std::process::id());
        let mut tar = Command::new("tar")
            .args(["--owner=0", "--group=0", "-c", "-C"])
            .arg(&root)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let import = Command::new("docker")
            .args(["import", "-", &name])
            .stdin(tar.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(tar.wait().unwrap().success() && import.success());
        std::fs::remove_dir_all(&root).unwrap();
        Self { name }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.name]).stdout(Stdio::null()).status();
    }
}

pub(crate) struct Sandbox {
    pub(crate) container: String,
    docker: Child,
    stdin: Option<ChildStdin>,
    frames: Receiver<Frame>,
    epoch: u32,
    call: u64,
    pub(crate) seen: u64,
    _image: Arc<Image>,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) last: Response,
    pub(crate) interim: Vec<Response>,
    /// By stream, with the offsets their pieces claimed.
    pub(crate) chunks: Vec<(Stream, u64, Vec<u8>)>,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn bytes(&self, wanted: Stream) -> Vec<u8> {
        self.chunks.iter().filter(|(stream, ..)| *stream == wanted).flat_map(|(_, _, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.bytes(Stream::Stdout)).into_owned()
    }

    /// How many bytes of a stream came, each where it belongs.
    pub(crate) fn without_gaps(&self, wanted: Stream) -> u64 {
        let pieces = self.chunks.iter().filter(|(stream, ..)| *stream == wanted);
        pieces.fold(0, |next, (_, offset, bytes)| {
            assert_eq!(*offset, next, "a gap");
            next + bytes.len() as u64
        })
    }

    pub(crate) fn finished(&self) -> &Finished {
        match &self.last {
            Response::Finished(finished) => finished,
            other => panic!("not finished but {other:?}"),
        }
    }

    pub(crate) fn error(&self) -> ErrorKind {
        match &self.last {
            Response::Failed { error } => error.kind,
            other => panic!("not failed but {other:?}"),
        }
    }
}

impl Sandbox {
    pub(crate) fn start(extra: &[&str]) -> (Self, HelloAck) {
        let mut sandbox = Self::silent(extra);
        // Never renewed: longer than the slowest story takes on a busy machine.
        let hello = sandbox.hello(1, 300_000);
        (sandbox, hello)
    }

    /// Started, with nothing said yet.
    pub(crate) fn silent(extra: &[&str]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let container = format!("greenroom-supervisor-test-{}-{count}", std::process::id());
        let image = Image::shared();
        // Detached, because `docker run -i` in the foreground would close stdin for good with its first client.
        let started = Command::new("docker")
            .args(["run", "-d", "-i", "--rm", "--name", &container, "--network", "none", "--log-driver", "none"])
            .args(["--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "SETPCAP"])
            .args(["--security-opt", "no-new-privileges", "--read-only", "--pids-limit", "256"])
            .args(["--memory", "256m", "--memory-swap", "256m", "-v", SPOOL_FOLDER])
            .args(["--tmpfs", "/workspace:exec,uid=1000,gid=1000,size=64m", "--tmpfs", "/tmp:exec,mode=1777,size=16m"])
            .args(extra)
            .args([&image.name, "/sbin/greenroom-supervisor"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success(), "the container did not start");
        let (docker, stdin, frames) = attach(&container);
        Self { container, docker, stdin: Some(stdin), frames, epoch: 1, call: 0, seen: 0, _image: image }
    }

    /// Ends this client and attaches another one.
    pub(crate) fn reattach(&mut self) {
        self.docker.kill().unwrap();
        self.docker.wait().unwrap();
        let (docker, stdin, frames) = attach(&self.container);
        (self.docker, self.stdin, self.frames) = (docker, Some(stdin), frames);
    }

    pub(crate) fn hello(&mut self, epoch: u32, lease_ms: u64) -> HelloAck {
        self.epoch = epoch;
        self.send(0, &Request::Hello { lease_ms });
        loop {
            let frame = self.frame().expect("an answer to hello");
            if frame.call == 0
                && let Response::HelloAck(hello) = response(&frame)
            {
                return *hello;
            }
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The newest call's id.
    pub(crate) fn call(&self) -> u64 {
        self.call
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
        self.stdin.as_mut().unwrap().flush().unwrap();
    }

    pub(crate) fn send(&mut self, call: u64, request: &Request) {
        let payload = serde_json::to_vec(request).unwrap();
        let frame = Frame { epoch: self.epoch, kind: FrameKind::Request, call, seq: 0, payload };
        self.send_raw(&frame.encode());
    }

    pub(crate) fn open(&mut self, request: &Request) -> u64 {
        self.call += 1;
        self.send(self.call, request);
        self.call
    }

    pub(crate) fn feed(&mut self, call: u64, bytes: &[u8]) {
        let mut offset = 0;
        for bytes in bytes.chunks(Chunk::BYTES_MAX) {
            let payload = Chunk { stream: Stream::Input, offset, bytes }.encode();
            offset += bytes.len() as u64;
            self.send_raw(&Frame { epoch: self.epoch, kind: FrameKind::Data, call, seq: 0, payload }.encode());
        }
    }

    /// The next frame; `None` once the container is gone.
    pub(crate) fn frame(&self) -> Option<Frame> {
        match self.frames.recv_timeout(PATIENCE) {
            Ok(frame) => Some(frame),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("no frame within {PATIENCE:?}"),
        }
    }

    /// Collects and acknowledges until the call has its final answer.
    pub(crate) fn collect(&mut self, call: u64) -> Answer {
        let began = Instant::now();
        let (mut interim, mut chunks) = (Vec::new(), Vec::new());
        loop {
            let frame = self.frame().expect("the sandbox is still there");
            if frame.call != call || frame.seq <= self.seen {
                continue;
            }
            self.seen = frame.seq;
            self.send(call, &Request::Ack { seq: frame.seq });
            if frame.kind == FrameKind::Data {
                let chunk = Chunk::decode(&frame.payload).unwrap();
                chunks.push((chunk.stream, chunk.offset, chunk.bytes.to_vec()));
                continue;
            }
            match response(&frame) {
                last if last.is_final() => return Answer { last, interim, chunks, took: began.elapsed() },
                other => interim.push(other),
            }
        }
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        let call = self.open(request);
        self.collect(call)
    }

    pub(crate) fn shell(&mut self, script: &str, timeout_ms: u64) -> Answer {
        let request = self.exec(&["sh", "-c", script], timeout_ms);
        self.ask(&request)
    }

    pub(crate) fn exec(&self, argv: &[&str], timeout_ms: u64) -> Request {
        Request::Exec(Exec {
            token: format!("step-{}", self.call + 1),
            argv: argv.iter().map(|argument| ByteString::from(*argument)).collect(),
            cwd: "/workspace".into(),
            env: vec![("PATH".into(), "/bin".into()), ("HOME".into(), "/home/agent".into())],
            stdin: Stdin::Null,
            timeout_ms,
            grace_ms: 200,
            output: OutputLimits { head_bytes_max: 1 << 20, tail_bytes_max: 64 << 10, total_bytes_max: 1 << 40 },
        })
    }

    /// Whether any process but PID 1 and the asking shell is alive, by the word of `/proc`.
    pub(crate) fn others_alive(&mut self) -> String {
        let script = "for d in /proc/[0-9]*; do p=${d#/proc/}; [ $p = 1 ] || [ $p = $$ ] && continue; \
                      read -r s < $d/stat 2>/dev/null || continue; set -- $s; \
                      case \"$2\" in *greenroom*) ;; *) echo \"$p $2 $3\";; esac; done";
        self.shell(script, 5_000).stdout()
    }

    pub(crate) fn is_known(&self) -> bool {
        Command::new("docker").args(["inspect", &self.container]).output().unwrap().status.success()
    }

    /// Waits until the container has ended.
    pub(crate) fn wait_for_end(&mut self) {
        while self.frame().is_some() {}
        self.docker.wait().unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "-f", "-v", &self.container])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = self.docker.wait();
    }
}

/// Another container on the same file system, which has written so many mebibytes and keeps them until it is dropped.
pub(crate) struct Neighbour {
    name: String,
    _image: Arc<Image>,
}

impl Neighbour {
    pub(crate) fn write(mebibytes: &str) -> Self {
        let image = Image::shared();
        let name = format!("greenroom-supervisor-test-neighbour-{}", std::process::id());
        let status = Command::new("docker")
            .args(["run", "--name", &name, "--network", "none", "-v", "/out", &image.name])
            .args(["/bin/dd", "if=/dev/zero", "of=/out/x", "bs=1M", &format!("count={mebibytes}")])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the neighbour could not write");
        Self { name, _image: image }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.name]).stdout(Stdio::null()).status();
    }
}

pub(crate) fn response(frame: &Frame) -> Response {
    assert_eq!(frame.kind, FrameKind::Response);
    serde_json::from_slice(&frame.payload).unwrap()
}

fn attach(container: &str) -> (Child, ChildStdin, Receiver<Frame>) {
    let mut docker = Command::new("docker")
        .args(["attach", "--sig-proxy=false", container])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (docker.stdin.take().unwrap(), docker.stdout.take().unwrap());
    (docker, stdin, read_frames(stdout))
}

fn read_frames(mut stdout: impl Read + Send + 'static) -> Receiver<Frame> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = FrameReader::new();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            reader.push(&buffer[..length]);
            while let Some(frame) = reader.next_frame() {
                if sender.send(frame).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
