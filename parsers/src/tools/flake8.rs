//! flake8, pycodestyle and pyflakes with codes: `file.py:12:5: E501 line too long`.

use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::Diagnostic;
use crate::sink::Sink;
use crate::window::Lines;

pub(super) const TOOL: Tool = Tool {
    name: "flake8",
    kind: Kind::Linter,
    commands: &["flake8", "pycodestyle"],
    anchors: &[".py:", ".pyi:", ".pyx:", ".ipynb:"],
    reader: || Box::new(Flake8),
    ..Tool::DEFAULT
};

struct Flake8;

impl Reader for Flake8 {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((position, rest)) = Position::cut(lines.first()) else { return 0 };
        let Some((code, message)) = rest.split_once(' ').filter(|(code, _)| is_code(code)) else { return 0 };
        if position.column.is_none() || !(position.is_python() || sink.expects(TOOL.name)) {
            return 0;
        }
        sink.diagnostic(Diagnostic {
            code: Some(code.to_owned()),
            message: message.trim().to_owned(),
            file: Some(position.file.to_owned()),
            line: Some(position.line),
            column: position.column,
            ..Diagnostic::default()
        });
        1
    }
}

/// `E501`, `ABC1234`
pub(super) fn is_code(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = word.len() - letters;
    (1..=6).contains(&letters) && (1..=5).contains(&digits) && word.bytes().skip(letters).all(|b| b.is_ascii_digit())
}
