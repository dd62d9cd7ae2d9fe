//! What a call asks and what a result says, apart from wording and from what differs by itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use regex::Regex;

use crate::message::ToolUse;

/// Tools by which the model only writes down what it thinks.
const NOTE_TOOLS: [&str; 2] = ["plan", "hypothesis"];
/// Of a call, where it is shown.
const SHOWN_CHARS_MAX: usize = 60;

/// Name and arguments, blanks and shell comments apart.
pub(super) fn call_text(call: &ToolUse) -> String {
    let text = match command(call) {
        Some(command) => {
            command.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
        }
        None => call.input.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    format!("{} {}", call.name, words.join(" "))
}

pub(super) fn shown(call: &ToolUse) -> String {
    let text = call_text(call);
    let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("`{cut}{}`", if cut.len() < text.len() { "…" } else { "" })
}

/// Files that the call names, each as one number.
pub(super) fn names(call: &ToolUse) -> Vec<u64> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[\w.@+-]*(?:/[\w.@+-]+)+|\b[\w@+-]+\.[A-Za-z]\w{0,9}\b").expect("a fixed expression")
    });
    let text = command(call).or_else(|| call.input.get("path")?.as_str()).unwrap_or_default();
    let names = PATH.find_iter(text).map(|found| found.as_str());
    let names = names.map(|name| name.trim_start_matches("/workspace/").trim_start_matches("./"));
    names.filter(|name| !name.starts_with("/tmp/")).map(|name| hash(&name)).collect()
}

/// What it asks may be answered otherwise by and by, though nobody does anything.
pub(super) fn waits(call: &ToolUse) -> bool {
    static SLEEP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bsleep +[\d.]").expect("a fixed expression"));
    match command(call) {
        Some(command) => SLEEP.is_match(command),
        None => call.name == "job" && call.input.get("action").is_some_and(|action| action == "output"),
    }
}

pub(super) fn is_note(call: &ToolUse) -> bool {
    NOTE_TOOLS.contains(&call.name.as_str())
}

fn command(call: &ToolUse) -> Option<&str> {
    call.input.get("command")?.as_str()
}

/// A result without what differs from run to run by itself: times, durations, addresses, process ids, temporary names.
pub(super) fn normalised(result: &str) -> String {
    static BY_ITSELF: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)
              0x[0-9a-fA-F]+
            | \b\d{1,4}[-/]\d{1,2}[-/]\d{1,4}\b
            | \b\d{1,2}:\d{2}(:\d{2})?([.,]\d+)?\b
            | \b\d+([.,]\d+)?\s?(ns|us|µs|ms|s|sec|secs|seconds|min|minutes)\b
            | \b(pid|PID|process|thread)[\ =:\#]*\d+
            | /tmp/[^\s:'\x22]+
            | \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        )
        .expect("a fixed expression")
    });
    BY_ITSELF.replace_all(result.trim(), "~").into_owned()
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(command: &str) -> ToolUse {
        ToolUse { id: String::new(), name: "bash".into(), input: serde_json::json!({"command": command}) }
    }

    #[test]
    fn a_file_is_named_by_its_path_however_it_is_asked_for() {
        let one = names(&bash("cat src/a.py"));
        assert_eq!(one.len(), 1);
        for other in
            ["head -n 200 ./src/a.py", "sed -n 1,200p /workspace/src/a.py | cut -f2", "wc -l src/a.py > /tmp/x"]
        {
            assert_eq!(names(&bash(other)), one, "{other}");
        }
        assert!(names(&bash("grep -rn 'x 1.5' --color=never")).is_empty());
    }

    #[test]
    fn waiting_is_what_lets_time_pass() {
        let job = |action: &str| ToolUse {
            id: String::new(),
            name: "job".into(),
            input: serde_json::json!({"action": action, "name": "web"}),
        };
        assert!(waits(&bash("sleep 0.5; tail -n 3 log")) && waits(&job("output")));
        assert!(!waits(&bash("grep -rn sleep src")) && !waits(&job("list")));
    }
}
