//! What is written in other tools' formats says the same as the report: read back, and held against the formats' rules.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use greenroom_parsers::{Exit, Report, TestStatus, ToolOutput, parse, to_junit, to_sarif};
use serde_json::Value;

/// The golden reports, each with its folder's name.
fn reports() -> Vec<(String, Report)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/output");
    let folders = std::fs::read_dir(root).unwrap().flat_map(|tool| std::fs::read_dir(tool.unwrap().path()).unwrap());
    let read = |folder: std::path::PathBuf| {
        let json = std::fs::read_to_string(folder.join("report.json")).unwrap();
        (folder.display().to_string(), serde_json::from_str(&json).unwrap())
    };
    let reports: Vec<_> = folders.map(|case| read(case.unwrap().path())).collect();
    assert!(reports.len() > 100, "{}", reports.len());
    reports
}

#[test]
fn junit_is_read_back_with_the_same_tests() {
    for (name, report) in reports().into_iter().filter(|(_, report)| !report.tests.is_empty()) {
        let xml = to_junit(&report);
        let again = parse(&ToolOutput { text: xml.as_bytes(), exit: Some(Exit::Code(0)), ..ToolOutput::default() });
        let statuses = |report: &Report| -> Vec<TestStatus> {
            let as_junit_knows_them = |status| match status {
                TestStatus::Timeout => TestStatus::Failed,
                TestStatus::Xfailed | TestStatus::NotRun => TestStatus::Skipped,
                TestStatus::Xpassed => TestStatus::Passed,
                known => known,
            };
            report.tests.iter().map(|test| as_junit_knows_them(test.status)).collect()
        };
        assert_eq!(statuses(&again), statuses(&report), "{name}\n{xml}");
        for (test, read) in report.tests.iter().zip(&again.tests) {
            let last = test.id.rsplit(['\n', ':', '>']).next().unwrap().trim();
            assert!(read.id.contains(last), "{name}: {:?} became {:?}", test.id, read.id);
        }
    }
}

#[test]
fn sarif_keeps_every_finding_and_the_rules_of_2_1_0() {
    for (name, report) in reports() {
        let log = to_sarif(&report);
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().contains("sarif"));
        let mut results = 0;
        let mut tools = BTreeSet::new();
        for run in log["runs"].as_array().unwrap() {
            // §3.14.6, §3.18.1, §3.19.8: one driver a run, with a name.
            assert!(tools.insert(run["tool"]["driver"]["name"].as_str().unwrap().to_owned()), "{name}");
            assert!(matches!(run["columnKind"].as_str(), Some("utf16CodeUnits" | "unicodeCodePoints")));
            for result in run["results"].as_array().unwrap() {
                results += 1;
                check_result(result).unwrap_or_else(|wrong| panic!("{name}: {wrong}: {result:#}"));
            }
        }
        assert_eq!(results, report.diagnostics.len(), "{name}");
    }
}

/// What the specification demands of a result, as far as we write any of it.
fn check_result(result: &Value) -> Result<(), &'static str> {
    let ok = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(rule) };
    ok(result["message"]["text"].is_string(), "§3.27.11: a result has a message")?;
    let level = result["level"].as_str().unwrap_or("");
    ok(["none", "note", "warning", "error"].contains(&level), "§3.27.10: a level is one of four")?;
    ok(
        result.get("ruleId").is_none_or(|id| id.as_str().is_some_and(|id| !id.is_empty())),
        "§3.27.5: a rule has an id",
    )?;
    let lists = ["locations", "relatedLocations"].into_iter().filter_map(|list| result.get(list));
    for location in lists.flat_map(|list| list.as_array().unwrap()) {
        let physical = &location["physicalLocation"];
        check_uri(&physical["artifactLocation"]["uri"])?;
        if let Some(region) = physical.get("region") {
            check_region(region)?;
        }
    }
    for fix in result.get("fixes").map_or(&Vec::new(), |fixes| fixes.as_array().unwrap()) {
        let changes = fix["artifactChanges"].as_array().unwrap();
        ok(!changes.is_empty(), "§3.55.3: a fix changes at least one artifact")?;
        for change in changes {
            check_uri(&change["artifactLocation"]["uri"])?;
            let replacements = change["replacements"].as_array().unwrap();
            ok(!replacements.is_empty(), "§3.56.3: a change has at least one replacement")?;
            replacements.iter().try_for_each(|replacement| check_region(&replacement["deletedRegion"]))?;
        }
    }
    Ok(())
}

fn check_region(region: &Value) -> Result<(), &'static str> {
    let number = |name: &str| region.get(name).map(|value| value.as_u64().unwrap_or(0));
    let Some(line) = number("startLine") else { return Err("§3.30.2: a text region has a startLine") };
    let end_line = number("endLine").unwrap_or(line);
    let (column, end_column) = (number("startColumn"), number("endColumn"));
    if [Some(line), Some(end_line), column, end_column].contains(&Some(0)) {
        return Err("§3.30: lines and columns count from 1");
    }
    if end_line < line || (end_line == line && end_column.is_some_and(|end| end < column.unwrap_or(1))) {
        return Err("§3.30: a region ends where it begins or later");
    }
    Ok(())
}

fn check_uri(uri: &Value) -> Result<(), &'static str> {
    let uri = uri.as_str().ok_or("§3.4.3: a location has a URI")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    if uri.is_empty() || !uri.bytes().all(allowed) {
        return Err("RFC 3986: a URI has no such character");
    }
    // A colon in the first part would make it a scheme.
    let first = uri.split('/').next().unwrap_or("");
    if first.contains(':') && !uri.starts_with("file:///") {
        return Err("RFC 3986: only a file: URI has a scheme here");
    }
    Ok(())
}
