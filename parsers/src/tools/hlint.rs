//! HLint: a hint with what was found and what would be better; text and JSON.

use super::{Kind, Reader, Tool, ghc};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "hlint",
    kind: Kind::Linter,
    commands: &["hlint"],
    anchors: &[": Warning: ", ": Suggestion: ", ": Error: ", "No hints"],
    json: &["\"refactorings\""],
    reader: || Box::new(Hlint),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 200;

struct Hlint;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Idea {
    severity: String,
    hint: String,
    file: String,
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
    to: Option<String>,
}

impl Reader for Hlint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line == "No hints" {
            let own = sink.expects(TOOL.name);
            if own {
                sink.evidence(Evidence::SaysPassed);
            }
            return usize::from(own);
        }
        let split = [": Warning: ", ": Suggestion: ", ": Error: "].iter().find_map(|tag| {
            let (place, hint) = line.split_once(tag)?;
            Some((place, tag.trim_matches([':', ' ']), hint))
        });
        let Some((place, word, hint)) = split else { return 0 };
        let Some((line, column, end)) = place.split_once(".hs:").and_then(|(_, span)| ghc::span(span)) else {
            return 0;
        };
        let file = place.split_once(".hs:").map_or("", |(file, _)| file);
        let mut read = 1;
        let mut better: Vec<&str> = Vec::new();
        let mut in_better = false;
        while let Some(line) = lines.ahead(read).filter(|line| !line.trim().is_empty() && read < BLOCK_LINES_MAX) {
            match line.trim_end() {
                "Perhaps:" | "Why not:" => in_better = true,
                text if !text.starts_with(' ') && text != "Found:" && !text.starts_with("Note: ") => break,
                text if in_better => better.push(text.trim()),
                _ => {}
            }
            read += 1;
        }
        sink.diagnostic(Diagnostic {
            severity: severity(word),
            code: Some(hint.to_owned()),
            message: told(hint, &better.join(" ")),
            file: Some(format!("{file}.hs")),
            line: Some(line),
            column: Some(column),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            ..Diagnostic::default()
        });
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(ideas) = document.json::<Vec<Idea>>() else { return false };
        for idea in ideas {
            let better = idea.to.unwrap_or_default();
            sink.diagnostic(Diagnostic {
                severity: severity(&idea.severity),
                message: told(&idea.hint, &better.split_whitespace().collect::<Vec<_>>().join(" ")),
                code: Some(idea.hint),
                file: Some(idea.file),
                line: Some(idea.start_line),
                column: Some(idea.start_column),
                end_line: Some(idea.end_line),
                end_column: Some(idea.end_column),
                ..Diagnostic::default()
            });
        }
        true
    }
}

/// The hint's name is its rule; its replacement says what to do.
fn told(hint: &str, better: &str) -> String {
    if better.is_empty() { hint.to_owned() } else { format!("{hint}: perhaps {better}") }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "Error" => Some(Severity::Error),
        "Warning" => Some(Severity::Warning),
        "Suggestion" => Some(Severity::Hint),
        _ => None,
    }
}
