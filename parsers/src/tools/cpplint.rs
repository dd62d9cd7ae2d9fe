//! cpplint: `a.cc:3:  message  [category/name] [confidence]`.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "cpplint",
    kind: Kind::Linter,
    commands: &["cpplint", "cpplint.py"],
    anchors: &["] [1]", "] [2]", "] [3]", "] [4]", "] [5]", "Done processing ", "Total errors found: "],
    reader: || Box::new(Cpplint),
    ..Tool::DEFAULT
};

struct Cpplint;

impl Reader for Cpplint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("Done processing ") || line.starts_with("Total errors found: ") {
            return usize::from(sink.expects(TOOL.name));
        }
        let Some(found) = finding(line) else { return 0 };
        sink.diagnostic(found);
        1
    }
}

/// The confidence, 1 to 5, is no severity: cpplint calls all of them errors.
fn finding(line: &str) -> Option<Diagnostic> {
    let (rest, category) = line.strip_suffix(']')?.rsplit_once(" [")?.0.strip_suffix(']')?.rsplit_once("  [")?;
    let (place, message) = rest.split_once(":  ")?;
    let (file, row) = place.rsplit_once(':')?;
    (category.contains('/') && !category.contains(' ')).then_some(())?;
    Some(Diagnostic {
        severity: Some(Severity::Error),
        code: Some(category.to_owned()),
        message: message.trim().to_owned(),
        file: Some(file.to_owned()),
        // A missing copyright is told of line 0.
        line: Some(number(row)?).filter(|row| *row > 0),
        ..Diagnostic::default()
    })
}
