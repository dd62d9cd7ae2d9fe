//! Finding and ending the processes of commands. Nothing here forks: it works at a saturated pids limit.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::privileges;
use crate::sys::{self, Pid};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// Dead and not yet reaped: nothing that could run.
    Zombie,
}

/// Every process in the container, as `/proc` shows it.
pub(crate) fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok());
    pids.filter_map(|pid| parse_stat(pid, &beginning_of(&format!("/proc/{pid}/stat"))?)).collect()
}

/// Whether a process or thread has ended and only waits to be reaped, or is gone altogether. `path` is its folder.
pub(crate) fn is_dead(path: &Path) -> bool {
    let stat = path.to_str().and_then(|path| beginning_of(&format!("{path}/stat")));
    stat.is_none_or(|stat| parse_stat(0, &stat).is_some_and(|process| process.state == State::Zombie))
}

/// The fields of interest stand at the front: one read, where reading to the end would take six.
fn beginning_of(path: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256];
    let length = fs::File::open(path).and_then(|mut file| file.read(&mut buffer)).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// `pid (name) state ppid …`, where the name may hold anything, parentheses too.
fn parse_stat(pid: Pid, stat: &[u8]) -> Option<Process> {
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[behind_name..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" | "x" => State::Zombie,
        _ => State::Alive,
    };
    Some(Process { pid, parent: fields.next()?.parse().ok()?, state })
}

/// What runs below `root`, however deep; zombies are passed through but not named.
pub(crate) fn descendants(processes: &[Process], root: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<&Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        // Taking the list out of the map bounds the walk even if pids were reused while `/proc` was read.
        for child in children.remove(&parent).unwrap_or_default() {
            open.push(child.pid);
            if child.state == State::Alive {
                found.push(child.pid);
            }
        }
    }
    found
}

/// Sends each of `signals` in turn to every process in `pids`.
pub(crate) fn signal(pids: &[Pid], signals: &[i32]) {
    let sent = privileges::as_command_sender(|| {
        for signal in signals {
            pids.iter().for_each(|pid| sys::kill(*pid, *signal));
        }
    });
    sent.expect("a process with CAP_SETUID can take the commands' uid");
}

/// Kills every process of every command in one system call, in which nothing can be forked in between, and none of ours.
pub(crate) fn kill_all_commands() {
    let sent = privileges::as_command_user(|| sys::kill(-1, libc::SIGKILL));
    sent.expect("a process with CAP_SETUID can take the commands' uid");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = b"42 (a) R 1 (b)) S 7 42 42 0 -1";
        assert_eq!(parse_stat(42, stat), Some(Process { pid: 42, parent: 7, state: State::Alive }));
        assert_eq!(parse_stat(42, b"42 (x) Z 1 0").map(|process| process.state), Some(State::Zombie));
        assert_eq!(parse_stat(42, b"garbage"), None);
    }

    #[test]
    fn descendants_stop_at_other_trees() {
        let process = |pid, parent| Process { pid, parent, state: State::Alive };
        let zombie = |pid, parent| Process { pid, parent, state: State::Zombie };
        let all = [process(1, 0), process(2, 1), process(3, 2), zombie(4, 2), process(5, 4), process(6, 1)];
        let mut found = descendants(&all, 2);
        found.sort_unstable();
        assert_eq!(found, [3, 5]);
    }
}
