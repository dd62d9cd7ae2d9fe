//! AddressSanitizer, LeakSanitizer, MemorySanitizer, ThreadSanitizer and UndefinedBehaviorSanitizer.

use super::native_frame::{origin, stack};
use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "sanitizer",
    kind: Kind::Runtime,
    anchors: &["Sanitizer: ", "libFuzzer: ", ": runtime error: ", "Sanitizer:DEADLYSIGNAL", "eak of "],
    reader: || Box::new(Sanitizer::default()),
    ..Tool::DEFAULT
};

/// From a report's head to its last stack.
const REPORT_LINES_MAX: usize = 1_500;
const RELATED_MAX: usize = 20;

#[derive(Default)]
struct Sanitizer {
    /// The kind of the last report whose stack named no place: its summary may.
    placeless: Option<String>,
}

impl Reader for Sanitizer {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.contains("Sanitizer:DEADLYSIGNAL") {
            return 1;
        }
        if let Some((place, message)) = line.split_once(": runtime error: ") {
            return undefined_behaviour(place, message, lines, sink);
        }
        let is_own = |summary: &str| summary.contains("Sanitizer: ") || summary.starts_with("libFuzzer: ");
        if let Some((_, summary)) = line.split_once("SUMMARY: ").filter(|(_, rest)| is_own(rest)) {
            self.summary(summary, sink);
            return 1;
        }
        if let Some(leak) = leak(line) {
            let (frames, end) = stack(lines, 1);
            add("LeakSanitizer", "memory-leak", leak, frames, &[], sink);
            return end;
        }
        let Some(report) = head(line) else { return 0 };
        self.report(report, lines, sink)
    }
}

/// `==12==ERROR: AddressSanitizer: …`, `WARNING: ThreadSanitizer: …`, `==12== ERROR: libFuzzer: …`
fn head(line: &str) -> Option<&str> {
    let (before, report) = ["ERROR: ", "WARNING: "].iter().find_map(|word| line.split_once(word))?;
    let name = report.split(": ").next()?;
    (is_process(before) && (name.ends_with("Sanitizer") && !name.contains(' ') || name == "libFuzzer"))
        .then_some(report)
}

/// Nothing, or `==12==`, also where the program's last line was not ended.
fn is_process(before: &str) -> bool {
    let Some(rest) = before.trim_end().strip_suffix("==") else { return before.trim().is_empty() };
    let process = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    process.len() < rest.len() && process.ends_with("==")
}

/// `Direct leak of 7 byte(s) in 1 object(s) allocated from:`
fn leak(line: &str) -> Option<&str> {
    let rest = line.trim().strip_suffix("allocated from:")?.trim_end();
    (rest.starts_with("Direct leak of ") || rest.starts_with("Indirect leak of ")).then_some(rest)
}

impl Sanitizer {
    fn report(&mut self, report: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let (name, what) = report.split_once(": ").unwrap_or((report, ""));
        sink.evidence(Evidence::Crashed);
        // Leaks come one by one below.
        if name == "LeakSanitizer" && what.starts_with("detected memory leaks") {
            return 1;
        }
        let kind = kind(what);
        let mut first = None;
        let mut others = Vec::new();
        let mut title = "";
        let mut n = 1;
        while n < REPORT_LINES_MAX {
            let Some(line) = lines.ahead(n) else { break };
            let text = line.trim();
            if text.starts_with("SUMMARY: ") || head(line).is_some() || leak(line).is_some() {
                break;
            }
            let (frames, end) = stack(lines, n);
            if end > n {
                if first.is_none() {
                    first = Some(frames);
                } else if let Some(frame) = origin(&frames) {
                    others.push((title, frame.clone()));
                }
                n = end;
                continue;
            }
            title = text;
            n += 1;
            // Nothing of a report stands behind two blank lines.
            if text.is_empty() && lines.ahead(n).is_none_or(|next| next.trim().is_empty()) {
                break;
            }
        }
        let related: Vec<Diagnostic> = others
            .into_iter()
            .take(RELATED_MAX)
            .map(|(title, frame)| Diagnostic {
                severity: Some(Severity::Note),
                message: title.trim_end_matches(':').to_owned(),
                file: frame.file,
                line: frame.line,
                column: frame.column,
                ..Diagnostic::default()
            })
            .collect();
        let frames = first.unwrap_or_default();
        if origin(&frames).is_none() {
            self.placeless = Some(kind.to_owned());
        }
        add(name, kind, what, frames, &related, sink);
        n
    }

    /// `AddressSanitizer: heap-use-after-free /src/a.c:5:10 in main`
    fn summary(&mut self, summary: &str, sink: &mut Sink) {
        let Some(kind) = self.placeless.take() else { return };
        let (name, rest) = summary.split_once(": ").unwrap_or((summary, ""));
        let Some(place) = rest.split(' ').find_map(Place::colons).filter(|place| !place.file.contains("0x")) else {
            return;
        };
        sink.diagnostic(Diagnostic {
            source: name.to_owned(),
            severity: Some(Severity::Error),
            code: Some(kind),
            message: rest.to_owned(),
            ..place.diagnostic()
        });
    }
}

/// `heap-buffer-overflow on address 0x…`, `data race (pid=3)`, `attempting double-free on 0x…`, `timeout after 26 seconds`
fn kind(what: &str) -> &str {
    let what = what.strip_prefix("attempting ").unwrap_or(what);
    let end =
        [" on ", " (", ": ", " at ", " after "].iter().filter_map(|mark| what.find(mark)).min().unwrap_or(what.len());
    what[..end].trim()
}

fn add(name: &str, kind: &str, what: &str, frames: Vec<crate::Frame>, related: &[Diagnostic], sink: &mut Sink) {
    let at = origin(&frames).cloned().unwrap_or_default();
    sink.diagnostic(Diagnostic {
        source: name.to_owned(),
        severity: Some(Severity::Error),
        code: Some(kind.to_owned()),
        message: format!("{name}: {what}"),
        file: at.file,
        line: at.line,
        column: at.column,
        related: related.to_vec(),
        ..Diagnostic::default()
    });
    // The stack of a signal that ends a fuzzer is printed by whoever raised it.
    if kind == "deadly signal" && frames.iter().all(|frame| frame.function.is_none()) {
        return;
    }
    sink.trace(Trace {
        language: "native".to_owned(),
        exception: Some(kind.to_owned()),
        message: Some(format!("{name}: {what}")),
        frames,
        cause: None,
    });
}

/// `a.c:5:10: runtime error: signed integer overflow: …`, its stack below where that is asked for.
fn undefined_behaviour(place: &str, message: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let place = place.rsplit_once(' ').map_or(place, |(_, place)| place);
    let at = Place::colons(place);
    // Without debug information.
    if at.is_none() && place != "<unknown>" && !place.contains("+0x") {
        return 0;
    }
    let kind = message.split(": ").next().unwrap_or(message);
    sink.diagnostic(Diagnostic {
        source: "UndefinedBehaviorSanitizer".to_owned(),
        severity: Some(Severity::Error),
        message: message.to_owned(),
        file: at.map(|at| at.file.to_owned()),
        line: at.map(|at| at.line),
        column: at.and_then(|at| at.column),
        ..Diagnostic::default()
    });
    // A note on the pointer and its bytes may come first.
    let at = (1..=4).find(|n| lines.ahead(*n).is_some_and(|line| line.trim_start().starts_with("#0 ")));
    let Some(at) = at else { return 1 };
    let (frames, end) = stack(lines, at);
    sink.trace(Trace {
        language: "native".to_owned(),
        exception: Some(kind.to_owned()),
        message: Some(message.to_owned()),
        frames,
        cause: None,
    });
    end
}
