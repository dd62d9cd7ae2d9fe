//! Code Climate's issues, which GitLab reads as code quality reports: a JSON array, or one issue after another.

use serde_json::Value;

use super::flake8::is_code;
use super::{Kind, Reader, Tool, ruff};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "code-climate",
    kind: Kind::Linter,
    json: &["\"check_name\":", "\"check_name\" :", "\"fingerprint\":"],
    reader: || Box::new(CodeClimate),
    ..Tool::DEFAULT
};

struct CodeClimate;

impl Reader for CodeClimate {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(value) = document.json::<Value>() else { return false };
        let issues = match &value {
            Value::Array(issues) => issues.as_slice(),
            one => std::slice::from_ref(one),
        };
        let found: Option<Vec<Diagnostic>> = issues.iter().map(issue).collect();
        let Some(found) = found.filter(|found| !found.is_empty()) else { return false };
        let is_ruff = sink.expects(ruff::TOOL.name);
        for mut issue in found {
            if is_ruff {
                issue.code = issue.code.map(|code| ruff::rules::code(&code).to_owned());
            }
            sink.diagnostic(issue);
        }
        true
    }
}

fn issue(item: &Value) -> Option<Diagnostic> {
    let location = &item["location"];
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    let positions = &location["positions"];
    let lines = &location["lines"];
    let begin = &positions["begin"];
    let end = &positions["end"];
    let message = item["description"].as_str()?;
    // ruff writes the code into the description as well; older versions, nowhere else.
    let inside = || message.strip_prefix('(')?.split_once(") ").filter(|(code, _)| is_code(code));
    let (code, bare) = match item["check_name"].as_str() {
        Some(code) => {
            let bare = message.strip_prefix(code).and_then(|rest| rest.strip_prefix(": "));
            (Some(code), bare.unwrap_or(message))
        }
        None => inside().map_or((None, message), |(code, bare)| (Some(code), bare)),
    };
    Some(Diagnostic {
        // The scale of the format: what blocks a merge is an error.
        severity: match item["severity"].as_str() {
            Some("blocker" | "critical" | "major") => Some(Severity::Error),
            Some("minor") => Some(Severity::Warning),
            Some("info") => Some(Severity::Info),
            Some(_) | None => None,
        },
        code: code.map(str::to_owned),
        message: bare.to_owned(),
        file: Some(location["path"].as_str()?.to_owned()),
        line: number(&begin["line"]).or_else(|| number(&lines["begin"])).or_else(|| number(&lines["begin"]["line"])),
        column: number(&begin["column"]),
        end_line: number(&end["line"]).or_else(|| number(&lines["end"])),
        end_column: number(&end["column"]),
        ..Diagnostic::default()
    })
}
