//! Over every recorded output and random cuts of it: what the model reads is no longer than the raw text or is the raw
//! text, the first cause is in it, and lines that nobody could read are counted.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use greenroom_parsers::{Exit, Report, ToolOutput, parse};

use super::render::evidence;
use super::{Delta, compact, findings, render_command};
use crate::task::Outcome;

/// As much of the raw output as a check's result keeps.
const TAIL_BYTES: usize = 4 << 10;
const CUTS_OF_EACH: usize = 20;
const HEADING: &str = "output:\n";

struct Case {
    folder: PathBuf,
    command: String,
    text: String,
}

fn cases() -> impl Iterator<Item = Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/output");
    let tools = std::fs::read_dir(root).unwrap().map(|tool| tool.unwrap().path());
    tools.flat_map(|tool| std::fs::read_dir(tool).unwrap()).map(|case| {
        let folder = case.unwrap().path();
        let command = std::fs::read_to_string(folder.join("command")).unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(folder.join("output.txt")).unwrap()).into_owned();
        Case { folder, command, text }
    })
}

/// The text, and pieces of it from one random place to another.
fn cuts(text: &str) -> impl Iterator<Item = &str> {
    let mut state = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut place = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.floor_char_boundary((state >> 33) as usize % (text.len() + 1))
    };
    std::iter::once(text).chain((0..CUTS_OF_EACH).map(move |_| {
        let (one, other) = (place(), place());
        &text[one.min(other)..one.max(other)]
    }))
}

fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES))..]
}

fn read(command: &str, text: &str) -> Report {
    let exit = Some(Exit::Code(1));
    compact(&parse(&ToolOutput { text: text.as_bytes(), command: Some(command.trim()), exit, ..ToolOutput::default() }))
}

fn check(text: &str, report: &Report) -> Result<(), String> {
    let told = evidence(report, &Delta::default(), tail(text));
    if let Some(raw) = told.strip_prefix(HEADING) {
        return if raw.trim_end() == tail(text).trim_end() { Ok(()) } else { Err(format!("is not raw:\n{told}")) };
    }
    if told.len() > text.len() {
        return Err(format!("{} bytes of {}:\n{told}", told.len(), text.len()));
    }
    let all = findings(report);
    let first = &all[0];
    if !told.contains(first.title.as_str()) || !told.contains(first.message.get(..80).unwrap_or(&first.message)) {
        return Err(format!("without `{}: {}`:\n{told}", first.title, first.message));
    }
    if report.unread_lines > 0 && !told.contains(&format!(": {}\n", report.unread_lines)) {
        return Err(format!("{} unread lines are not counted:\n{told}", report.unread_lines));
    }
    Ok(())
}

#[test]
fn what_a_failed_check_tells_is_never_worse_than_its_output() {
    let (mut worse, mut shorter, mut cases_seen) = (Vec::new(), 0, 0);
    for case in cases() {
        for text in cuts(&case.text) {
            let report = read(&case.command, text);
            cases_seen += 1;
            shorter += usize::from(!evidence(&report, &Delta::default(), tail(text)).starts_with(HEADING));
            if let Err(why) = check(text, &report) {
                worse.push(format!("{}: {why}", case.folder.display()));
            }
        }
    }
    assert!(worse.is_empty(), "{} of {cases_seen}, the first: {}", worse.len(), worse[0]);
    assert!(shorter * 4 > cases_seen, "only {shorter} of {cases_seen} are told shorter");
}

#[test]
fn what_a_command_tells_is_never_longer_than_its_output_and_a_line() {
    for case in cases() {
        // As long as it takes for both ends not to be all of it.
        let text = case.text.repeat(1 + 14_000 / case.text.len().max(1));
        let report = read(&case.command, &text);
        let told = render_command(Outcome::Exited { code: 1 }, &report, &text, false, &Delta::default());
        assert!(told.len() <= text.len() + 64, "{}: {} of {}", case.folder.display(), told.len(), text.len());
    }
}

/// The check itself must be able to fail.
#[test]
fn a_list_that_is_longer_or_leaves_the_cause_out_is_noticed() {
    let text = "src/a.c:3:5: error: 'count' undeclared\n".repeat(200);
    let report = read("make", &text);
    assert_eq!(check(&text, &report), Ok(()));
    let mut other = report.clone();
    other.input_bytes = 100_000;
    other.diagnostics.iter_mut().for_each(|found| found.message = "x".repeat(600));
    assert!(check(&text, &other).is_err_and(|why| why.contains("bytes of")), "too long");
}
