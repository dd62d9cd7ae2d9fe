//! `eslint -f json`: exact spans, and fixes where the source is printed with them.

use serde::Deserialize;

use super::{Kind, Reader, Tool, eslint};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "eslint-json",
    kind: Kind::Linter,
    commands: eslint::TOOL.commands,
    json: &["\"filePath\":"],
    reader: || Box::new(EslintJson),
    ..Tool::DEFAULT
};

struct EslintJson;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    file_path: String,
    messages: Vec<Message>,
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    rule_id: Option<String>,
    severity: u8,
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
    fix: Option<Fix>,
    #[serde(default)]
    suggestions: Vec<Proposal>,
}

#[derive(Deserialize)]
struct Fix {
    range: (usize, usize),
    text: String,
}

#[derive(Deserialize)]
struct Proposal {
    desc: String,
    fix: Fix,
}

impl Reader for EslintJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(files) = document.json::<Vec<File>>() else { return false };
        if files.iter().all(|file| file.messages.is_empty()) {
            sink.evidence(Evidence::SaysPassed);
        }
        for file in &files {
            for message in &file.messages {
                sink.diagnostic(message.diagnostic(file));
            }
        }
        true
    }
}

impl Message {
    fn diagnostic(&self, file: &File) -> Diagnostic {
        let mut found = Diagnostic {
            source: eslint::TOOL.name.into(),
            severity: match self.severity {
                2 => Some(Severity::Error),
                1 => Some(Severity::Warning),
                _ => None,
            },
            code: self.rule_id.clone(),
            message: self.message.clone(),
            file: Some(file.file_path.clone()),
            line: self.line.filter(|&line| line > 0),
            column: self.column.filter(|&column| column > 0),
            end_line: self.end_line,
            end_column: self.end_column,
            ..Diagnostic::default()
        };
        let fixes = self.fix.iter().map(|fix| (fix, "fix", Applicability::MachineApplicable));
        let proposals =
            self.suggestions.iter().map(|idea| (&idea.fix, idea.desc.as_str(), Applicability::MaybeIncorrect));
        for (fix, words, applicability) in fixes.chain(proposals) {
            if let Some(edit) = fix.edit(file) {
                found.suggestions.push(Suggestion { message: words.to_owned(), applicability, edits: vec![edit] });
            }
        }
        found
    }
}

impl Fix {
    /// Ranges count UTF-16 units from the start of the file, so only its source tells the line.
    fn edit(&self, file: &File) -> Option<Edit> {
        let source = file.source.as_deref()?;
        let (line, column) = position(source, self.range.0)?;
        let (end_line, end_column) = position(source, self.range.1)?;
        let replacement = self.text.clone();
        Some(Edit::Replace { file: file.file_path.clone(), line, column, end_line, end_column, replacement })
    }
}

/// Line and column of an offset in UTF-16 units.
fn position(source: &str, offset: usize) -> Option<(u32, u32)> {
    let (mut line, mut column, mut units) = (1u32, 1u32, 0);
    for c in source.chars() {
        if units >= offset {
            break;
        }
        units += c.len_utf16();
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (units == offset).then_some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_utf16_units() {
        assert_eq!(position("a\n🙂b", 4), Some((2, 2)));
        assert_eq!(position("a\n🙂b", 3), None);
        assert_eq!(position("a", 1), Some((1, 2)));
        assert_eq!(position("a", 2), None);
    }
}
