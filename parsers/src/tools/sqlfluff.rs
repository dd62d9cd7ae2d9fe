//! SQLFluff's `L:   1 | P:   8 | LT01 | message`, below `== [q.sql] FAIL`; long messages go on behind the bar.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::Diagnostic;
use crate::sink::Sink;
use crate::window::Lines;

pub(super) const TOOL: Tool = Tool {
    name: "sqlfluff",
    kind: Kind::Linter,
    commands: &["sqlfluff lint"],
    anchors: &["== [", " | P: "],
    reader: || Box::new(Sqlfluff::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Sqlfluff {
    file: Option<String>,
}

impl Reader for Sqlfluff {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some((file, verdict)) = line.strip_prefix("== [").and_then(|rest| rest.split_once("] ")) {
            let ours = matches!(verdict.trim_end(), "FAIL" | "PASS");
            if ours {
                self.file = Some(file.to_owned());
            }
            return usize::from(ours);
        }
        let Some((row, column, code, first)) = row(line) else { return 0 };
        let mut message = first.trim().to_owned();
        let mut read = 1;
        while let Some(more) =
            lines.ahead(read).and_then(|next| next.strip_prefix("        ")?.trim_start().strip_prefix("| "))
        {
            message.push(' ');
            message.push_str(more.trim());
            read += 1;
        }
        // The rule's name, which says what the code does.
        if let Some((text, _)) = message.rsplit_once(" [").filter(|_| message.ends_with(']')) {
            message = text.to_owned();
        }
        sink.diagnostic(Diagnostic {
            code: Some(code.to_owned()),
            message,
            file: self.file.clone(),
            line: Some(row),
            column: Some(column),
            ..Diagnostic::default()
        });
        read
    }
}

fn row(line: &str) -> Option<(u32, u32, &str, &str)> {
    let mut parts = line.splitn(4, '|');
    let row = number(parts.next()?.strip_prefix("L:")?.trim())?;
    let column = number(parts.next()?.trim().strip_prefix("P:")?.trim())?;
    Some((row, column, parts.next()?.trim(), parts.next()?))
}
