//! Resources: memory, CPU time, disk, output and descriptors, each a little beyond what a sandbox may have.

use std::time::{Duration, Instant};

use super::lab::{LIMITS, Lab, Ran, Room, nothing};
use super::{Case, Danger, Fault, Found, Group, ensure};
use crate::output::escape::{Sgr, escape};
use crate::sandbox::{ExecRequest, OutputSink, SandboxError, Stream};
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Resources, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("memory-bomb", "memory, shared memory, /tmp and page cache stay within the limit", |lab| {
        Box::pin(memory_bomb(lab))
    }),
    case("swap", "memory is not had as swap", |lab| Box::pin(swap(lab))),
    case("cpu-spin", "64 spinning processes leave the runner and other sandboxes alone", |lab| Box::pin(cpu_spin(lab))),
    case("disk-fill", "a full disk is the sandbox's own, not the host's", |lab| Box::pin(disk_fill(lab))),
    case("inode-bomb", "many files, deep folders, long names, sparse files and hard links stay bounded", |lab| {
        Box::pin(inode_bomb(lab))
    }),
    case("output-flood", "endless output costs the runner no memory", |lab| Box::pin(output_flood(lab))),
    case("hostile-bytes", "bytes arrive as they are and are shown harmlessly", |lab| Box::pin(hostile_bytes(lab))),
    case("descriptors", "files, sockets, arguments and environment run out with an error", |lab| {
        Box::pin(descriptors(lab))
    }),
];

const EXITED_WELL: Outcome = Outcome::Exited { code: 0 };

/// Touches so many MiB and says so.
const TOUCH: &str = "
import sys
kept = []
for _ in range(int(sys.argv[1])):
    kept.append(b'x' * (1 << 20))
print('had', len(kept), 'MiB')
";

/// Fills a folder with files of 8 MiB until it is refused or has written so many MiB.
const FILL: &str = "
import os, sys
folder, most, name, block = sys.argv[1], int(sys.argv[2]), 0, b'x' * (1 << 20)
written = 0
try:
    while written < most:
        with open('%s/fill%d' % (folder, name), 'wb', 0) as file:
            for _ in range(8):
                written += file.write(block) >> 20
        name += 1
    print('unlimited', written)
except OSError as error:
    print('refused', written, error.errno)
";

/// The same with files that have no name any more.
const FILL_UNNAMED: &str = "
import os, sys, tempfile
kept, block = [], b'x' * (1 << 20)
for _ in range(int(sys.argv[1]) // 8):
    file = tempfile.TemporaryFile(dir='/workspace', buffering=0)
    for _ in range(8):
        file.write(block)
    kept.append(file)
print('unlimited')
";

async fn memory_bomb(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let limit = LIMITS.memory_bytes >> 20;
    let (room, ending) = exhausted(lab, room, 2 * limit).await?;
    room.next_call_works().await?;
    for folder in ["/dev/shm", "/tmp"] {
        let filled = room.python(FILL, &[folder, &(2 * limit).to_string()]).await?;
        ensure(filled.text().starts_with("refused"), || format!("{folder}: {}", filled.summary()))?;
        room.next_call_works().await?;
    }
    // Written over and over, so that it is the cache that grows and not the disk.
    let cache = room
        .sh("for i in 1 2 3 4 5 6 7 8; do head -c 50000000 /dev/zero >/workspace/cache$((i % 2)) || exit; done")
        .await?;
    ensure(cache.outcome() == EXITED_WELL, || format!("the page cache counted as the program's: {}", cache.summary()))?;
    room.leave().await?;
    Ok(format!("twice {limit} MiB {ending}; /dev/shm and /tmp have an end of their own"))
}

/// Takes more memory than there is. The room afterwards is another one where the runtime has nothing smaller to end than
/// the whole sandbox; then that is what has to be said.
async fn exhausted(lab: &Lab, room: Room, mib: u64) -> Result<(Room, &'static str), Fault> {
    match room.python(TOUCH, &[&mib.to_string()]).await {
        Ok(heap) if heap.outcome() == Outcome::OutOfMemory => {
            Ok((room, "is out_of_memory by the control group's counter"))
        }
        Ok(heap) => Err(Fault::Broken(format!("a heap of {mib} MiB: {}", heap.summary()))),
        // The container may be gone before it can be asked why.
        Err(SandboxError::Lost { .. }) if lab.has_own_kernel() => {
            Ok((lab.room().await?, "ends the whole sandbox, which is said, and the next one works"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn swap(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let hardening = &room.sandbox.facts().hardening;
    let both = hardening["memory_swap_bytes_max"].as_u64();
    ensure(both.is_some_and(|bytes| bytes <= LIMITS.memory_bytes), || {
        format!("memory and swap together: {both:?} bytes")
    })?;
    let evade = "
import mmap
area = mmap.mmap(-1, 100 << 20)
for at in range(0, len(area), 4096):
    area[at] = 1
try:
    area.madvise(21)
except OSError as error:
    print('refused', error.errno)
    raise SystemExit
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmSwap')))
";
    let ran = room.python(evade, &[]).await?;
    let kept = ran.text().trim() == "0" || lab.has_own_kernel() && ran.text().trim() == "refused 22";
    ensure(kept, || format!("pages were put out to swap: {}", ran.summary()))?;
    let beyond = (LIMITS.memory_bytes >> 20) * 5 / 4;
    let (room, _) = exhausted(lab, room, beyond).await?;
    room.leave().await?;
    Ok("memory and swap have one limit; paging out on request put nothing into swap".into())
}

/// How late a thread of the runner wakes that means to do so every 5 ms: the worst of each quarter of a second, and of
/// these the median, because on a machine with other work a single hiccup says nothing about the sandbox.
fn heartbeat(time: Duration) -> tokio::task::JoinHandle<Duration> {
    const PAUSE: Duration = Duration::from_millis(5);
    tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let mut windows = vec![Duration::ZERO];
        while started.elapsed() < time {
            let before = Instant::now();
            std::thread::sleep(PAUSE);
            let window = (started.elapsed().as_millis() / 250) as usize;
            windows.resize(windows.len().max(window + 1), Duration::ZERO);
            windows[window] = windows[window].max(before.elapsed().saturating_sub(PAUSE));
        }
        windows.sort_unstable();
        windows[windows.len() / 2]
    })
}

async fn cpu_spin(lab: &Lab) -> Found {
    // Little, so that more than that can be had even on a machine with other work.
    let mut spec = lab.spec();
    spec.limits.cpu_millis = 250;
    let launcher = lab.launcher();
    let (room, other) = tokio::try_join!(lab.room_of(&launcher, &spec, nothing()), lab.room())?;
    let watch = Duration::from_secs(2);
    let idle = heartbeat(Duration::from_secs(1)).await.unwrap_or_default();
    let spin = "
import os, resource, time
started = time.monotonic()
children = []
for _ in range(64):
    if not (child := os.fork()):
        while time.monotonic() - started < 4:
            pass
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print((used.ru_utime + used.ru_stime) / (time.monotonic() - started))
";
    let beside = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let beat = heartbeat(watch);
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let started = Instant::now();
            other.next_call_works().await?;
            slowest = slowest.max(started.elapsed());
        }
        Ok::<_, Fault>((beat.await.unwrap_or(Duration::MAX), slowest))
    };
    let (began, counted) = (Instant::now(), lab.counted(&room).await?.cpu);
    let (spun, beside) = tokio::join!(room.python(spin, &[]), beside);
    let (spun, (late, slowest)) = (spun?, beside?);
    let mut cpus: f64 = spun.text().trim().parse().map_err(|_| Fault::Broken(spun.summary()))?;
    if lab.has_own_kernel() {
        // Its clocks are its own; the engine's account is what the machine gave.
        let used = lab.counted(&room).await?.cpu.saturating_sub(counted);
        ensure(!used.is_zero(), || "the engine counts no time of the sandbox's".into())?;
        cpus = used.as_secs_f64() / began.elapsed().as_secs_f64();
    }
    let allowed = f64::from(spec.limits.cpu_millis) / 1000.0;
    ensure(cpus < allowed * 1.25, || format!("64 spinning processes had {cpus:.2} CPUs, allowed are {allowed}"))?;
    // What the machine was already late with is not the sandbox's doing.
    let bound = Duration::from_millis(100) + idle;
    ensure(late < bound, || format!("the runner's heartbeat was {late:?} late, {idle:?} before"))?;
    ensure(slowest < Duration::from_secs(2), || format!("a call of another sandbox took {slowest:?}"))?;
    other.leave().await?;
    room.leave().await?;
    let (late, slowest) = (late.as_millis(), slowest.as_millis());
    Ok(format!(
        "{cpus:.2} of {allowed} CPUs used; heartbeat {late} ms late; another sandbox's slowest call {slowest} ms"
    ))
}

async fn disk_fill(lab: &Lab) -> Found {
    let room = lab.room().await?;
    for (folder, most) in
        [("/tmp", LIMITS.tmp_bytes), ("/dev/shm", LIMITS.tmp_bytes), ("/var", 0), ("/", 0), ("/var/tmp", 0)]
    {
        let most = most >> 20;
        let filled = room.python(FILL, &[folder, "128"]).await?;
        let said = filled.text();
        let written: u64 = said.split_whitespace().nth(1).and_then(|mib| mib.parse().ok()).unwrap_or(u64::MAX);
        ensure(said.starts_with("refused") && written <= most, || {
            format!("{folder} took {written} MiB, may take {most}: {}", filled.summary())
        })?;
        room.sh(&format!("rm -f {folder}/fill*")).await?;
    }
    let mut stopped = Vec::new();
    for folder in ["/workspace", "/home/agent"] {
        let most = LIMITS.disk_bytes >> 20;
        let tried = lab.scaled(3 * most, 5 << 10);
        let filled = room.python(FILL, &[folder, &tried.to_string()]).await?;
        ensure(filled.outcome() == Outcome::DiskLimit, || {
            format!("{folder} may grow by {most} MiB, {tried} MiB: {}", filled.summary())
        })?;
        let used = room.say(&format!("du -sm {folder} | cut -f1; rm -f {folder}/fill*")).await?;
        let used: u64 = used.trim().parse().unwrap_or(u64::MAX);
        ensure(used < 2 * most, || format!("{folder} was stopped only at {used} MiB of {most}"))?;
        stopped.push(format!("{folder} at {used} MiB"));
        room.next_call_works().await?;
    }
    let unnamed = room.python(FILL_UNNAMED, &[&((3 * LIMITS.disk_bytes) >> 20).to_string()]).await?;
    ensure(unnamed.outcome() == Outcome::DiskLimit, || format!("files without a name: {}", unnamed.summary()))?;
    room.next_call_works().await?;
    let one = (LIMITS.file_bytes + 1).to_string();
    let sparse = room.python("import os, sys; open('/workspace/one', 'w').truncate(int(sys.argv[1]))", &[&one]).await?;
    ensure(sparse.outcome() != EXITED_WELL, || format!("one file may have more than {} bytes", LIMITS.file_bytes))?;
    room.leave().await?;
    let budget = LIMITS.disk_bytes >> 20;
    Ok(format!(
        "/tmp and /dev/shm have their size, the root takes nothing; budget {budget} MiB, stopped {}",
        stopped.join(", ")
    ))
}

async fn inode_bomb(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let most = LIMITS.disk_inodes;
    let many = "
import os, sys
os.mkdir('many')
for n in range(int(sys.argv[1])):
    open('many/%d' % n, 'w').close()
print('unlimited')
";
    let tried = lab.scaled(3 * most, 1_000_000);
    let bomb = room.python(many, &[&tried.to_string()]).await?;
    ensure(bomb.outcome() == Outcome::DiskLimit, || format!("{most} files are allowed, {tried}: {}", bomb.summary()))?;
    room.sh("rm -rf many").await?;
    let shapes = "
import os
os.mkdir('links'); open('links/one', 'w').close()
for n in range(2000):
    os.link('links/one', 'links/%d' % n)
name = 'n' * 255
open(name, 'w').close()
try:
    open('sparse', 'w').truncate(1 << 40)
    print('sparse file of 1 TB')
except OSError as error:
    print('sparse refused', error.errno)
depth = 0
here = os.open('.', os.O_RDONLY)
try:
    while depth < 3000:
        os.mkdir('d', dir_fd=here)
        below = os.open('d', os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, depth = below, depth + 1
except OSError as error:
    print('depth refused', error.errno)
print('depth', depth)
";
    let shaped = room.python(shapes, &[]).await?;
    ensure(shaped.text().contains("sparse refused"), || shaped.summary())?;
    let started = Instant::now();
    let walked = room.sandbox.walk().await;
    let walk = started.elapsed();
    // A kernel that asks the host for each step of a path takes long for 3,000 of them.
    let walk_max = Duration::from_secs(if lab.has_own_kernel() { 60 } else { 20 });
    ensure(walk < walk_max, || format!("a walk took {walk:?}"))?;
    let seen = match &walked {
        Ok(manifest) => format!("a walk saw {} entries", manifest.entries.len()),
        Err(SandboxError::Refused { detail, .. }) => format!("a walk was refused ({detail})"),
        Err(error) => return Err(Fault::Broken(error.to_string())),
    };
    room.next_call_works().await?;
    let started = Instant::now();
    room.leave().await?;
    let gone = started.elapsed();
    ensure(gone < Duration::from_secs(20), || format!("cleaning up took {gone:?}"))?;
    Ok(format!(
        "stopped by the limit of {most} files; 2,000 hard links, 3,000 levels, 255-byte names: {seen} in {} ms, removed in {} ms",
        walk.as_millis(),
        gone.as_millis()
    ))
}

/// Counts, and watches what the runner holds meanwhile.
#[derive(Default)]
struct Flood {
    bytes: u64,
    until_look: usize,
    resident_max: u64,
}

impl OutputSink for Flood {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.until_look < bytes.len() {
            self.resident_max = self.resident_max.max(resident_bytes());
            self.until_look = 8 << 20;
        }
        self.until_look = self.until_look.saturating_sub(bytes.len());
    }
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

async fn output_flood(lab: &Lab) -> Found {
    const RUNNER_MAX: u64 = 80 << 20;
    let room = lab.room().await?;
    let mib = lab.scaled(192, 10 << 10);
    let command = format!("head -c {mib}M /dev/zero; head -c 16M /dev/zero >&2");
    let request =
        ExecRequest { output_bytes_max: 1 << 40, ..room.request(&["sh", "-c", &command], Duration::from_secs(600)) };
    let started = Instant::now();
    let mut flood = Flood::default();
    let ended = room.sandbox.exec(&request, &mut flood).await?;
    let elapsed = started.elapsed();
    let expected = (mib + 16) << 20;
    ensure(ended.outcome == EXITED_WELL && flood.bytes == expected, || {
        format!("{} of {expected} bytes came, {}", flood.bytes, ended.outcome)
    })?;
    ensure(flood.resident_max < RUNNER_MAX, || format!("the runner grew to {} MiB", flood.resident_max >> 20))?;
    let bounded = ExecRequest { output_bytes_max: 4 << 20, ..room.request(&["yes"], Duration::from_secs(20)) };
    let ended = room.run(&bounded).await?;
    ensure(ended.outcome() == Outcome::OutputLimit, || format!("endless output came to: {}", ended.outcome()))?;
    ensure(ended.stdout.len() < 16 << 20, || format!("the limit of 4 MiB let {} bytes pass", ended.stdout.len()))?;
    room.leave().await?;
    let speed = (expected >> 20) as f64 / elapsed.as_secs_f64();
    let scale = if mib < 10 << 10 { " (10 GiB with --full)" } else { "" };
    Ok(format!(
        "{mib} MiB as one line{scale} at {speed:.0} MiB/s, runner {} MiB; beyond its limit: output_limit",
        flood.resident_max >> 20
    ))
}

async fn hostile_bytes(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let mut bytes = vec![0, 1, 2, 0xff, 0xfe];
    bytes.extend(0..=255u8);
    bytes.extend_from_slice(
        b"\x1b]52;c;aGFybQ==\x07\x1b[2J\x1b[31mred\x1b[0m\x9b6n\r\x08\n::set-output name=x::y\n##[error]\n",
    );
    bytes.extend_from_slice("\u{202e}\u{feff}EXITCODESTART0EXITCODEEND\n###PS1JSON###\n".as_bytes());
    bytes.extend_from_slice(&[0xed, 0xa0, 0x80, 0xf5, b'G', b'R', 0xf7, 0]);
    room.sandbox.write("bytes", &bytes, None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let ran: Ran = room.sh("cat bytes; cat bytes >&2").await?;
    ensure(ran.stdout == bytes && ran.stderr == bytes, || "bytes were changed on the way".into())?;
    let shown = escape(&ran.text(), Sgr::Drop);
    let acting = shown.chars().find(|&c| c.is_control() && c != '\n' && c != '\t');
    ensure(acting.is_none(), || format!("the terminal would be sent {acting:?}"))?;
    room.leave().await?;
    Ok(format!(
        "{} bytes of every value came back equal on both streams; shown without control characters",
        bytes.len()
    ))
}

async fn descriptors(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let exhaust = "
import os, socket
for make in (lambda: os.open('/dev/null', 0), lambda: socket.socket(socket.AF_UNIX).detach()):
    fds = []
    try:
        while len(fds) < 100000:
            fds.append(make())
        print('unlimited', len(fds))
    except OSError as error:
        print('refused', len(fds), error.errno)
    for fd in fds:
        os.close(fd)
";
    let ran = room.python(exhaust, &[]).await?;
    let refused = ran.text().lines().filter(|line| line.starts_with("refused") && line.ends_with(" 24")).count();
    ensure(refused == 2, || format!("descriptors are not limited: {}", ran.summary()))?;
    let long = "x".repeat(300_000);
    let huge = room.run(&room.request(&["echo", &long], Duration::from_secs(10))).await?;
    ensure(huge.outcome() == Outcome::Exited { code: 126 }, || {
        format!("an argument of 300 KB came to: {}", huge.outcome())
    })?;
    let mut request = room.request(&["true"], Duration::from_secs(10));
    request.env = (0..40).map(|n| (format!("V{n}"), "x".repeat(100_000))).collect();
    let environment = room.run(&request).await?;
    ensure(matches!(environment.outcome(), Outcome::Exited { code: 126 | 0 }), || environment.summary())?;
    by_script(&room, &long).await?;
    room.leave().await?;
    Ok("files and sockets end with EMFILE; an argument too long is exit 126 with the reason, as a script it runs"
        .into())
}

/// What is too long for an argument runs from a file.
async fn by_script(room: &Room, long: &str) -> Result<(), Fault> {
    let script = format!(": {long}\necho ran\n");
    room.sandbox.write("script", script.as_bytes(), None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let said = room.say("sh script").await?;
    ensure(said == "ran\n", || format!("the script said {said:?}"))
}
