//! By which rules a patch is judged, and what a verification found beside the results of the checks themselves.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_parsers::{Report, TestStatus};
use serde::{Deserialize, Serialize};

use crate::id::BlobId;
use crate::message::Usage;

/// What the operator says about judging; frozen with the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    #[serde(default)]
    pub strictness: Strictness,
    /// Globs of paths that a run may not change, beside those that are protected by convention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<String>,
    /// Globs of paths that it may change although they are protected. Wins over `protect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_change: Vec<String>,
    /// Acceptance criteria in words, which a second reader must see met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<String>,
    #[serde(default)]
    pub candidates: Candidates,
    /// How often the baseline is run, to tell flaky tests apart; a slow one is run once.
    #[serde(default = "two")]
    pub baseline_runs: u32,
    /// What tools suggest is carried out and checked before a model is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reflex: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Protected paths come from the pristine tree, tests must reappear, planted tests must fail.
    #[default]
    Strict,
    /// The checks on the tree plus the patch, whatever is in it.
    Plain,
}

/// How many proposals a turn may bring, and when more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    pub count: u32,
    pub when: When,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once the run was told that it stands still.
    #[default]
    Stuck,
    /// Whenever the checks are red.
    Always,
}

impl Default for Candidates {
    fn default() -> Self {
        Candidates { count: 1, when: When::Stuck }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            strictness: Strictness::Strict,
            protect: Vec::new(),
            may_change: Vec::new(),
            goals: Vec::new(),
            candidates: Candidates::default(),
            baseline_runs: two(),
            reflex: false,
        }
    }
}

fn two() -> u32 {
    2
}

/// Why a finding stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    ProtectedChanged,
    ProtectedAdded,
    TestDeleted,
    TestSkipped,
    ExpectedFailure,
    AssertionRemoved,
    ExpectedChanged,
    TimeoutChanged,
    CoverageExclusion,
    LockWithoutManifest,
    RunnerTouched,
    KnowsItIsTested,
    ForgedOutput,
    EndsEarly,
    LeavesProcess,
    Suppression,
    CheckRed,
    NoEvidence,
    TestMissing,
    PlantedPassed,
    NotProven,
    OnlyWithNewTests,
    Flaky,
    ManifestChanged,
    PackageAdded,
    CriterionUnproven,
    Judge,
}

/// Whether a finding stands in the way of `verified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    Objection,
    /// For the reader of the patch.
    Note,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub weight: Weight,
    pub rule: Rule,
    /// Relative to the repository.
    pub file: Option<String>,
    /// Of the file as the run left it; of the pristine one where the run removed the line.
    pub line: Option<u32>,
    pub message: String,
    /// The words it is about, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Of what a finding quotes.
pub const EVIDENCE_CHARS_MAX: usize = 200;

impl Finding {
    pub fn objection(rule: Rule, message: impl Into<String>) -> Self {
        Finding { weight: Weight::Objection, rule, file: None, line: None, message: message.into(), evidence: None }
    }

    pub fn note(rule: Rule, message: impl Into<String>) -> Self {
        Finding { weight: Weight::Note, ..Finding::objection(rule, message) }
    }

    pub fn at(self, file: impl Into<String>, line: impl Into<Option<u32>>) -> Self {
        Finding { file: Some(file.into()), line: line.into(), ..self }
    }

    pub fn quoting(self, text: &str) -> Self {
        Finding { evidence: Some(text.trim().chars().take(EVIDENCE_CHARS_MAX).collect()), ..self }
    }

    pub fn is_objection(&self) -> bool {
        self.weight == Weight::Objection
    }

    /// `tests/test_a.py:3`, as far as it is known.
    pub fn place(&self) -> Option<String> {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => Some(format!("{file}:{line}")),
            (Some(file), None) => Some(file.clone()),
            (None, _) => None,
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place() {
            Some(place) => write!(f, "{place}: {}", self.message)?,
            None => f.write_str(&self.message)?,
        }
        match &self.evidence {
            Some(evidence) => write!(f, ": {evidence}"),
            None => Ok(()),
        }
    }
}

/// What was fixed before the agent started, for the verification to hold on to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Files that the checks are believed to depend on and that a run may not change.
    pub protected_files: u64,
    /// One hash over their paths, modes and contents.
    pub protected_digest: BlobId,
    /// How often the checks were run.
    pub runs: u32,
    /// `Vec<TestsSeen>` as JSON, one a check.
    pub tests: BlobId,
    /// Tests that were not the same in each run, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<String>,
}

/// The tests of one check, as its runner told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsSeen {
    /// Names of the parsers that recognised something.
    pub tools: Vec<String>,
    /// Those that the runner named.
    pub listed: BTreeMap<String, TestStatus>,
    /// Counts include those it did not name.
    pub executed: u64,
    pub skipped: u64,
    /// Ids whose status or presence differed between runs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flaky: BTreeSet<String>,
    /// Runs differed in whether the check passed.
    #[serde(default)]
    pub verdict_differed: bool,
}

impl TestsSeen {
    pub fn of(report: &Report) -> Self {
        let summary = &report.summary;
        TestsSeen {
            tools: report.tools.clone(),
            listed: report.tests.iter().map(|test| (test.id.clone(), test.status)).collect(),
            executed: summary.passed + summary.failed + summary.errors + summary.xfailed + summary.xpassed,
            skipped: summary.skipped,
            flaky: BTreeSet::new(),
            verdict_differed: false,
        }
    }

    /// With what a second run of the same tree shows to be unsteady.
    pub fn again(mut self, second: &TestsSeen) -> Self {
        let ids: BTreeSet<&String> = self.listed.keys().chain(second.listed.keys()).collect();
        let differs = |id: &&&String| self.listed.get(**id) != second.listed.get(**id);
        let flaky: BTreeSet<String> = ids.iter().filter(differs).map(|id| (*id).clone()).collect();
        self.executed = self.executed.min(second.executed);
        self.skipped = self.skipped.max(second.skipped);
        self.flaky.extend(flaky);
        self
    }
}

/// Whether a result by this name speaks for a test: some runners name what failed, and of the rest only the package.
pub fn stands_for(suite: &str, test: &str) -> bool {
    test.strip_prefix(suite).is_some_and(|rest| rest.starts_with("::"))
}

/// What asking a second reader took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Read {
    pub model: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `None` where the model's price is not known.
    pub cost_usd: Option<f64>,
}

impl Read {
    pub fn add(&mut self, usage: &Usage, cost_usd: Option<f64>) {
        let asked_before = self.input_tokens + self.output_tokens > 0;
        self.input_tokens += usage.input_tokens.unwrap_or(0);
        self.output_tokens += usage.output_tokens.unwrap_or(0);
        self.cost_usd = match (self.cost_usd, cost_usd) {
            (Some(before), Some(cost)) => Some(before + cost),
            (None, cost) if !asked_before => cost,
            (None, _) | (Some(_), None) => None,
        };
    }
}

/// What a verification came to beside its checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Tests that were planted to fail, and did.
    #[serde(default)]
    pub planted_failed: u32,
    /// What a second reader was asked, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Read>,
    /// Of the image that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tests: &[(&str, TestStatus)]) -> TestsSeen {
        let listed = tests.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect();
        TestsSeen { listed, executed: tests.len() as u64, ..TestsSeen::default() }
    }

    #[test]
    fn what_differs_between_two_runs_is_flaky() {
        let first = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Failed), ("c", TestStatus::Passed)]);
        let second = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Passed)]);
        let both = first.again(&second);
        assert_eq!(both.flaky.iter().map(String::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(both.executed, 2);
    }

    #[test]
    fn a_finding_names_its_place_first() {
        let finding = Finding::objection(Rule::TestSkipped, "a skip was added").at("tests/test_a.py", 3);
        assert_eq!(finding.quoting("  @skip ").to_string(), "tests/test_a.py:3: a skip was added: @skip");
    }

    #[test]
    fn rules_of_a_journal_from_before_there_were_any_are_the_default() {
        assert_eq!(serde_json::from_str::<Rules>("{}").expect("all have defaults"), Rules::default());
    }
}
