//! Files that hold what the checks read beside what they do not: compared key by key, and what the checks read is taken
//! from the pristine file.

mod cmake;
mod ini;
mod json;
mod makefile;
mod pom;
mod rust;
mod toml;

pub(super) use rust::closing;

use super::lines::differing;
use super::protect::Mixed;
use crate::judgement::{Finding, Rule};

/// The newer text with the pristine one's part for the checks.
pub(super) struct Spliced {
    pub(super) text: String,
    pub(super) findings: Vec<Finding>,
}

/// `None`: they do not differ in anything that the checks read. `before` is empty for a new file.
pub(super) fn splice(kind: Mixed, file: &str, before: &str, after: &str, commands: &[&str]) -> Option<Spliced> {
    let splice = match kind {
        Mixed::PyProject => toml::splice(before, after, &toml::PYPROJECT),
        Mixed::CargoToml => toml::splice(before, after, &toml::CARGO),
        Mixed::SetupCfg => ini::splice(before, after),
        Mixed::PackageJson => json::splice(before, after),
        Mixed::Pom => pom::splice(before, after),
        Mixed::Makefile => makefile::splice(before, after, commands),
        Mixed::CMakeLists => cmake::splice(before, after),
        Mixed::Rust => return rust::splice(file, before, after),
    }?;
    let findings = splice.keys.iter().map(|key| {
        let (line, quoted) = place(key, before, after);
        Finding::objection(Rule::ProtectedChanged, format!("`{key}` is read by the checks"))
            .at(file, line)
            .quoting(quoted)
    });
    Some(Spliced { text: splice.text, findings: findings.collect() })
}

/// What a format says of itself.
struct ByKey {
    text: String,
    /// Those that differ.
    keys: Vec<String>,
}

/// The line that changed a key, as far as text tells: one that names it, one near it, or the first that differs.
fn place<'a>(key: &str, before: &'a str, after: &'a str) -> (Option<u32>, &'a str) {
    let differs = differing(before, after);
    let last = key.rsplit('.').next().unwrap_or(key);
    let named = differs.added.iter().find(|line| line.text.contains(last));
    let line = named.or(differs.added.first());
    match (line, differs.removed.first()) {
        (Some(line), _) => (Some(line.number), line.text),
        (None, Some(removed)) => (differs.first, removed.text),
        (None, None) => (None, ""),
    }
}
