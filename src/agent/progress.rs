//! Whether a run moves. It does while a step shows something that was not there before: a tree, a way from one tree
//! to another, or an answer that the present window has not seen. What stands still is told to the model, then shown
//! to it in a fresh window, and then ends the run.
//!
//! The signal is (call, result, tree): an unchanged tree with an unchanged result is no progress, however the call was
//! worded, and an edit that leads along a way already gone (edit and undo, A-B-A-B) is none either. An edit followed
//! by a check is progress as long as the edits differ, so that working in small steps is never taken for a loop.
//! A circle that is longer than a window is seen by nobody but the budgets.

mod tree;
mod words;

use std::collections::{HashSet, VecDeque};

use self::tree::NamedTree;
use self::words::{call_text, hash, is_note, names, normalised, shown, waits};
use crate::message::ToolUse;

/// Steps in a row without anything new after which the model is told.
pub const TELL_STEPS: u32 = 3;
/// And again after so many more.
const TELL_AGAIN_STEPS: u32 = 5;
/// After which it gets a fresh window.
pub const FRESH_STEPS: u32 = 6;
/// Fresh windows that may lead nowhere.
const FRESH_WINDOWS_MAX: u32 = 2;
/// After which the run ends.
pub const STOP_STEPS: u32 = 10;
/// A call that says the same each time and yet writes may be getting on where nobody looks, and one that waits lets
/// others get on: both are given so many times the steps before the window goes and the run ends.
const PATIENCE: u32 = 3;
/// The same for answers that differ each time though calls and tree do not: waiting for something looks like that too.
const SAME_CALLS_TELL_STEPS: u32 = 5;
const SAME_CALLS_STOP_STEPS: u32 = 40;
/// So many different calls, over and over, are still the same calls.
const SAME_CALLS_DISTINCT_MAX: usize = 6;
/// A result shorter than this says too little to be the same answer to another question.
const TELLING_RESULT_BYTES: usize = 80;
/// Notes in a row (a plan, a guess) that count as something new.
const NOTES_MAX: u32 = 3;
/// Check runs in a row with the very same failures, whatever was edited between them, after which the model is told.
const SAME_FAILURES_TELL_RUNS: u32 = 5;

/// One committed tool call as this module sees it.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub call: &'a ToolUse,
    /// What the model read.
    pub result: &'a str,
    /// The call wrote the file that it names.
    pub wrote_by_name: bool,
    /// Whether the call left some file other than it was: perhaps a cache, perhaps the work itself.
    pub wrote: bool,
    /// Names the set of failures, where the call was a check run that failed.
    pub failures: Option<u64>,
    /// The call refutes a guess that was refuted before.
    pub refuted_again: bool,
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
    /// What a command did to the files is in what it and the next one print.
    tree: NamedTree,
    /// Ways from one tree to another.
    ways: HashSet<(u64, u64)>,
    /// Answers the present window holds, by the tree they were given for.
    answers: HashSet<u64>,
    /// Files that its calls have named.
    names: HashSet<u64>,
    /// Steps in a row that showed nothing new, and the newest of them for people.
    idle: u32,
    idle_calls: VecDeque<String>,
    /// Some of them wrote or waited: more patience is due.
    idle_patient: bool,
    notes: u32,
    /// Fresh windows wanted since the tree last went somewhere new.
    fresh_windows: u32,
    recent_calls: VecDeque<u64>,
    /// Steps in a row that left the tree and used calls of `recent_calls` only.
    same_calls: u32,
    same_calls_waited: bool,
    failures: Option<u64>,
    same_failures: u32,
}

impl Progress {
    pub fn observe(&mut self, step: Observed<'_>) -> Standing {
        let before = self.tree.name();
        if step.wrote_by_name {
            self.tree.note(step.call);
        }
        let moved = self.tree.name() != before;
        let news = match moved {
            true => {
                let new = self.ways.insert((before, self.tree.name()));
                if new {
                    self.fresh_windows = 0;
                }
                new
            }
            false => self.is_news(&step),
        };
        self.note_idle(&step, news);
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
        self.names.clear();
        self.recent_calls.clear();
        self.same_calls = 0;
    }

    /// An answer that the window does not hold yet. The same words about another file are another answer.
    fn is_news(&mut self, step: &Observed<'_>) -> bool {
        let names_new = names(step.call).into_iter().filter(|name| self.names.insert(*name)).count() > 0;
        let (tree, result) = (self.tree.name(), normalised(step.result));
        let new_words = self.answers.insert(hash(&(tree, &result)));
        let new_question = self.answers.insert(hash(&(tree, &result, call_text(step.call))));
        let new = if result.len() < TELLING_RESULT_BYTES || names_new { new_question } else { new_words };
        self.notes = if is_note(step.call) { self.notes + 1 } else { 0 };
        new && self.notes <= NOTES_MAX
    }

    fn note_idle(&mut self, step: &Observed<'_>, news: bool) {
        if news {
            (self.idle, self.idle_patient) = (0, false);
            self.idle_calls.clear();
            return;
        }
        self.idle += 1;
        self.idle_patient |= step.wrote || waits(step.call);
        let call = shown(step.call);
        self.idle_calls.retain(|known| *known != call);
        self.idle_calls.push_back(call);
        if self.idle_calls.len() > TELL_STEPS as usize {
            self.idle_calls.pop_front();
        }
    }

    fn note_call(&mut self, step: &Observed<'_>, moved: bool) {
        let call = hash(&call_text(step.call));
        if moved || !self.recent_calls.contains(&call) {
            (self.same_calls, self.same_calls_waited) = (0, false);
            if self.recent_calls.len() == SAME_CALLS_DISTINCT_MAX {
                self.recent_calls.pop_front();
            }
            self.recent_calls.push_back(call);
        } else {
            self.same_calls += 1;
            self.same_calls_waited |= waits(step.call);
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
        let times = |patient: bool| if patient { PATIENCE } else { 1 };
        let patience = times(self.idle_patient);
        if idle >= STOP_STEPS * patience {
            return Standing::Stop(format!("the last {idle} steps changed nothing and showed nothing new"));
        }
        if self.same_calls >= SAME_CALLS_STOP_STEPS * times(self.same_calls_waited) {
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
        if idle >= TELL_STEPS && (idle - TELL_STEPS).is_multiple_of(TELL_AGAIN_STEPS) {
            let calls = self.idle_calls.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Standing::Tell(format!(
                "The last {idle} steps changed nothing and showed nothing new ({calls}): the same calls give the same \
                 answers, or an edit was made and undone again. Do something different: another cause, another file, \
                 a smaller experiment."
            ));
        }
        if self.same_calls > 0 && idle < TELL_STEPS && self.same_calls.is_multiple_of(SAME_CALLS_TELL_STEPS) {
            let n = self.same_calls;
            return Standing::Tell(format!(
                "The last {n} steps repeated the same few calls on an unchanged tree. If you wait for something, wait \
                 for it in one call; otherwise do something different."
            ));
        }
        if step.refuted_again {
            return Standing::Tell(
                "This guess was refuted before, was opened again, and is refuted again. Leave it: the cause is \
                 elsewhere."
                    .into(),
            );
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

#[cfg(test)]
mod tests;
