//! What the score is made of, gathered after a check run: both versions of each changed file, how complex their
//! functions are, and the coverage reports that the checks wrote.

use std::collections::BTreeSet;

use greenroom_parsers::{Metric, ToolOutput, parse};

use super::ToolFailure;
use crate::complexity::{self, Language, Question};
use crate::feedback::score::{ChangedFile, Measured, score};
use crate::id::BlobId;
use crate::sandbox::{Sandbox, WORKSPACE};
use crate::score::{Score, StyleRules};
use crate::snapshot::change::{Change, patch_changes};
use crate::snapshot::{Entry, Manifest, TreePath};
use crate::store::Store;
use crate::task::CheckResult;

const FILES_MAX: usize = 100;
const FILE_BYTES_MAX: u64 = 1 << 20;
const REPORTS_MAX: usize = 4;
const REPORT_BYTES_MAX: u64 = 16 << 20;

/// What a run knows that a measurement compares with.
#[derive(Clone, Copy)]
pub struct Yardstick<'a> {
    pub pristine: &'a Manifest,
    /// Paths that check runs created.
    pub build_output: &'a BTreeSet<TreePath>,
    pub baseline: &'a [CheckResult],
    /// Of the newest check run.
    pub last_checks: &'a [CheckResult],
    /// The score before.
    pub last: Option<&'a Score>,
    pub rules: &'a StyleRules,
}

/// The tree that the checks ran on, and what they said.
pub struct Ran<'a> {
    pub before: &'a Manifest,
    pub after: &'a Manifest,
    pub checks: &'a [CheckResult],
    /// What they made.
    pub created: &'a BTreeSet<TreePath>,
}

/// `sandbox` is `None` where all contents are in the store.
pub async fn measure(
    sandbox: Option<&dyn Sandbox>,
    store: &dyn Store,
    known: Yardstick<'_>,
    ran: Ran<'_>,
) -> Result<Score, ToolFailure> {
    let build_output: BTreeSet<TreePath> = known.build_output.union(ran.created).cloned().collect();
    let read = |id: &BlobId| store.blob(id);
    let changes = patch_changes(known.pristine, ran.after, &build_output, &read)?;
    let mut files = Vec::new();
    for change in changes.iter().take(FILES_MAX) {
        files.push(changed_file(sandbox, store, change).await?);
    }
    let mut coverage: Vec<Metric> = ran.checks.iter().flat_map(|check| check.report.metrics.clone()).collect();
    if let Some(sandbox) = sandbox {
        coverage.extend(written(sandbox, known.pristine, &build_output, &ran).await?);
    }
    Ok(score(&Measured {
        checks: ran.checks,
        baseline: known.baseline,
        files: &files,
        files_left_out: changes.len().saturating_sub(FILES_MAX),
        coverage: &coverage,
        reports_seen: sandbox.is_some(),
        rules: known.rules,
        last: known.last,
    }))
}

async fn changed_file(
    sandbox: Option<&dyn Sandbox>,
    store: &dyn Store,
    change: &Change,
) -> Result<ChangedFile, ToolFailure> {
    let path = change.path.to_text();
    let before = content(None, store, &change.path, change.before.as_ref()).await?;
    let after = content(sandbox, store, &change.path, change.after.as_ref()).await?;
    let opaque = matches!((&before, &after), (Content::Opaque, _) | (_, Content::Opaque));
    let (before, after) = (before.text(), after.text());
    let mut file = ChangedFile { path, before, after, opaque, ..ChangedFile::default() };
    if let Some(language) = Language::of(&file.path).filter(|_| !opaque) {
        let question = Question { language, before: file.before.clone(), after: file.after.clone() };
        // A child that died has measured nothing; that is said, and never an error.
        let answer = complexity::ask(&question).await.unwrap_or_default();
        (file.functions_before, file.functions_after) = (answer.before, answer.after);
    }
    Ok(file)
}

enum Content {
    Absent,
    Text(String),
    Opaque,
}

impl Content {
    fn text(self) -> Option<String> {
        match self {
            Content::Text(text) => Some(text),
            Content::Absent | Content::Opaque => None,
        }
    }
}

async fn content(
    sandbox: Option<&dyn Sandbox>,
    store: &dyn Store,
    path: &TreePath,
    entry: Option<&Entry>,
) -> Result<Content, ToolFailure> {
    let (size, id) = match entry {
        None => return Ok(Content::Absent),
        Some(Entry::File { size, content, .. }) => (*size, content),
        Some(Entry::Symlink { .. } | Entry::Directory { .. }) => return Ok(Content::Opaque),
    };
    if size > FILE_BYTES_MAX {
        return Ok(Content::Opaque);
    }
    let bytes = match (store.blob(id), sandbox) {
        (Ok(bytes), _) => Some(bytes),
        (Err(_), Some(sandbox)) => sandbox.read(&inside(path), FILE_BYTES_MAX).await?.ok(),
        (Err(_), None) => None,
    };
    let text = bytes.filter(|bytes| !bytes.contains(&0)).and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.map_or(Content::Opaque, Content::Text))
}

fn inside(path: &TreePath) -> String {
    format!("{WORKSPACE}/{}", String::from_utf8_lossy(path.as_bytes()))
}

/// Coverage from reports that the checks wrote: never one that was there untouched, or that the agent made.
async fn written(
    sandbox: &dyn Sandbox,
    pristine: &Manifest,
    build_output: &BTreeSet<TreePath>,
    ran: &Ran<'_>,
) -> Result<Vec<Metric>, ToolFailure> {
    let by_a_check = |path: &TreePath, entry: &Entry| {
        let made = build_output.contains(path) || path.ancestors().any(|folder| build_output.contains(&folder));
        let changed = ran.before.entries.get(path) != Some(entry);
        changed || made && !pristine.entries.contains_key(path)
    };
    let reports = ran.after.entries.iter().filter(|(path, entry)| {
        let fits = matches!(entry, Entry::File { size, .. } if *size <= REPORT_BYTES_MAX);
        fits && is_report(path) && by_a_check(path, entry)
    });
    let mut metrics = Vec::new();
    for (path, _) in reports.take(REPORTS_MAX) {
        let Ok(bytes) = sandbox.read(&inside(path), REPORT_BYTES_MAX).await? else { continue };
        metrics.extend(parse(&ToolOutput { text: &bytes, ..ToolOutput::default() }).metrics);
    }
    Ok(metrics)
}

/// What coverage tools call their reports where nobody says otherwise.
fn is_report(path: &TreePath) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"coverage.json",
        b"coverage.xml",
        b"cobertura.xml",
        b"cobertura-coverage.xml",
        b"clover.xml",
        b"coverage-final.json",
        b"coverage-summary.json",
        b"lcov.info",
        b"coverage.info",
        b"jacoco.xml",
        b"jacocoTestReport.xml",
        b"coverage.out",
        b"cover.out",
    ];
    NAMES.contains(&path.file_name())
}
