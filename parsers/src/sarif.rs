//! A report as SARIF 2.1.0, one run per tool that reported something.

use serde_json::{Value, json};

use crate::{Diagnostic, Edit, Report, Severity};

/// The SARIF log of a report's diagnostics. Items beyond the report's caps are not in it; `unlisted` says how many.
///
/// ```
/// use greenroom_parsers::{ToolOutput, parse, to_sarif};
/// let text = b"app.ts(3,7): error TS2304: Cannot find name 'x'.\n";
/// let log = to_sarif(&parse(&ToolOutput { text, ..ToolOutput::default() }));
/// assert_eq!(log["runs"][0]["results"][0]["ruleId"], "TS2304");
/// ```
pub fn to_sarif(report: &Report) -> Value {
    let mut sources: Vec<&str> = Vec::new();
    for diagnostic in &report.diagnostics {
        if !sources.contains(&diagnostic.source.as_str()) {
            sources.push(&diagnostic.source);
        }
    }
    let runs: Vec<Value> = sources
        .into_iter()
        .map(|source| {
            let found = report.diagnostics.iter().filter(|diagnostic| diagnostic.source == source);
            json!({
                "tool": {"driver": {"name": source}},
                "columnKind": "unicodeCodePoints",
                "results": found.map(result).collect::<Vec<_>>(),
                "properties": {"unlisted": report.unlisted},
            })
        })
        .collect();
    json!({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": runs})
}

fn result(diagnostic: &Diagnostic) -> Value {
    let mut result = json!({
        "message": {"text": diagnostic.message},
        "level": level(diagnostic.severity),
        "partialFingerprints": {"greenroom/v1": diagnostic.fingerprint},
    });
    if let Some(code) = &diagnostic.code {
        result["ruleId"] = json!(code);
    }
    if let Some(location) = location(diagnostic) {
        result["locations"] = json!([location]);
    }
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .filter_map(|related| {
            let mut location = location(related)?;
            location["message"] = json!({"text": related.message});
            Some(location)
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    let fixes: Vec<Value> = diagnostic
        .suggestions
        .iter()
        .filter_map(|suggestion| {
            let changes: Option<Vec<Value>> = suggestion.edits.iter().map(change).collect();
            Some(json!({"description": {"text": suggestion.message}, "artifactChanges": changes?}))
        })
        .collect();
    if !fixes.is_empty() {
        result["fixes"] = json!(fixes);
    }
    result
}

/// SARIF knows three levels; `none` where the tool printed no severity.
fn level(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Error) => "error",
        Some(Severity::Warning) => "warning",
        Some(Severity::Note | Severity::Info | Severity::Hint) => "note",
        None => "none",
    }
}

fn location(diagnostic: &Diagnostic) -> Option<Value> {
    let mut physical = json!({"artifactLocation": {"uri": uri(diagnostic.file.as_deref()?)}});
    // SARIF counts from 1; a line 0 is a tool's way to say "the whole file".
    if let Some(line) = diagnostic.line.filter(|line| *line > 0) {
        let mut region = json!({"startLine": line});
        let end_line = diagnostic.end_line.filter(|end| *end > line);
        for (name, value) in [
            ("startColumn", diagnostic.column.filter(|column| *column > 0)),
            ("endLine", end_line),
            ("endColumn", diagnostic.end_column.filter(|column| *column > 0)),
        ] {
            if let Some(value) = value {
                region[name] = json!(value);
            }
        }
        physical["region"] = region;
    }
    Some(json!({"physicalLocation": physical}))
}

/// Only edits that name their span exactly have a place in SARIF.
fn change(edit: &Edit) -> Option<Value> {
    let (file, deleted, inserted) = match edit {
        Edit::Replace { line: 0, .. } | Edit::Replace { column: 0, .. } | Edit::DeleteLines { first: 0, .. } => {
            return None;
        }
        Edit::Replace { file, line, column, end_line, end_column, replacement } => (
            file,
            json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}),
            Some(replacement),
        ),
        Edit::DeleteLines { file, first, last } => {
            (file, json!({"startLine": first, "startColumn": 1, "endLine": last.checked_add(1)?, "endColumn": 1}), None)
        }
        Edit::Substitute { .. } | Edit::AddImport { .. } => return None,
    };
    let mut replacement = json!({"deletedRegion": deleted});
    if let Some(text) = inserted {
        replacement["insertedContent"] = json!({"text": text});
    }
    Some(json!({"artifactLocation": {"uri": uri(file)}, "replacements": [replacement]}))
}

/// A path as a relative or `file:` URI; what a URI cannot hold is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b'+' | b'@' | b'$' | b',' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Exit, ToolOutput, parse};

    #[test]
    fn a_finding_keeps_its_place_rule_and_fix() {
        let text = b"a b.c:3:5: error: expected ';' before '}' token [-Wx]\n    3 |   x\n      |   ^\n      |   ;\n";
        let report = parse(&ToolOutput { text, exit: Some(Exit::Code(1)), ..ToolOutput::default() });
        let sarif = to_sarif(&report);
        let result = &sarif["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "-Wx");
        assert_eq!(result["level"], "error");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b.c");
        assert_eq!(place["region"], json!({"startLine": 3, "startColumn": 5, "endColumn": 6}));
        assert_eq!(result["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"], ";");
    }
}
