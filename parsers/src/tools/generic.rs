//! What no other tool reads: findings in the forms that most compilers and linters share, place first, last or in words.
//!
//! It never guesses. A place without a message is no finding (stack frames look so), and a name must look like a file.

mod below;
mod blocks;
mod code;
mod compilers;
mod drawn;
mod forms;
mod line;
mod numbers;
mod path;
mod severity;
mod words;
mod wrapped;

use super::{Kind, LineShape, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};
use line::{is_context, is_frame, is_instantiation, is_smell, task, undecorated};
use numbers::Numbers;

pub(super) const TOOL: Tool = Tool {
    name: "generic",
    kind: Kind::Generic,
    anchors: &[
        " line ",
        "\tline ",
        "Line ",
        "Line = ",
        " lines ",
        "[line ",
        ":[",
        "Error ",
        "Warning ",
        "{standard input}:",
        "stdin:",
        "STDIN:",
        "stdin]:",
        ", column ",
        " of \"",
        "  ::  ",
        "*** Error: ",
        "*** Warning: ",
        "*** Semantic ",
        "root stylesheet",
        "! LaTeX ",
        "! Package ",
        "! Undefined control",
        "! Missing ",
        "! Misplaced ",
        "! Emergency stop",
        " (C ",
        "cucumber ",
        "makepp: ",
        ", Line ",
        "-parseable POM ",
        "Malformed POM ",
        "(line: ",
        "awk: ",
        ".nix>",
        "YAMLException: ",
        "mandoc: ",
        "troff: ",
        "-S-0",
        "-W-0",
        "-F-0",
        " @ ",
        "(line ",
        " line=",
        ": [\"",
        "Warning[",
        "Error[",
        " Severity-",
        "error: cannot format ",
        " char:",
        " Line: ",
        ", line: ",
        "|HINT|",
        "|LINT|",
        "_WARNING|",
        "_ERROR|",
        "--> ",
        "┌─ ",
        "╭─",
        "╭▸ ",
        ",-[",
        "--------",
        " - Warning: ",
        " - Error: ",
        "(file \"",
        ":(W) ",
        ":(E) ",
        ":docstring of ",
        ", WARNING! ",
        ", ERROR! ",
        "): error ",
        "): warning ",
        ": WARNING: ",
        ": ERROR: ",
        ":error:",
        ":warning:",
        ": (vsim-",
        ": (vlog-",
        ": (vcom-",
        ": (vopt-",
    ],
    shapes: &[LineShape::Location],
    reader: || Box::new(Generic),
    ..Tool::DEFAULT
};

/// A longer line is data, not a message.
const LINE_BYTES_MAX: usize = 4 << 10;

struct Generic;

impl Reader for Generic {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.len() > LINE_BYTES_MAX {
            return 0;
        }
        let text = undecorated(line);
        if let Some(found) = included(text) {
            sink.diagnostic(found);
            return 1;
        }
        if drawn::is_arrow(text) {
            let found = drawn::arrow(lines).map(|found| (found, 1)).or_else(|| blocks::read(lines));
            return found.map_or(0, |(found, read)| {
                sink.diagnostic(found.into_diagnostic());
                read
            });
        }
        if let Some(found) = wrapped::read(text, lines) {
            sink.diagnostic(found.into_diagnostic());
            return 1;
        }
        if is_frame(text) && !text.starts_with("(file \"") {
            return 0;
        }
        // Ant indents what its tasks say.
        let task = task(text);
        let indented = line.len() - line.trim_start().len() > 1 && task.is_none();
        let text = task.unwrap_or(text);
        // `… at line 3 of file a.c` is said by no snippet.
        let told = text.contains(" file ") && text.contains("line ");
        let block = blocks::read(lines).or_else(|| below::eclipse(lines));
        let told = told || block.is_some();
        let one_line = || {
            compilers::at_line(text)
                .or_else(|| place_first(text, indented))
                .or_else(|| words::read(text))
                .or_else(|| forms::read(text))
                .or_else(|| compilers::read(text))
        };
        let found = block.or_else(|| one_line().map(|found| (found, 1)));
        let Some((found, mut read)) = found.or_else(|| below::read(lines)) else { return 0 };
        let mut found = found.into_diagnostic();
        // Android's manifest merger: `a.xml:3:5-9:19 Warning:`, then the message.
        if read == 1
            && matches!(found.message.as_str(), "Warning:" | "Error:" | "Info:")
            && let Some(next) = lines.ahead(1).filter(|next| next.starts_with([' ', '\t']) && !next.trim().is_empty())
        {
            found.message = next.trim().to_owned();
            read = 2;
        }
        let standard = below_standard(lines);
        // Standard ends every line with its rule, which may be a word like any other.
        if standard
            && found.code.is_none()
            && let Some((message, rule)) = found.message.strip_suffix(')').and_then(|text| text.rsplit_once(" ("))
        {
            (found.code, found.message) = (Some(rule.to_owned()), message.to_owned());
        }
        // A snippet or a chain of another tool's message is indented and says no severity.
        // A rule of luau-analyze's or phan's is named so.
        let smell = is_smell(&found.message);
        if found.code.is_none()
            && let Some((name, message)) = found.message.split_once(' ')
            && let bare = name.trim_end_matches(':')
            && (smell || bare.starts_with("Phan"))
            && code::is_camel(bare)
            && !bare.ends_with("Error")
            && !bare.ends_with("Exception")
        {
            (found.code, found.message) = (Some(bare.to_owned()), message.trim_start().to_owned());
        }
        let certain = found.severity.is_some() || told || smell || standard || below_luacheck(lines);
        if found.severity.is_none() && is_instantiation(&found.message) && !indented {
            found.severity = Some(Severity::Note);
        } else if !certain && indented || found.severity.is_none() && is_context(&found.message) {
            return 0;
        }
        if found.column.is_none()
            && read == 1
            && let Some((column, lines)) = caret(lines)
        {
            found.column = Some(column);
            read = lines;
        }
        sink.diagnostic(found);
        read
    }
}

/// `In file included from a.h:3:`, of which the error that it led to was not read.
fn included(text: &str) -> Option<Diagnostic> {
    let place = text.strip_prefix("In file included from ")?.trim_end_matches([':', ',']);
    let place = super::place::Place::colons(place)?;
    Some(Diagnostic {
        severity: Some(Severity::Note),
        message: "included from here".to_owned(),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        column: place.column.filter(|column| *column > 0),
        ..Diagnostic::default()
    })
}

/// StandardJS indents its findings below lines of its own.
fn below_standard(lines: Lines<'_>) -> bool {
    if !(lines.first().starts_with("  /") || lines.first().starts_with("  <")) {
        return false;
    }
    (1..=Lines::BACK_MAX).map_while(|n| lines.back(n)).find(|above| !above.starts_with("  ")).is_some_and(|above| {
        above.split_once(": ").is_some_and(|(who, _)| who.ends_with("standard") || who.starts_with("standard"))
    })
}

/// luacheck indents its findings below the file's name and their count.
fn below_luacheck(lines: Lines<'_>) -> bool {
    lines.first().starts_with("    ")
        && (1..=Lines::BACK_MAX)
            .map_while(|n| lines.back(n))
            .find(|above| !above.starts_with("    ") && !above.is_empty())
            .is_some_and(|above| {
                let counted = [" warning", " warnings", " error", " errors"].iter().any(|word| above.ends_with(word));
                above.starts_with("Checking ") && counted
            })
}

/// The column that a caret alone on a line marks, some lines below, and the lines up to it. Build tools put the same
/// tag before every line.
fn caret(lines: Lines<'_>) -> Option<(u32, usize)> {
    const BELOW_MAX: usize = 5;
    let first = lines.first();
    let tag = if first.starts_with('[') { first.find("] ").map_or(0, |end| end + 2) } else { 0 };
    for n in 2..=BELOW_MAX {
        let line = lines.ahead(n)?;
        if line.get(..tag) != first.get(..tag) || place_first(lines.ahead(n - 1)?.get(tag..)?, false).is_some() {
            return None;
        }
        let marks = line[tag..].trim_end();
        let indent = marks.len() - marks.trim_start().len();
        let code = lines.ahead(n - 1)?.get(tag..)?;
        if marks[indent..].starts_with('^') && marks[indent..].bytes().all(|b| matches!(b, b'^' | b'~')) {
            return (code.len() >= indent).then(|| u32::try_from(indent + 1).ok().map(|column| (column, n + 1)))?;
        }
    }
    None
}

/// What a line says, before the message is cut into severity, code and text.
struct Found<'a> {
    file: &'a str,
    numbers: Numbers,
    /// From a word before the place.
    severity: Option<Severity>,
    /// From words before the place.
    code: Option<&'a str>,
    message: &'a str,
}

impl Found<'_> {
    fn into_diagnostic(self) -> Diagnostic {
        let Numbers { line, column, end_line, end_column } = self.numbers;
        let said = severity::cut(self.message);
        Diagnostic {
            severity: said.severity.or(self.severity),
            code: said.code.or(self.code).map(str::to_owned),
            message: said.message.to_owned(),
            file: (!self.file.is_empty()).then(|| path::plain(self.file)),
            line: Some(line).filter(|line| *line > 0),
            column: column.filter(|column| *column > 0 || end_column.is_some()),
            end_line,
            end_column,
            ..Diagnostic::default()
        }
    }
}

/// `file:12:5: message` and its kin, perhaps behind a severity or the name of a program.
fn place_first(text: &str, indented: bool) -> Option<Found<'_>> {
    const PREFIXES_MAX: usize = 3;
    let (mut rest, mut said, mut coded) = (text, None, None);
    for _ in 0..=PREFIXES_MAX {
        // cppcheck of old: `[a.c:3]: (error) message`
        let inner = rest.strip_prefix('[').and_then(|rest| at_front(rest, said, indented));
        let found = inner.or_else(|| at_front(rest, said, indented)).or_else(|| place_around(rest, said));
        if let Some(found) = found {
            return Some(Found { code: coded, ..found });
        }
        let Some((severity, code, after)) = severity::coded_prefix(rest) else { break };
        (said, coded) = (severity.or(said), code.or(coded));
        rest = after;
        // Xilinx's `ERROR: [VRFC 10-91] message [/a/b.vhd:12]`
        if let Some((code, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] "))
            && code.len() <= 24
            && code.starts_with(|c: char| c.is_ascii_uppercase())
            && code.ends_with(|c: char| c.is_ascii_digit())
            && code.contains('-')
            && said.is_some()
        {
            (coded, rest) = (Some(code), after);
        }
        // A code in brackets: `Error: (vlog-13069) file.sv(12): message`
        if let Some((code, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(") "))
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && code.bytes().any(|b| b.is_ascii_digit())
        {
            (coded, rest) = (Some(code), after);
        }
    }
    place_last(rest, said?).map(|found| Found { code: coded, ..found })
}

/// Babel's `/a/file.js: message (12:3)`.
fn place_around(text: &str, said: Option<Severity>) -> Option<Found<'_>> {
    let (head, place) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let (file, message) = head.split_once(": ")?;
    let (line, column) = place.split_once(':')?;
    let numbers = Numbers {
        line: super::place::number(line)?,
        column: Some(super::place::number(column)?),
        end_line: None,
        end_column: None,
    };
    (path::kind(file) == path::Kind::File && !message.is_empty()).then_some(Found {
        file,
        numbers,
        severity: said,
        message,
        code: None,
    })
}

/// `[emerg] message in file:3`: only where a severity stands before it.
fn place_last(text: &str, severity: Severity) -> Option<Found<'_>> {
    // `message [/a/file.vhd:12]`, `message (file.f90: 12)`
    for (open, close) in [(" [", ']'), (" (", ')')] {
        if let Some((message, place)) = text.strip_suffix(close).and_then(|text| text.rsplit_once(open))
            && let Some((file, line)) = place.rsplit_once(':')
            && let Some(line) = super::place::number(line.trim_start()).filter(|_| !line.trim_start().is_empty())
            && path::kind(file) == path::Kind::File
            && !message.is_empty()
        {
            let numbers = Numbers { line, column: None, end_line: None, end_column: None };
            return Some(Found { file, numbers, severity: Some(severity), message, code: None });
        }
    }
    let (head, last) = text.trim_end_matches(['.', ')']).rsplit_once(' ')?;
    let at =
        last.char_indices().find_map(|(at, c)| (c == ':').then(|| numbers::after(&last[at..]).map(|n| (at, n)))?)?;
    let (at, (numbers, rest, _)) = at;
    let message = ["in", "at", "on"].iter().find_map(|word| head.strip_suffix(word))?.trim_end_matches([' ', ',', '(']);
    let file = &last[..at];
    (rest.is_empty() && path::kind(file) == path::Kind::File && !message.is_empty()).then_some(Found {
        file,
        numbers,
        severity: Some(severity),
        message,
        code: None,
    })
}

fn at_front(text: &str, said: Option<Severity>, indented: bool) -> Option<Found<'_>> {
    for (at, open) in text.char_indices().filter(|(_, c)| matches!(c, ':' | '(' | '[' | ' ' | ',')) {
        let after = match open {
            // `Error file.c 15: message`, `"file.c",8  Error: message`
            ' ' if said.is_some() => numbers::after(&text[at..]).or_else(|| numbers::after_blank(&text[at..])),
            ',' if text[..at].ends_with('"') => numbers::after_comma(&text[at..]),
            ',' => continue,
            _ => numbers::after(&text[at..]),
        };
        let Some((numbers, rest, style)) = after else {
            // A colon and a blank end what could be a name, but for `name: (1, 2)`.
            if open == ':' && text[at + 1..].starts_with(' ') {
                return None;
            }
            continue;
        };
        let file = text[..at].trim_end();
        let kind = match path::kind(file) {
            _ if file.bytes().all(|b| b.is_ascii_digit()) => return None,
            path::Kind::NoFile if open == '(' && path::is_spaced(file) => path::Kind::Word,
            kind => kind,
        };
        let spaced = file.contains(' ');
        // A bare word may be a program's port or a counter: only a severity makes it a file.
        if kind == path::Kind::NoFile
            || kind == path::Kind::Word && (indented || style != numbers::Style::Colon && !spaced)
        {
            return None;
        }
        let (message, separated) = message(rest);
        // Flex: `a.as(34): col: 8 Warning: message`; Intel: `a.cpp(3): (col. 20) remark: message`
        let col = ["col: ", "(col. "].iter().find_map(|word| message.strip_prefix(word));
        let (numbers, message) = match col.and_then(numbers::leading).filter(|_| numbers.column.is_none()) {
            Some((column, rest)) => (Numbers { column: Some(column), ..numbers }, rest.trim_start_matches([')', ' '])),
            None => (numbers, message),
        };
        let message =
            message.strip_prefix("-> [").and_then(|rest| rest.split_once("]: ")).map_or(message, |(_, rest)| rest);
        let cut = severity::cut(message);
        let certain = said.or(cut.severity).is_some();
        if open == ' ' && !certain && numbers.column.is_none() {
            return None;
        }
        // Two numbers behind a file's name are a place.
        let separated = separated
            || kind == path::Kind::File && numbers.column.is_some() && style == numbers::Style::Colon && !indented;
        // A rule's number stands for a separator: `a.md:3 MD013 Line length`.
        let separated = separated
            || cut.code.is_some() && !cut.message.is_empty() && message.starts_with(|c: char| c.is_ascii_uppercase());
        if message.is_empty() || !(separated || certain) || message.starts_with("in ") && frame_only(message) {
            return None;
        }
        let named = certain || kind == path::Kind::File;
        let message = strip_frame(message);
        return (named && !message.is_empty()).then_some(Found { file, numbers, severity: said, message, code: None });
    }
    None
}

/// What follows a place, and whether a separator stands between.
fn message(rest: &str) -> (&str, bool) {
    let text = rest.trim_start_matches([')', ']']);
    let trimmed = text.trim_start();
    for separator in [":", "- ", "– ", ", ", "| "] {
        if let Some(message) = trimmed.strip_prefix(separator) {
            return (message.trim_start_matches([':', ' ', '\t']).trim_end(), true);
        }
    }
    let closed = rest.starts_with(']') || rest.starts_with(')') || rest.starts_with('\t') || rest.starts_with("  ");
    (trimmed.trim_start_matches(']').trim(), closed)
}

/// Ruby's `in 'method': message` without a message.
fn frame_only(message: &str) -> bool {
    let Some(rest) = message.strip_prefix("in ") else { return false };
    rest.starts_with(['`', '\'']) && !rest.contains("': ")
}

fn strip_frame(message: &str) -> &str {
    let frame = message.strip_prefix("in ").filter(|rest| rest.starts_with(['`', '\'']));
    frame.and_then(|rest| rest.split_once("': ")).map_or(message, |(_, message)| message)
}

#[cfg(test)]
mod tests;
