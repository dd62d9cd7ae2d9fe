//! What the runner itself remembers of a run for its checkpoints: commands that worked and that did not, the newest
//! failing evidence word for word, files, the model's plan and its hypotheses. Folded from events, bounded.

use std::collections::{BTreeMap, VecDeque};

use crate::event::ToolOutcome;
use crate::ledger::{HypothesisNote, PlanItem, Verdict};
use crate::message::ToolUse;

const COMMANDS_MAX: usize = 24;
const FILES_MAX: usize = 200;
const HYPOTHESES_MAX: usize = 60;
const VERDICTS_MAX: usize = 40;
const LINE_CHARS_MAX: usize = 200;
const NEWEST_LINES: usize = 4;
const EDIT_CHARS_MAX: usize = 60;
const JOBS_MAX: usize = 16;
/// Of the newest failing evidence; both ends where it is longer.
const EVIDENCE_BYTES_MAX: usize = 12_000;

#[derive(Debug, Clone, Default)]
pub struct Notebook {
    /// The newest distinct commands, oldest first.
    pub commands: VecDeque<CommandNote>,
    /// The last lines of what the newest one said.
    pub newest_lines: Vec<String>,
    pub evidence: Option<Evidence>,
    /// Files that calls named, with the step that last wrote or read them.
    pub files: BTreeMap<String, FileNote>,
    /// Commands left running under a name, as far as nobody stopped them.
    pub jobs: BTreeMap<String, String>,
    pub plan: Vec<PlanItem>,
    pub hypotheses: Vec<Hypothesis>,
    /// Attempts that left the window, a line each.
    pub verdicts: VecDeque<String>,
    /// What a person said while the run went on, word for word.
    pub said: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandNote {
    pub step: u64,
    pub command: String,
    pub worked: bool,
    /// The first line of what came back.
    pub result: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub step: u64,
    pub text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileNote {
    pub read_step: Option<u64>,
    pub written_step: Option<u64>,
    /// The newest edit by name: what by what, the first line of each.
    pub edit: Option<String>,
}

/// A guess at the cause, what speaks for or against it, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypothesis {
    pub id: u32,
    pub statement: String,
    pub evidence: String,
    pub verdict: Verdict,
    pub step: u64,
    /// Times it was refuted: once is knowledge, twice is going round in circles.
    pub refuted: u32,
}

impl Notebook {
    /// A committed tool call and what came of it.
    pub(super) fn note(&mut self, step: u64, call: &ToolUse, result: &ToolOutcome) {
        let argument = |name: &str| call.input.get(name).and_then(|value| value.as_str());
        if let Some(path) = argument("path") {
            let wrote = result.may_write && !result.is_error;
            let edit = argument("old_string").zip(argument("new_string")).filter(|_| wrote);
            self.note_file(path, step, wrote, edit);
        }
        if let ("job", Some(name)) = (call.name.as_str(), argument("name")) {
            self.note_job(argument("action"), name, argument("command"), result.is_error);
        }
        if let Some(command) = argument("command") {
            let worked = result.outcome.is_some_and(|outcome| outcome.succeeded());
            let command = line(command);
            self.commands.retain(|known| known.command != command);
            self.commands.push_back(CommandNote { step, command, worked, result: line(&result.content) });
            let lines = result.content.lines().rev().filter(|line| !line.trim().is_empty());
            self.newest_lines = lines.take(NEWEST_LINES).map(line).collect();
            self.newest_lines.reverse();
            if self.commands.len() > COMMANDS_MAX {
                self.commands.pop_front();
            }
        }
        if let Some(plan) = &result.plan {
            self.plan = plan.clone();
        }
        if let Some(noted) = &result.hypothesis {
            // It was accepted when it was made.
            let _ = self.hypothesis(step, &noted.statement, &noted.evidence, noted.verdict);
        }
        let red = result.checks.as_ref().is_some_and(|checks| checks.iter().any(|check| !check.passed()))
            || result.report.as_ref().is_some_and(crate::feedback::has_findings);
        let green = result.checks.as_ref().is_some_and(|checks| checks.iter().all(|check| check.passed()));
        if red {
            self.evidence = Some(Evidence { step, text: both_ends(&result.content, EVIDENCE_BYTES_MAX) });
        } else if green {
            self.evidence = None;
        }
    }

    fn note_job(&mut self, action: Option<&str>, name: &str, command: Option<&str>, is_error: bool) {
        match (action, command) {
            (Some("start"), Some(command)) if !is_error && self.jobs.len() < JOBS_MAX => {
                self.jobs.insert(line(name), line(command));
            }
            (Some("stop"), _) => drop(self.jobs.remove(&line(name))),
            _ => {}
        }
    }

    fn note_file(&mut self, path: &str, step: u64, wrote: bool, edit: Option<(&str, &str)>) {
        let path = path.trim_start_matches("/workspace/").trim_start_matches("./").to_owned();
        let note = self.files.entry(path).or_default();
        *(if wrote { &mut note.written_step } else { &mut note.read_step }) = Some(step);
        if let Some((old, new)) = edit {
            let short = |text: &str| line(text).chars().take(EDIT_CHARS_MAX).collect::<String>();
            note.edit = Some(format!("`{}` became `{}`", short(old), short(new)));
        }
        if self.files.len() > FILES_MAX {
            let age = |note: &FileNote| note.read_step.max(note.written_step);
            let oldest = self.files.iter().min_by_key(|(_, note)| age(note)).map(|(path, _)| path.clone());
            oldest.map(|path| self.files.remove(&path));
        }
    }

    /// The same statement again keeps its number. A refuted one opens again only with evidence it did not have.
    pub fn hypothesis(
        &mut self,
        step: u64,
        statement: &str,
        evidence: &str,
        verdict: Verdict,
    ) -> Result<&Hypothesis, String> {
        let (statement, evidence) = (line(statement), line(evidence));
        let known = self.hypotheses.iter().position(|known| key(&known.statement) == key(&statement));
        let at = match known {
            Some(at) => {
                let known = &mut self.hypotheses[at];
                let same_evidence = evidence.is_empty() || key(&known.evidence) == key(&evidence);
                if known.verdict == Verdict::Refuted && verdict != Verdict::Refuted && same_evidence {
                    return Err(format!(
                        "hypothesis {} was refuted at step {}: {}. Bring new evidence to open it again.",
                        known.id, known.step, known.evidence
                    ));
                }
                known.refuted += u32::from(verdict == Verdict::Refuted && known.verdict != Verdict::Refuted);
                known.verdict = verdict;
                known.step = step;
                if !evidence.is_empty() {
                    known.evidence = evidence;
                }
                at
            }
            None => {
                let id = self.hypotheses.last().map_or(1, |last| last.id + 1);
                let refuted = u32::from(verdict == Verdict::Refuted);
                self.hypotheses.push(Hypothesis { id, statement, evidence, verdict, step, refuted });
                if self.hypotheses.len() > HYPOTHESES_MAX {
                    self.hypotheses.remove(0);
                }
                self.hypotheses.len() - 1
            }
        };
        Ok(&self.hypotheses[at])
    }

    /// Whether what was just noted refutes a guess for another time.
    pub(super) fn refutes_again(&self, note: &HypothesisNote) -> bool {
        let known = self.hypotheses.iter().find(|known| key(&known.statement) == key(&line(&note.statement)));
        note.verdict == Verdict::Refuted && known.is_some_and(|known| known.refuted > 1)
    }

    pub(super) fn verdict(&mut self, text: &str) {
        self.verdicts.push_back(line(text));
        if self.verdicts.len() > VERDICTS_MAX {
            self.verdicts.pop_front();
        }
    }
}

/// The same statement, whatever its case and signs.
fn key(text: &str) -> String {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).collect()
}

/// The first line with something in it, cut to length.
fn line(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    first.chars().take(LINE_CHARS_MAX).collect()
}

fn both_ends(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(bytes_max * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - bytes_max / 3);
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Outcome;

    fn bash(command: &str) -> ToolUse {
        ToolUse { id: "1".into(), name: "bash".into(), input: serde_json::json!({"command": command}) }
    }

    fn exited(code: i32, content: &str) -> ToolOutcome {
        ToolOutcome { outcome: Some(Outcome::Exited { code }), ..ToolOutcome::told(content) }
    }

    #[test]
    fn the_newest_distinct_commands_are_kept_with_what_came_of_them() {
        let mut notebook = Notebook::default();
        for step in 0..100 {
            let command = format!("echo {}", step % 30);
            notebook.note(step, &bash(&command), &exited((step % 2) as i32, "\n  first\nsecond"));
        }
        assert_eq!(notebook.commands.len(), COMMANDS_MAX);
        let last = notebook.commands.back().expect("one");
        assert_eq!((last.command.as_str(), last.worked, last.result.as_str()), ("echo 9", false, "first"));
    }

    #[test]
    fn what_was_left_running_and_how_a_file_was_edited_are_remembered() {
        let call = |name: &str, input| ToolUse { id: "1".into(), name: name.into(), input };
        let mut notebook = Notebook::default();
        let job = |action: &str, name: &str| {
            call("job", serde_json::json!({"action": action, "name": name, "command": "python3 -m http.server"}))
        };
        for call in [job("start", "web"), job("start", "log"), job("output", "web"), job("stop", "log")] {
            notebook.note(0, &call, &ToolOutcome::told("ok"));
        }
        assert_eq!(notebook.jobs.keys().collect::<Vec<_>>(), ["web"]);
        let edit = serde_json::json!({"path": "./a.py", "old_string": "return 1\n", "new_string": "return 2\n"});
        let edited = ToolOutcome { may_write: true, ..ToolOutcome::told("edited") };
        notebook.note(1, &call("edit_file", edit), &edited);
        assert_eq!(notebook.files["a.py"].edit.as_deref(), Some("`return 1` became `return 2`"));
    }

    #[test]
    fn a_refuted_hypothesis_opens_again_only_with_new_evidence() {
        let mut notebook = Notebook::default();
        notebook.hypothesis(1, "The cache is stale", "", Verdict::Open).expect("new");
        notebook.hypothesis(2, "the cache is stale.", "cleared it, still red", Verdict::Refuted).expect("known");
        let refusal = notebook.hypothesis(3, "The cache is stale", "", Verdict::Open).expect_err("refuted");
        assert_eq!(
            refusal,
            "hypothesis 1 was refuted at step 2: cleared it, still red. Bring new evidence to open it again."
        );
        let again =
            notebook.hypothesis(4, "The cache is stale", "the log shows a hit", Verdict::Open).expect("evidence");
        assert_eq!((again.id, again.refuted), (1, 1));
        let note = HypothesisNote {
            statement: "The cache is stale!".into(),
            evidence: "the hit is another one's".into(),
            verdict: Verdict::Refuted,
        };
        assert!(!notebook.refutes_again(&note));
        notebook.hypothesis(5, &note.statement, &note.evidence, note.verdict).expect("known");
        assert!(notebook.refutes_again(&note));
    }

    #[test]
    fn long_evidence_keeps_both_ends() {
        let text = format!("first{}last", "é".repeat(20_000));
        let kept = both_ends(&text, EVIDENCE_BYTES_MAX);
        assert!(kept.starts_with("first") && kept.ends_with("last") && kept.len() < EVIDENCE_BYTES_MAX + 100);
    }
}
