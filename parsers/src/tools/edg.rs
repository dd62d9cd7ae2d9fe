//! Compilers on EDG's front end (Green Hills, TI, ARM, IAR, VisualDSP++): `"a.c", line 9: warning #381-D: message`. They
//! break long messages, with ten blanks before what goes on; below stand the code and its caret.

use super::place::{marks, number};
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "edg",
    kind: Kind::Compiler,
    commands: &["armcc", "ccarm", "ccppc", "cxarm", "cxppc", "cl6x", "cl2000", "cl430", "armcl", "cc21k"],
    anchors: &["\", line "],
    reader: || Box::new(Edg),
    ..Tool::DEFAULT
};

const MORE_LINES_MAX: usize = 12;
const WRAP_INDENT: usize = 10;
/// What stands before a line of code.
const CODE_INDENT: u32 = 2;

struct Edg;

impl Reader for Edg {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(mut found) = header(lines.first().trim_end()) else { return 0 };
        let mut read = 1;
        let indent = |text: &str| text.len() - text.trim_start_matches(' ').len();
        let is_code = |n: usize| lines.ahead(n + 1).is_some_and(|line| marks(line).is_some());
        while read < MORE_LINES_MAX
            && let Some(more) = lines.ahead(read).filter(|line| !line.trim().is_empty())
            && (indent(more) >= WRAP_INDENT || found.message.is_empty() && indent(more) > 0)
            && !is_code(read)
        {
            if !found.message.is_empty() {
                found.message.push(' ');
            }
            found.message.push_str(more.trim());
            read += 1;
        }
        if is_code(read)
            && let Some((caret, _)) = lines.ahead(read + 1).and_then(marks)
        {
            found.column = found.column.or(caret.checked_sub(CODE_INDENT)).filter(|column| *column > 0);
            read += 2;
        }
        if found.message.is_empty() {
            return 0;
        }
        sink.diagnostic(found);
        read
    }
}

/// The first line, if it has a number: what has none is read as any compiler's.
fn header(line: &str) -> Option<Diagnostic> {
    let (file, rest) = line.trim_start().strip_prefix('"')?.split_once("\", line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (row, rest) = rest.split_at(digits);
    let (column, rest) = match rest.split_once(": ").or_else(|| rest.split_once(':')) {
        Some(("", rest)) => (None, rest),
        Some((column, rest)) => {
            let inner = column.trim_matches([' ', '*', '(', ')']).strip_prefix("col. ")?;
            (Some(number(inner)?), rest)
        }
        None => return None,
    };
    let rest = rest.trim_start();
    let (severity, code, message) = said(rest)?;
    Some(Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.trim().to_owned(),
        file: Some(file.trim_end().to_owned()),
        line: Some(number(row)?),
        column,
        ..Diagnostic::default()
    })
}

/// `warning #381-D: message`, `Error:  #5: message`, `cc0188: {D} warning: message`
fn said(text: &str) -> Option<(Severity, &str, &str)> {
    if let Some((code, rest)) = text.split_once(": ")
        && code.len() > 4
        && code.starts_with("cc")
        && code[2..].bytes().all(|b| b.is_ascii_digit())
    {
        let rest = rest.strip_prefix("{D} ").unwrap_or(rest);
        let (word, message) = rest.split_once(':')?;
        return Some((severity(word)?, code, message));
    }
    let (word, rest) = text.split_once('#')?;
    let severity = severity(word.trim_end_matches([' ', ':']))?;
    let (code, message) = rest.split_once(':')?;
    let plain = code.strip_suffix("-D").unwrap_or(code);
    (!plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit())).then_some((severity, code, message))
}

fn severity(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "error" | "fatal error" | "catastrophic error" | "internal error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "remark" => Some(Severity::Info),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Diagnostic, ToolOutput, parse};

    fn read(text: &str) -> Vec<Diagnostic> {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics
    }

    #[test]
    fn broken_messages_are_joined_and_code_is_not() {
        let text = "\"a.c\", line 9: warning #381-D: extra\n          \";\" ignored\n            f();\n            ^\n\n\
                    \"a.c\", line 12: error #5:\n    cannot open source input file\n    #include <b.h>\n              ^\n\n\
                    \"b.c\", line 3 (col. 4): remark #7-D: odd\n\"c.c\", line 3: cc0188: {D} warning: mixed\n          types\n";
        let found = read(text);
        let told: Vec<_> = found
            .iter()
            .map(|d| (d.line.unwrap_or(0), d.column, d.code.as_deref().unwrap_or(""), d.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (9, Some(11), "381-D", "extra \";\" ignored"),
                (12, Some(13), "5", "cannot open source input file"),
                (3, Some(4), "7-D", "odd"),
                (3, None, "cc0188", "mixed types"),
            ]
        );
    }
}
