//! Formatters that only check: black, isort, prettier and `ruff format` name each file that they would change.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const BLACK: Tool = Tool {
    name: "black",
    kind: Kind::Linter,
    commands: &["black"],
    anchors: &["would reformat ", "error: cannot parse: ", " unchanged.", " reformatted", " fail to reformat"],
    reader: || Box::new(Black),
    ..Tool::DEFAULT
};

/// `ruff format`; its name and its command line are with the linter's reader.
pub(super) const RUFF: Tool = Tool {
    name: "ruff format",
    kind: Kind::Linter,
    commands: &["ruff format"],
    anchors: &["Would reformat: ", " already formatted"],
    reader: || Box::new(Ruff::default()),
    ..Tool::DEFAULT
};

pub(super) const ISORT: Tool = Tool {
    name: "isort",
    kind: Kind::Linter,
    commands: &["isort"],
    anchors: &[" Imports are incorrectly sorted"],
    reader: || Box::new(Isort),
    ..Tool::DEFAULT
};

pub(super) const PRETTIER: Tool = Tool {
    name: "prettier",
    kind: Kind::Linter,
    commands: &["prettier"],
    anchors: &["Checking formatting...", "[warn] ", "[error] ", "All matched files use Prettier code style!"],
    reader: || Box::new(Prettier::default()),
    ..Tool::DEFAULT
};

struct Black;
struct Isort;

#[derive(Default)]
struct Ruff {
    would_change: bool,
}

#[derive(Default)]
struct Prettier {
    seen: bool,
}

impl Reader for Black {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(file) = line.strip_prefix("would reformat ") {
            sink.diagnostic(about(file, None, "would reformat"));
            return 1;
        }
        if let Some(place) = line.strip_prefix("error: cannot parse: ").and_then(Place::colons) {
            // The line, a caret under it, and what the parser said.
            let said = lines.ahead(3).filter(|said| said.contains("Error: "));
            let message = said.unwrap_or("cannot parse").trim();
            sink.diagnostic(Diagnostic {
                line: Some(place.line),
                column: place.column,
                ..about(place.file, Some(Severity::Error), message)
            });
            return if said.is_some() { 4 } else { 1 };
        }
        let said_so = lines.back(1).is_some_and(|above| above.starts_with("All done!"));
        closing(line, said_so, sink)
    }
}

impl Reader for Ruff {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        let Some(file) = line.strip_prefix("Would reformat: ") else { return closing(line, !self.would_change, sink) };
        self.would_change = true;
        sink.diagnostic(Diagnostic { source: "ruff".to_owned(), ..about(file, None, "would reformat") });
        1
    }
}

impl Reader for Isort {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let message = "Imports are incorrectly sorted and/or formatted.";
        let file = lines.first().trim_end().strip_prefix("ERROR: ").and_then(|text| text.strip_suffix(message));
        let Some(file) = file else { return 0 };
        sink.diagnostic(about(file.trim_end(), Some(Severity::Error), message));
        1
    }
}

impl Reader for Prettier {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        match line {
            "Checking formatting..." => {
                self.seen = true;
                return 1;
            }
            "All matched files use Prettier code style!" => {
                sink.evidence(Evidence::SaysPassed);
                return 1;
            }
            _ if !self.seen && !sink.expects(PRETTIER.name) => return 0,
            _ => {}
        }
        if let Some(file) = line.strip_prefix("[warn] ") {
            if !file.starts_with("Code style issues ") {
                sink.diagnostic(about(file, Some(Severity::Warning), "code style differs from Prettier's"));
            }
            return 1;
        }
        let Some((file, said)) = line.strip_prefix("[error] ").and_then(|text| text.split_once(": ")) else { return 0 };
        let (message, place) = said
            .strip_suffix(')')
            .and_then(|said| said.rsplit_once(" ("))
            .and_then(|(message, place)| {
                let (line, column) = place.split_once(':')?;
                Some((message, (number(line)?, number(column)?)))
            })
            .map_or((said, None), |(message, place)| (message, Some(place)));
        let mut found = about(file, Some(Severity::Error), message);
        (found.line, found.column) = (place.map(|place| place.0), place.map(|place| place.1));
        sink.diagnostic(found);
        let drawn = |line: &&str| {
            line.strip_prefix("[error] ").is_some_and(|row| row.starts_with([' ', '>']) && row.contains('|'))
        };
        1 + (1..10).map_while(|n| lines.ahead(n)).take_while(drawn).count()
    }
}

fn about(file: &str, severity: Option<Severity>, message: &str) -> Diagnostic {
    Diagnostic { severity, file: Some(file.to_owned()), message: message.to_owned(), ..Diagnostic::default() }
}

/// `1 file would be reformatted, 2 files would be left unchanged.`
fn closing(line: &str, all_is_well: bool, sink: &mut Sink) -> usize {
    const ENDS: &[&str] = &["would be left unchanged", "left unchanged", "would be reformatted", "reformatted"];
    const MORE_ENDS: &[&str] = &["would fail to reformat", "failed to reformat", "already formatted"];
    let part = |part: &str| {
        let (count, rest) = part.split_once(' ')?;
        let what = rest.strip_prefix("files ").or_else(|| rest.strip_prefix("file "))?;
        number(count).filter(|_| !count.is_empty())?;
        (ENDS.contains(&what) || MORE_ENDS.contains(&what)).then(|| what.contains("reformat"))
    };
    let Some(changed) = line.trim_end_matches('.').split(", ").map(part).collect::<Option<Vec<bool>>>() else {
        return 0;
    };
    if all_is_well && !changed.contains(&true) {
        sink.evidence(Evidence::SaysPassed);
    }
    1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Exit, Report, ToolOutput, Verdict, parse};

    fn report(text: &str, code: i32) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(code)), ..ToolOutput::default() })
    }

    #[test]
    fn a_file_that_would_change_is_a_finding() {
        for (text, file) in [
            ("would reformat a b.py\n\nOh no! 💥 💔 💥\n1 file would be reformatted.\n", "a b.py"),
            ("Would reformat: src/a.py\n1 file would be reformatted, 2 files already formatted\n", "src/a.py"),
            ("ERROR: /x/a.py Imports are incorrectly sorted and/or formatted.\n", "/x/a.py"),
            (
                "Checking formatting...\n[warn] src/a.js\n[warn] Code style issues found in the above file.\n",
                "src/a.js",
            ),
        ] {
            let report = report(text, 1);
            let [found] = report.diagnostics.as_slice() else { panic!("{:?}", report.diagnostics) };
            assert_eq!((found.file.as_deref(), found.line, report.verdict), (Some(file), None, Verdict::Failed));
        }
    }

    #[test]
    fn what_cannot_be_parsed_has_a_place() {
        let text = "error: cannot parse: bad.py:1:6\n    def h(:\n         ^\nParseError: bad input\n\n1 file would fail to reformat.\n";
        let report = report(text, 123);
        let found = &report.diagnostics[0];
        assert_eq!((found.file.as_deref(), found.line, found.column), (Some("bad.py"), Some(1), Some(6)));
        assert_eq!((found.message.as_str(), report.verdict), ("ParseError: bad input", Verdict::Failed));
    }

    #[test]
    fn only_a_summary_without_changes_passes() {
        assert_eq!(report("All done! ✨ 🍰 ✨\n3 files would be left unchanged.\n", 0).verdict, Verdict::Passed);
        assert_eq!(report("Oh no! 💥 💔 💥\n3 files would be left unchanged.\n", 0).verdict, Verdict::Unknown);
        assert_eq!(report("12 files already formatted\n", 0).verdict, Verdict::Passed);
        assert_eq!(
            report("All done! ✨ 🍰 ✨\n1 file reformatted, 1 file left unchanged.\n", 0).verdict,
            Verdict::Unknown
        );
        assert_eq!(report("[warn] disk is nearly full\n", 0).diagnostics.len(), 0);
    }
}
