//! What native programs log before they end themselves: glog's and Chromium's `FATAL` lines and V8's fatal errors, with the
//! stack below.

use super::native_frame::stack;
use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "fatal-log",
    kind: Kind::Runtime,
    anchors: &[":FATAL:", "[FATAL:", "] Check failed: ", "# Fatal error in "],
    reader: || Box::new(FatalLog),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 256;
/// Between the message and its stack.
const GAP_LINES_MAX: usize = 6;

struct FatalLog;

impl Reader for FatalLog {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        let Some((place, message, mut read)) = logged(line).or_else(|| of_v8(line, lines)) else { return 0 };
        let mut frames = Vec::new();
        let starts = |n: &usize| lines.ahead(*n).is_some_and(is_stack);
        if let Some(at) = (read..read + GAP_LINES_MAX).find(starts) {
            (frames, read) = match lines.ahead(at).and_then(glog_frame) {
                Some(_) => glog_stack(lines, at),
                None => stack(lines, at),
            };
        }
        let (exception, rest) = match message.split_once(" failed: ") {
            Some((check, rest)) if !check.contains(':') => (format!("{check} failed"), rest),
            Some(_) | None => ("fatal error".to_owned(), message),
        };
        if frames.is_empty() {
            let file = place.map(|place| place.file.to_owned());
            frames.push(Frame { file, line: place.map(|place| place.line), ..Frame::default() });
        }
        sink.evidence(Evidence::Crashed);
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: message.to_owned(),
            file: place.map(|place| place.file.to_owned()),
            line: place.map(|place| place.line),
            ..Diagnostic::default()
        });
        sink.trace(Trace {
            language: "native".to_owned(),
            exception: Some(exception),
            message: Some(rest.to_owned()),
            frames,
            cause: None,
        });
        read
    }
}

type Fatal<'a> = (Option<Place<'a>>, &'a str, usize);

/// `[12:12:0101/120000.123:FATAL:a.cc(299)] Check failed: x.`, `F0813 00:29:27.775753  384244 a.cc:130] Check failed: x`
fn logged(line: &str) -> Option<Fatal<'_>> {
    let (head, message) = line.split_once("] ")?;
    let place = match head.rsplit_once("FATAL:") {
        Some((before, place)) if before.ends_with([':', '[']) => place,
        Some(_) => return None,
        None => {
            let digits = head.strip_prefix('F')?.bytes().take_while(u8::is_ascii_digit).count();
            (digits == 4).then(|| head.rsplit_once(' '))??.1
        }
    };
    let brackets = || {
        let (file, line) = place.strip_suffix(')')?.rsplit_once('(')?;
        Some(Place { file, line: number(line)?, column: None })
    };
    let place = Place::colons(place).or_else(brackets)?;
    Some((Some(place), message.trim(), 1))
}

/// `# Fatal error in ../../src/a.cc, line 65`, then `# Check failed: x.`
fn of_v8<'a>(line: &'a str, lines: Lines<'a>) -> Option<Fatal<'a>> {
    let (file, row) = line.strip_prefix("# Fatal error in ")?.rsplit_once(", line ")?;
    let message = lines.ahead(1)?.strip_prefix("# ")?.trim_end();
    let place = number(row).filter(|row| *row > 0).map(|line| Place { file, line, column: None });
    let bars = (2..5).take_while(|n| lines.ahead(*n).is_some_and(|line| line.trim_end() == "#")).count();
    Some((place.filter(|place| !place.file.is_empty()), message, 2 + bars))
}

fn is_stack(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("#0 0x") || text.starts_with("#0  ") || glog_frame(line).is_some()
}

/// `    @     0x55d0a1b2c3d4  google::LogMessage::Fail()`
fn glog_frame(line: &str) -> Option<Frame> {
    let rest = line.trim_start().strip_prefix("@ ")?.trim_start().strip_prefix("0x")?;
    let name = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).trim();
    let function = (!name.is_empty() && name != "(unknown)").then(|| name.to_owned());
    Some(Frame { function, ..Frame::default() })
}

fn glog_stack(lines: Lines<'_>, at: usize) -> (Vec<Frame>, usize) {
    let frames: Vec<Frame> = (at..).map_while(|n| lines.ahead(n).and_then(glog_frame)).collect();
    let end = at + frames.len();
    (frames.into_iter().take(FRAMES_MAX).collect(), end)
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    #[test]
    fn a_failed_check_is_a_crash_with_its_place() {
        for (text, file, line, message, function) in [
            (
                "[12:12:0101/120000.123:FATAL:sum.cc(29)] Check failed: a < b. \n#0 0x55d0 app::Sum() /w/sum.cc:29:3\n",
                "sum.cc",
                29,
                "Check failed: a < b.",
                Some("app::Sum()"),
            ),
            (
                "F0813 00:29:27.775753  3842 sum.cc:30] Check failed: a == b\n*** Check failure stack trace: ***\n    \
                 @     0x55d0a1b2c3d4  google::LogMessage::Fail()\n    @     0x55d0a1b2c3d5  main\n",
                "sum.cc",
                30,
                "Check failed: a == b",
                Some("google::LogMessage::Fail()"),
            ),
            (
                "#\n# Fatal error in ../../src/sum.cc, line 31\n# Debug check failed: ok.\n#\n#\n",
                "../../src/sum.cc",
                31,
                "Debug check failed: ok.",
                None,
            ),
        ] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            assert_eq!(report.verdict, Verdict::Error, "{text}");
            let found = &report.diagnostics[0];
            assert_eq!((found.file.as_deref(), found.line), (Some(file), Some(line)), "{text}");
            assert_eq!(found.message, message);
            assert_eq!(report.traces[0].frames[0].function.as_deref(), function, "{text}");
            assert_eq!((report.diagnostics.len(), report.traces.len()), (1, 1));
        }
    }
}
