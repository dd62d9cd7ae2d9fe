//! What CI systems and multiplexers put before every line, and what stands around an output, changes nothing of what is
//! found in it.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use greenroom_parsers::{Exit, Report, ToolOutput, Verdict, parse};

const CASES: &[&str] = &["gcc", "rustc", "mypy", "tsc", "eslint", "pytest", "go-test", "python"];

/// Puts something around a line, whose number it is told.
type Wrap = fn(usize, &str) -> String;

/// All cases of the tools above: command, exit, text.
fn cases() -> Vec<(String, i32, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/output");
    let folders = CASES.iter().flat_map(|tool| std::fs::read_dir(root.join(tool)).unwrap());
    folders
        .filter_map(|case| {
            let folder = case.unwrap().path();
            let text = std::fs::read_to_string(folder.join("output.txt")).ok()?;
            let exit = std::fs::read_to_string(folder.join("exit")).map_or(0, |code| code.trim().parse().unwrap());
            // What already has prefixes or redraws is a test of its own.
            let plain = !text.contains(['\r', '\u{1b}']) && text.lines().count() > 1;
            plain.then(|| (std::fs::read_to_string(folder.join("command")).unwrap().trim().to_owned(), exit, text))
        })
        .collect()
}

fn read(command: &str, exit: i32, text: &str) -> Report {
    parse(&ToolOutput { text: text.as_bytes(), tool: None, command: Some(command), exit: Some(Exit::Code(exit)) })
}

/// Findings and failing tests as text, to be compared.
fn facts(report: &Report) -> Vec<String> {
    let places =
        report.diagnostics.iter().map(|d| format!("{:?}:{:?}:{:?} {:?}", d.file, d.line, d.column, d.severity));
    places.chain(report.tests.iter().map(|test| format!("{} {:?}", test.id, test.status))).collect()
}

#[test]
fn prefixes_and_lines_around_leave_the_facts() {
    const KEPT_PERCENT_MIN: usize = 95;
    let wrappers: &[(&str, Wrap)] = &[
        ("an Actions timestamp", |n, line| format!("2026-01-02T03:04:{:02}.1234567Z {line}", n % 60)),
        ("Azure's tag", |n, line| format!("2026-01-02T03:04:{:02}.1234567Z ##[error]{line}", n % 60)),
        ("a clock in brackets", |n, line| format!("[03:04:{:02}] {line}", n % 60)),
        ("Compose's name", |_, line| format!("web-1  | {line}")),
        ("Swarm's name", |_, line| format!("app_web.1.x7f@node1    | {line}")),
        ("the journal", |n, line| format!("Jan 02 03:04:{:02} host app[12]: {line}", n % 60)),
        ("BuildKit's step", |n, line| format!("#12 0.{n:03} {line}")),
        ("Turborepo's task", |_, line| format!("@acme/web:test: {line}")),
        ("colours and CRLF", |_, line| format!("\u{1b}[1m{line}\u{1b}[0m\u{1b}[K\r")),
    ];
    let cases = cases();
    assert!(cases.len() > CASES.len(), "too few plain fixtures: {}", cases.len());
    for (name, wrap) in wrappers {
        let (mut expected, mut kept) = (0, 0);
        for (command, exit, text) in &cases {
            let plain = read(command, *exit, text);
            let wrapped: String = text.lines().enumerate().map(|(n, line)| wrap(n, line) + "\n").collect();
            let noisy = read(command, *exit, &wrapped);
            assert!(
                noisy.verdict != Verdict::Passed || plain.verdict == Verdict::Passed,
                "{name} turns `{command}` green"
            );
            let found = facts(&noisy);
            expected += facts(&plain).len();
            kept += facts(&plain).iter().filter(|fact| found.contains(fact)).count();
        }
        assert!(kept * 100 >= expected * KEPT_PERCENT_MIN, "behind {name} {kept} of {expected} facts are left");
    }
}
