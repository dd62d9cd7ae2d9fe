//! Snapshots of real sandboxes, restored into fresh ones. What is right is said by a program inside the sandbox that
//! lists every path with its kind, mode, owner, mtime, content, target and other names; our own walk has no say in it.
//!
//! `GREENROOM_DOCKER_TESTS=1` runs them; without it they say that they were skipped, except on CI, where that fails.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use greenroom::agent::snapshots::{Snapshots, restore};
use greenroom::id::{CallToken, RunId};
use greenroom::sandbox::{
    DockerLauncher, Engine, ExecRequest, Images, Launcher, OutputSink, ResourceLimits, Sandbox, SandboxSpec, Stream,
};
use greenroom::snapshot::SnapshotRef;
use greenroom::snapshot::tree::{Difference, FileTree, differences};
use greenroom::store::{RunStore, Store};
use greenroom::task::Outcome;

const LIMITS: ResourceLimits = ResourceLimits {
    memory_bytes: 512 << 20,
    pids: 128,
    cpu_millis: 2000,
    tmp_bytes: 32 << 20,
    file_bytes: 256 << 20,
    disk_bytes: 1 << 30,
    disk_inodes: 300_000,
};

/// Everything that a restore promises, as somebody inside sees it.
const OBSERVER: &str = r#"
import hashlib, os, stat, sys
lines, groups, shut = [], {}, []
for top in (b"/workspace", b"/home/agent"):
    found = [top]
    while found:
        path = found.pop()
        s = os.lstat(path)
        if stat.S_ISDIR(s.st_mode):
            if s.st_mode & 0o500 != 0o500: os.chmod(path, 0o700); shut.append((path, s.st_mode))
            found += [path + b"/" + n for n in os.listdir(path)]
        more = b""
        if stat.S_ISLNK(s.st_mode): more = os.readlink(path).hex().encode()
        elif stat.S_ISREG(s.st_mode):
            if not s.st_mode & 0o400: os.chmod(path, 0o600)
            more = hashlib.sha256(open(path, "rb").read()).hexdigest().encode()
            os.chmod(path, stat.S_IMODE(s.st_mode))
            if s.st_nlink > 1: groups.setdefault(s.st_ino, []).append(path)
        elif not stat.S_ISDIR(s.st_mode): continue
        size = s.st_size if stat.S_ISREG(s.st_mode) else 0
        lines.append(b"%s %o %d:%d %d %d %s" % (path.hex().encode(), s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, size, more))
for path, mode in reversed(shut): os.chmod(path, stat.S_IMODE(mode))
lines.sort()
for names in sorted(sorted(g) for g in groups.values()): lines.append(b"one file: " + b" ".join(n.hex().encode() for n in names))
sys.stdout.buffer.write(b"\n".join(lines))
"#;

struct House {
    launcher: DockerLauncher,
    spec: SandboxSpec,
    store: Arc<dyn Store>,
    _state: tempfile::TempDir,
}

#[derive(Default)]
struct Output(Vec<u8>, Vec<u8>);

impl OutputSink for Output {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.0.extend_from_slice(bytes),
            Stream::Stderr => self.1.extend_from_slice(bytes),
        }
    }
}

/// A sandbox with the numbers of its calls.
struct Guest {
    sandbox: Box<dyn Sandbox>,
    snapshots: Snapshots,
    token: u64,
}

impl House {
    /// `None` where these tests were not asked for.
    async fn open() -> Option<House> {
        if std::env::var_os("GREENROOM_DOCKER_TESTS").is_none_or(|value| value != "1") {
            let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!on_ci, "on CI the container tests run: set GREENROOM_DOCKER_TESTS=1");
            eprintln!("skipped: needs a container engine; GREENROOM_DOCKER_TESTS=1 runs it");
            return None;
        }
        let engine = Engine::find().await.unwrap();
        let image = Images::new(engine.clone()).prepare("python", &|line| eprintln!("{line}")).await.unwrap();
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = Arc::new(RunStore::create(state.path(), &run).unwrap());
        let spec = SandboxSpec { run, image: image.image, limits: LIMITS, env: image.env, data: None };
        Some(House { launcher: DockerLauncher::new(engine, "snapshots"), spec, store, _state: state })
    }

    async fn guest(&self) -> Guest {
        let sandbox = self.launcher.start(&self.spec, futures_util::stream::empty().boxed()).await.unwrap();
        Guest { sandbox, snapshots: Snapshots::default(), token: 0 }
    }

    fn differences(&self, one: &SnapshotRef, other: &SnapshotRef) -> Vec<Difference> {
        let load = |snapshot: &SnapshotRef| FileTree::load(&snapshot.root, &|id| self.store.blob(id)).unwrap();
        differences(&load(one), &load(other))
    }

    async fn restored(&self, snapshot: &SnapshotRef) -> Guest {
        let (sandbox, snapshots) = restore(&self.launcher, &self.store, &self.spec, snapshot).await.unwrap();
        Guest { sandbox, snapshots, token: 0 }
    }
}

impl Guest {
    async fn run(&mut self, argv: &[&str]) -> String {
        self.token += 1;
        let mut request = ExecRequest::shell(CallToken(self.token), "", Duration::from_secs(60));
        request.argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let mut output = Output::default();
        let ended = self.sandbox.exec(&request, &mut output).await.unwrap();
        let said = String::from_utf8_lossy(&output.1).into_owned();
        assert_eq!(ended.outcome, Outcome::Exited { code: 0 }, "{argv:?}: {said}");
        String::from_utf8(output.0).unwrap()
    }

    async fn sh(&mut self, command: &str) {
        self.run(&["/bin/sh", "-c", command]).await;
    }

    async fn look(&mut self) -> Vec<String> {
        self.run(&["python3", "-c", OBSERVER]).await.lines().map(str::to_owned).collect()
    }

    async fn take(&mut self, house: &House) -> SnapshotRef {
        self.snapshots.take(self.sandbox.as_ref(), house.store.as_ref()).await.unwrap()
    }

    async fn close(self) {
        self.sandbox.stop().await.unwrap();
    }
}

#[track_caller]
fn assert_same(restored: &[String], seen: &[String], what: &str) {
    let missing: Vec<_> = seen.iter().filter(|line| !restored.contains(line)).collect();
    let extra: Vec<_> = restored.iter().filter(|line| !seen.contains(line)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{what}\nwas   {missing:#?}\nis    {extra:#?}");
}

/// What agents do to a workspace, and what else can be done to one.
const STEPS: &[&str] = &[
    "mkdir -p src/deep/er empty/also && echo one > src/a.txt && echo two > src/deep/er/b.txt && echo $HOME > ~/.rc",
    "printf 'x' > \"$(printf 'bad\\377name')\"; printf y > 'new\nline'; ln -s \"$(printf 'bad\\377name')\" 'l ink'",
    "ln -s /etc/passwd abs; ln -s ../../../etc/hosts up; ln -s nowhere dangling; ln -s src dirlink; touch -h -d @1 up",
    "head -c 20000000 /dev/urandom > big; cp big big.copy; echo tail >> big.copy",
    "ln src/a.txt src/hard; ln src/a.txt zz; echo 1 > lone; ln lone ~/never 2>/dev/null || true",
    "echo changed >> zz",
    "rm src/a.txt; echo other > src/a.txt",
    "chmod 600 src/a.txt; chmod 4755 lone; chmod 555 empty; chmod 2770 src/deep; chmod 000 src/deep/er/b.txt",
    "mkdir shut && echo in > shut/in && ln shut/in shut/in2 && chmod 000 shut",
    "touch -d '1999-12-31 23:59:59.123456789' src/a.txt; touch -d '1955-05-05 05:05:05.5' lone; touch -d '2033-01-01' src",
    "rm -r src/deep/er; mkdir src/deep/er; rm dirlink; mkdir dirlink; echo was-link > dirlink/file",
    "rm -rf dirlink; echo was-folder > dirlink; mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'",
    "mkdir -p ~/.local/lib/python3/site-packages/pkg && for i in $(seq 300); do echo \"x = $i\" > ~/.local/lib/python3/site-packages/pkg/m$i.py; done",
    "python3 -c \"import mmap; f = open('big.copy', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[5] = (m[5] + 1) % 256\"",
    "printf 'abc' > same && touch -d @1000000000 same",
    "printf 'abd' > same && touch -d @1000000000 same",
    "true",
    "mv big moved; mv src renamed; rm 'new\nline'; ln -s renamed src",
    "d=deep; mkdir $d; cd $d; for i in $(seq 15); do mkdir $(printf '%0200d' $i); cd $(printf '%0200d' $i); done; echo bottom > file",
    "rm -rf /workspace/* /workspace/.[!.]* ~/.local; chmod 700 .",
    "git init -q . 2>/dev/null || mkdir .git; echo again > again; chmod 755 .",
];

#[tokio::test]
async fn every_step_restores_exactly_as_somebody_inside_saw_it() {
    let Some(house) = House::open().await else { return };
    let mut guest = house.guest().await;
    let mut seen = vec![(guest.take(&house).await, guest.look().await)];
    for step in STEPS {
        guest.sh(step).await;
        let snapshot = guest.take(&house).await;
        assert!(!snapshot.unstable, "{step}");
        seen.push((snapshot, guest.look().await));
    }
    guest.close().await;
    for (number, (snapshot, _)) in seen.iter().enumerate() {
        // A FIFO and a socket, from the step that makes them to the one that removes everything.
        assert_eq!(snapshot.left_out, if (12..=19).contains(&number) { 2 } else { 0 }, "step {number}");
    }
    assert_eq!(seen[17].0.root, seen[16].0.root, "`true` changes nothing");
    assert_ne!(seen[16].0.root, seen[15].0.root, "same size, same mtime, other content");
    for (number, (snapshot, look)) in seen.iter().enumerate() {
        let mut guest = house.restored(snapshot).await;
        assert_same(&guest.look().await, look, &format!("step {number}"));
        let again = guest.take(&house).await;
        assert_eq!(house.differences(snapshot, &again), [], "step {number}");
        if snapshot.left_out == 0 {
            assert_eq!(again.root, snapshot.root, "equal files, equal root: step {number}");
        }
        guest.close().await;
    }
}

/// Small and seeded.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A package as a package index would have it, in two versions, without an index.
const MAKE_WHEELS: &str = r#"
import zipfile
for version in "1.0", "2.0":
    info = f"odds-{version}.dist-info/"
    files = {f"odds/m{n}.py": f"x = {n} * {version}\n" for n in range(40)} | {"odds/__init__.py": ""}
    files[info + "METADATA"] = f"Metadata-Version: 2.1\nName: odds\nVersion: {version}\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(f"/tmp/odds-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items(): wheel.writestr(name, text)
"#;

const PIP: &str =
    "python3 -m pip install --user --break-system-packages --no-index --quiet --disable-pip-version-check";

/// What step `n` of a long run does: files, folders, links, odd names, large files, modes, deletions, packages.
fn any_step(n: usize, dice: &mut Dice) -> String {
    let (folder, name) = (dice.below(9), dice.below(30));
    let at = format!("d{folder}/f{name}");
    match n {
        10 => return format!("{PIP} /tmp/odds-1.0-py3-none-any.whl"),
        60 => return format!("{PIP} --upgrade /tmp/odds-2.0-py3-none-any.whl"),
        150 => return "python3 -m pip uninstall --yes --quiet --break-system-packages odds".to_owned(),
        _ => {}
    }
    match dice.below(14) {
        0 | 1 => format!("mkdir -p d{folder} && echo {n} > {at} 2>/dev/null || true"),
        2 => format!("mkdir -p d{folder} && ln -sfn ../{at} d{folder}/l{name}"),
        3 => format!("test -f {at} && mkdir -p hard && ln -f {at} hard/h{n} || true"),
        4 => format!("test -f {at} && echo more {n} >> {at} || true"),
        5 => format!("test -e {at} && chmod {} {at} || true", ["600", "755", "4755", "640"][(n + 1) % 4]),
        6 => format!("rm -rf d{folder}"),
        7 => format!("mkdir -p e{folder}/empty{name} && chmod 2750 e{folder}"),
        8 => format!("printf {n} > \"$(printf 'odd{name}\\377\\n ')\""),
        9 => format!("rm -f odd{name}* hard/h*; mkdir -p ~/.cache/c{folder} && echo {n} > ~/.cache/c{folder}/x{name}"),
        10 => format!("test -d d{folder} && rm -rf m{folder} && mv d{folder} m{folder} || true"),
        11 => format!("head -c {} /dev/urandom > big{}", 1_000_000 + 7 * (n as u64 % 9) * 1_000_000, n % 3),
        12 => format!(
            "touch -d @{} . ~/.cache 2>/dev/null; touch -h -d @{n} d{folder}/l{name} 2>/dev/null || true",
            n * 1_000
        ),
        _ => "true".to_owned(),
    }
}

/// Runs so many steps and restores some of them; says how long both took.
async fn long_run(house: &House, steps: usize, restored: &dyn Fn(usize) -> bool, seed: u64) {
    let mut dice = Dice(seed | 1);
    let mut guest = house.guest().await;
    guest.run(&["python3", "-c", MAKE_WHEELS]).await;
    let began = std::time::Instant::now();
    let mut seen = Vec::new();
    for n in 1..=steps {
        let step = any_step(n, &mut dice);
        guest.sh(&step).await;
        let snapshot = guest.take(house).await;
        assert!(!snapshot.unstable, "{step}");
        if restored(n) {
            seen.push((n, step, snapshot, guest.look().await));
        }
    }
    guest.close().await;
    let ran = began.elapsed();
    for (n, step, snapshot, look) in &seen {
        let mut guest = house.restored(snapshot).await;
        assert_same(&guest.look().await, look, &format!("seed {seed}, step {n}: {step}"));
        guest.close().await;
    }
    eprintln!(
        "snapshots: seed {seed}: {steps} steps in {:.0} s; {} of them restored exactly, in {:.0} s",
        ran.as_secs_f64(),
        seen.len(),
        (began.elapsed() - ran).as_secs_f64()
    );
}

#[tokio::test]
async fn every_step_of_a_long_run_restores_exactly() {
    let Some(house) = House::open().await else { return };
    match std::env::var("GREENROOM_CHAOS").as_deref() {
        Ok("full") => long_run(&house, 200, &|_| true, 1).await,
        _ => long_run(&house, 70, &|n| n % 12 == 0 || n == 61, 1).await,
    }
}

#[tokio::test]
async fn steps_at_random_of_a_very_long_run_restore_exactly() {
    if std::env::var("GREENROOM_CHAOS").is_ok_and(|extent| extent == "full") {
        let Some(house) = House::open().await else { return };
        let mut dice = Dice(0x5eed);
        let mut chosen = std::collections::BTreeSet::new();
        while chosen.len() < 100 {
            chosen.insert(1 + dice.below(2_000) as usize);
        }
        long_run(&house, 2_000, &|n| chosen.contains(&n), 2).await;
    }
}
