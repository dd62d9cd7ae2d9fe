//! An uncaught exception of a Haskell program: `name: message`, then `CallStack (from HasCallStack):`.

use super::{Kind, Reader, Tool, ghc};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Frame, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "haskell-error",
    kind: Kind::Runtime,
    anchors: &["CallStack (from HasCallStack):", "Non-exhaustive patterns in ", "HasCallStack backtrace:"],
    reader: || Box::new(HaskellError),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 200;

struct HaskellError;

impl Reader for HaskellError {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let mut trace = Trace { language: "haskell".to_owned(), ..Trace::default() };
        if let Some((place, message)) = line.split_once(": Non-exhaustive patterns in ") {
            // `prog: Main.hs:(6,1)-(7,9): Non-exhaustive patterns in function pick`
            let Some((_, place)) = place.rsplit_once(' ') else { return 0 };
            let Some((file, span)) = place.split_once(':').filter(|(file, _)| file.ends_with("hs")) else { return 0 };
            let digits = |text: &str| text.chars().skip_while(|c| *c == '(').take_while(char::is_ascii_digit).collect();
            let row: String = digits(span);
            trace.exception = Some("PatternMatchFail".to_owned());
            trace.message = Some(format!("Non-exhaustive patterns in {message}"));
            trace.frames.push(Frame { file: Some(file.to_owned()), line: row.parse().ok(), ..Frame::default() });
            sink.evidence(Evidence::Crashed);
            sink.trace(trace);
            return 1;
        }
        // Inside a test report or a log line it is indented like the rest of the message.
        let indent = line.len() - line.trim_start().len();
        if !line.trim_start().starts_with("CallStack (") && !line.trim_start().starts_with("HasCallStack backtrace") {
            return 0;
        }
        let mut read = 1;
        while let Some(frame) = lines.ahead(read).and_then(frame).filter(|_| read < FRAMES_MAX) {
            trace.frames.push(frame);
            read += 1;
        }
        if read == 1 {
            return 0;
        }
        let message = lines.back(1).unwrap_or("").trim();
        let (program, text) = message.split_once(": ").unwrap_or(("", message));
        let named = indent == 0 && !program.is_empty() && !program.contains(' ');
        trace.message = Some(if named { text } else { message }.to_owned()).filter(|text| !text.is_empty());
        if trace.frames.first().is_some_and(|frame| frame.function.as_deref() == Some("error")) {
            trace.exception = Some("ErrorCall".to_owned());
        }
        sink.trace(trace);
        read
    }
}

/// `  inner, called at Main.hs:9:15 in main:Main`
fn frame(line: &str) -> Option<Frame> {
    let (function, rest) = line.strip_prefix("  ")?.split_once(", called at ")?;
    let (place, _) = rest.rsplit_once(" in ")?;
    let place = ghc::place(place)?;
    Some(Frame {
        function: Some(function.trim().to_owned()),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        column: place.column,
        ..Frame::default()
    })
}
