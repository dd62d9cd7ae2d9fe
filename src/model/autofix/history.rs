//! What the conversation so far tells: files as they are now, how the checks stand, what was tried.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::path;
use crate::message::{Block, Message, Role, ToolUse};
use crate::network::INSTALL;

/// How the checks stand, as far as the conversation shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Checks {
    /// Not run yet in this conversation.
    #[default]
    NotRun,
    /// A file was changed after they ran.
    Outdated,
    Passed,
    /// Passed, and `submit` did not end the run.
    PassedAndSubmitted,
    Failed,
}

/// A fold over the messages: the only memory there is.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) checks: Checks,
    /// A compiler was asked for its machine format after the checks last ran.
    pub(super) inspected: bool,
    /// What the last install was answered, where it was refused.
    pub(super) install_refused: Option<String>,
    /// Answers given so far.
    pub(super) turns: usize,
    files: BTreeMap<String, Seen>,
    unreadable: BTreeSet<String>,
    attempts: Vec<Attempt>,
}

/// One earlier answer that carried out suggestions.
#[derive(Debug, Default)]
struct Attempt {
    keys: Vec<String>,
    edits: Vec<(String, String, String)>,
}

/// What `read_file` showed of a file since it last changed.
#[derive(Debug, Default)]
struct Seen {
    lines: BTreeMap<usize, String>,
    total: usize,
}

/// What is known of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Whole(Vec<String>),
    /// To be read from this line on.
    From(usize),
    Unreadable,
}

impl History {
    pub(super) fn read(messages: &[Message]) -> History {
        let mut history = History::default();
        let mut calls: HashMap<&str, &ToolUse> = HashMap::new();
        for message in messages {
            if message.role == Role::Assistant {
                history.turns += 1;
                history.attempts.extend(Attempt::of(message));
            }
            for block in &message.content {
                match block {
                    Block::ToolUse(call) => {
                        calls.insert(&call.id, call);
                    }
                    Block::ToolResult { tool_use_id, content, is_error } => {
                        if let Some(call) = calls.get(tool_use_id.as_str()) {
                            history.apply(call, content, *is_error);
                        }
                    }
                    Block::Text { .. } | Block::Thinking { .. } | Block::RedactedThinking { .. } => {}
                }
            }
        }
        history
    }

    pub(super) fn file(&self, path: &str) -> Known {
        if self.unreadable.contains(path) {
            return Known::Unreadable;
        }
        let Some(seen) = self.files.get(path) else { return Known::From(1) };
        match (1..=seen.total).find(|number| !seen.lines.contains_key(number)) {
            Some(missing) => Known::From(missing),
            None => Known::Whole(seen.lines.values().cloned().collect()),
        }
    }

    /// Whether the suggestion with this key was carried out in `file` before, at `line` or to make `line` what it is.
    /// Without a line, whether it was carried out in that file at all.
    pub(super) fn tried(&self, key: &str, file: &str, line: Option<&str>) -> bool {
        let shows = |text: &str| line.is_none_or(|line| text.lines().any(|shown| shown.trim() == line.trim()));
        self.attempts
            .iter()
            .filter(|attempt| attempt.keys.iter().any(|tried| tried == key))
            .any(|attempt| attempt.edits.iter().any(|(path, old, new)| path == file && (shows(old) || shows(new))))
    }

    /// Whether an earlier answer made this very edit, whoever suggested it then.
    pub(super) fn made(&self, call: &Value) -> bool {
        let field = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(file) = path::own(field("path")) else { return false };
        let edit = (file, field("old_string").to_owned(), field("new_string").to_owned());
        self.attempts.iter().any(|attempt| attempt.edits.contains(&edit))
    }

    /// Whether an earlier answer names this key, whatever it did.
    pub(super) fn named(&self, key: &str) -> bool {
        self.attempts.iter().any(|attempt| attempt.keys.iter().any(|tried| tried == key))
    }

    fn apply(&mut self, call: &ToolUse, content: &str, is_error: bool) {
        let file = call.input.get("path").and_then(Value::as_str).and_then(path::own);
        match (call.name.as_str(), file) {
            ("read_file", Some(file)) => self.saw(file, content, is_error),
            ("edit_file" | "write_file", Some(file)) => {
                // A refused edit shows that the file is not what it seemed: either way it is to be read again.
                self.files.remove(&file);
                if !is_error {
                    self.unreadable.remove(&file);
                    self.checks = Checks::Outdated;
                }
            }
            ("bash", _) => {
                let command = call.input.get("command").and_then(Value::as_str).unwrap_or_default();
                if super::rust::is_inspection(command) {
                    self.inspected = true;
                } else {
                    self.files.clear();
                    self.unreadable.clear();
                    self.checks = Checks::Outdated;
                }
            }
            (INSTALL, _) if is_error => self.install_refused = content.lines().next().map(str::to_owned),
            (INSTALL, _) => {
                self.install_refused = None;
                self.files.clear();
                self.unreadable.clear();
                self.checks = Checks::Outdated;
            }
            ("run_checks", _) => {
                self.checks = if content.starts_with("checks: PASS") { Checks::Passed } else { Checks::Failed };
                self.inspected = false;
            }
            ("submit", _) if self.checks == Checks::Passed => self.checks = Checks::PassedAndSubmitted,
            _other_tools_change_nothing => {}
        }
    }

    fn saw(&mut self, file: String, content: &str, is_error: bool) {
        let shown = if is_error { None } else { parse_listing(content) };
        let Some((total, lines)) = shown else {
            self.unreadable.insert(file);
            return;
        };
        let seen = self.files.entry(file.clone()).or_default();
        let known_before = seen.lines.len();
        seen.total = total;
        seen.lines.extend(lines);
        // Asking again for what is not shown would never end.
        if seen.lines.len() == known_before && known_before < total {
            self.unreadable.insert(file);
        }
    }
}

impl Attempt {
    fn of(message: &Message) -> Option<Attempt> {
        let mut attempt = Attempt::default();
        for block in &message.content {
            match block {
                Block::Text { text } => attempt.keys.extend(super::keys_in(text)),
                Block::ToolUse(call) => {
                    let field = |name| call.input.get(name).and_then(Value::as_str);
                    if let Some(file) = field("path").and_then(path::own) {
                        let new = field("new_string").or(field("content")).unwrap_or_default();
                        attempt.edits.push((file, field("old_string").unwrap_or_default().into(), new.into()));
                    }
                }
                Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolResult { .. } => {}
            }
        }
        (!attempt.keys.is_empty()).then_some(attempt)
    }
}

/// Reads what `read_file` answers: `path (lines 1-40 of 40)`, then a number, a tab and the text for each line.
fn parse_listing(content: &str) -> Option<(usize, Vec<(usize, String)>)> {
    let (head, body) = content.split_once('\n').unwrap_or((content, ""));
    let (_, range) = head.trim_end().strip_suffix(')')?.rsplit_once(" (lines ")?;
    let (range, total) = range.split_once(" of ")?;
    let first: usize = range.split_once('-')?.0.parse().ok()?;
    let total = total.parse().ok()?;
    let mut lines = Vec::new();
    for (number, line) in (first.max(1)..).zip(body.split('\n')) {
        match line.split_once('\t') {
            Some((printed, text)) if printed.trim().parse() == Ok(number) => lines.push((number, text.to_owned())),
            Some(_) | None => break,
        }
    }
    Some((total, lines))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str, name: &str, input: Value) -> Message {
        let call = ToolUse { id: id.into(), name: name.into(), input };
        Message { role: Role::Assistant, content: vec![Block::ToolUse(call)] }
    }

    fn result(id: &str, content: &str) -> Message {
        let block = Block::ToolResult { tool_use_id: id.into(), content: content.into(), is_error: false };
        Message { role: Role::User, content: vec![block] }
    }

    #[test]
    fn a_long_file_is_known_once_all_its_parts_were_seen() {
        let mut messages = vec![
            call("1", "read_file", json!({"path": "a.py"})),
            result("1", "a.py (lines 1-2 of 3)\n     1\tone\n     2\t\ttwo\t"),
        ];
        assert_eq!(History::read(&messages).file("a.py"), Known::From(3));
        messages.push(call("2", "read_file", json!({"path": "./a.py", "start_line": 3})));
        messages.push(result("2", "a.py (lines 3-3 of 3)\n     3\tthree\n"));
        let lines = ["one", "\ttwo\t", "three"].map(str::to_owned).to_vec();
        assert_eq!(History::read(&messages).file("a.py"), Known::Whole(lines));
    }

    #[test]
    fn an_edit_makes_a_file_unknown_and_the_checks_outdated() {
        let messages = [
            call("1", "read_file", json!({"path": "a.py"})),
            result("1", "a.py (lines 1-1 of 1)\n     1\tone"),
            call("2", "edit_file", json!({"path": "a.py", "old_string": "one", "new_string": "two"})),
            result("2", "edited a.py"),
        ];
        let history = History::read(&messages);
        assert_eq!(history.file("a.py"), Known::From(1));
        assert_eq!(history.checks, Checks::Outdated);
    }

    #[test]
    fn a_file_that_stays_hidden_is_not_asked_for_again() {
        let read = || call("1", "read_file", json!({"path": "a.py"}));
        let shown = || result("1", "a.py (lines 1-1 of 2)\n     1\tone");
        assert_eq!(History::read(&[read(), shown(), read(), shown()]).file("a.py"), Known::Unreadable);
    }
}
