//! A syntax error: the place, the line with its caret, the message; also without a traceback's header.

use super::suggest;
use super::traceback::file_line;
use super::{Exception, TOOL};
use crate::{Diagnostic, Severity, Trace};

/// Source lines with newlines in them are printed as they are, so the error may come some lines later.
const LINES_MAX: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct SyntaxError {
    pub(crate) exception: String,
    message: String,
    file: String,
    line: u32,
    /// The source line as printed, without its indentation.
    code: Option<String>,
    /// What the carets point at, as chars of `code`.
    marked: Option<(usize, usize)>,
}

impl SyntaxError {
    pub(crate) fn place(&self) -> (&str, u32) {
        (&self.file, self.line)
    }

    /// Reads from the line `File "x.py", line 3` on; answers how many lines it took.
    pub(crate) fn read<'a>(line_at: &dyn Fn(usize) -> Option<&'a str>) -> Option<(Self, usize)> {
        let first = line_at(0)?;
        let (file, line, None) = file_line(&first[first.find("File \"")?..])? else { return None };
        let indent = first.find("File \"")?;
        let mut code: Option<&str> = None;
        let mut marked = None;
        for at in 1..LINES_MAX {
            let text = line_at(at)?;
            let bare = text.get(indent.saturating_sub(2)..).unwrap_or("");
            if let Some(exception) = Exception::parse(bare)
                && ["SyntaxError", "IndentationError", "TabError"].contains(&Exception::short_name(exception.name))
            {
                let error = Self {
                    exception: exception.name.to_owned(),
                    message: exception.message.unwrap_or("").to_owned(),
                    file: file.to_owned(),
                    line,
                    code: code.map(|code| code.trim().to_owned()),
                    marked,
                };
                return Some((error, at + 1));
            }
            let carets = text.trim();
            if let Some(code) = code
                && !carets.is_empty()
                && carets.bytes().all(|b| b == b'^')
            {
                let indent_of = |text: &str| text.len() - text.trim_start().len();
                if let Some(from) = indent_of(text).checked_sub(indent_of(code)) {
                    marked = Some((from, from + carets.len()));
                }
            } else if code.is_none() {
                code = Some(text);
            }
        }
        None
    }

    /// As `str()` of the exception gives it: the place is part of it, for no frame tells it.
    pub(crate) fn described(&self) -> String {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file);
        format!("{} ({name}, line {})", self.message, self.line)
    }

    pub(crate) fn finding(&self) -> Diagnostic {
        let fixes = match (&self.code, self.marked) {
            (Some(code), Some(marked)) if code.is_ascii() => {
                suggest::syntax_fix(&self.message, code, marked, &self.file, self.line)
            }
            _ => None,
        };
        Diagnostic {
            source: TOOL.name.into(),
            severity: Some(Severity::Error),
            code: Some(self.exception.clone()),
            message: self.message.clone(),
            file: Some(self.file.clone()),
            line: Some(self.line),
            suggestions: fixes.into_iter().collect(),
            ..Diagnostic::default()
        }
    }

    pub(crate) fn into_trace(self) -> Trace {
        Trace {
            language: "python".into(),
            message: Some(self.described()),
            exception: Some(self.exception),
            ..Trace::default()
        }
    }
}
