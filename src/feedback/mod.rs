//! What the model reads of a check run or a command: findings first, the lines that matter, what changed.
//!
//! Pure: reports and history in, text out. Reading the source lines is the caller's business.

mod compact;
mod delta;
mod findings;
mod impact;
#[cfg(test)]
mod never_worse_tests;
mod render;
pub mod score;

pub use compact::compact;
pub use delta::{Delta, Mark};
pub use findings::{Finding, FindingKind, findings, fingerprint, has_findings, name_of};
pub use impact::{Rerun, failing_tests, rerun};
pub use render::{SourceLines, SourceWanted, render_checks, render_command, render_verification, sources_wanted};
