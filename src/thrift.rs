//! What a run went without: whole checks while the tests that failed still fail, and questions to a model where a tool's
//! own suggestion was enough.

use serde::{Deserialize, Serialize};

use crate::id::BlobId;

/// The failing tests of a check run, run once more by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingFirst {
    /// Ids that were given back to their runners.
    pub asked: u64,
    /// Those of them that failed again.
    pub failing: u64,
    /// The whole checks were not run, since some still failed.
    pub alone: bool,
    /// What the baseline took for the checks that were not run, less what this took. Negative where the whole checks
    /// followed.
    pub saved_ms: i64,
    /// Tests that failed among the others and passed by themselves right after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsteady: Vec<String>,
}

/// The same over a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FailingFirstTally {
    /// Check runs that began with the failing tests.
    pub runs: u64,
    /// Those that ended with them.
    pub alone: u64,
    /// All of them together.
    pub saved_ms: i64,
    /// Every test that was found to be unsteady after the baseline, once.
    pub unsteady: std::collections::BTreeSet<String>,
}

impl FailingFirstTally {
    pub fn add(&mut self, one: &FailingFirst) {
        self.runs += u64::from(one.asked > 0);
        self.alone += u64::from(one.alone);
        self.saved_ms += one.saved_ms;
        self.unsteady.extend(one.unsteady.iter().cloned());
    }

    pub fn is_empty(&self) -> bool {
        *self == FailingFirstTally::default()
    }
}

/// An answer that is a tool's own suggestion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reflex {
    /// What a model's request and answer in its place would have taken, as Greenroom estimates tokens.
    pub tokens: u64,
    /// Files that it edits, as they were: what it takes to undo it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<(String, BlobId)>,
    /// It puts files back whose edits did not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoes: bool,
}

/// What the reflex did over a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReflexTally {
    /// Answers that were given in the place of a model's.
    pub answers: u64,
    /// Rounds of edits after which the checks were better.
    pub kept: u64,
    /// Rounds that were taken back.
    pub undone: u64,
    /// What the requests and answers of the rounds that were kept would have taken, as Greenroom estimates tokens.
    pub tokens_saved: u64,
}

impl ReflexTally {
    pub fn is_empty(&self) -> bool {
        *self == ReflexTally::default()
    }
}
