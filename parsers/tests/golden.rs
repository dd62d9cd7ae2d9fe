//! Real outputs in `fixtures/output/<tool>/<case>/` against the reports they must give.
//!
//! A case is `output.txt`, `command`, `exit` (a number; absent means 0) and `report.json`;
//! `UPDATE_GOLDEN=1` writes the last one anew, to be read before it is committed.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use greenroom_parsers::{Exit, Parser, Report, ToolOutput, parse};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/output");
    let mut found = Vec::new();
    for tool in std::fs::read_dir(root).unwrap() {
        for case in std::fs::read_dir(tool.unwrap().path()).unwrap() {
            found.push(case.unwrap().path());
        }
    }
    found.sort();
    found
}

struct Case {
    text: Vec<u8>,
    command: String,
    exit: Exit,
}

fn load(folder: &Path) -> Case {
    let exit = std::fs::read_to_string(folder.join("exit")).map_or(0, |code| code.trim().parse().unwrap());
    Case {
        text: std::fs::read(folder.join("output.txt")).unwrap(),
        command: std::fs::read_to_string(folder.join("command")).unwrap().trim().to_owned(),
        exit: Exit::Code(exit),
    }
}

impl Case {
    fn report(&self, text: &[u8]) -> Report {
        parse(&ToolOutput { text, tool: None, command: Some(&self.command), exit: Some(self.exit) })
    }
}

/// Every fixture folder is a case: a new one needs no line here.
#[test]
fn every_fixture_gives_its_report() {
    let cases = cases();
    assert!(!cases.is_empty());
    for folder in cases {
        check(&folder);
    }
}

fn check(folder: &Path) {
    let case = load(folder);
    let report = case.report(&case.text);
    let path = folder.join("report.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let expected: Report = serde_json::from_str(&golden).unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&report).unwrap(),
        serde_json::to_string_pretty(&expected).unwrap(),
        "{}",
        folder.display()
    );
}

#[test]
fn pieces_of_any_size_give_the_same_report() {
    for folder in cases() {
        let case = load(&folder);
        let whole = case.report(&case.text);
        for size in [1, 7, 4_096] {
            let mut parser = Parser::new(None, Some(&case.command), Some(case.exit));
            case.text.chunks(size).for_each(|piece| parser.feed(piece));
            assert_eq!(parser.finish(), whole, "{} in pieces of {size}", folder.display());
        }
    }
}

#[test]
fn a_cut_failing_output_never_passes() {
    for folder in cases() {
        let case = load(&folder);
        if case.exit == Exit::Code(0) {
            continue;
        }
        for end in (0..=case.text.len()).step_by(1 + case.text.len() / 400) {
            let report = case.report(&case.text[..end]);
            assert_ne!(report.verdict, greenroom_parsers::Verdict::Passed, "{} cut at {end}", folder.display());
        }
    }
}
