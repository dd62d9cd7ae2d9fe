//! Dr. Memory: `Error #1: UNADDRESSABLE ACCESS: …`, then the stack `# 0 function [file:line]`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "drmemory",
    kind: Kind::Linter,
    commands: &["drmemory"],
    anchors: &["Error #"],
    reader: || Box::new(DrMemory),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 256;
/// Between the error and its stack: when and in which thread.
const BETWEEN_MAX: usize = 4;

struct DrMemory;

impl Reader for DrMemory {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let text = line.trim_start_matches('~').trim_start();
        let text = text.strip_prefix("Dr.M ").map_or(text, str::trim_start);
        let Some(message) =
            text.strip_prefix("Error #").and_then(|rest| rest.split_once(": ")).and_then(|(n, rest)| {
                let kind = rest.split([':', ' ']).next().unwrap_or("");
                let shouted = kind.len() > 3 && kind.bytes().all(|b| b.is_ascii_uppercase());
                (n.bytes().all(|b| b.is_ascii_digit()) && shouted).then_some(rest)
            })
        else {
            return 0;
        };
        let Some(first) = (1..=BETWEEN_MAX).find(|n| lines.ahead(*n).is_some_and(|line| frame(line).is_some())) else {
            return 0;
        };
        let frames: Vec<Frame> = (first..first + FRAMES_MAX).map_while(|n| frame(lines.ahead(n)?)).collect();
        let own = |frame: &&Frame| {
            let file = frame.file.as_deref().unwrap_or("");
            frame.line.is_some() && !file.contains("drmemory_package") && !file.contains("sysdeps")
        };
        let at = frames.iter().find(own).cloned().unwrap_or_default();
        let read = first + frames.len();
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: message.to_owned(),
            file: at.file,
            line: at.line,
            ..Diagnostic::default()
        });
        sink.trace(Trace {
            language: "native".to_owned(),
            exception: None,
            message: Some(message.to_owned()),
            frames,
            cause: None,
        });
        read
    }
}

/// `# 1 libc.so.6!write   [/a/b.c:84]`
fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start_matches('~').trim_start();
    let text = text.strip_prefix("Dr.M ").map_or(text, str::trim_start);
    let rest = text.strip_prefix('#')?.trim_start();
    let (number, rest) = rest.split_once(' ')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let (function, place) = match rest.trim_end().strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        Some((function, place)) => (function, Place::colons(place)),
        None => (rest, None),
    };
    let function = function.trim();
    Some(Frame {
        function: (!function.is_empty()).then(|| function.to_owned()),
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        ..Frame::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn the_innermost_frame_of_ones_own_is_the_place() {
        let text = "Error #1: LEAK 150 direct bytes 0x1-0x2 + 0 indirect bytes\n# 0 replace_malloc  [/drmemory_package/common/a.c:25]\n# 1 main   [/w/a.c:8]\n\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
        assert_eq!(report.diagnostics.len(), 1);
        assert_eq!((report.diagnostics[0].file.as_deref(), report.diagnostics[0].line), (Some("/w/a.c"), Some(8)));
        assert_eq!(report.traces[0].frames.len(), 2);
        let other = "Error #1: it failed\n# 0 main [/w/a.c:8]\n";
        assert!(parse(&ToolOutput { text: other.as_bytes(), ..ToolOutput::default() }).diagnostics.is_empty());
    }
}
