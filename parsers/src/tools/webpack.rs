//! webpack: `ERROR in ./src/a.js 2:0-35`, the message below, and how it compiled.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "webpack",
    kind: Kind::Compiler,
    commands: &["webpack", "webpack-cli", "react-scripts build", "vue-cli-service build"],
    anchors: &["ERROR in ", "WARNING in ", " compiled successfully in ", " compiled with "],
    reader: || Box::new(Webpack),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 200;

struct Webpack;

impl Reader for Webpack {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some((who, rest)) = line.split_once(" compiled ") {
            let own = who.split(' ').any(|word| word == "webpack")
                && (rest.starts_with("with ") || rest.starts_with("successfully in "));
            if own && rest.starts_with("successfully") {
                sink.evidence(Evidence::SaysPassed);
            } else if own && rest.contains(" error") {
                sink.evidence(Evidence::SaysError);
            }
            return usize::from(own);
        }
        let (severity, head) = match line.strip_prefix("ERROR in ") {
            Some(head) => (Severity::Error, head),
            None => match line.strip_prefix("WARNING in ") {
                Some(head) => (Severity::Warning, head),
                None => return 0,
            },
        };
        // Python's loggers: `ERROR in module: text`.
        let is_name = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if head.split_once(": ").is_some_and(|(word, _)| is_name(word)) {
            return 0;
        }
        let mut found = Diagnostic { severity: Some(severity), ..Diagnostic::default() };
        place(head, &mut found);
        let mut read = 1;
        let mut code = None;
        while let Some(line) = lines.ahead(read).filter(|line| !line.trim().is_empty() && read < BLOCK_LINES_MAX) {
            let text = line.trim();
            if let Some(error) =
                text.strip_prefix("TS").and_then(|text| text.split_once(": ")).filter(|_| code.is_none())
            {
                // ts-loader and fork-ts-checker: `TS2322: message`.
                code = number(error.0).map(|number| format!("TS{number}"));
                if code.is_some() {
                    error.1.clone_into(&mut found.message);
                }
            }
            if found.message.is_empty() {
                text.clone_into(&mut found.message);
            } else if found.line.is_none() {
                inner_place(text, &mut found);
            }
            read += 1;
        }
        found.code = code;
        if found.file.is_none() && found.message.is_empty() {
            head.clone_into(&mut found.message);
        }
        sink.diagnostic(found);
        read
    }
}

/// `./src/a.js 2:0-35`, `./src/a.js 1:0-3:5`, `./src/a.ts:4:3`, `./src/a.ts`; columns count from zero.
fn place(head: &str, found: &mut Diagnostic) {
    let (file, span) = head.rsplit_once(' ').unwrap_or((head, ""));
    let Some((line, columns)) = span.split_once(':') else {
        let named = !head.contains(' ') && (head.contains('/') || head.contains('.'));
        match super::place::Place::colons(head).filter(|_| named) {
            Some(place) => {
                found.file = Some(place.file.to_owned());
                (found.line, found.column) = (Some(place.line), place.column);
            }
            None => found.file = named.then(|| head.to_owned()),
        }
        return;
    };
    found.file = Some(file.to_owned());
    found.line = number(line);
    let (from, to) = columns.split_once('-').unwrap_or((columns, ""));
    found.column = number(from);
    (found.end_line, found.end_column) = match to.split_once(':') {
        Some((line, column)) => (number(line), number(column)),
        None => {
            let end = number(to).filter(|_| !to.is_empty());
            (end.and(found.line), end)
        }
    };
}

/// `SyntaxError: /w/src/a.js: Unexpected token (3:7)`: a loader's words.
fn inner_place(text: &str, found: &mut Diagnostic) {
    let Some((_, span)) = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) else { return };
    if let Some((line, column)) = span.split_once(':') {
        (found.line, found.column) = (number(line), number(column));
    }
}
