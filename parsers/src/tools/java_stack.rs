//! A Java stack trace: the exception, its frames, and what it was caused by.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "java-stack",
    kind: Kind::Runtime,
    anchors: &["\tat ", "    at ", "Exception in thread \""],
    reader: || Box::new(JavaStack),
    ..Tool::DEFAULT
};

struct JavaStack;

const MESSAGE_LINES_MAX: usize = 30;
const FRAMES_MAX: usize = 1_000;
const CAUSES_MAX: usize = 20;

impl Reader for JavaStack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        // The exception stands above its first frame; a message may take several lines.
        if let Some(rest) = thread(lines.first()) {
            let Some((trace, read)) = below(lines, 0, rest) else { return 0 };
            sink.evidence(Evidence::Crashed);
            sink.trace(trace);
            return read;
        }
        if frame(lines.first()).is_none() {
            return 0;
        }
        let head = (1..MESSAGE_LINES_MAX).find_map(|n| Some((n, exception(level(lines.back(n)?))?)));
        let (trace, read) = match head {
            Some((n, (name, first))) => {
                let mut message = first.map(str::to_owned);
                add_lines(&mut message, (1..n).rev().filter_map(|n| lines.back(n)));
                trace(lines, 0, name, message)
            }
            None => trace(lines, 0, "", None),
        };
        sink.trace(trace);
        read
    }
}

/// The exception `head`, told on line `at`, with the frames below it; and the line after them.
pub(super) fn below(lines: Lines<'_>, at: usize, head: &str) -> Option<(Trace, usize)> {
    let frames =
        (at + 1..at + MESSAGE_LINES_MAX).find(|&n| lines.ahead(n).is_some_and(|line| frame(line).is_some()))?;
    let (exception, first) = exception(head).unwrap_or((head, None));
    let mut message = first.map(str::to_owned);
    add_lines(&mut message, (at + 1..frames).filter_map(|n| lines.ahead(n)));
    Some(trace(lines, frames, exception, message))
}

/// `Exception in thread "main" rest`
fn thread(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("Exception in thread \"")?.split_once("\" ")?;
    Some(rest)
}

/// Loggers and Maven put their level before the exception, fuzzers what it is.
fn level(line: &str) -> &str {
    let line = line.trim_start();
    let starts = ["[ERROR] ", "[WARNING] ", "== Java Exception: "];
    starts.iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line).trim_start()
}

/// `java.io.IOException: message`: a dotted or well-known name, then perhaps a message.
fn exception(line: &str) -> Option<(&str, Option<&str>)> {
    let (name, message) = match line.split_once(": ") {
        Some((name, message)) => (name, Some(message)),
        None => (line.trim_end().trim_end_matches(':'), None),
    };
    let named = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '/'));
    let class = name.rsplit(['.', '$']).next()?;
    let thrown = ["Exception", "Error", "Throwable", "Failure", "Failed"].iter().any(|end| class.ends_with(end))
        || (name.contains('.') && class.starts_with(|c: char| c.is_uppercase()));
    (named && thrown).then_some((name, message))
}

/// Frames from line `at` on, then causes. Answers how many lines it took in all.
fn trace(lines: Lines<'_>, at: usize, exception: &str, message: Option<String>) -> (Trace, usize) {
    let mut chain = vec![new_trace(exception, message)];
    let mut read = at;
    let mut suppressed = false;
    while let Some(line) = lines.ahead(read) {
        let text = line.trim_start();
        if let Some(frame) = frame(line) {
            if let Some(current) = chain.last_mut()
                && !suppressed
                && current.frames.len() < FRAMES_MAX
            {
                current.frames.push(frame);
            }
        } else if let Some(rest) = line.strip_prefix("Caused by: ") {
            suppressed = false;
            let (name, first) = self::exception(rest).unwrap_or((rest, None));
            let mut message = first.map(str::to_owned);
            let more = (1..MESSAGE_LINES_MAX)
                .take_while(|n| lines.ahead(read + n).is_some_and(|line| frame_or_end(line).is_none()))
                .count();
            if (1..=more).all(|n| lines.ahead(read + n).is_some_and(|line| !line.is_empty())) {
                add_lines(&mut message, (1..=more).filter_map(|n| lines.ahead(read + n)));
                read += more;
            }
            if chain.len() < CAUSES_MAX {
                chain.push(new_trace(name, message));
            }
        } else if text.starts_with("Suppressed: ") || (text.starts_with("Caused by: ") && line.starts_with(['\t', ' ']))
        {
            // Hangs on an exception that was not the reason.
            suppressed = true;
        } else if !(text.starts_with("... ") && (text.ends_with(" more") || text.contains("omitted"))) {
            break;
        }
        read += 1;
    }
    let mut cause = None;
    for mut trace in chain.into_iter().rev() {
        trace.cause = cause.map(Box::new);
        cause = Some(trace);
    }
    (cause.unwrap_or_default(), read)
}

fn new_trace(exception: &str, message: Option<String>) -> Trace {
    let exception = (!exception.is_empty()).then(|| exception.to_owned());
    Trace { language: "java".into(), exception, message, ..Trace::default() }
}

fn add_lines<'a>(message: &mut Option<String>, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        let text = message.get_or_insert_default();
        text.push('\n');
        text.push_str(line);
    }
}

fn frame_or_end(line: &str) -> Option<()> {
    (frame(line).is_some() || line.trim_start().starts_with("... ")).then_some(())
}

/// ` at package.Class.method(File.java:12)`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix(['\t', ' '])?.trim_start().strip_prefix("at ")?;
    // Where the class came from may follow: `~[app.jar:1.0]`.
    let (function, rest) = text.split_once('(')?;
    let (place, _) = rest.split_once(')')?;
    if function.contains(' ') || !function.contains('.') {
        return None;
    }
    let (file, line) = match place.rsplit_once(':') {
        Some((file, line)) => (Some(file), Some(number(line)?)),
        None => (None, None),
    };
    let known = match file {
        Some(file) => [".java", ".kt", ".scala", ".groovy", ".clj"].iter().any(|end| file.ends_with(end)),
        None => {
            matches!(place, "Native Method" | "Unknown Source" | "<generated>")
                || [".java", ".kt", ".scala"].iter().any(|end| place.ends_with(end))
        }
    };
    known.then(|| Frame {
        function: Some(function.to_owned()),
        file: file.map(str::to_owned),
        line,
        ..Frame::default()
    })
}
