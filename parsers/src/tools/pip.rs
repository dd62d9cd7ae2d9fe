//! pip: what could not be found, built or opened.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "pip",
    kind: Kind::Runtime,
    commands: &["pip", "pip3"],
    anchors: &[
        "ERROR: Could not ",
        "ERROR: No matching distribution found for ",
        "ERROR: Failed building wheel for ",
        "ERROR: Failed to build ",
        "ERROR: Cannot install ",
        "ERROR: ResolutionImpossible",
        "ERROR: Package ",
        "ERROR: Invalid requirement",
        "ERROR: Cannot ",
        "ERROR: Directory ",
        "ERROR: Exception:",
        "error: metadata-generation-failed",
        "error: subprocess-exited-with-error",
        "error: externally-managed-environment",
        "error: legacy-install-failure",
        "error: failed-wheel-build-for-install",
        "No broken requirements found.",
    ],
    reader: || Box::new(Pip),
    ..Tool::DEFAULT
};

const DETAILS_MAX: usize = 20;

struct Pip;

impl Reader for Pip {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == "No broken requirements found." {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if let Some(message) = line.strip_prefix("ERROR: ") {
            sink.evidence(Evidence::SaysError);
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                message: message.to_owned(),
                ..Diagnostic::default()
            });
            return 1;
        }
        // `error: code`, an empty line, `× what`, `╰─> [18 lines of output]`; indented where a subprocess says it.
        let indent = line.len() - line.trim_start().len();
        let Some(code) = line.trim_start().strip_prefix("error: ") else { return 0 };
        sink.evidence(Evidence::SaysError);
        let mut message = None;
        let mut read = 1;
        while let Some(line) = lines.ahead(read).filter(|_| read < DETAILS_MAX) {
            let text = line.trim();
            if let Some(what) = text.strip_prefix("× ") {
                message = Some(what.to_owned());
            } else if !text.is_empty() && !text.starts_with(['│', '╰']) {
                break;
            }
            read += 1;
        }
        // Said again by pip itself once the subprocess has been told.
        if indent > 0 || code != "metadata-generation-failed" {
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                code: Some(code.to_owned()),
                message: message.unwrap_or_else(|| code.to_owned()),
                ..Diagnostic::default()
            });
        }
        read
    }
}
