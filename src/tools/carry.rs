//! Folder and exported variables from one `bash` call to the next: the script that makes a shell tell them as it ends,
//! and what is believed of what it tells.
//!
//! The telling goes to a file that names its step, never to the command's output. What is missing, cut short, of another
//! step or out of form leaves the state as it was; nothing a command could forge there is more than it could have
//! exported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::id::CallToken;
use crate::sandbox::WORKSPACE;
use crate::shell::ShellState;

/// Overwritten by each call.
pub(super) const LEFT_FILE: &str = "/tmp/.greenroom-shell";
/// Beyond this nothing is carried.
pub(super) const LEFT_BYTES_MAX: u64 = 1 << 20;
const CWD_BYTES_MAX: usize = 4096;
const VARIABLES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 8 << 10;
const VALUES_BYTES_MAX: usize = 32 << 10;
/// Of a value in what the model is told.
const SHOWN_CHARS_MAX: usize = 80;
const END: &[u8] = b"end";
/// Every shell sets these by itself.
const OWN: [&str; 4] = ["OLDPWD", "PWD", "SHLVL", "_"];

/// `command` as it is given to `/bin/sh -c`: begins where the last one ended, and tells where it ends itself. It stays on
/// the line it was on, so that the shell's own messages name the right one.
pub(super) fn script(command: &str, token: CallToken, state: &ShellState) -> String {
    let mut text = tell(token, "stayed");
    if !state.unset.is_empty() {
        text.push_str("unset -v");
        for name in &state.unset {
            let _ = write!(text, " {name}");
        }
        text.push_str("; ");
    }
    if let Some(cwd) = &state.cwd {
        let _ = write!(text, "cd -- {} 2>/dev/null || {}", quoted(cwd), tell(token, "lost"));
    }
    text.push_str(command);
    text
}

/// The environment of a program that the shell starts is what the shell has exported.
fn tell(token: CallToken, began: &str) -> String {
    let environment = "{ /bin/cat /proc/self/environ || cat /proc/self/environ; }";
    format!(
        "trap '{{ set +x; command printf \"%s\\0\" {token} {began} \"$(command pwd -P)\" && {environment} && \
         command printf end; }} 2>/dev/null >|{LEFT_FILE}' EXIT; "
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a shell said it left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The folder it was to begin in was gone: it began in the workspace.
    pub(super) lost: bool,
    /// Empty where it has none.
    cwd: Vec<u8>,
    environment: Vec<Vec<u8>>,
}

/// `None` for what was not told, or not by this step to its end.
pub(super) fn read(told: &[u8], token: CallToken) -> Option<Left> {
    let body = told.strip_suffix(END)?;
    let body = body.strip_suffix(b"\0")?;
    let mut parts = body.split(|byte| *byte == 0);
    if parts.next()? != token.to_string().as_bytes() {
        return None;
    }
    let lost = match parts.next()? {
        b"stayed" => false,
        b"lost" => true,
        _ => return None,
    };
    let cwd = parts.next()?.to_vec();
    Some(Left { lost, cwd, environment: parts.map(<[u8]>::to_vec).collect() })
}

/// The state after a call, and what the model should know of it, one line each. `run` is the run's own environment.
pub(super) fn next(before: &ShellState, run: &[(String, String)], left: &Left) -> (ShellState, Vec<String>) {
    let mut notes = Vec::new();
    if left.lost {
        notes.push(format!("{} no longer exists: this command began in {WORKSPACE}", shown_cwd(before)));
    }
    let mut next = ShellState::default();
    match std::str::from_utf8(&left.cwd) {
        Ok("") => notes.push(format!("the folder it ended in no longer exists: the next one begins in {WORKSPACE}")),
        Ok(cwd) if cwd.starts_with('/') && cwd.len() <= CWD_BYTES_MAX => {
            next.cwd = Some(cwd.to_owned()).filter(|cwd| cwd != WORKSPACE);
        }
        Ok(_) | Err(_) => notes.push(format!("the name of the folder it ended in cannot be kept; {WORKSPACE} is next")),
    }
    let run: BTreeMap<&str, &str> = run.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (mut seen, mut not_kept, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
    let mut variables: Vec<(&str, Option<&str>)> = left.environment.iter().filter_map(|text| variable(text)).collect();
    variables.sort_unstable();
    for (name, value) in variables {
        seen.insert(name);
        let Some(value) = value.filter(|value| value.len() <= VALUE_BYTES_MAX) else {
            not_kept.push(name);
            continue;
        };
        if run.get(name) == Some(&value) {
            continue;
        }
        bytes += name.len() + value.len();
        if next.exported.len() >= VARIABLES_MAX || bytes > VALUES_BYTES_MAX {
            not_kept.push(name);
        } else {
            next.exported.insert(name.to_owned(), value.to_owned());
        }
    }
    let gone = run.keys().filter(|name| is_name(name) && !seen.contains(**name));
    next.unset = gone.map(|name| (*name).to_owned()).collect();
    if !not_kept.is_empty() {
        let names = not_kept.iter().take(8).copied().collect::<Vec<_>>().join(", ");
        notes.push(format!("not kept for the next command, being too much: {} variables ({names})", not_kept.len()));
    }
    notes.extend(changed(before, &next, &run));
    (next, notes)
}

/// What the next command will find otherwise than this one did.
fn changed(before: &ShellState, next: &ShellState, run: &BTreeMap<&str, &str>) -> Option<String> {
    let mut told = Vec::new();
    if before.cwd != next.cwd {
        told.push(format!("in {}", shown_cwd(next)));
    }
    for (name, value) in next.exported.iter().filter(|(name, value)| before.exported.get(*name) != Some(value)) {
        told.push(format!("with {name}={}", shown(value)));
    }
    for name in next.unset.difference(&before.unset) {
        told.push(format!("without {name}"));
    }
    let back = |name: &&String| !next.exported.contains_key(*name) && !next.unset.contains(*name);
    for name in before.exported.keys().chain(&before.unset).filter(back) {
        told.push(match run.contains_key(name.as_str()) {
            true => format!("with {name} as the run has it"),
            false => format!("without {name}"),
        });
    }
    (!told.is_empty()).then(|| format!("the next command begins {}", told.join(", ")))
}

fn shown_cwd(state: &ShellState) -> String {
    state.cwd.as_deref().map_or(WORKSPACE.to_owned(), shown)
}

fn shown(text: &str) -> String {
    let mut plain = String::new();
    for char in text.chars().take(SHOWN_CHARS_MAX) {
        match char.is_control() {
            true => plain.extend(char.escape_default()),
            false => plain.push(char),
        }
    }
    if text.chars().count() > SHOWN_CHARS_MAX { format!("{plain}…") } else { plain }
}

/// `None` for what no shell could export; without a value where that is no text.
fn variable(text: &[u8]) -> Option<(&str, Option<&str>)> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(&text[..at]).ok().filter(|name| is_name(name))?;
    Some((name, std::str::from_utf8(&text[at + 1..]).ok()))
}

fn is_name(name: &str) -> bool {
    !OWN.contains(&name)
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TOKEN: CallToken = CallToken(7);

    fn run() -> Vec<(String, String)> {
        vec![("HOME".to_owned(), "/home/agent".to_owned()), ("LANG".to_owned(), "C".to_owned())]
    }

    fn told(cwd: &str, environment: &[&str]) -> Vec<u8> {
        let words = ["7", "stayed", cwd].into_iter().chain(environment.iter().copied());
        let mut bytes: Vec<u8> = words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        bytes.extend_from_slice(b"end");
        bytes
    }

    fn after(before: &ShellState, cwd: &str, environment: &[&str]) -> (ShellState, Vec<String>) {
        next(before, &run(), &read(&told(cwd, environment), TOKEN).unwrap())
    }

    #[test]
    fn what_differs_from_the_runs_own_is_kept_and_told() {
        let environment = ["HOME=/home/agent", "X=a b", "PWD=/x", "SHLVL=1", "_=/bin/cat", "BASH_FUNC_f%%=() {", "odd"];
        let (state, notes) = after(&ShellState::default(), "/workspace/sub", &environment);
        assert_eq!(state.cwd.as_deref(), Some("/workspace/sub"));
        assert_eq!(state.exported, BTreeMap::from([("X".to_owned(), "a b".to_owned())]));
        assert_eq!(state.unset, BTreeSet::from(["LANG".to_owned()]));
        assert_eq!(notes, ["the next command begins in /workspace/sub, with X=a b, without LANG"]);
        let (state, notes) = after(&state, "/workspace", &["HOME=/home/agent", "LANG=C"]);
        assert_eq!(state, ShellState::default());
        let back = "the next command begins in /workspace, without X, with LANG as the run has it";
        assert_eq!(notes, [back]);
        let (_, notes) = after(&state, "/workspace", &["HOME=/home/agent", "LANG=C"]);
        assert_eq!(notes, Vec::<String>::new(), "no change, no word");
    }

    #[test]
    fn what_is_cut_short_or_of_another_step_is_not_believed() {
        let whole = told("/workspace", &["X=1"]);
        assert!(read(&whole, TOKEN).is_some());
        assert_eq!(read(&whole, CallToken(8)), None);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut], TOKEN), None, "{cut}");
        }
        for forged in [&b"7\0maybe\0/\0end"[..], b"7\0stayed\0end", b"", b"end", b"\0\0\0end"] {
            assert_eq!(read(forged, TOKEN), None, "{forged:?}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_not_is_named() {
        let many: Vec<String> = (0..200).map(|n| format!("V{n:03}=x")).collect();
        let mut environment: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = format!("LONG={}", "x".repeat(VALUE_BYTES_MAX + 1));
        environment.push(&long);
        let (state, notes) = after(&ShellState::default(), &format!("/{}", "x".repeat(CWD_BYTES_MAX)), &environment);
        assert_eq!((state.exported.len(), state.cwd), (VARIABLES_MAX, None));
        assert!(notes.iter().any(|note| note.contains("137 variables (LONG, V064")), "{notes:?}");
        assert!(notes[0].contains("cannot be kept"), "{notes:?}");
    }

    #[test]
    fn a_folder_that_is_gone_is_said() {
        let before = ShellState { cwd: Some("/workspace/gone".to_owned()), ..ShellState::default() };
        let left = Left { lost: true, cwd: b"/workspace".to_vec(), environment: Vec::new() };
        let (state, notes) = next(&before, &[], &left);
        assert_eq!(state.cwd, None);
        assert_eq!(notes[0], "/workspace/gone no longer exists: this command began in /workspace");
        let (state, notes) = after(&ShellState::default(), "", &["HOME=/home/agent", "LANG=C"]);
        assert_eq!(state.cwd, None);
        assert!(notes[0].contains("no longer exists"), "{notes:?}");
    }

    #[test]
    fn any_folder_name_is_only_a_name() {
        let state = ShellState { cwd: Some("/workspace/it's; rm -rf $HOME".to_owned()), ..ShellState::default() };
        let script = script("true", TOKEN, &state);
        assert!(script.contains(r"cd -- '/workspace/it'\''s; rm -rf $HOME' 2>/dev/null"), "{script}");
    }
}
