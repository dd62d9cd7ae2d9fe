//! Findings that name no line: what scanners of packages, images and secrets say of a whole file or of a dependency.
//!
//! Much JSON has a message and an id. So such an object counts only inside a list of findings, and only with an advisory's
//! number, or with a severity and a rule, or with a file and a rule.

use serde_json::{Map, Value};

use super::{code_in, file_of, get, place, severity, word};
use crate::{Diagnostic, Severity};

/// Keys, made plain, whose values are findings.
const LISTS: &[&str] = &[
    "vulnerabilities",
    "vulns",
    "misconfigurations",
    "secrets",
    "matches",
    "findings",
    "issues",
    "results",
    "testresults",
    "failurelist",
    "violations",
    "compliances",
    "advisory",
    "advisories",
    "via",
    "problem",
];
const MESSAGE: &[&str] = &["title", "summary", "message", "description", "details", "overview"];
const RULE: &[&str] = &["code", "ruleid", "rule", "checkid", "queryid", "defid"];
const ID: &[&str] = &["vulnerabilityid", "vuln", "vulnid", "cve", "id", "type"];
const FILE: &[&str] = &["packagepath", "targetfile", "displaytargetfile", "packagefilename"];
/// Numbers that registries of vulnerabilities give.
const ADVISORIES: &[&str] =
    &["CVE-", "GHSA-", "RUSTSEC-", "SNYK-", "PYSEC-", "OSV-", "GO-", "MAL-", "TEMP-", "DSA-", "RHSA-"];

pub(super) fn is_list(key: &str) -> bool {
    LISTS.contains(&key)
}

pub(super) fn finding(object: &Map<String, Value>, file: Option<&str>) -> Option<Diagnostic> {
    // Grype keeps apart what is wrong and what with.
    let inner = get(object, "vulnerability").and_then(Value::as_object).unwrap_or(object);
    let rule = code_in(inner, RULE, "");
    let id = rule.clone().or_else(|| code_in(inner, ID, "")).or_else(|| linked(inner)).or_else(|| advisory(inner));
    let advisory = id.as_deref().is_some_and(is_advisory);
    let severity = severity(inner).filter(|_| get(inner, "severity").is_some());
    let file = own_file(object).or(file);
    let counts = advisory || severity.is_some() && id.is_some() || file.is_some() && rule.is_some();
    let message = word(inner, MESSAGE).or_else(|| id.clone().filter(|_| advisory))?;
    counts.then(|| Diagnostic {
        severity: severity.filter(|said| *said != Severity::Note),
        code: id,
        message: message.trim().lines().next().unwrap_or("").to_owned(),
        file: file.map(str::to_owned),
        ..Diagnostic::default()
    })
}

fn own_file(object: &Map<String, Value>) -> Option<&str> {
    let named = FILE.iter().find_map(|name| get(object, name)?.as_str());
    let artifact = || place(get(object, "artifact")?.as_object()?).file;
    named.or_else(|| place(object).file).or_else(artifact)
}

fn is_advisory(id: &str) -> bool {
    ADVISORIES.iter().any(|start| id.starts_with(start))
}

/// OWASP's dependency-check: `"name": "CVE-…"`
fn advisory(object: &Map<String, Value>) -> Option<String> {
    get(object, "name")?.as_str().filter(|name| is_advisory(name)).map(str::to_owned)
}

/// npm names an advisory by its page alone.
fn linked(object: &Map<String, Value>) -> Option<String> {
    let url = get(object, "url")?.as_str()?;
    url.rsplit('/').next().filter(|name| name.starts_with("GHSA-")).map(str::to_owned)
}

/// OSV's `"source": {"path": …}` beside the packages.
pub(super) fn source(object: &Map<String, Value>) -> Option<&str> {
    file_of(object.get("source")?.as_object()?)
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, parse};

    #[test]
    fn scanners_are_read_and_other_json_is_not() {
        for (text, code, message, file, severity) in [
            (
                r#"{"vulnerabilities":{"a":{"name":"a","severity":"high","via":[{"source":1,"title":"bad","url":"https://x/GHSA-1-2","severity":"low"}]}}}"#,
                "GHSA-1-2",
                "bad",
                None,
                Some(Severity::Info),
            ),
            (
                r#"{"dependencies":[{"name":"a","version":"1","vulns":[{"id":"PYSEC-1","description":"bad","fix_versions":[]}]}]}"#,
                "PYSEC-1",
                "bad",
                None,
                None,
            ),
            (
                r#"{"matches":[{"vulnerability":{"id":"CVE-1","severity":"High","description":"bad"},"artifact":{"locations":[{"path":"/a.jar"}]}}]}"#,
                "CVE-1",
                "bad",
                Some("/a.jar"),
                Some(Severity::Error),
            ),
            (
                r#"{"results":[{"source":{"path":"go.mod"},"packages":[{"vulnerabilities":[{"id":"GO-1","summary":"bad"}]}]}]}"#,
                "GO-1",
                "bad",
                Some("go.mod"),
                None,
            ),
        ] {
            let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].code.as_deref(), found[0].message.as_str()), (Some(code), message));
            assert_eq!((found[0].file.as_deref(), found[0].severity), (file, severity));
        }
        for text in [
            r#"{"severity":"ERROR","message":"request failed","code":"E1","id":"x"}"#,
            r#"{"results":[{"id":"1","title":"a page","severity":null}]}"#,
            r#"{"packages":[{"name":"a","description":"b","path":"a.js","id":"CVE"}]}"#,
        ] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            assert!(report.diagnostics.is_empty(), "{text}");
        }
    }
}
