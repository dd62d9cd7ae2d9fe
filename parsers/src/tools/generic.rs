//! What no other tool reads: findings in the forms that most compilers and linters share, place first, last or in words.
//!
//! It never guesses. A place without a message is no finding (stack frames look so), and a name must look like a file.

mod below;
mod drawn;
mod forms;
mod numbers;
mod path;
mod severity;
mod words;
mod wrapped;

use super::{Kind, LineShape, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};
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
            let found = drawn::arrow(lines).map(Found::into_diagnostic);
            return found.map_or(0, |found| {
                sink.diagnostic(found);
                1
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
        let one_line = || place_first(text, indented).or_else(|| words::read(text)).or_else(|| forms::read(text));
        let found = below::eclipse(lines).or_else(|| one_line().map(|found| (found, 1)));
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
        let certain = found.severity.is_some() || told || is_smell(&found.message) || standard || below_luacheck(lines);
        if !certain && indented || found.severity.is_none() && is_context(&found.message) {
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
    if !lines.first().starts_with("  /") {
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

/// reek's `FeatureEnvy: text`, which it writes below the file's name.
fn is_smell(message: &str) -> bool {
    message.split_once(": ").is_some_and(|(name, _)| {
        let capitals = name.bytes().filter(u8::is_ascii_uppercase).count();
        capitals > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_alphabetic())
            && name.bytes().any(|b| b.is_ascii_lowercase())
    })
}

/// What leads up to a finding or explains it, and is none itself.
fn is_context(message: &str) -> bool {
    const STARTS: &[&str] = &["required ", "in ", "instantiated from", "included from", "imported from", "called from"];
    STARTS.iter().any(|start| message.starts_with(start))
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

/// What follows the tag of one of Ant's tasks.
fn task(text: &str) -> Option<&str> {
    let (name, rest) = text.strip_prefix('[')?.split_once("] ")?;
    const TASKS: &[&str] = &[
        "javac",
        "javadoc",
        "jikes",
        "checkstyle",
        "groovyc",
        "scalac",
        "kotlinc",
        "cc",
        "exec",
        "java",
        "pmd",
        "compc",
        "mxmlc",
        "iajc",
        "ccbl",
    ];
    TASKS.contains(&name).then(|| rest.trim_start())
}

/// Without `** `, `%` and the like, which some tools put before a severity.
fn undecorated(line: &str) -> &str {
    let text = line.trim();
    let text = text.strip_prefix("# ").filter(|rest| rest.starts_with("**")).unwrap_or(text);
    let bare = text.trim_start_matches(['*', '%']);
    if bare.len() == text.len() { text } else { bare.trim_end_matches('*').trim() }
}

/// Lines of stack traces, and of tools that number their processes.
fn is_frame(text: &str) -> bool {
    const STARTS: &[&str] = &["at ", "from ", "==", "-->", ":::", "in ", "called from ", "| ", "> ", "↳", "╰", "│"];
    let numbered = text.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    // RXP's places follow their message.
    let entity = text.starts_with("in ") && text.contains(" entity at line ");
    // Zig's `a.zig:2:15: 0x124efbb in main (a.zig)`
    let addressed = text.split_once(": 0x").is_some_and(|(_, rest)| rest.contains(" in "));
    numbered
        || addressed
        || STARTS.iter().any(|start| text.starts_with(start)) && !entity
        || text.starts_with("File \"") && text.contains(", in ")
}

/// What a line says, before the message is cut into severity, code and text.
struct Found<'a> {
    file: &'a str,
    numbers: Numbers,
    /// From a word before the place.
    severity: Option<Severity>,
    message: &'a str,
}

impl Found<'_> {
    fn into_diagnostic(self) -> Diagnostic {
        let said = severity::cut(self.message);
        let Numbers { line, column, end_line, end_column } = self.numbers;
        Diagnostic {
            severity: said.severity.or(self.severity),
            code: said.code.map(str::to_owned),
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
    let (mut rest, mut said) = (text, None);
    for _ in 0..=PREFIXES_MAX {
        // cppcheck of old: `[a.c:3]: (error) message`
        let inner = rest.strip_prefix('[').and_then(|rest| at_front(rest, said, indented));
        if let Some(found) = inner.or_else(|| at_front(rest, said, indented)) {
            return Some(found);
        }
        if let Some(found) = place_around(rest, said) {
            return Some(found);
        }
        let Some((severity, after)) = severity::prefix(rest) else { break };
        said = severity.or(said);
        rest = after;
        // A code in brackets: `Error: (vlog-13069) file.sv(12): message`
        if let Some((code, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(") "))
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && code.bytes().any(|b| b.is_ascii_digit())
        {
            rest = after;
        }
    }
    place_last(rest, said?)
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
            return Some(Found { file, numbers, severity: Some(severity), message });
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
        return (named && !message.is_empty()).then_some(Found { file, numbers, severity: said, message });
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Diagnostic, Severity, ToolOutput, parse};

    fn read(line: &str) -> Option<Diagnostic> {
        let text = format!("{line}\n");
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics.pop()
    }

    fn place(line: &str) -> (String, u32, Option<u32>, Option<Severity>, Option<String>, String) {
        let found = read(line).unwrap_or_else(|| panic!("not read: {line}"));
        (found.file.unwrap(), found.line.unwrap(), found.column, found.severity, found.code, found.message)
    }

    #[test]
    fn the_common_forms_are_read() {
        let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
        for (line, file, at, column, severity, code, message) in [
            ("a/b.xyz:3:5: warning: bad thing [no-bad]", "a/b.xyz", 3, Some(5), warning, Some("no-bad"), "bad thing"),
            ("a/b.xyz:3: bad thing", "a/b.xyz", 3, None, None, None, "bad thing"),
            ("a/b.xyz(3,5): error XY12: bad", "a/b.xyz", 3, Some(5), error, Some("XY12"), "bad"),
            ("C:\\a b\\c.xyz(3) : warning C4101: bad", "C:\\a b\\c.xyz", 3, None, warning, Some("C4101"), "bad"),
            ("[ERROR] /a/B.jxx:[3,5] bad", "/a/B.jxx", 3, Some(5), error, None, "bad"),
            ("a.xyz[3, 5]: bad", "a.xyz", 3, Some(5), None, None, "bad"),
            ("\"a.xyz\", line 3: Error: bad", "a.xyz", 3, None, error, None, "bad"),
            ("a.xyz: line 3, col 5, Warning - bad (no-bad)", "a.xyz", 3, Some(5), warning, Some("no-bad"), "bad"),
            ("bad thing at a.xyz line 3.", "a.xyz", 3, None, None, None, "bad thing"),
            ("Error on line 3 of a.xyz: bad", "a.xyz", 3, None, error, None, "bad"),
            ("e: file:///a/b.xyz:3:5 bad", "/a/b.xyz", 3, Some(5), error, None, "bad"),
            ("W: a.xyz:3:5: bad", "a.xyz", 3, Some(5), warning, None, "bad"),
            ("a.xyz:3:5 bad thing", "a.xyz", 3, Some(5), None, None, "bad thing"),
            ("Error ping.c 15: bad", "ping.c", 15, None, error, None, "bad"),
            ("    [javac] /a/B.jxx:3: bad", "/a/B.jxx", 3, None, None, None, "bad"),
            (
                "keyboard handler.c(5) : warning C4005: bad",
                "keyboard handler.c",
                5,
                None,
                warning,
                Some("C4005"),
                "bad",
            ),
            ("SyntaxError: /a/b.js: Unexpected token (3:5)", "/a/b.js", 3, Some(5), None, None, "Unexpected token"),
            ("ERROR: [VRFC 10-91] bad [/a/foo.vhd:12]", "/a/foo.vhd", 12, None, error, None, "bad"),
            ("# ** Error: (vlog-130) foo.sv(12): bad", "foo.sv", 12, None, error, None, "bad"),
            ("/usr/lib/cc/cfe: Error: foo.c: 1: bad", "foo.c", 1, None, error, None, "bad"),
            ("{standard input}:27: Warning: bad", "{standard input}", 27, None, warning, None, "bad"),
            ("\"file:/a/foo.html\":12.3-12.9: error: bad", "/a/foo.html", 12, Some(3), error, None, "bad"),
            ("mandoc: foo.1:12:3: WARNING: bad", "foo.1", 12, Some(3), warning, None, "bad"),
            ("PGC-S-0039-Use of x (foo.c: 12)", "foo.c", 12, None, error, None, "Use of x"),
            ("BUILD:12:3: bad", "BUILD", 12, Some(3), None, None, "bad"),
            ("Error 24 at (2:a.f90) : syntax error", "a.f90", 2, None, error, None, "syntax error"),
            ("\"vv.c\", line 19.5: 1506-046 (S) Bad.", "vv.c", 19, Some(5), error, Some("1506-046"), "Bad."),
            ("\"foo.c\",3  Error[32]: bad", "foo.c", 3, None, error, Some("32"), "bad"),
            (
                "PCC-02150: error at line 49, column 2 in file /a/b.pc",
                "/a/b.pc",
                49,
                Some(2),
                error,
                Some("PCC-02150"),
                "error",
            ),
            ("foo.py:8: FooWarning: bad", "foo.py", 8, None, warning, Some("FooWarning"), "bad"),
            ("GLib-GObject-WARNING **: /a/b.c:17: bad", "/a/b.c", 17, None, warning, None, "bad"),
            ("syntax error at automake line 922, near x", "automake", 922, None, error, None, "syntax error"),
            ("bad.md:1:2 error MD018/no-x bad", "bad.md", 1, Some(2), error, Some("MD018/no-x"), "bad"),
            ("bad.xml:2: parser error : bad", "bad.xml", 2, None, error, None, "parser error : bad"),
            ("Warning 18 in bad.tex line 3: bad", "bad.tex", 3, None, warning, None, "bad"),
        ] {
            let expected = (file.to_owned(), at, column, severity, code.map(str::to_owned), message.to_owned());
            assert_eq!(place(line), expected, "{line}");
        }
    }

    #[test]
    fn drawings_and_messages_on_other_lines() {
        let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
        for (text, file, at, column, severity, code, message) in [
            ("error[no-x]: bad\n  --> a.yml:6:25\n   |", "a.yml", 6, Some(25), error, Some("no-x"), "bad"),
            ("  ⚠ bad\n   ╭─[a.xyz:2:3]\n 1 │ x", "a.xyz", 2, Some(3), warning, None, "bad"),
            ("Error ---------------- a.js:1:1\n\nbad [no-x]\n", "a.js", 1, Some(1), error, Some("no-x"), "bad"),
            (
                "-- TYPE MISMATCH ------------------- src/A.elm\n\nbad\n\n12|   f x\n        ^",
                "src/A.elm",
                12,
                Some(5),
                None,
                None,
                "bad",
            ),
            ("E1012 bad thing\na.yaml:5:7", "a.yaml", 5, Some(7), None, Some("E1012"), "bad thing"),
            ("name[play]: bad thing\na.yml:1", "a.yml", 1, None, None, None, "name[play]: bad thing"),
            ("a.css\n1: warning at line 1, col 4\nbad", "a.css", 1, Some(4), warning, None, "bad"),
            (
                "Error: bad\nin unnamed entity at line 7 char 8 of file:///a/b.xml",
                "/a/b.xml",
                7,
                Some(8),
                error,
                None,
                "bad",
            ),
        ] {
            let expected = (file.to_owned(), at, column, severity, code.map(str::to_owned), message.to_owned());
            assert_eq!(place(text), expected, "{text}");
        }
        assert_eq!(read("E 18520 line 61 -  0 is undefined").and_then(|found| found.severity), error);
        assert_eq!(read("  --> a.yml:6:25"), None);
        assert_eq!(read("-------- a.js:1:1"), None);
    }

    #[test]
    fn ends_are_exclusive() {
        let found = read("a.xyz:3.5-4.7: error: bad").unwrap();
        assert_eq!((found.column, found.end_line, found.end_column), (Some(5), Some(4), Some(8)));
        assert_eq!(read("a.xyz:3-6: warning: bad").unwrap().end_line, Some(6));
    }

    #[test]
    fn what_is_no_finding_is_left() {
        for line in [
            "listening on localhost:8080: ready",
            "http://example.com:80: moved",
            "api.example.com:443: connection refused",
            "127.0.0.1:8080: in use",
            "12:30:01: started",
            "    at run (a.xyz:3:5)",
            "\tfrom a.xyz:3:in 'run'",
            "a.xyz:3:in 'run'",
            "a.xyz:3",
            "  File \"a.xyz\", line 3, in run",
            "see line 3 of the manual",
            "image nginx:1.25: pulled",
            "took 3.5s: done",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
