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

/// In bytes looked at, which no busy machine changes: look-ahead and many readers must not add up to more than so much.
#[test]
fn reading_costs_so_much_for_a_byte_and_no_more() {
    const WORK_PER_BYTE_MAX: u64 = 100;
    const REPEATS: usize = 20;
    for folder in cases() {
        let case = load(&folder);
        let mut parser = Parser::new(None, Some(&case.command), Some(case.exit));
        (0..REPEATS).for_each(|_| parser.feed(&case.text));
        let (report, work) = parser.finish_and_work();
        assert!(work <= WORK_PER_BYTE_MAX * report.input_bytes, "{}: {work} bytes", folder.display());
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

/// The same where nothing is known of how the command ended, as when a log is all there is.
#[test]
fn a_cut_failing_output_without_an_exit_status_never_passes() {
    let mut green = Vec::new();
    for folder in cases() {
        let case = load(&folder);
        if case.exit == Exit::Code(0) {
            continue;
        }
        let step = 1 + case.text.len() / 1_000;
        for end in (0..case.text.len()).step_by(step).chain(memchr::memchr_iter(b'\n', &case.text)) {
            let text = &case.text[..end];
            let report = parse(&ToolOutput { text, command: Some(&case.command), ..ToolOutput::default() });
            if report.verdict == greenroom_parsers::Verdict::Passed {
                green.push(format!("{} cut at {end}", folder.display()));
            }
        }
    }
    assert_eq!(green, Vec::<String>::new());
}

/// Bytes are cut out, doubled and overwritten: whatever comes of it, there is a report.
#[test]
fn damaged_output_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for folder in cases() {
        let case = load(&folder);
        for _ in 0..150 {
            let mut text = case.text.clone();
            for _ in 0..=random(6) {
                let (from, to) = (random(text.len()), random(text.len()));
                let range = from.min(to)..from.max(to).min(from.min(to) + 200);
                match random(4) {
                    0 => drop(text.drain(range)),
                    1 => text.extend_from_within(range),
                    2 => text[range].fill(b" :|^-'\xe2\x1b[{\n`0"[random(13)]),
                    _ => text.truncate(text.len() - random(100).min(text.len())),
                }
            }
            let report = case.report(&text);
            assert_eq!(report.input_bytes, text.len() as u64);
        }
    }
}
