//! Any bytes make a report: no panic, no more work than so much for a byte, the same however the bytes arrive, and never
//! `passed` against an exit status or a failure that was read.
//!
//! The last byte of the input says how the command ended, what it was and how the text is cut in pieces.
#![no_main]

use greenroom_parsers::{Exit, Live, Parser, Report, Verdict, to_junit, to_sarif};
use libfuzzer_sys::fuzz_target;

/// Bytes looked at for a byte of input. Every reader that has an anchor in a line may look at it, and some look ahead.
const WORK_PER_BYTE_MAX: u64 = 400;
/// What a short input may cost anyway.
const WORK_BYTES_FREE: u64 = 64 << 10;

const COMMANDS: &[Option<&str>] = &[
    None,
    Some("cargo test"),
    Some("pytest -v"),
    Some("make -C lib && ctest"),
    Some("go test -v ./..."),
    Some("npx eslint ."),
    Some("tsc --noEmit"),
    Some("mvn -q verify"),
];
const EXITS: &[Option<Exit>] = &[None, Some(Exit::Code(0)), Some(Exit::Code(1)), Some(Exit::Signal(9))];

fuzz_target!(|data: &[u8]| {
    let Some((&how, text)) = data.split_last() else { return };
    let command = COMMANDS[usize::from(how & 7)];
    let exit = EXITS[usize::from(how >> 3 & 3)];
    let (report, work) = read(text, command, exit, text.len().max(1));
    assert!(
        work <= WORK_BYTES_FREE + WORK_PER_BYTE_MAX * text.len() as u64,
        "{work} bytes looked at for {}",
        text.len()
    );
    check(&report, text, exit);

    let json = serde_json::to_string(&report).expect("a report is JSON");
    let again: Report = serde_json::from_str(&json).expect("and is read back");
    assert_eq!(serde_json::to_string(&again).expect("a report is JSON"), json);
    to_junit(&report);
    to_sarif(&report);

    let piece_bytes = 1 + usize::from(how >> 5) * 7;
    let mut live = Live::new(None, command);
    for (number, piece) in text.chunks(piece_bytes).enumerate() {
        live.feed(piece);
        // Reading early has its own paths; pauses are anywhere.
        if number % 16 == usize::from(how & 15) {
            live.settle();
        }
    }
    let in_pieces = live.finish(exit);
    assert_eq!(serde_json::to_string(&in_pieces).expect("a report is JSON"), json, "in pieces of {piece_bytes}");
});

fn read(text: &[u8], command: Option<&str>, exit: Option<Exit>, piece_bytes: usize) -> (Report, u64) {
    let mut parser = Parser::new(None, command, exit);
    text.chunks(piece_bytes).for_each(|piece| parser.feed(piece));
    parser.finish_and_work()
}

fn check(report: &Report, text: &[u8], exit: Option<Exit>) {
    assert_eq!(report.input_bytes, text.len() as u64);
    assert!(report.unread_lines <= 1 + text.iter().filter(|b| **b == b'\n').count() as u64);
    assert!(!report.reasons.is_empty(), "a verdict has a reason");
    if report.verdict == Verdict::Passed {
        assert!(matches!(exit, None | Some(Exit::Code(0))), "passed, though {exit:?}");
        assert_eq!((report.summary.failed, report.summary.errors), (0, 0));
        assert!(!text.is_empty() || exit.is_some());
        assert!(!report.tools.is_empty() || exit.is_some());
    }
    for diagnostic in &report.diagnostics {
        assert!(diagnostic.fingerprint.len() == 16);
        assert!(!diagnostic.source.is_empty());
        let mut spans = vec![diagnostic];
        while let Some(span) = spans.pop() {
            if let (Some(line), Some(end)) = (span.line, span.end_line) {
                assert!(end >= line, "ends on line {end} and begins on {line}");
            }
            if let (Some(column), Some(end), true) = (span.column, span.end_column, span.line == span.end_line) {
                assert!(end >= column, "ends at column {end} and begins at {column}");
            }
            spans.extend(&span.related);
        }
    }
}
