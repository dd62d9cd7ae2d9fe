//! SARIF 2.1.0 as input: what ruff, clippy-sarif, semgrep, CodeQL, gcc and others write.

use serde_json::Value;

use super::{Kind, Reader, Tool, ruff};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "sarif",
    kind: Kind::Linter,
    json: &["\"runs\":", "\"runs\" :"],
    reader: || Box::new(Sarif),
    ..Tool::DEFAULT
};

const RELATED_MAX: usize = 50;

struct Sarif;

impl Reader for Sarif {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(log) = document.json::<Value>() else { return false };
        let version = log["version"].as_str().is_some_and(|version| version.starts_with("2.1"));
        let schema = log["$schema"].as_str().is_some_and(|schema| schema.contains("sarif"));
        let Some(runs) = log["runs"].as_array().filter(|_| version || schema) else { return false };
        let mut clean = !runs.is_empty();
        for run in runs {
            for result in run["results"].as_array().into_iter().flatten() {
                if let Some(diagnostic) = read_result(run, result) {
                    clean &= !matches!(diagnostic.severity, Some(Severity::Error | Severity::Warning));
                    sink.diagnostic(diagnostic);
                }
            }
            let failed = run["invocations"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["executionSuccessful"] == Value::Bool(false)));
            clean &= !failed && run["results"].is_array();
            let compiler = run["tool"]["driver"]["name"].as_str().is_some_and(is_compiler);
            let broken =
                compiler && run["results"].as_array().is_some_and(|all| all.iter().any(|one| one["level"] == "error"));
            if broken || failed && (compiler || run["results"].as_array().is_none_or(Vec::is_empty)) {
                sink.evidence(Evidence::SaysError);
            }
        }
        if clean {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

fn is_compiler(name: &str) -> bool {
    name.starts_with("GNU ") || matches!(name, "clang" | "rustc" | "gcc" | "MSVC")
}

fn read_result(run: &Value, result: &Value) -> Option<Diagnostic> {
    let suppressed = result["suppressions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["status"].as_str().is_none_or(|status| status == "accepted")));
    let found = result["kind"].as_str().is_none_or(|kind| matches!(kind, "fail" | "open" | "review" | "informational"));
    if suppressed || !found || result["baselineState"].as_str() == Some("absent") {
        return None;
    }
    let rule = rule(run, result);
    let mut diagnostic = Diagnostic {
        source: run["tool"]["driver"]["name"].as_str().unwrap_or("").to_owned(),
        severity: severity(result, rule),
        // gcc puts the level where there is no rule.
        code: result["ruleId"]
            .as_str()
            .or_else(|| rule?["id"].as_str())
            .filter(|code| !matches!(*code, "error" | "warning" | "note"))
            .map(str::to_owned),
        message: message(result, rule),
        ..Diagnostic::default()
    };
    if diagnostic.source == ruff::TOOL.name {
        diagnostic.code = diagnostic.code.map(|code| ruff::rules::code(&code).to_owned());
    }
    place(&result["locations"][0], &mut diagnostic);
    for location in result["relatedLocations"].as_array().into_iter().flatten().take(RELATED_MAX) {
        let mut related = Diagnostic {
            severity: Some(Severity::Note),
            message: location["message"]["text"].as_str().unwrap_or("").to_owned(),
            ..Diagnostic::default()
        };
        place(location, &mut related);
        diagnostic.related.push(related);
    }
    diagnostic.suggestions = result["fixes"].as_array().into_iter().flatten().filter_map(suggestion).collect();
    Some(diagnostic)
}

fn rule<'a>(run: &'a Value, result: &Value) -> Option<&'a Value> {
    let rules = run["tool"]["driver"]["rules"].as_array()?;
    let index = result["ruleIndex"].as_u64().or_else(|| result["rule"]["index"].as_u64());
    match index {
        Some(index) => rules.get(usize::try_from(index).ok()?),
        None => {
            let id = result["ruleId"].as_str()?;
            rules.iter().find(|rule| rule["id"].as_str() == Some(id))
        }
    }
}

/// The level, or the rule's, or what the standard says counts where neither is there.
fn severity(result: &Value, rule: Option<&Value>) -> Option<Severity> {
    let level =
        result["level"].as_str().or_else(|| rule?["defaultConfiguration"]["level"].as_str()).unwrap_or("warning");
    match level {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "note" => Some(Severity::Note),
        _ => None,
    }
}

fn message(result: &Value, rule: Option<&Value>) -> String {
    let message = &result["message"];
    let template = message["text"].as_str().or_else(|| {
        let id = message["id"].as_str()?;
        rule?["messageStrings"][id]["text"].as_str()
    });
    let mut text = template.or_else(|| message["markdown"].as_str()).unwrap_or("").to_owned();
    for (n, argument) in message["arguments"].as_array().into_iter().flatten().enumerate() {
        text = text.replace(&format!("{{{n}}}"), argument.as_str().unwrap_or(""));
    }
    text
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn place(location: &Value, diagnostic: &mut Diagnostic) {
    let physical = &location["physicalLocation"];
    diagnostic.file = physical["artifactLocation"]["uri"].as_str().map(path);
    let region = &physical["region"];
    diagnostic.line = number(&region["startLine"]);
    diagnostic.column = number(&region["startColumn"]);
    diagnostic.end_column = number(&region["endColumn"]);
    // An end on the same line may be left out.
    diagnostic.end_line = number(&region["endLine"]).or(diagnostic.end_column.and(diagnostic.line));
}

fn suggestion(fix: &Value) -> Option<Suggestion> {
    let mut edits = Vec::new();
    for change in fix["artifactChanges"].as_array()? {
        let file = path(change["artifactLocation"]["uri"].as_str()?);
        for replacement in change["replacements"].as_array()? {
            let region = &replacement["deletedRegion"];
            let line = number(&region["startLine"])?;
            let column = number(&region["startColumn"]).unwrap_or(1);
            let end_line = number(&region["endLine"]).unwrap_or(line);
            edits.push(Edit::Replace {
                file: file.clone(),
                line,
                column,
                end_line,
                // Without an end the region goes to the end of its line, which has no number here.
                end_column: number(&region["endColumn"])?,
                replacement: replacement["insertedContent"]["text"].as_str().unwrap_or("").to_owned(),
            });
        }
    }
    let message = fix["description"]["text"].as_str().unwrap_or("").to_owned();
    Some(Suggestion { message, applicability: Applicability::Unspecified, edits }).filter(|fix| !fix.edits.is_empty())
}

/// The path a URI names.
pub(super) fn path(uri: &str) -> String {
    let rest = match uri.strip_prefix("file://") {
        // `file:///C:/x` is `C:/x`.
        Some(rest) if rest.as_bytes().get(2) == Some(&b':') && rest.starts_with('/') => &rest[1..],
        Some(rest) => rest,
        None => uri,
    };
    if !rest.contains('%') {
        return rest.to_owned();
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut at = 0;
    while let Some(&byte) = rest.as_bytes().get(at) {
        let code = (byte == b'%').then(|| rest.get(at + 1..at + 3)).flatten();
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                at += 3;
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| rest.to_owned())
}
