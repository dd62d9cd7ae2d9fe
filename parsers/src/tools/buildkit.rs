//! `docker build`, with BuildKit and without: which step failed, and a Dockerfile that does not parse.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "docker",
    kind: Kind::Runtime,
    commands: &["docker build", "docker buildx build", "buildctl", "podman build"],
    anchors: &[
        "failed to solve: ",
        "failed to solve with frontend ",
        "dockerfile parse error ",
        "' returned a non-zero code: ",
        "failed to read dockerfile: ",
    ],
    reader: || Box::new(Buildkit),
    ..Tool::DEFAULT
};

const BACK_LINES_MAX: usize = 30;

struct Buildkit;

impl Reader for Buildkit {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        let legacy = line.starts_with("The command '") && line.contains("' returned a non-zero code: ");
        let daemon = line.starts_with("Error response from daemon: ") && line.contains("dockerfile parse error ");
        let solve = ["ERROR: ", "error: ", "failed to solve"].iter().any(|start| line.starts_with(start))
            && line.contains("failed to ");
        if !(legacy || daemon || solve) {
            return 0;
        }
        let message = line
            .trim_start_matches("ERROR: ")
            .trim_start_matches("error: ")
            .trim_start_matches("Error response from daemon: ");
        let (file, row) = place(message, lines);
        sink.evidence(Evidence::SaysError);
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            message: message.to_owned(),
            file,
            line: row,
            ..Diagnostic::default()
        });
        1
    }
}

/// `dockerfile parse error on line 3: …`, or `Dockerfile:3` above the step that is drawn.
fn place(message: &str, lines: Lines<'_>) -> (Option<String>, Option<u32>) {
    if let Some((_, rest)) = message.split_once("parse error ") {
        let row = rest.trim_start_matches("on ").trim_start_matches("line ").split(':').next().and_then(number);
        return (row.map(|_| "Dockerfile".to_owned()), row);
    }
    let above = (1..BACK_LINES_MAX).filter_map(|n| lines.back(n)).find_map(|line| {
        let (file, row) = line.trim_end().rsplit_once(':')?;
        let named = !file.is_empty() && !file.contains(' ') && file.to_ascii_lowercase().contains("dockerfile");
        Some((file.to_owned(), number(row)?)).filter(|_| named)
    });
    above.unzip()
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From Docker's documentation.
    #[test]
    fn the_step_that_failed_is_found_above() {
        let text = b"------\nDockerfile:3\n--------------------\n   2 |     COPY . .\n   3 | >>> RUN make\n--------------------\n\
            ERROR: failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!((error.file.as_deref(), error.line), (Some("Dockerfile"), Some(3)));
        assert_eq!(report.verdict, Verdict::Error);
    }
}
