//! `helper`: a bounded task for a fresh agent in a copy of the workspace.
//!
//! The words of it; the driver does it, because the helper is a run of its own.

use serde::Deserialize;
use serde_json::json;

use crate::event::{RunStatus, ToolOutcome};
use crate::helper::{HELPER, HelperReport, Merge};
use crate::message::ToolSpec;

pub(super) const NAME: &str = HELPER;
const TASK_BYTES_MAX: usize = 16 << 10;
const STEPS_DEFAULT: u64 = 30;
const PERCENT_DEFAULT: u64 = 50;
/// Of what the model reads.
const ANSWER_BYTES_MAX: usize = 12 << 10;
const DIFF_BYTES_MAX: usize = 8 << 10;
const NAMES_MAX: usize = 40;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub task: String,
    #[serde(default)]
    pub writes: bool,
    #[serde(default = "steps")]
    pub steps: u64,
    #[serde(default = "percent")]
    pub budget_percent: u64,
}

fn steps() -> u64 {
    STEPS_DEFAULT
}

fn percent() -> u64 {
    PERCENT_DEFAULT
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Give a bounded task to a fresh agent with a window of its own, in a copy of the workspace and \
                      $HOME as they are now. It knows nothing of this conversation: say all it needs. You wait, and get \
                      its answer; of a helper that writes, its changes are merged into your workspace, or refused as a \
                      whole with the files named that changed here meanwhile. Good for reading much and keeping little.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "task": {"type": "string", "description": "What to find out or to do, and what the answer should hold"},
                "writes": {"type": "boolean", "description": "Whether to merge what it changes. Without it: only its \
                                                              answer counts"},
                "steps": {"type": "integer", "minimum": 1, "description": "Tool calls at most; 30 if not said. They count \
                                                                           as yours"},
                "budget_percent": {"type": "integer", "minimum": 1, "maximum": 100,
                    "description": "Its share of the tokens and the money you have left; 50 if not said"},
            },
            "required": ["task"],
            "additionalProperties": false,
        }),
    }
}

impl Args {
    /// What is wrong with them, for the model.
    pub fn refusal(&self) -> Option<String> {
        if self.task.trim().is_empty() {
            return Some("the task is empty: say what to find out or to do".into());
        }
        if self.task.len() > TASK_BYTES_MAX {
            return Some(format!("the task has {} bytes, more than {TASK_BYTES_MAX}", self.task.len()));
        }
        if self.steps == 0 {
            return Some("`steps` is 0: a helper needs at least one".into());
        }
        (self.budget_percent == 0 || self.budget_percent > 100)
            .then(|| format!("`budget_percent` is {}, not between 1 and 100", self.budget_percent))
    }
}

/// Where a call is carried out for one of several proposals.
pub(super) fn not_here() -> ToolOutcome {
    ToolOutcome::refused("a proposal cannot have helpers")
}

/// The answer to a call that only writing helpers may make.
pub fn read_only(tool: &str) -> ToolOutcome {
    ToolOutcome::refused(format!(
        "you are a helper that reads: `{tool}` is refused, and whatever else changes your copy of the workspace is thrown \
         away. Say in your answer what should be changed"
    ))
}

/// What the model that asked reads: how it ended, what became of its changes, its answer. Nothing of it depends on time or
/// price, so that a resumed run says the same.
pub fn told(report: &HelperReport, diff: &[u8]) -> String {
    let steps = if report.steps == 1 { "1 step".into() } else { format!("{} steps", report.steps) };
    let mut text = match report.status {
        RunStatus::Answered => format!("the helper answered after {steps}\n"),
        RunStatus::Infeasible => format!("the helper says after {steps} that it cannot be done: {}\n", report.reason),
        RunStatus::Limit => format!("the helper was stopped after {steps}: {}\n", report.reason),
        RunStatus::Verified | RunStatus::Unverified | RunStatus::Parked | RunStatus::Failed => {
            format!("the helper ended without an answer after {steps}: {}\n", report.reason)
        }
    };
    let changed = names(&report.files_changed);
    match &report.merge {
        Merge::Nothing => text.push_str("it changed no file\n"),
        Merge::Merged => text.push_str(&format!("merged into your workspace: {changed}\n")),
        Merge::Refused { conflicts } => text.push_str(&format!(
            "NOT merged, nothing of it: {} changed here too since it began. It had changed: {changed}\n",
            names(conflicts)
        )),
        Merge::ThrownAway if report.writes => {
            text.push_str(&format!("what it had changed so far was not merged: {changed}\n"));
        }
        Merge::ThrownAway => {
            text.push_str(&format!("it was to read only; what it changed was thrown away: {changed}\n"))
        }
    }
    if !report.answer.trim().is_empty() {
        text.push_str(&format!("\n# Its answer\n\n{}\n", cut(report.answer.trim(), ANSWER_BYTES_MAX)));
    }
    let diff = String::from_utf8_lossy(diff);
    if !diff.is_empty() && report.writes {
        text.push_str(&format!("\n# Its changes\n\n{}\n", cut(diff.trim_end(), DIFF_BYTES_MAX)));
    }
    text
}

fn names(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    match text.len() - end {
        0 => text.to_owned(),
        left => format!("{}\n[{left} bytes left out]", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        serde_json::from_str(text).expect("arguments")
    }

    #[test]
    fn a_task_is_enough_and_bad_bounds_are_told() {
        let plain = args(r#"{"task":"count the tests"}"#);
        assert_eq!((plain.refusal(), plain.writes, plain.steps, plain.budget_percent), (None, false, 30, 50));
        for bad in [
            r#"{"task":" "}"#,
            r#"{"task":"a","steps":0}"#,
            r#"{"task":"a","budget_percent":0}"#,
            r#"{"task":"a","budget_percent":101}"#,
        ] {
            assert!(args(bad).refusal().is_some(), "{bad}");
        }
    }

    #[test]
    fn a_refused_merge_names_the_files_and_keeps_the_diff_to_read() {
        let report = HelperReport {
            run: "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id"),
            status: RunStatus::Answered,
            reason: String::new(),
            writes: true,
            answer: "renamed it".into(),
            steps: 3,
            helpers: 1,
            input_tokens: 7,
            output_tokens: 5,
            cost_usd: Some(0.1),
            files_changed: vec!["a.py".into(), "b.py".into()],
            patch: None,
            merge: Merge::Refused { conflicts: vec!["b.py".into()] },
        };
        insta::assert_snapshot!(told(&report, b"-a\n+b\n"), @r"
        the helper answered after 3 steps
        NOT merged, nothing of it: b.py changed here too since it began. It had changed: a.py, b.py

        # Its answer

        renamed it

        # Its changes

        -a
        +b
        ");
        let read = HelperReport { writes: false, merge: Merge::ThrownAway, ..report };
        assert!(told(&read, b"-a\n+b\n").contains("thrown away: a.py, b.py"));
        assert!(!told(&read, b"-a\n+b\n").contains("+b"), "its answer is what counts");
    }
}
