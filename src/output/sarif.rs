//! A report as SARIF 2.1.0, for code-scanning services and editors.

use greenroom_parsers::{Diagnostic, Report, Severity, Trace};
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run per tool, in the report's order. Traces are results of the program that printed them.
pub fn render(report: &Report) -> Value {
    let mut sources: Vec<&str> = Vec::new();
    for source in
        report.diagnostics.iter().map(|d| d.source.as_str()).chain(report.traces.iter().map(|t| t.language.as_str()))
    {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let runs: Vec<Value> = sources.iter().map(|source| run(report, source)).collect();
    json!({"$schema": SCHEMA, "version": "2.1.0", "runs": runs})
}

fn run(report: &Report, source: &str) -> Value {
    let diagnostics: Vec<&Diagnostic> = report.diagnostics.iter().filter(|d| d.source == source).collect();
    let mut codes: Vec<&str> = diagnostics.iter().filter_map(|d| d.code.as_deref()).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({"id": code})).collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| result(diagnostic))
        .chain(report.traces.iter().filter(|trace| trace.language == source).map(trace_result))
        .collect();
    let name = if source.is_empty() { "unknown" } else { source };
    json!({"tool": {"driver": {"name": name, "rules": rules}}, "columnKind": "unicodeCodePoints", "results": results})
}

fn result(diagnostic: &Diagnostic) -> Value {
    let mut result = json!({
        "level": level(diagnostic.severity),
        "message": {"text": diagnostic.message},
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
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

fn trace_result(trace: &Trace) -> Value {
    let exception = trace.exception.as_deref().unwrap_or("exception");
    let text = trace.message.as_deref().map_or(exception.to_owned(), |message| format!("{exception}: {message}"));
    let frames: Vec<Value> = trace
        .frames
        .iter()
        .map(|frame| {
            let mut place =
                physical(frame.file.as_deref(), frame.line, frame.column, None, None).unwrap_or_else(|| json!({}));
            if let Some(function) = &frame.function {
                place["logicalLocations"] = json!([{"fullyQualifiedName": function}]);
            }
            json!({"location": place})
        })
        .collect();
    let mut result = json!({"level": "error", "ruleId": exception, "message": {"text": text}});
    let inner = trace.frames.first().and_then(|f| physical(f.file.as_deref(), f.line, f.column, None, None));
    if let Some(location) = inner {
        result["locations"] = json!([location]);
    }
    if !frames.is_empty() {
        result["stacks"] = json!([{"frames": frames}]);
    }
    result
}

/// SARIF knows no hint; what the tool did not grade stays ungraded.
fn level(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Error) => "error",
        Some(Severity::Warning) => "warning",
        Some(Severity::Note | Severity::Info | Severity::Hint) => "note",
        None => "none",
    }
}

fn location(diagnostic: &Diagnostic) -> Option<Value> {
    physical(diagnostic.file.as_deref(), diagnostic.line, diagnostic.column, diagnostic.end_line, diagnostic.end_column)
}

fn physical(
    file: Option<&str>,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
) -> Option<Value> {
    let mut place = json!({"artifactLocation": {"uri": uri(file?)}});
    // SARIF counts from 1; a tool that printed 0 meant "no line".
    if let Some(line) = line.filter(|line| *line > 0) {
        let mut region = json!({"startLine": line});
        for (name, number) in [("startColumn", column), ("endLine", end_line), ("endColumn", end_column)] {
            if let Some(number) = number.filter(|number| *number > 0) {
                region[name] = json!(number);
            }
        }
        place["region"] = region;
    }
    Some(json!({"physicalLocation": place}))
}

/// A path as a URI reference: relative paths stay relative.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'+' | b'@' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_becomes_a_result_with_rule_and_region() {
        let report = Report {
            diagnostics: vec![Diagnostic {
                source: "rustc".into(),
                severity: Some(Severity::Error),
                code: Some("E0425".into()),
                message: "cannot find value".into(),
                file: Some("src/a b.rs".into()),
                line: Some(3),
                column: Some(5),
                ..Diagnostic::default()
            }],
            ..Report::default()
        };
        let sarif = render(&report);
        let result = &sarif["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "E0425");
        assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "src/a%20b.rs");
        assert_eq!(result["locations"][0]["physicalLocation"]["region"], json!({"startLine": 3, "startColumn": 5}));
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"], json!([{"id": "E0425"}]));
    }

    #[test]
    fn a_trace_becomes_a_result_with_its_stack() {
        let report = Report {
            traces: vec![Trace {
                language: "python".into(),
                exception: Some("KeyError".into()),
                message: Some("'x'".into()),
                frames: vec![greenroom_parsers::Frame {
                    file: Some("a.py".into()),
                    line: Some(2),
                    ..Default::default()
                }],
                cause: None,
            }],
            ..Report::default()
        };
        let result = &render(&report)["runs"][0]["results"][0];
        assert_eq!(result["message"]["text"], "KeyError: 'x'");
        assert_eq!(result["stacks"][0]["frames"][0]["location"]["physicalLocation"]["region"]["startLine"], 2);
    }
}
