//! Whether a run moves. It does while a step shows something that was not there before: a tree, a way from one tree
//! to another, or an answer that the present window has not seen. What stands still is told to the model, then shown
//! to it in a fresh window, and then ends the run.
//!
//! The signal is (call, result, tree): an unchanged tree with an unchanged result is no progress, however the call was
//! worded, and an edit that leads along a way already gone (edit and undo, A-B-A-B) is none either. An edit followed
//! by a check is progress as long as the edits differ, so that working in small steps is never taken for a loop.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use regex::Regex;

use crate::message::ToolUse;

/// Steps in a row without anything new after which the model is told.
pub const TELL_STEPS: u32 = 3;
/// After which it gets a fresh window.
pub const FRESH_STEPS: u32 = 6;
/// Fresh windows that may lead nowhere.
const FRESH_WINDOWS_MAX: u32 = 2;
/// After which the run ends.
pub const STOP_STEPS: u32 = 10;
/// A call that says the same each time and yet writes may be getting on where nobody looks.
const WRITERS_PATIENCE: u32 = 3;
/// The same for answers that differ each time though calls and tree do not: waiting for something looks like that too.
const SAME_CALLS_TELL_STEPS: u32 = 5;
const SAME_CALLS_STOP_STEPS: u32 = 40;
/// So many different calls, over and over, are still the same calls.
const SAME_CALLS_DISTINCT_MAX: usize = 3;
/// A result shorter than this says too little to be the same answer to another question.
const TELLING_RESULT_BYTES: usize = 80;
/// Check runs in a row with the very same failures, whatever was edited between them, after which the model is told.
const SAME_FAILURES_TELL_RUNS: u32 = 5;

/// One committed tool call as this module sees it.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub call: &'a ToolUse,
    /// What the model read.
    pub result: &'a str,
    /// Names the tree after the call, as far as calls that write by name tell.
    pub tree: u64,
    /// Whether the call left some file other than it was: perhaps a cache, perhaps the work itself.
    pub wrote: bool,
    /// Names the set of failures, where the call was a check run that failed.
    pub failures: Option<u64>,
}

/// What follows from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Moving,
    /// Goes to the model with the evidence.
    Tell(String),
    /// The attempts leave the window; this one line stays.
    Fresh(String),
    /// Ends the run as `limit`, reason `no_progress`.
    Stop(String),
}

/// What was seen so far. Grows by a few words a step.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    tree: Option<u64>,
    /// Ways from one tree to another.
    ways: HashSet<(u64, u64)>,
    /// Answers the present window holds, by the tree they were given for.
    answers: HashSet<u64>,
    /// Steps in a row that showed nothing new.
    idle: u32,
    /// Some of them wrote: more patience is due.
    idle_wrote: bool,
    /// Fresh windows wanted since the tree last went somewhere new.
    fresh_windows: u32,
    recent_calls: VecDeque<u64>,
    /// Steps in a row that left the tree and used calls of `recent_calls` only.
    same_calls: u32,
    failures: Option<u64>,
    same_failures: u32,
}

impl Progress {
    pub fn observe(&mut self, step: Observed<'_>) -> Standing {
        let moved = self.tree != Some(step.tree);
        let news = match self.tree.replace(step.tree) {
            Some(before) if moved => {
                let new = self.ways.insert((before, step.tree));
                if new {
                    self.fresh_windows = 0;
                }
                new
            }
            Some(_) | None => self.answers.insert(answer(&step)),
        };
        self.idle = if news { 0 } else { self.idle + 1 };
        self.idle_wrote = !news && (self.idle_wrote || step.wrote);
        self.note_call(&step, moved);
        self.note_failures(&step);
        let standing = self.standing(&step);
        if let Standing::Fresh(_) = standing {
            self.fresh_windows += 1;
        }
        standing
    }

    /// A new window knows nothing: reading again what left it is no repetition. Ways between trees stay known.
    pub fn window_rebuilt(&mut self) {
        self.answers.clear();
        self.recent_calls.clear();
        self.same_calls = 0;
    }

    fn note_call(&mut self, step: &Observed<'_>, moved: bool) {
        let call = hash(&call_text(step.call));
        if moved || !self.recent_calls.contains(&call) {
            self.same_calls = 0;
            if self.recent_calls.len() == SAME_CALLS_DISTINCT_MAX {
                self.recent_calls.pop_front();
            }
            self.recent_calls.push_back(call);
        } else {
            self.same_calls += 1;
        }
    }

    fn note_failures(&mut self, step: &Observed<'_>) {
        let Some(failures) = step.failures else { return };
        self.same_failures = if self.failures == Some(failures) { self.same_failures + 1 } else { 1 };
        self.failures = Some(failures);
    }

    fn standing(&self, step: &Observed<'_>) -> Standing {
        let tool = &step.call.name;
        let idle = self.idle;
        let patience = if self.idle_wrote { WRITERS_PATIENCE } else { 1 };
        if idle >= STOP_STEPS * patience {
            return Standing::Stop(format!("the last {idle} steps changed nothing and showed nothing new"));
        }
        if self.same_calls >= SAME_CALLS_STOP_STEPS {
            let n = self.same_calls;
            return Standing::Stop(format!("the last {n} steps repeated the same few calls on an unchanged tree"));
        }
        if idle >= FRESH_STEPS * patience && self.fresh_windows >= FRESH_WINDOWS_MAX {
            return Standing::Stop(format!(
                "{FRESH_WINDOWS_MAX} fresh windows led to no new tree, and the last {idle} steps showed nothing new"
            ));
        }
        if idle == FRESH_STEPS * patience {
            return Standing::Fresh(format!(
                "{idle} steps in a row, the last with `{tool}`, led to trees and answers that were there before: \
                 that approach is exhausted"
            ));
        }
        if idle == TELL_STEPS {
            return Standing::Tell(format!(
                "The last {idle} steps changed nothing and showed nothing new: the same calls give the same answers, \
                 or an edit was made and undone again. Do something different: another cause, another file, a smaller \
                 experiment."
            ));
        }
        if self.same_calls > 0 && self.same_calls.is_multiple_of(SAME_CALLS_TELL_STEPS) {
            let n = self.same_calls;
            return Standing::Tell(format!(
                "The last {n} steps repeated the same few calls on an unchanged tree. If you wait for something, wait \
                 for it in one call; otherwise do something different."
            ));
        }
        if step.failures.is_some()
            && self.same_failures > 1
            && self.same_failures.is_multiple_of(SAME_FAILURES_TELL_RUNS)
        {
            let n = self.same_failures;
            return Standing::Tell(format!(
                "{n} check runs in a row failed in exactly the same way, whatever was edited between them. The edits \
                 do not reach the cause: find out first which code the failing check really runs."
            ));
        }
        Standing::Moving
    }
}

fn answer(step: &Observed<'_>) -> u64 {
    let result = normalised(step.result);
    let question = (result.len() < TELLING_RESULT_BYTES).then(|| call_text(step.call));
    hash(&(step.tree, result, question))
}

/// Name and arguments, blanks and shell comments apart.
fn call_text(call: &ToolUse) -> String {
    let text = match call.input.get("command").and_then(|command| command.as_str()) {
        Some(command) => {
            command.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
        }
        None => call.input.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    format!("{} {}", call.name, words.join(" "))
}

/// A result without what differs from run to run by itself: times, durations, addresses, process ids, temporary names.
fn normalised(result: &str) -> String {
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

fn hash(value: &impl Hash) -> u64 {
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

    /// (command, result, tree) in order; what followed each.
    fn story(steps: &[(&str, &str, u64)]) -> Vec<Standing> {
        let mut progress = Progress::default();
        steps
            .iter()
            .map(|&(command, result, tree)| {
                let call = bash(command);
                progress.observe(Observed { call: &call, result, tree, wrote: false, failures: None })
            })
            .collect()
    }

    fn told(standings: &[Standing]) -> Option<usize> {
        standings.iter().position(|standing| *standing != Standing::Moving)
    }

    #[test]
    fn the_same_call_with_the_same_answer_is_told_then_rebuilt_then_ends() {
        let standings = story(&[("cat a.py", "print(1)", 1); 12]);
        assert_eq!(told(&standings), Some(TELL_STEPS as usize));
        assert!(matches!(standings[FRESH_STEPS as usize], Standing::Fresh(_)));
        assert!(matches!(standings[STOP_STEPS as usize], Standing::Stop(_)));
    }

    #[test]
    fn a_call_that_writes_each_time_is_told_and_given_time() {
        let mut progress = Progress::default();
        let call = bash("./migrate --next");
        let observe =
            |_| progress.observe(Observed { call: &call, result: "done", tree: 0, wrote: true, failures: None });
        let standings: Vec<_> = (0..31).map(observe).collect();
        assert_eq!(told(&standings), Some(TELL_STEPS as usize));
        assert!(!standings[..18].iter().any(|standing| matches!(standing, Standing::Fresh(_) | Standing::Stop(_))));
        assert!(matches!(standings[30], Standing::Stop(_)));
    }

    #[test]
    fn other_words_for_the_same_answer_are_the_same() {
        let file = "a line of the file that is long enough to be told apart from any other answer\n".repeat(3);
        let standings = story(&[
            ("cat a.py", &file, 1),
            ("sed -n 1,200p a.py", &file, 1),
            ("head -n 200 a.py", &file, 1),
            ("cat  ./a.py", &file, 1),
        ]);
        assert_eq!(told(&standings), Some(3));
    }

    #[test]
    fn edit_and_undo_leads_along_ways_already_gone() {
        let steps: Vec<_> =
            (0..8).map(|n| if n % 2 == 0 { ("sed -i s/a/b/ x", "", 2) } else { ("git checkout x", "", 1) }).collect();
        let mut all = vec![("cat x", "a", 1)];
        all.extend(steps);
        assert!(told(&story(&all)).is_some_and(|step| step <= 6));
    }

    #[test]
    fn small_steps_with_the_same_red_answer_are_progress() {
        let steps: Vec<_> = (0..40).map(|n| ("pytest -q", "1 failed in 0.02s", n)).collect();
        assert_eq!(told(&story(&steps)), None);
    }

    #[test]
    fn times_addresses_and_temporary_names_are_no_news() {
        let texts: Vec<String> =
            (0..6).map(|n| format!("{n} ms, object at 0x7f{n}, /tmp/tmp{n}/x, 12:00:0{n}: failed")).collect();
        let steps: Vec<_> = texts.iter().map(|text| ("pytest -q", text.as_str(), 1)).collect();
        assert_eq!(told(&story(&steps)), Some(3));
    }

    #[test]
    fn reading_again_after_a_rebuild_is_no_repetition() {
        let mut progress = Progress::default();
        let files: Vec<ToolUse> = (0..9).map(|n| bash(&format!("cat {n}"))).collect();
        for _ in 0..3 {
            for (n, call) in files.iter().enumerate() {
                let result = format!("content {n}");
                let standing =
                    progress.observe(Observed { call, result: &result, tree: 1, wrote: false, failures: None });
                assert_eq!(standing, Standing::Moving);
            }
            progress.window_rebuilt();
        }
    }

    #[test]
    fn the_same_failures_after_many_edits_are_told_once_in_a_while() {
        let mut progress = Progress::default();
        let call = bash("pytest");
        let standings: Vec<_> = (0..10)
            .map(|tree| {
                progress.observe(Observed { call: &call, result: "1 failed", tree, wrote: true, failures: Some(7) })
            })
            .collect();
        let told: Vec<_> =
            standings.iter().enumerate().filter(|(_, s)| matches!(s, Standing::Tell(_))).map(|(n, _)| n).collect();
        assert_eq!(told, [4, 9]);
    }
}
