//! What is measured of a run's work: the quality score, its parts, and the user's rules of style.

use serde::{Deserialize, Serialize};

/// How good the tree is, from 0 to 100. A score never stands for a verdict: with a red check it stays below
/// [`RED_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// `None` where nothing was measured.
    pub total: Option<f64>,
    /// Whether a check fails.
    pub red: bool,
    pub parts: Vec<Part>,
}

/// What a score may reach while a check is red.
pub const RED_MAX: f64 = 49.0;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub name: PartName,
    /// From 0 to 100; `None`: not measured, and `why` says why not.
    pub value: Option<f64>,
    /// One sentence.
    pub why: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    Tests,
    Coverage,
    Complexity,
    Style,
    Size,
}

impl PartName {
    pub const ALL: [PartName; 5] =
        [PartName::Tests, PartName::Coverage, PartName::Complexity, PartName::Style, PartName::Size];

    pub fn word(self) -> &'static str {
        match self {
            PartName::Tests => "tests",
            PartName::Coverage => "coverage",
            PartName::Complexity => "complexity",
            PartName::Style => "style",
            PartName::Size => "size",
        }
    }

    /// Of the whole; they add up to 100.
    pub fn weight(self) -> f64 {
        match self {
            PartName::Tests => 50.0,
            PartName::Coverage | PartName::Complexity => 15.0,
            PartName::Style | PartName::Size => 10.0,
        }
    }
}

/// Something to look at, worst first in its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub text: String,
}

impl Score {
    pub fn part(&self, name: PartName) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// A function and how hard it is to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// With the classes around it: `Shop.total`.
    pub name: String,
    pub line: u32,
    pub end_line: u32,
    /// McCabe 1976: decisions plus one.
    pub cyclomatic: u32,
    /// SonarSource: what breaks the flow, weighed by how deep it stands.
    pub cognitive: u32,
    /// Names the text, so that a function that was not touched is known.
    pub hash: String,
}

/// The user's rules of style. Each one can only lower a score.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleRules {
    /// Of lines that are added or changed, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_length_max: Option<u32>,
    /// Of functions that are added or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_lines_max: Option<u32>,
    /// A regular expression that the names of added functions match, without the class before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_names: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbid: Vec<Forbidden>,
}

/// What added lines must not hold: a pattern, or what a layer must not import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    pub pattern: String,
    /// A glob of the files it is for; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StyleRules {
    pub fn is_empty(&self) -> bool {
        *self == StyleRules::default()
    }

    /// With somebody else's, who may only be stricter.
    pub fn tightened(mut self, other: StyleRules) -> Self {
        let least = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        self.line_length_max = least(self.line_length_max, other.line_length_max);
        self.function_lines_max = least(self.function_lines_max, other.function_lines_max);
        self.function_names = self.function_names.or(other.function_names);
        self.forbid.extend(other.forbid);
        self
    }
}
