//! uv: `error: message` and what caused it, a resolution that has no solution.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "uv",
    kind: Kind::Runtime,
    commands: &["uv pip", "uv sync", "uv lock", "uv add", "uv build", "uv venv", "uv tool", "uv python", "uv run"],
    anchors: &[
        "No solution found when resolving dependencies",
        "error: Failed to spawn: ",
        "error: Failed to parse: ",
        "error: Distribution ",
        "error: No `pyproject.toml` found",
        "× Failed to build ",
        "× Failed to download ",
    ],
    reader: || Box::new(Uv),
    ..Tool::DEFAULT
};

const CAUSE_LINES_MAX: usize = 40;

struct Uv;

impl Reader for Uv {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        let text = line.trim_start();
        let Some(message) = text.strip_prefix("error: ").or_else(|| text.strip_prefix("× ")) else { return 0 };
        let mut found = Diagnostic {
            severity: Some(Severity::Error),
            message: message.trim_end_matches(':').to_owned(),
            ..Diagnostic::default()
        };
        let mut read = 1;
        // `  cause: Because …`, in older versions `  ╰─▶ Because …`; what goes on is indented.
        while let Some(line) = lines.ahead(read).filter(|line| line.starts_with("  ") && read < CAUSE_LINES_MAX) {
            let text = line.trim();
            let cause = ["cause: ", "╰─▶ ", "├─▶ ", "Caused by: "].iter().find_map(|mark| text.strip_prefix(mark));
            match (cause, found.related.last_mut()) {
                (Some(cause), _) => found.related.push(Diagnostic {
                    severity: Some(Severity::Note),
                    message: cause.to_owned(),
                    ..Diagnostic::default()
                }),
                (None, Some(note)) => {
                    note.message.push('\n');
                    note.message.push_str(text);
                }
                (None, None) => break,
            }
            read += 1;
        }
        // `error: Failed to parse: a/pyproject.toml`, `TOML parse error at line 1, column 9`
        found.file = message.strip_prefix("Failed to parse: ").map(|file| file.trim_matches('`').to_owned());
        let place = found.related.iter().find_map(|note| note.message.lines().next()?.split_once(" at line "));
        if let Some((line, column)) = place.and_then(|(_, place)| place.split_once(", column ")) {
            (found.line, found.column) = (number(line), number(column));
        }
        sink.evidence(Evidence::SaysError);
        sink.diagnostic(found);
        read
    }
}
