//! What can be asked of a run's own history, and what comes back.

use crate::id::BlobId;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Words, and `"several in a row"`.
    pub query: Option<String>,
    /// Only what names this file.
    pub file: Option<String>,
    /// Only what names this test.
    pub test: Option<String>,
    /// Only this step, counted from 1; 0 is the baseline.
    pub step: Option<u64>,
    /// Hits on a page.
    pub limit: usize,
    /// Counted from 1.
    pub page: usize,
    /// Of all excerpts on a page.
    pub text_bytes_max: usize,
}

impl Question {
    pub(super) fn words(&self) -> Vec<String> {
        let query = self.query.as_deref().unwrap_or_default();
        // Every second part stands between quotes.
        let parts = query.split('"').enumerate();
        parts
            .flat_map(|(number, part)| {
                let is_quoted = number % 2 == 1;
                let words: Vec<&str> = if is_quoted { vec![part] } else { part.split_whitespace().collect() };
                words.into_iter().map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    /// A step and nothing else: all of it is wanted.
    pub(super) fn is_one_step(&self) -> bool {
        self.step.is_some() && self.words().is_empty() && self.file.is_none() && self.test.is_none()
    }
}

/// How much of the query the hits have in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    All,
    /// No record has all words: these have some, or words that begin so.
    Some,
    /// No record has any: these have the same characters somewhere.
    Characters,
}

/// Best first; where only a file, test or step was asked for, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    pub total: u64,
    pub how: Match,
    pub pages: usize,
    pub hits: Vec<Hit>,
}

/// One record that fits, with where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub step: Option<u64>,
    pub turn: u64,
    pub kind: String,
    pub title: String,
    /// The whole output.
    pub blob: Option<BlobId>,
    pub text: String,
}
