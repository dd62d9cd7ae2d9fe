//! Findings as text: never longer than the raw output, the failing evidence always in it; source lines on a budget of
//! their own.

use std::collections::BTreeMap;
use std::fmt::Write;

use greenroom_parsers::{Report, Verdict};

use super::delta::Delta;
use super::findings::{Finding, FindingKind, findings};
use crate::judgement;
use crate::task::{CheckResult, Outcome};

/// Findings listed one by one; the rest is counted.
const FINDINGS_SHOWN: usize = 20;
const OBJECTIONS_SHOWN: usize = 15;
const MESSAGE_BYTES_MAX: usize = 600;
/// About 1,500 tokens.
const SOURCE_BYTES_MAX: usize = 6_000;
const LINES_AROUND: u32 = 3;
const PLACES_SHOWN: usize = 8;
/// What of a command's raw output goes to the model: head and tail.
const OUTPUT_BYTES_MAX: usize = 12_000;
const TAIL_BYTES_MAX: usize = 2_000;

/// Lines of a file worth showing beside a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceWanted {
    pub file: String,
    pub first: u32,
    pub last: u32,
}

/// Lines as read: the file as the report names it, and its lines from number `first` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLines {
    pub file: String,
    pub first: u32,
    pub lines: Vec<String>,
}

/// The places of the first findings, merged where they touch.
pub fn sources_wanted(reports: &[&Report]) -> Vec<SourceWanted> {
    let mut places: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let all = reports.iter().flat_map(|report| findings(report)).filter(|f| f.kind != FindingKind::Warning);
    for finding in all.filter(|f| f.line.is_some()).take(PLACES_SHOWN) {
        let (Some(file), Some(line)) = (finding.file, finding.line) else { continue };
        if !order.contains(&file) {
            order.push(file.clone());
        }
        places.entry(file).or_default().push(line);
    }
    let mut wanted = Vec::new();
    for file in order {
        let mut lines = places.remove(&file).unwrap_or_default();
        lines.sort_unstable();
        for line in lines {
            let (first, last) = (line.saturating_sub(LINES_AROUND).max(1), line.saturating_add(LINES_AROUND));
            match wanted.last_mut() {
                Some(SourceWanted { file: before, last: end, .. }) if *before == file && first <= *end + 1 => {
                    *end = last
                }
                _ => wanted.push(SourceWanted { file: file.clone(), first, last }),
            }
        }
    }
    wanted
}

/// What `run_checks` answers. First line: `checks: PASS` or `checks: FAIL`.
pub fn render_checks(results: &[CheckResult], delta: &Delta, sources: &[SourceLines]) -> String {
    let failing = results.iter().filter(|check| !check.passed()).count();
    let mut text = match failing {
        0 => format!("checks: PASS ({} of {})\n", results.len(), results.len()),
        _ => format!("checks: FAIL ({failing} of {} fail)\n", results.len()),
    };
    let reports: Vec<&Report> = results.iter().map(|check| &check.report).collect();
    let fixed = delta.fixed(&reports);
    if fixed > 0 {
        let _ = writeln!(text, "fixed since the run before: {fixed}");
    }
    for check in results {
        let _ = writeln!(
            text,
            "\n`{}`: {}, {:.1} s{}",
            check.check.command,
            check.outcome,
            check.duration_ms as f64 / 1000.0,
            counts(&check.report)
        );
        if check.outcome.succeeded() && !check.passed() {
            text.push_str("it exited with 0, but its output says that something failed\n");
        }
        if !check.passed() {
            text.push_str(&evidence(&check.report, delta, &check.tail));
        }
    }
    text.push_str(&render_sources(results, sources));
    text
}

/// What `bash` answers: how it ended, the output (head and tail where long), findings where the output was cut.
pub fn render_command(outcome: Outcome, report: &Report, output: &str, cut: bool, delta: &Delta) -> String {
    let mut text = format!("{outcome}\n");
    if output.is_empty() {
        text.push_str("(it printed nothing)\n");
        return text;
    }
    let (shown, shortened) = head_and_tail(output, OUTPUT_BYTES_MAX);
    let list = match cut || shortened {
        true => list_findings(&findings(report), delta, OUTPUT_BYTES_MAX),
        false => String::new(),
    };
    // Both ends and what was read between them are no shorter than the whole.
    let shown = if !cut && output.len() <= shown.len() + list.len() { output } else { &shown };
    text.push_str(shown);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if !list.is_empty() && shown.len() != output.len() {
        text.push_str("\nread from the whole output:\n");
        text.push_str(&list);
    }
    text
}

/// What a failed verification tells the model: what, where, and on what evidence.
pub fn render_verification(
    results: &[CheckResult],
    baseline: Option<&[CheckResult]>,
    green_before: bool,
    judged: &[judgement::Finding],
) -> String {
    let baseline: Vec<&Report> = baseline.unwrap_or_default().iter().map(|check| &check.report).collect();
    let delta = Delta::new(&baseline, None);
    let mut text =
        String::from("Not accepted: the checks ran in a clean container on the original tree plus your patch.\n");
    if green_before && results.iter().any(|check| !check.passed()) {
        text.push_str(
            "They passed in your sandbox, so something they need is not in the patch: an ignored or generated file, \
             a changed home directory, a process left running.\n",
        );
    }
    text.push_str(&render_checks(results, &delta, &[]));
    let objections: Vec<_> = judged.iter().filter(|finding| finding.is_objection()).collect();
    if !objections.is_empty() {
        text.push_str(
            "\nThis stands against the patch. Existing tests, CI, lock files and configuration of the checks are taken \
             from the original tree: undo what you changed there; put new tests into new files.\n",
        );
        for finding in objections.iter().take(OBJECTIONS_SHOWN) {
            let _ = writeln!(text, "- {}", cut_at(&finding.to_string(), MESSAGE_BYTES_MAX));
        }
        if objections.len() > OBJECTIONS_SHOWN {
            let _ = writeln!(text, "… and {} more", objections.len() - OBJECTIONS_SHOWN);
        }
    }
    text
}

/// The list, or the raw output where that is shorter or nothing was understood: never longer than the raw output. Lines
/// that nobody could read are counted.
pub(super) fn evidence(report: &Report, delta: &Delta, tail: &str) -> String {
    let found = findings(report);
    let raw_bytes = report.input_bytes as usize;
    let raw = || format!("output:\n{}\n", tail.trim_end());
    let raw_is_whole = raw_bytes <= tail.len();
    let unread = match report.unread_lines {
        0 => String::new(),
        lines => format!("lines that were not understood: {lines}\n"),
    };
    // What made the check fail is among the lines that were not understood.
    let is_unexplained = report.unread_lines > 0 && found.iter().all(|finding| finding.kind == FindingKind::Warning);
    if found.is_empty() || is_unexplained && raw_is_whole {
        return raw();
    }
    let ends_bytes = if is_unexplained { TAIL_BYTES_MAX } else { 0 };
    let mut text = list_findings(&found, delta, raw_bytes.saturating_sub(unread.len() + ends_bytes));
    text.push_str(&unread);
    if is_unexplained {
        let (shown, _) = head_and_tail(tail, TAIL_BYTES_MAX - "last of the output:\n… 1000 bytes left out …\n\n".len());
        let _ = writeln!(text, "last of the output:\n{}", shown.trim_end());
    }
    if raw_is_whole && tail.len() <= text.len() { raw() } else { text }
}

/// As many findings as fit, but the first one always.
fn list_findings(found: &[Finding], delta: &Delta, bytes_max: usize) -> String {
    const MORE_BYTES: usize = "… and 10000 more\n".len();
    let bytes_max = bytes_max.saturating_sub(MORE_BYTES);
    let mut text = String::new();
    for (number, finding) in found.iter().enumerate() {
        let part = one_finding(number + 1, finding, delta, bytes_max);
        if number == FINDINGS_SHOWN || number > 0 && text.len() + part.len() > bytes_max {
            let _ = writeln!(text, "… and {} more", found.len() - number);
            break;
        }
        text.push_str(&part);
    }
    text
}

/// Title and place, then as many of its further lines as fit.
fn one_finding(number: usize, finding: &Finding, delta: &Delta, bytes_max: usize) -> String {
    let kind = match finding.kind {
        FindingKind::Error => "error",
        FindingKind::FailedTest => "failed",
        FindingKind::Trace => "uncaught",
        FindingKind::Warning => "warning",
    };
    let mark = delta.mark(&finding.key).word();
    let mut text = format!("{number}. [{mark}] {kind} {}: ", finding.title);
    text.push_str(cut_at(&finding.message, MESSAGE_BYTES_MAX));
    text.push('\n');
    match (&finding.file, finding.line, finding.column) {
        (Some(file), Some(line), Some(column)) => drop(writeln!(text, "   at {file}:{line}:{column}")),
        (Some(file), Some(line), None) => drop(writeln!(text, "   at {file}:{line}")),
        (Some(file), None, _) => drop(writeln!(text, "   in {file}")),
        (None, _, _) => {}
    }
    let details = finding.details.iter().map(|detail| format!("   {}\n", cut_at(detail, MESSAGE_BYTES_MAX)));
    let suggestions = finding.suggestions.iter();
    let suggestions = suggestions.map(|s| format!("   suggested: {}\n", cut_at(&s.message, MESSAGE_BYTES_MAX)));
    for line in details.chain(suggestions) {
        if text.len() + line.len() > bytes_max {
            break;
        }
        text.push_str(&line);
    }
    text
}

fn render_sources(results: &[CheckResult], sources: &[SourceLines]) -> String {
    let marked: Vec<(String, u32)> = results
        .iter()
        .flat_map(|check| findings(&check.report))
        .filter_map(|finding| Some((finding.file?, finding.line?)))
        .collect();
    let mut text = String::new();
    for source in sources {
        let mut part = format!("\n{}\n", source.file);
        for (number, line) in (source.first..).zip(&source.lines) {
            let pointer = if marked.iter().any(|(file, at)| *file == source.file && *at == number) { '>' } else { ' ' };
            let _ = writeln!(part, "{pointer}{number:>5} {}", cut_at(line, 200));
        }
        if text.len() + part.len() > SOURCE_BYTES_MAX {
            break;
        }
        text.push_str(&part);
    }
    text
}

fn counts(report: &Report) -> String {
    let summary = &report.summary;
    let parts: Vec<String> = [
        (summary.passed, "passed"),
        (summary.failed, "failed"),
        (summary.errors, "errors"),
        (summary.skipped, "skipped"),
        (summary.diagnostic_errors, "compiler or linter errors"),
        (summary.diagnostic_warnings, "warnings"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    match (parts.is_empty(), report.verdict) {
        (true, Verdict::NoTests) => ": no tests were found".into(),
        (true, Verdict::Passed | Verdict::Failed | Verdict::Error | Verdict::Unknown) => String::new(),
        (false, _) => format!(": {}", parts.join(", ")),
    }
}

/// Both ends of a long text, cut at line ends where there are any, and whether anything was left out.
fn head_and_tail(text: &str, bytes_max: usize) -> (String, bool) {
    if text.len() <= bytes_max {
        return (text.to_owned(), false);
    }
    let head = cut_at(text, bytes_max / 2);
    let head = head.rfind('\n').map_or(head, |end| &head[..=end]);
    let mut start = text.len() - bytes_max / 2;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let tail = &text[start..];
    let tail = tail.find('\n').map_or(tail, |end| &tail[end + 1..]);
    let left_out = text.len() - head.len() - tail.len();
    (format!("{head}\n… {left_out} bytes left out …\n{tail}"), true)
}

fn cut_at(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::BlobId;
    use crate::task::Check;
    use greenroom_parsers::{Diagnostic, Severity};

    fn failing_check(report: Report, tail: &str) -> CheckResult {
        CheckResult {
            check: Check { command: "make test".into() },
            outcome: Outcome::Exited { code: 2 },
            duration_ms: 1200,
            report,
            output: BlobId::of(tail.as_bytes()),
            tail: tail.into(),
        }
    }

    fn error_at(file: &str, line: u32, message: &str) -> Diagnostic {
        Diagnostic {
            source: "gcc".into(),
            severity: Some(Severity::Error),
            message: message.into(),
            file: Some(file.into()),
            line: Some(line),
            fingerprint: message.into(),
            ..Diagnostic::default()
        }
    }

    #[test]
    fn findings_stand_before_the_lines_they_point_at() {
        let report = Report {
            diagnostics: vec![error_at("src/a.c", 3, "'count' undeclared")],
            input_bytes: 90_000,
            ..Report::default()
        };
        let check = failing_check(report, "make: *** [all] Error 1");
        let lines = SourceLines { file: "src/a.c".into(), first: 2, lines: vec!["{".into(), "  cuont++;".into()] };
        insta::assert_snapshot!(render_checks(&[check], &Delta::default(), &[lines]), @r"
        checks: FAIL (1 of 1 fail)

        `make test`: exit code 2, 1.2 s
        1. [new] error gcc: 'count' undeclared
           at src/a.c:3

        src/a.c
             2 {
        >    3   cuont++;
        ");
    }

    #[test]
    fn what_nobody_could_read_is_shown_raw() {
        let check = failing_check(Report { input_bytes: 17, ..Report::default() }, "something went so");
        assert!(render_checks(&[check], &Delta::default(), &[]).contains("something went so"));
    }

    #[test]
    fn places_that_touch_are_read_once() {
        let report = Report {
            diagnostics: vec![error_at("a.c", 3, "x"), error_at("b.c", 50, "y"), error_at("a.c", 8, "z")],
            ..Report::default()
        };
        let wanted = sources_wanted(&[&report]);
        let places: Vec<_> = wanted.iter().map(|w| (w.file.as_str(), w.first, w.last)).collect();
        assert_eq!(places, [("a.c", 1, 11), ("b.c", 47, 53)]);
    }

    #[test]
    fn a_long_output_keeps_both_ends() {
        let output: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let text = render_command(Outcome::Exited { code: 0 }, &Report::default(), &output, false, &Delta::default());
        assert!(text.contains("line 0\n") && text.contains("line 4999") && text.contains("bytes left out"));
        assert!(text.len() < OUTPUT_BYTES_MAX + 200);
    }
}
