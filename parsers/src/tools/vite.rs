//! Vite with Rolldown or Rollup: what a failed build says, and that one succeeded.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "vite",
    kind: Kind::Compiler,
    commands: &["vite build", "rollup", "rolldown"],
    anchors: &["error during build:", "✓ built in ", "✗ Build failed in ", "x Build failed in ", "╭─[ ", "[!] "],
    reader: || Box::new(Vite),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 40;

struct Vite;

impl Reader for Vite {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("✓ built in ") {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if line.starts_with("✗ Build failed in ") || line.starts_with("x Build failed in ") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if let Some(place) = line.trim_start().strip_prefix("╭─[ ").and_then(|text| text.strip_suffix(" ]")) {
            return rolldown(place, lines, sink);
        }
        if line == "error during build:" {
            return self::rollup(lines, 1, sink);
        }
        let Some(message) = line.strip_prefix("[!] ") else { return 0 };
        let own = message.contains("Error: ") || lines.ahead(1).is_some_and(|line| placed(line).is_some());
        if own { self::rollup(lines, 0, sink) } else { 0 }
    }
}

/// `[UNRESOLVED_IMPORT] message`, ` ╭─[ src/a.js:2:21 ]`, the code with what is wrong below it, `───╯`.
fn rolldown(place: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let (Some(place), Some(head)) = (Place::colons(place), lines.back(1)) else { return 0 };
    let (code, message) = head
        .trim()
        .strip_prefix('[')
        .and_then(|text| text.split_once("] "))
        .map_or((None, head.trim()), |(code, message)| (Some(code), message));
    let mut found = Diagnostic {
        severity: Some(Severity::Error),
        code: code.map(str::to_owned),
        message: message.to_owned(),
        ..place.diagnostic()
    };
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
        read += 1;
        let text = line.trim();
        if text.starts_with("───╯") {
            break;
        }
        let label = text.strip_prefix('│').map(str::trim).and_then(|text| text.strip_prefix('╰'));
        let label = label.map(|text| text.trim_start_matches('─').trim()).filter(|text| !text.is_empty());
        if let Some(label) = label {
            found.related.push(Diagnostic {
                severity: Some(Severity::Note),
                message: label.to_owned(),
                ..Diagnostic::default()
            });
        }
    }
    sink.diagnostic(found);
    read
}

/// The message from line `at` on; `file: /w/src/a.js:2:20` or `/w/src/a.js (2:20)` tell where.
fn rollup(lines: Lines<'_>, at: usize, sink: &mut Sink) -> usize {
    let Some(first) = lines.ahead(at) else { return 0 };
    let first = first.trim_start_matches("[!] ").trim();
    // Rolldown says each of them below.
    if first.starts_with("Build failed with ") {
        return at + 1;
    }
    let (mut place, mut message) = (None, first);
    if let Some((head, rest)) = first.split_once("): ")
        && let Some(found) = placed(&format!("{head})"))
    {
        (place, message) = (Some(found), rest);
    }
    let mut read = at + 1;
    while let Some(line) = lines.ahead(read).filter(|line| !line.trim().is_empty() && read < BLOCK_LINES_MAX) {
        let text = line.trim();
        if text.starts_with("at ") {
            break;
        }
        let told = text.strip_prefix("file: ").and_then(Place::colons);
        let told = told.map(|told| (told.file.to_owned(), told.line, told.column)).or_else(|| placed(text));
        place = place.or(told);
        read += 1;
    }
    let (file, line, column) =
        place.map_or((None, None, None), |(file, line, column)| (Some(file), Some(line), column));
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        message: message.to_owned(),
        file,
        line,
        column,
        ..Diagnostic::default()
    });
    read
}

/// `src/a.js (2:20)`
fn placed(text: &str) -> Option<(String, u32, Option<u32>)> {
    let (file, span) = text.trim().strip_suffix(')')?.rsplit_once(" (")?;
    let (line, column) = span.split_once(':')?;
    Some((file.to_owned(), number(line)?, number(column)))
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From Rollup's documentation.
    #[test]
    fn rollup_names_its_place_in_the_first_line_or_below() {
        for text in [
            "x Build failed in 40ms\nerror during build:\nsrc/a.js (2:20): \"add\" is not exported by \"src/m.js\".\nfile: src/a.js:2:20\n",
            "[!] RollupError: \"add\" is not exported by \"src/m.js\".\nsrc/a.js (2:20)\n1: import { add }\n",
        ] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
            assert_eq!((error.file.as_deref(), error.line, error.column), (Some("src/a.js"), Some(2), Some(20)));
            assert!(error.message.ends_with("is not exported by \"src/m.js\"."));
            assert_eq!(report.verdict, Verdict::Error);
        }
    }
}
