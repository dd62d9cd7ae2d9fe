//! Under GitHub Actions: a line for each finding at the place it is about, and the summary of the step.
//!
//! What stands in them is a repository's or a model's, so it is escaped as the runner's commands want it, and fenced in
//! the summary.

use std::io::Write;
use std::path::{Path, PathBuf};

use greenroom_parsers::{Report, Severity};

use super::Printer;
use super::escape::{Sgr, escape};
use super::jsonl::RunResult;
use super::markdown::fenced;
use super::{report, summary};
use crate::agent::RunState;
use crate::feedback::{FindingKind, findings};
use crate::judgement::Weight;

/// The runner shows ten of each level in one step.
const EACH_LEVEL_MAX: usize = 10;
const MESSAGE_BYTES_MAX: usize = 2_000;
/// A step's summary may have 1 MiB, of all that is written to it.
const SUMMARY_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Notice,
}

/// One finding as the runner shows it beside the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub level: Level,
    /// Relative to the checked-out repository.
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    pub title: String,
    pub message: String,
}

impl Annotation {
    /// `::error file=a.py,line=3,title=pytest::message`, one line.
    pub fn command(&self) -> String {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        };
        let mut properties = Vec::new();
        if let Some(file) = &self.file {
            properties.push(format!("file={}", property(file)));
            properties.extend(self.line.map(|line| format!("line={line}")));
            properties.extend(self.line.and(self.column).map(|column| format!("col={column}")));
        }
        if !self.title.is_empty() {
            properties.push(format!("title={}", property(&self.title)));
        }
        let space = if properties.is_empty() { "" } else { " " };
        let message = &self.message[..self.message.floor_char_boundary(MESSAGE_BYTES_MAX)];
        format!("::{level}{space}{}::{}", properties.join(","), data(message))
    }
}

/// What ends a command or begins another one is spelt out.
fn data(text: &str) -> String {
    let mut out = String::new();
    for char in text.trim_end().chars() {
        match char {
            '%' => out.push_str("%25"),
            '\n' => out.push_str("%0A"),
            '\t' => out.push(' '),
            char if char.is_control() => {}
            char => out.push(char),
        }
    }
    // The older form of a command is looked for anywhere in a line.
    out.replace("##[", "# #[")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// As many of each level as are shown.
pub(super) fn few(annotations: Vec<Annotation>) -> Vec<Annotation> {
    let mut seen = [0; 3];
    let mut few = annotations;
    few.retain(|annotation| {
        let count = &mut seen[annotation.level as usize];
        *count += 1;
        *count <= EACH_LEVEL_MAX
    });
    few
}

/// What a report found, where it says where. `under` is the folder that its paths begin from.
pub fn of_report(report: &Report, under: &str) -> Vec<Annotation> {
    let note = report
        .diagnostics
        .iter()
        .filter(|diagnostic| matches!(diagnostic.severity, Some(Severity::Note | Severity::Info | Severity::Hint)));
    let found = findings(report).into_iter().map(|finding| Annotation {
        level: match finding.kind {
            FindingKind::Error | FindingKind::FailedTest | FindingKind::Trace => Level::Error,
            FindingKind::Warning => Level::Warning,
        },
        file: finding.file.as_deref().map(|file| below(under, file)),
        line: finding.line,
        column: finding.column,
        title: finding.title,
        message: finding.message,
    });
    let notes = note.map(|diagnostic| Annotation {
        level: Level::Notice,
        file: diagnostic.file.as_deref().map(|file| below(under, file)),
        line: diagnostic.line,
        column: diagnostic.column,
        title: diagnostic.source.clone(),
        message: diagnostic.message.clone(),
    });
    found.chain(notes).collect()
}

/// What stands against the patch, and what the checks that are red say; what is only noted comes last.
fn of_run(state: &RunState, under: &str) -> Vec<Annotation> {
    let judged = state.judgement.iter().flat_map(|judgement| &judgement.findings);
    let mut all: Vec<Annotation> = judged
        .map(|finding| Annotation {
            level: if finding.weight == Weight::Objection { Level::Error } else { Level::Notice },
            file: finding.file.as_deref().map(|file| below(under, file)),
            line: finding.line,
            column: None,
            title: "greenroom".into(),
            message: match &finding.evidence {
                Some(evidence) => format!("{}: {evidence}", finding.message),
                None => finding.message.clone(),
            },
        })
        .collect();
    let checks = state.verification.as_ref().or(state.last_checks.as_ref());
    let red = checks.iter().flat_map(|checks| checks.iter()).filter(|check| !check.passed());
    all.extend(red.flat_map(|check| of_report(&check.report, under)).filter(|one| one.level == Level::Error));
    all.sort_by_key(|annotation| annotation.level as u8);
    all
}

fn below(under: &str, file: &str) -> String {
    match under.is_empty() || file.starts_with('/') {
        true => file.to_owned(),
        false => format!("{under}/{file}"),
    }
}

/// Where a repository lies in the checked-out one: what its paths begin with there.
fn folder_of(repo: &Path, workspace: Option<&Path>) -> String {
    let (repo, workspace) = (repo.canonicalize(), workspace.map(Path::canonicalize));
    match (repo, workspace) {
        (Ok(repo), Some(Ok(workspace))) => {
            repo.strip_prefix(workspace).map_or_else(|_| String::new(), |inside| inside.to_string_lossy().into_owned())
        }
        _ => String::new(),
    }
}

/// What GitHub's runner told about itself.
#[derive(Debug, Clone, Default)]
pub struct Actions {
    pub step_summary: Option<PathBuf>,
    pub workspace: Option<PathBuf>,
}

impl Printer {
    /// Under GitHub Actions, for the end of the output; nothing elsewhere.
    pub fn github_run(&mut self, state: &RunState, result: &RunResult, patch: Option<&[u8]>) {
        let Some(actions) = self.surface().github().cloned() else { return };
        let under = folder_of(Path::new(&state.repo), actions.workspace.as_deref());
        self.annotate(of_run(state, &under));
        let (_, status) = summary::status_word(result.status);
        self.step_summary(&actions, &format!("Greenroom: {status}"), &summary::render(result, patch));
    }

    /// The same for one report, whose paths begin from `folder`.
    pub fn github_report(&mut self, title: &str, found: &Report, folder: &Path) {
        let Some(actions) = self.surface().github().cloned() else { return };
        let under = folder_of(folder, actions.workspace.as_deref());
        self.annotate(of_report(found, &under));
        self.step_summary(&actions, title, &report::render(found));
    }

    /// It is a help: where it cannot be written, that is said and no more.
    fn step_summary(&mut self, actions: &Actions, title: &str, text: &str) {
        let Some(file) = &actions.step_summary else { return };
        let plain = escape(text, Sgr::Drop);
        let shown = &plain[..plain.floor_char_boundary(SUMMARY_BYTES_MAX)];
        let block = format!("### {title}\n\n{}\n", fenced(shown));
        let written = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut file| file.write_all(block.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, file = %file.display(), "the step's summary is not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_parsers::Diagnostic;

    fn annotation(file: &str, message: &str) -> Annotation {
        Annotation {
            level: Level::Error,
            file: Some(file.into()),
            line: Some(3),
            column: Some(7),
            title: "mypy: a, b".into(),
            message: message.into(),
        }
    }

    #[test]
    fn a_finding_is_one_command_whatever_stands_in_it() {
        assert_eq!(
            annotation("a,b:c.py", "100 %\nbad\r\n::set-output name=x::y\u{1b}[2J ##[error]no").command(),
            "::error file=a%2Cb%3Ac.py,line=3,col=7,title=mypy%3A a%2C b::100 %25%0Abad%0A::set-output name=x::y[2J # \
             #[error]no"
        );
        let nowhere = Annotation { file: None, title: String::new(), ..annotation("", "all is red") };
        assert_eq!(nowhere.command(), "::error::all is red");
    }

    #[test]
    fn ten_of_a_level_are_shown() {
        let mut many = vec![annotation("a.py", "x"); 12];
        many.push(Annotation { level: Level::Warning, ..annotation("a.py", "y") });
        let few = few(many);
        assert_eq!((few.len(), few[10].level), (11, Level::Warning));
    }

    #[test]
    fn paths_begin_where_the_repository_was_checked_out() {
        let workspace = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(workspace.path().join("sub")).expect("a folder");
        let under = folder_of(&workspace.path().join("sub"), Some(workspace.path()));
        let found = Diagnostic {
            severity: Some(Severity::Error),
            file: Some("a.py".into()),
            line: Some(1),
            ..Diagnostic::default()
        };
        let report = Report { diagnostics: vec![found], ..Report::default() };
        assert_eq!(of_report(&report, &under)[0].file.as_deref(), Some("sub/a.py"));
        assert_eq!(folder_of(Path::new("/nowhere"), Some(workspace.path())), "");
    }
}
