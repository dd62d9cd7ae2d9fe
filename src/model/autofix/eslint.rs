//! Letting eslint carry out its own fixes: it knows their spans, its text for people does not print them.

use std::collections::BTreeSet;

use greenroom_parsers::Report;

use super::path;

/// The command that fixes the files eslint complains about, and what identifies those complaints.
pub(super) fn fix(report: &Report) -> Option<(String, String)> {
    let complaints = || report.diagnostics.iter().filter(|diagnostic| diagnostic.source == "eslint");
    let files: BTreeSet<String> = complaints().filter_map(|complaint| path::own(complaint.file.as_deref()?)).collect();
    if files.is_empty() {
        return None;
    }
    let identity: BTreeSet<&str> = complaints().map(|complaint| complaint.fingerprint.as_str()).collect();
    let files: String = files.iter().map(|file| format!(" {}", quote(file))).collect();
    // The check found eslint in the project or on the path; so does this.
    let command = format!(
        "if [ -x node_modules/.bin/eslint ]; then npx --no-install eslint --fix --{files}; else eslint --fix --{files}; fi"
    );
    Some((command, identity.into_iter().collect::<Vec<_>>().join("\n")))
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
