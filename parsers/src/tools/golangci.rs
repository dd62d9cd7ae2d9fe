//! golangci-lint, staticcheck and gosec: text and JSON.

use serde_json::Value;

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "golangci-lint",
    kind: Kind::Linter,
    commands: &["golangci-lint", "golangci-lint run", "staticcheck", "gosec"],
    anchors: &[".go:", "0 issues."],
    json: &["\"FromLinter\"", "\"Golang errors\"", "\"rule_id\""],
    reader: || Box::new(Golangci),
    ..Tool::DEFAULT
};

/// What stands in brackets behind a message, of the linters that are most in use.
const LINTERS: &[&str] = &[
    "asasalint",
    "asciicheck",
    "bidichk",
    "bodyclose",
    "containedctx",
    "contextcheck",
    "cyclop",
    "depguard",
    "dogsled",
    "dupl",
    "dupword",
    "durationcheck",
    "err113",
    "errcheck",
    "errchkjson",
    "errname",
    "errorlint",
    "exhaustive",
    "exhaustruct",
    "exportloopref",
    "copyloopvar",
    "forbidigo",
    "forcetypeassert",
    "funlen",
    "gci",
    "gochecknoglobals",
    "gochecknoinits",
    "gocognit",
    "goconst",
    "gocritic",
    "gocyclo",
    "godot",
    "godox",
    "gofmt",
    "gofumpt",
    "goimports",
    "gomnd",
    "mnd",
    "gomoddirectives",
    "gosec",
    "gosimple",
    "govet",
    "ineffassign",
    "intrange",
    "lll",
    "maintidx",
    "makezero",
    "misspell",
    "nakedret",
    "nestif",
    "nilerr",
    "nilnil",
    "nlreturn",
    "noctx",
    "nolintlint",
    "nonamedreturns",
    "nosprintfhostport",
    "paralleltest",
    "perfsprint",
    "prealloc",
    "predeclared",
    "promlinter",
    "reassign",
    "revive",
    "rowserrcheck",
    "sqlclosecheck",
    "staticcheck",
    "stylecheck",
    "tagalign",
    "tagliatelle",
    "tenv",
    "testifylint",
    "testpackage",
    "thelper",
    "tparallel",
    "typecheck",
    "unconvert",
    "unparam",
    "unused",
    "usestdlibvars",
    "varnamelen",
    "wastedassign",
    "whitespace",
    "wrapcheck",
    "wsl",
];

struct Golangci;

impl Reader for Golangci {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == "0 issues." {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if let Some(found) = gosec(line) {
            sink.diagnostic(found);
            // The code, with `>` before the line that is meant.
            let code = |line: &str| {
                let text = line.trim_start().trim_start_matches('>').trim_start();
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                digits > 0 && text[digits..].starts_with(':')
            };
            return 1 + (1..8).take_while(|&n| lines.ahead(n).is_some_and(code)).count();
        }
        let Some((place, text)) = Place::before_text(line, ".go").filter(|(place, _)| !place.file.contains(' ')) else {
            return 0;
        };
        let Some((message, code)) = text.trim().strip_suffix(')').and_then(|text| text.rsplit_once(" (")) else {
            return 0;
        };
        let staticcheck = is_check(code);
        if !staticcheck && !LINTERS.contains(&code) {
            return 0;
        }
        let mut found = Diagnostic {
            source: if staticcheck { "staticcheck" } else { TOOL.name }.to_owned(),
            severity: Some(Severity::Error),
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..place.diagnostic()
        };
        // `SA4006: this value of `x` is never used (staticcheck)`
        if let Some((check, rest)) = message.split_once(": ").filter(|(check, _)| is_check(check)) {
            found.code = Some(check.to_owned());
            rest.clone_into(&mut found.message);
        }
        sink.diagnostic(found);
        // The line and a caret below.
        let caret = lines.ahead(2).is_some_and(|line| line.trim() == "^");
        if caret { 3 } else { 1 }
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Value>() else { return false };
        let issues = output["Issues"].as_array();
        // Without an issue a report has no list of them; a finding that lost its end runs into the report's.
        let is_report = output["Issues"].is_null() && output["Report"].is_object() && output["FromLinter"].is_null();
        if issues.is_none() && !is_report {
            return false;
        }
        let issues = issues.map_or(&[][..], Vec::as_slice);
        for issue in issues {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            // gosec writes its numbers as text, and `10-12` for a span.
            let number = |value: &Value| {
                let first = value.as_str().and_then(|text| text.split('-').next()?.parse().ok());
                first.or_else(|| value.as_u64().and_then(|n| u32::try_from(n).ok())).filter(|n| *n > 0)
            };
            let at = &issue["Pos"];
            let gosec = issue["rule_id"].is_string();
            sink.diagnostic(Diagnostic {
                source: if gosec { "gosec" } else { TOOL.name }.to_owned(),
                severity: match text(&issue["Severity"])
                    .or_else(|| text(&issue["severity"]))
                    .unwrap_or_default()
                    .to_lowercase()
                    .as_str()
                {
                    "low" | "info" => Some(Severity::Info),
                    "medium" | "warning" => Some(Severity::Warning),
                    _ => Some(Severity::Error),
                },
                code: text(&issue["rule_id"]).or_else(|| text(&issue["FromLinter"])),
                message: text(&issue["Text"]).or_else(|| text(&issue["details"])).unwrap_or_default(),
                file: text(&at["Filename"]).or_else(|| text(&issue["file"])),
                line: number(&at["Line"]).or_else(|| number(&issue["line"])),
                column: number(&at["Column"]).or_else(|| number(&issue["column"])),
                ..Diagnostic::default()
            });
        }
        if issues.is_empty() {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

/// `SA4006`, `ST1005`, `S1000`, `U1000`, `QF1003`
fn is_check(text: &str) -> bool {
    ["SA", "ST", "QF", "S", "U"].iter().any(|start| {
        text.strip_prefix(start).is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// `[/w/main.go:10] - G404 (CWE-338): message (Confidence: MEDIUM, Severity: HIGH)`
fn gosec(line: &str) -> Option<Diagnostic> {
    let (place, rest) = line.strip_prefix('[')?.split_once("] - ")?;
    let place = Place::colons(place)?;
    let (code, rest) = rest.split_once(' ')?;
    let code = code.trim_end_matches(':');
    let rest = rest.strip_prefix('(').and_then(|text| text.split_once("): ")).map_or(rest, |(_, rest)| rest);
    let (message, rank) = rest.rsplit_once(" (Confidence: ")?;
    let severity = match rank.split_once("Severity: ")?.1.trim_end_matches(')') {
        "HIGH" => Severity::Error,
        "MEDIUM" => Severity::Warning,
        _ => Severity::Info,
    };
    Some(Diagnostic {
        source: "gosec".to_owned(),
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        ..place.diagnostic()
    })
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From the tools' documentation.
    #[test]
    fn each_tool_keeps_its_rule() {
        for (text, source, code, message) in [
            (
                "main.go:5:2: Error return value is not checked (errcheck)\n\tf()\n\t^\n",
                "golangci-lint",
                "errcheck",
                "Error return value is not checked",
            ),
            ("main.go:5:2: SA4006: x is never used (staticcheck)\n", "golangci-lint", "SA4006", "x is never used"),
            ("main.go:5:2: func f is unused (U1000)\n", "staticcheck", "U1000", "func f is unused"),
            (
                "[/w/main.go:5] - G404 (CWE-338): weak random (Confidence: MEDIUM, Severity: HIGH)\n  > 5: rand.Int()\n",
                "gosec",
                "G404",
                "weak random",
            ),
            (
                "{\"Issues\":[{\"FromLinter\":\"errcheck\",\"Text\":\"bad\",\"Pos\":{\"Filename\":\"main.go\",\"Line\":5,\"Column\":2}}]}\n",
                "golangci-lint",
                "errcheck",
                "bad",
            ),
        ] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            let [found] = report.diagnostics.as_slice() else { panic!("{report:?}") };
            assert_eq!(
                (found.source.as_str(), found.code.as_deref(), found.message.as_str()),
                (source, Some(code), message)
            );
            assert_eq!((found.line, report.verdict), (Some(5), Verdict::Failed), "{text}");
        }
    }

    #[test]
    fn what_the_compiler_says_is_left_to_its_reader() {
        let text = b"./main.go:5:2: cannot use x (variable of type int) as string value\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        assert_eq!(report.diagnostics[0].source, "go");
    }
}
