//! Poetry: an invalid project, a lock file that is out of date, versions that cannot be had together.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "poetry",
    kind: Kind::Runtime,
    commands: &["poetry"],
    anchors: &[
        "The Poetry configuration is invalid:",
        "Invalid TOML file ",
        "version solving failed.",
        "pyproject.toml changed significantly since poetry.lock was last generated",
        "pyproject.toml is not consistent with poetry.lock",
    ],
    reader: || Box::new(Poetry),
    ..Tool::DEFAULT
};

const LINES_MAX: usize = 40;

struct Poetry;

impl Reader for Poetry {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        let error = |message: &str| Diagnostic {
            severity: Some(Severity::Error),
            message: message.to_owned(),
            ..Diagnostic::default()
        };
        if line == "The Poetry configuration is invalid:" {
            let mut read = 1;
            while let Some(item) =
                lines.ahead(read).and_then(|line| line.trim().strip_prefix("- ")).filter(|_| read < LINES_MAX)
            {
                sink.diagnostic(Diagnostic { file: Some("pyproject.toml".to_owned()), ..error(item) });
                read += 1;
            }
            sink.evidence(Evidence::SaysError);
            return read;
        }
        if let Some((file, message)) = line.strip_prefix("Invalid TOML file ").and_then(|rest| rest.split_once(": ")) {
            let place = message.rsplit_once(" at line ").and_then(|(_, place)| place.split_once(" col "));
            sink.diagnostic(Diagnostic {
                file: Some(file.to_owned()),
                line: place.and_then(|(line, _)| number(line)),
                column: place.and_then(|(_, column)| number(column)),
                ..error(message)
            });
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        let lock = line.contains("poetry.lock");
        if !(lock || line.ends_with("version solving failed.")) {
            return 0;
        }
        sink.evidence(Evidence::SaysError);
        sink.diagnostic(error(line));
        1
    }
}
