//! What a reader understood of an output: the schema every part of Greenroom speaks.
//!
//! Field names are stable; new ones may be added. Terms come from LSP and SARIF (diagnostics),
//! JUnit (test cases) and rustc (applicability of suggestions). Lines and columns are 1-based as the
//! tool printed them; an end column is exclusive.

use serde::{Deserialize, Serialize};

/// Raised when a field changes its meaning; added fields do not raise it.
pub const SCHEMA: u32 = 1;

/// Everything understood of one command's output. Never an error: what was not understood is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    pub schema: u32,
    /// Names of the parsers that recognised something, in order of first appearance.
    pub tools: Vec<String>,
    pub verdict: Verdict,
    /// Why the verdict is what it is, one short sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    pub diagnostics: Vec<Diagnostic>,
    pub tests: Vec<TestCase>,
    pub traces: Vec<Trace>,
    /// Coverage, where a tool printed it. A number about the code is no verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    pub summary: Summary,
    /// Lines that no parser claimed and that are not blank.
    pub unread_lines: u64,
    /// Bytes of input that were read.
    pub input_bytes: u64,
    /// Items beyond a list's cap: read, counted in the summary, but not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// The answer to "did it pass?", never inferred from an empty parse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Positive evidence that the tool ran, nothing failed, and the exit status (if known) agrees.
    Passed,
    /// At least one test or assertion failed.
    Failed,
    /// It could not be run to its end: compile error, collection error, crash.
    Error,
    /// A test runner ran and found no test.
    NoTests,
    /// Nothing proves either.
    #[default]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
    Note,
    Info,
    Hint,
}

/// One finding of a compiler, linter or interpreter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Diagnostic {
    /// The tool that printed it: `rustc`, `gcc`, `tsc`, `python` …
    pub source: String,
    /// `None` where the tool printed none: never guessed.
    pub severity: Option<Severity>,
    /// Rule or error code as printed: `E0425`, `TS2304`, `-Wunused-variable`.
    pub code: Option<String>,
    /// First line of the message.
    pub message: String,
    /// Path as printed (joined with the directory the tool said it was in).
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    pub end_line: Option<u32>,
    pub end_column: Option<u32>,
    /// Notes, helps and further spans that hang on this one; same shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Diagnostic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<Suggestion>,
    /// Stable across edits elsewhere in the file: source, code, file and normalised message; never the line.
    pub fingerprint: String,
}

/// A change the tool itself proposes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Suggestion {
    pub message: String,
    pub applicability: Applicability,
    /// Applied together or not at all. Positions refer to the file before any of them.
    pub edits: Vec<Edit>,
}

/// rustc's scale (`rustc_lint_defs::Applicability`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Applicability {
    /// The tool is sure: applying it keeps or restores the meaning.
    MachineApplicable,
    /// A good guess: "did you mean".
    MaybeIncorrect,
    HasPlaceholders,
    Unspecified,
}

/// One edit of a suggestion, as exactly as the tool stated it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Edit {
    /// Replace a span; empty span inserts, empty replacement deletes.
    Replace { file: String, line: u32, column: u32, end_line: u32, end_column: u32, replacement: String },
    /// Replace one occurrence of `original` (a whole identifier where it looks like one) on `line`. `column`, where
    /// printed, says which one.
    Substitute { file: String, line: u32, column: Option<u32>, original: String, replacement: String },
    /// Import a module at the top of a file, in the file's own language.
    AddImport { file: String, module: String },
    /// Delete whole lines, both ends included.
    DeleteLines { file: String, first: u32, last: u32 },
}

/// One test as the runner names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TestCase {
    /// What the runner accepts to run this test alone, where it prints enough to tell.
    pub id: String,
    pub status: TestStatus,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// To the nanosecond.
    pub duration_ms: Option<f64>,
    pub message: Option<String>,
    pub expected: Option<String>,
    pub actual: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    Passed,
    Failed,
    Error,
    Skipped,
    Xfailed,
    Xpassed,
    Timeout,
    #[default]
    NotRun,
}

/// A stack trace. `frames` innermost first, whatever order the tool printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Trace {
    pub language: String,
    pub exception: Option<String>,
    pub message: Option<String>,
    pub frames: Vec<Frame>,
    /// The exception this one was raised from, or while handling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Trace>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Frame {
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// Name to printed value, in the tool's order, each cut at 120 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "locals")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub locals: Vec<(String, String)>,
    /// The source line as printed beside the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// How much of something was executed, as the tool measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Metric {
    /// The tool that printed it: `coverage.py`, `lcov`, `jacoco` …
    pub source: String,
    pub kind: MetricKind,
    /// `None`: of everything that was measured.
    pub file: Option<String>,
    /// From 0 to 100, as printed; from the counts where only they are.
    pub percent: Option<f64>,
    pub covered: Option<u64>,
    pub total: Option<u64>,
    /// Lines that were not executed, first and last of each run of them, as far as the tool lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_lines: Vec<(u32, u32)>,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    Lines,
    Statements,
    Branches,
    Functions,
    /// llvm-cov's regions.
    Regions,
    /// JaCoCo's bytecode instructions.
    Instructions,
    /// Several of these in one number, as coverage.py does with branches.
    Combined,
}

/// Counts as parsed, and beside them as the tool printed them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    pub passed: u64,
    pub failed: u64,
    /// Errored test cases (set-up, collection), not compiler errors.
    pub errors: u64,
    pub skipped: u64,
    pub xfailed: u64,
    pub xpassed: u64,
    /// Diagnostics of severity error and warning.
    pub diagnostic_errors: u64,
    pub diagnostic_warnings: u64,
    /// The runner's own totals, where it printed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printed: Option<PrintedCounts>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PrintedCounts {
    pub passed: Option<u64>,
    pub failed: Option<u64>,
    pub errors: Option<u64>,
    pub skipped: Option<u64>,
    pub xfailed: Option<u64>,
    pub xpassed: Option<u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Locals are a JSON object on the wire and keep their order in memory.
mod locals {
    use serde::de::{MapAccess, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(locals: &[(String, String)], s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(locals.len()))?;
        for (name, value) in locals {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(String, String)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, String)>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a map of names to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        d.deserialize_map(Pairs)
    }
}
