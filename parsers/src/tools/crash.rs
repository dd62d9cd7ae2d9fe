//! A process that died: signals as shells and gdb name them, failed `assert`s, uncaught C++ exceptions, gdb's backtrace.

use super::native_frame::{origin, stack};
use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "crash",
    kind: Kind::Runtime,
    commands: &["gdb"],
    anchors: &[
        "Segmentation fault",
        "Aborted",
        "Bus error",
        "Illegal instruction",
        "Floating point exception",
        "Killed",
        "terminate called ",
        "' failed.",
        "received signal SIG",
        "*** stack smashing detected ***",
        "free(): ",
        "malloc(): ",
        "#0  ",
        "#0 0x",
        "#00 pc ",
    ],
    reader: || Box::new(Crash::default()),
    ..Tool::DEFAULT
};

const SIGNALS: &[(&str, &str)] = &[
    ("Segmentation fault", "SIGSEGV"),
    ("Aborted", "SIGABRT"),
    ("Bus error", "SIGBUS"),
    ("Illegal instruction", "SIGILL"),
    ("Floating point exception", "SIGFPE"),
    ("Killed", "SIGKILL"),
];

#[derive(Default)]
struct Crash {
    /// gdb's signal, until its stack comes.
    signal: Option<(String, String)>,
}

impl Reader for Crash {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        let stack = line.trim_start();
        let indented = ["#0 0x", "#0  0x", "#00 pc "].iter().any(|start| stack.starts_with(start));
        if line.starts_with("#0  ") || indented {
            return self.backtrace(lines, sink);
        }
        if let Some((_, rest)) = line.split_once(" received signal SIG") {
            let (name, text) = rest.split_once(", ").unwrap_or((rest, ""));
            let name = name.trim_end_matches('.');
            self.signal = Some((format!("SIG{name}"), text.trim_end_matches('.').to_owned()));
            sink.evidence(Evidence::Crashed);
            return 1;
        }
        if let Some((signal, message)) = signal(line) {
            sink.evidence(Evidence::Crashed);
            died(signal, message, sink);
            return 1;
        }
        if let Some(kind) = line.strip_prefix("terminate called after throwing an instance of '") {
            let what = lines.ahead(1).and_then(|line| line.trim_start().strip_prefix("what():  "));
            sink.evidence(Evidence::Crashed);
            died(kind.trim_end_matches('\''), what.unwrap_or(""), sink);
            return 1 + usize::from(what.is_some());
        }
        let corrupted = ["*** stack smashing detected ***", "free(): ", "malloc(): ", "terminate called without"];
        if corrupted.iter().any(|start| line.starts_with(start)) {
            sink.evidence(Evidence::Crashed);
            died("SIGABRT", line, sink);
            return 1;
        }
        assertion(line, sink)
    }
}

impl Crash {
    fn backtrace(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let (frames, end) = stack(lines, 0);
        // A single frame is where a debugger stopped, not a stack.
        if frames.len() < 2 && self.signal.is_none() {
            return 0;
        }
        // Addresses tell nothing, nor does where a thread came from tell why it died.
        let above = lines.back(1).unwrap_or("");
        let is_empty = frames.iter().all(|frame| frame.function.is_none() && frame.file.is_none());
        if is_empty || above.trim_end().ends_with(" here:") && above.contains(" created by ") {
            return end;
        }
        let (exception, message) = self.signal.take().unzip();
        if let (Some(at), Some(exception)) = (origin(&frames), &exception) {
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                code: Some(exception.clone()),
                message: message.clone().unwrap_or_default(),
                file: at.file.clone(),
                line: at.line,
                ..Diagnostic::default()
            });
        }
        sink.trace(Trace { language: "native".to_owned(), exception, message, frames, cause: None });
        end
    }
}

/// A line that is the shell's word about a signal: `Segmentation fault (core dumped)`,
/// `run.sh: line 3:  4711 Aborted  (core dumped) ./a.out`, `make: *** [Makefile:3: test] Segmentation fault`
fn signal(line: &str) -> Option<(&'static str, &str)> {
    let (text, name) = SIGNALS.iter().find(|(text, _)| line.contains(text))?;
    let at = line.find(text)?;
    let (before, after) = (&line[..at], line[at + text.len()..].trim_start());
    let alone = before.is_empty() && (after.is_empty() || after.starts_with("(core dumped)"));
    let words = before.trim_end();
    let by_shell =
        words.rsplit(' ').next().is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()))
            && words.contains(": line ");
    let by_make = words.contains("*** [") && words.ends_with(']');
    (alone || by_shell || by_make).then_some((*name, line))
}

fn died(exception: &str, message: &str, sink: &mut Sink) {
    sink.trace(Trace {
        language: "native".to_owned(),
        exception: Some(exception.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
        ..Trace::default()
    });
}

/// `a.out: a.c:5: int main(void): Assertion `x == 1' failed.`
fn assertion(line: &str, sink: &mut Sink) -> usize {
    let Some((head, rest)) = line.split_once(": Assertion `") else { return 0 };
    let Some(condition) = rest.strip_suffix("' failed.") else { return 0 };
    let Some(place) = head.split(": ").find_map(Place::colons) else { return 0 };
    let message = format!("Assertion `{condition}' failed.");
    sink.evidence(Evidence::Crashed);
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        code: Some("assert".to_owned()),
        message: message.clone(),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        ..Diagnostic::default()
    });
    let function = head.rsplit(": ").next().filter(|function| Place::colons(function).is_none());
    sink.trace(Trace {
        language: "native".to_owned(),
        exception: Some("SIGABRT".to_owned()),
        message: Some(message),
        frames: vec![crate::Frame {
            function: function.map(str::to_owned),
            file: Some(place.file.to_owned()),
            line: Some(place.line),
            ..crate::Frame::default()
        }],
        cause: None,
    });
    1
}
