//! Sorbet: an error with its page, the code below it, and what it got from where.

use super::place::{Place, marks};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "sorbet",
    kind: Kind::Linter,
    commands: &["srb tc", "srb", "sorbet"],
    anchors: &[" https://srb.help/", "No errors! Great job."],
    reader: || Box::new(Sorbet),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 60;

struct Sorbet;

impl Reader for Sorbet {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == "No errors! Great job." {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        let Some((text, code)) = line.rsplit_once(" https://srb.help/") else { return 0 };
        let Some((at, message)) = place(text) else { return 0 };
        let mut found = Diagnostic {
            severity: Some(Severity::Error),
            code: Some(code.to_owned()),
            message: message.to_owned(),
            file: Some(at.file.to_owned()),
            line: Some(at.line),
            ..Diagnostic::default()
        };
        let mut read = 1;
        let mut said = "";
        while let Some(line) = lines.ahead(read).filter(|line| line.starts_with(' ') && read < BLOCK_LINES_MAX) {
            let below = line.trim();
            // `     3 |code`: the gutter is as wide as the number's; marks stand under the code.
            let code_above = lines.ahead(read - 1).and_then(|above| Some(above.find('|')? + 1));
            if found.column.is_none()
                && let Some((from, width)) = marks(line)
                && let Some(column) = code_above.and_then(|gutter| from.checked_sub(u32::try_from(gutter).ok()?))
            {
                found.column = Some(column).filter(|column| *column > 0);
                found.end_line = found.line;
                found.end_column = column.checked_add(width);
            } else if let Some((place, rest)) = place(below).filter(|(place, _)| place.file.ends_with(".rb")) {
                let words = if rest.is_empty() { said } else { rest };
                found.related.push(Diagnostic {
                    severity: Some(Severity::Note),
                    message: words.to_owned(),
                    file: Some(place.file.to_owned()),
                    line: Some(place.line),
                    ..Diagnostic::default()
                });
            } else if !below.contains(" |") && !below.starts_with('^') {
                said = below;
            }
            read += 1;
        }
        sink.diagnostic(found);
        read
    }
}

/// `lib/a.rb:3: message`
fn place(text: &str) -> Option<(Place<'_>, &str)> {
    let (place, message) = Place::before_text(text, ".rb").or_else(|| Place::before_text(text, ".rbi"))?;
    Some((place, message.trim()))
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From Sorbet's documentation.
    #[test]
    fn an_error_keeps_its_page_its_span_and_where_it_came_from() {
        let text = b"lib/a.rb:3: Method `foo` does not exist on `String` https://srb.help/7003\n     \
            3 |x.foo\n        ^^^^^\n  Got `String` originating from:\n    lib/a.rb:2:\n     2 |x = \"\"\n             ^^\n\
            Errors: 1\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!((error.line, error.column, error.end_column), (Some(3), Some(1), Some(6)));
        assert_eq!(error.code.as_deref(), Some("7003"));
        assert_eq!(error.related[0].message, "Got `String` originating from:");
        assert_eq!(report.verdict, Verdict::Failed);
    }
}
