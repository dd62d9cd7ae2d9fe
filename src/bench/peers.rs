//! What else reads compilers' output on this machine, over the same log: only programs that are installed.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Tell, parsers, round};

/// How long one program may take over a megabyte.
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns each program has; the quickest counts.
const TURNS: usize = 3;
/// The log's two forms as errorformat patterns: these programs have to be told, Greenroom is not.
const FORMS: [&str; 2] = ["%f:%l:%c: %t%*[^:]: %m", r"%f(%l\,%c): %t%*[a-z] %m"];
/// What reads the file of that name.
type Reads = fn(&Path) -> Command;
const PEERS: &[(&str, Reads)] = &[("vim", vim), ("reviewdog/errorformat", errorformat)];

/// One program's way through the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peer {
    pub name: &'static str,
    /// By the clock and with its start; Greenroom's own is a processor's time, without a start.
    pub mb_per_second: f64,
    /// Places it found in the log.
    pub found: u64,
}

/// Reads `log` with Greenroom, then with each program; those that are not installed or fail are left out.
pub(super) fn beside(log: &str, tell: Tell<'_>) -> Vec<Peer> {
    let own = parsers::read(log, log.len() as u64);
    let mut peers = vec![Peer { name: "greenroom", mb_per_second: own.mb_per_second, found: own.diagnostics }];
    let Some(file) = LogFile::write(log) else { return peers };
    for (name, command) in PEERS {
        if !is_installed(command(&file.0).get_program()) {
            continue;
        }
        tell(name);
        let turns = (0..TURNS).map_while(|_| run(command(&file.0)));
        if let Some((took, found)) = turns.min_by_key(|(took, _)| *took) {
            let mb_per_second = round(log.len() as f64 / 1e6 / took.as_secs_f64(), 2);
            peers.push(Peer { name, mb_per_second, found });
        }
    }
    peers
}

/// Gone when this is dropped.
struct LogFile(PathBuf);

impl LogFile {
    fn write(log: &str) -> Option<LogFile> {
        let file = LogFile(std::env::temp_dir().join(format!("greenroom-bench-{}.log", std::process::id())));
        std::fs::write(&file.0, log).ok().map(|()| file)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The quickfix list of the file, and how many of its entries are places.
fn vim(log: &Path) -> Command {
    let forms = FORMS.map(|form| form.replace(r"\,", r"\\,").replace(' ', r"\ ")).join(",");
    let mut command = Command::new("vim");
    command.args(["-es", "-u", "NONE", "-i", "NONE", "-c"]).arg(format!("set errorformat={forms}"));
    command.arg("-c").arg(format!("cgetfile {}", log.display()));
    command.args(["-c", "call writefile([len(filter(getqflist(), 'v:val.valid'))], '/dev/stdout')", "-c", "qa!"]);
    command.stdin(Stdio::null());
    command
}

/// Prints a line for each place.
fn errorformat(log: &Path) -> Command {
    let mut command = Command::new("errorformat");
    command.args(FORMS);
    match std::fs::File::open(log) {
        Ok(file) => command.stdin(file),
        Err(_) => command.stdin(Stdio::null()),
    };
    command
}

fn is_installed(program: &OsStr) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// How long it took and how many it found: the number that it printed, or so many lines.
fn run(mut command: Command) -> Option<(Duration, u64)> {
    let clock = Instant::now();
    let output = output(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?)?;
    let took = clock.elapsed();
    let text = String::from_utf8_lossy(&output);
    let found = text.trim().parse().unwrap_or(text.lines().count() as u64);
    (found > 0).then_some((took, found))
}

/// What it printed, unless that takes longer than [`PATIENCE`].
fn output(mut child: Child) -> Option<Vec<u8>> {
    let mut stdout = child.stdout.take()?;
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = done.send(stdout.read_to_end(&mut bytes).map(|_| bytes));
    });
    let bytes = end.recv_timeout(PATIENCE);
    if bytes.is_err() {
        let _ = child.kill();
    }
    child.wait().ok()?;
    bytes.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_that_is_here_finds_what_greenroom_finds() {
        let log: String = (1..=50)
            .map(|n| {
                format!("src/a.c:{n}:3: warning: unused 'x{n}'\nsrc/b.ts({n},5): error TS2304: Cannot find 'y{n}'.\n")
            })
            .collect();
        let peers = beside(&log, &|_| {});
        assert_eq!(peers[0].name, "greenroom");
        for peer in &peers {
            assert_eq!(peer.found, 100, "{}", peer.name);
        }
    }
}
