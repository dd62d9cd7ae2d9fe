//! `go build`, `go vet` and what prints as they do: `# package`, then `./file.go:12:5: message`; and the module
//! errors of the go command itself.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "go",
    kind: Kind::Compiler,
    commands: &["go build", "go install"],
    anchors: &[".go:", "go: ", "# ", "too many errors", "is undeclared in the main package", "no Go files in "],
    reader: || Box::new(GoBuild::default()),
    ..Tool::DEFAULT
};

/// Prints as the compiler does, so its reader reads it; here for its command line.
pub(super) const VET: Tool = Tool { name: "go-vet", kind: Kind::Linter, commands: &["go vet"], ..Tool::DEFAULT };

const CONTINUATION_MAX: usize = 40;

#[derive(Default)]
pub(super) struct GoBuild {
    /// The line before was a package's header or one of its messages.
    in_package: bool,
}

impl Reader for GoBuild {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let in_package = std::mem::take(&mut self.in_package);
        if is_header(line) && lines.ahead(1).is_some_and(|next| next.contains(".go:")) {
            self.in_package = true;
            return 1;
        }
        if line.ends_with("too many errors") && (line == "too many errors" || Place::before_text(line, ".go").is_some())
        {
            return 1;
        }
        let vetted = line.strip_prefix("vet: ").unwrap_or(line);
        let found = match Place::before_text(vetted, ".go") {
            // Programs log `file.go:12: message`; the compiler's messages without a column stand below a header.
            Some((place, text)) if place.column.is_some() || in_package => message(place, text, sink),
            Some(_) => None,
            None => of_go_command(line),
        };
        let Some(mut found) = found else { return 0 };
        let mut read = 1;
        while read < CONTINUATION_MAX
            && let Some(more) = lines.ahead(read).filter(|more| more.starts_with('\t'))
        {
            found.message.push('\n');
            found.message.push_str(more.trim());
            read += 1;
        }
        found.suggestions.extend(unused_import(&found));
        self.in_package = in_package;
        sink.diagnostic(found);
        read
    }
}

/// `# example.com/pkg`, `# example.com/pkg [example.com/pkg.test]`, `# [example.com/pkg]`
fn is_header(line: &str) -> bool {
    line.strip_prefix("# ").is_some_and(|package| {
        let mut words = package.split(' ');
        words.next().is_some_and(|word| !word.is_empty()) && words.all(|word| word.starts_with('['))
    })
}

fn message(place: Place<'_>, text: &str, sink: &Sink) -> Option<Diagnostic> {
    let text = text.strip_prefix(' ')?.trim_end();
    if text.is_empty() || place.file.starts_with([' ', '\t']) {
        return None;
    }
    let (text, code) = match check_code(text) {
        Some((text, code)) => (text, Some(code.to_owned())),
        None => (text, None),
    };
    // Only the compiler's own are errors without saying so.
    let checker = code.is_some() || sink.expects(VET.name);
    Some(Diagnostic {
        source: if code.is_some() { "staticcheck".into() } else { String::new() },
        severity: (!checker).then_some(Severity::Error),
        code,
        message: text.to_owned(),
        ..place.diagnostic()
    })
}

/// `message (SA4006)`
fn check_code(text: &str) -> Option<(&str, &str)> {
    let (text, code) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let letters = code.find(|c: char| !c.is_ascii_uppercase())?;
    let known = matches!(&code[..letters], "SA" | "S" | "ST" | "QF" | "U");
    let digits = &code[letters..];
    (known && digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())).then_some((text, code))
}

/// What the go command says in its own name.
fn of_go_command(line: &str) -> Option<Diagnostic> {
    const PROGRESS: &[&str] = &[
        "downloading ",
        "finding ",
        "found ",
        "extracting ",
        "added ",
        "upgraded ",
        "downgraded ",
        "removed ",
        "creating ",
        "to add ",
        "updating ",
        "copying ",
        "no module dependencies",
    ];
    let (severity, message) = if let Some(text) = line.strip_prefix("go: ") {
        if PROGRESS.iter().any(|start| text.starts_with(start)) {
            return None;
        }
        match text.strip_prefix("warning: ") {
            Some(warning) => (Severity::Warning, warning),
            None => (Severity::Error, text),
        }
    } else if line.ends_with("is undeclared in the main package") || line.starts_with("no Go files in ") {
        (Severity::Error, line)
    } else {
        return None;
    };
    Some(Diagnostic { severity: Some(severity), message: message.to_owned(), ..Diagnostic::default() })
}

/// `"os" imported and not used`: the line goes, if it holds that import alone.
fn unused_import(found: &Diagnostic) -> Option<Suggestion> {
    let text = found.message.as_str();
    let unused = text.starts_with("imported and not used: \"")
        || (text.starts_with('"') && (text.ends_with(" imported and not used") || text.ends_with(" and not used")));
    let line = found.line.filter(|_| unused)?;
    Some(Suggestion {
        message: "remove the unused import".into(),
        applicability: Applicability::MaybeIncorrect,
        edits: vec![Edit::DeleteLines { file: found.file.clone()?, first: line, last: line }],
    })
}
