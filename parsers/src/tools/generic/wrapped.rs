//! Findings that another program's line is put around: MSBuild's `x.Targets : warning : a.pas(3) Warning: message`, a
//! simulator's `** at a.v(7): message` below the files that include it, AspectJ's places below their message.

use super::below::place_alone;
use super::{Found, path, place_first, severity};
use crate::window::Lines;

const ABOVE_MAX: usize = 16;

pub(super) fn read<'a>(text: &'a str, lines: Lines<'a>) -> Option<Found<'a>> {
    origin(text).or_else(|| included(text, lines)).or_else(|| tabbed(lines))
}

/// `C:\a\b.Targets : warning : C:\a\c.pas(469) Warning: W1000 message`
fn origin(text: &str) -> Option<Found<'_>> {
    let (origin, rest) = text.split_once(" : warning : ").or_else(|| text.split_once(" : error : "))?;
    // Behind a place, `error` is the finding's own word.
    if path::kind(origin) != path::Kind::File || origin.ends_with(')') {
        return None;
    }
    place_first(rest, false)
}

/// `# ** Warning: ** while parsing file included at a.sv(12)`, `# ** at b.v(71): (vlog-2623) message`
fn included<'a>(text: &'a str, lines: Lines<'a>) -> Option<Found<'a>> {
    let at = text.strip_prefix("at ").filter(|_| lines.first().trim_start_matches(['#', ' ']).starts_with("** at "))?;
    let above = (1..=ABOVE_MAX)
        .map_while(|n| lines.back(n))
        .take_while(|line| line.contains("** while parsing file included at "))
        .last()?;
    let said = severity::prefix(above.trim_start_matches(['#', ' ', '*']))?.0;
    let found = place_first(at, false)?;
    Some(Found { severity: found.severity.or(said), ..found })
}

/// `[WARNING] message`, then the place alone behind a tab.
fn tabbed(lines: Lines<'_>) -> Option<Found<'_>> {
    let (file, numbers) = place_alone(lines.first().strip_prefix('\t')?.trim_end())?;
    let (tag, message) = lines.back(1)?.strip_prefix('[')?.split_once("] ")?;
    let said = severity::only(tag)??;
    (!message.trim().is_empty()).then_some(Found { file, numbers, severity: Some(said), message, code: None })
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, parse};

    #[test]
    fn other_programs_words_are_taken_away() {
        let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
        for (text, file, line, column, severity, code, message) in [
            ("/a/A.xml:20:5-23:19 Warning:\n\tbad", "/a/A.xml", 20, Some(5), warning, None, "bad"),
            ("./a/init.pp:3:80chars:WARNING:bad", "./a/init.pp", 3, None, warning, Some("80chars"), "bad"),
            ("tnsdlx:(W) a.sdl (398):bad", "a.sdl", 398, None, warning, None, "bad"),
            ("\"foo.asm\", ERROR!   at line 5: [E0002] bad", "foo.asm", 5, None, error, Some("E0002"), "bad"),
            ("/a/b.py:docstring of m.f:26: WARNING: bad", "/a/b.py", 26, None, warning, None, "bad"),
            ("    [compc] C:\\a b\\T.as(34): col: 8 Warning: bad", "C:\\a b\\T.as", 34, Some(8), warning, None, "bad"),
            ("a.cpp(3): (col. 20) remark: BAD.", "a.cpp", 3, Some(20), Some(Severity::Info), None, "BAD."),
            (
                "   [ccbl] C:\\My Files\\b.COB, line 111: Warning: bad",
                "C:\\My Files\\b.COB",
                111,
                None,
                warning,
                None,
                "bad",
            ),
            (
                "C:\\x.Targets : warning : C:\\a b\\I.pas(469) Warning: W1000 bad",
                "C:\\a b\\I.pas",
                469,
                None,
                warning,
                Some("W1000"),
                "bad",
            ),
            (
                "# ** Warning (downgraded): src/bus.sv(60): (vopt-7061) bad",
                "src/bus.sv",
                60,
                None,
                warning,
                Some("vopt-7061"),
                "bad",
            ),
            ("C:\\a\\file.cs (10): error X12: bad", "C:\\a\\file.cs", 10, None, error, Some("X12"), "bad"),
            ("Warning: file /a/V.java, line 43: bad", "/a/V.java", 43, None, warning, None, "bad"),
            (
                "# ** Warning: ** while parsing file included at a.sv(1)\n# ** at b/ps.v(71): (vlog-2623) bad",
                "b/ps.v",
                71,
                None,
                warning,
                Some("vlog-2623"),
                "bad",
            ),
            ("[WARNING] bad\n\t/a/B.java:12\nimport x;", "/a/B.java", 12, None, warning, None, "bad"),
            (
                "    [javac] 1. WARNING in C:\\a\\B.java (at line 3)\n    [javac] \tclass B\n    [javac] \t      ^\n    [javac] bad",
                "C:\\a\\B.java",
                3,
                None,
                warning,
                None,
                "bad",
            ),
        ] {
            let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
            let found = found.first().unwrap_or_else(|| panic!("not read: {text}"));
            assert_eq!((found.file.as_deref(), found.line, found.column), (Some(file), Some(line), column), "{text}");
            assert_eq!(
                (found.severity, found.code.as_deref(), found.message.as_str()),
                (severity, code, message),
                "{text}"
            );
        }
    }

    #[test]
    fn some_say_no_line() {
        for (text, file, code, message) in [
            ("/a/b.rst: WARNING: bad", Some("/a/b.rst"), None, "bad"),
            ("/a/b.rst:: WARNING: bad", Some("/a/b.rst"), None, "bad"),
            ("/a/b.bb:error:oelint.var.x:bad", Some("/a/b.bb"), None, "oelint.var.x:bad"),
            ("# ** Error: (vsim-3033) bad", None, Some("vsim-3033"), "bad"),
        ] {
            let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
            let found = found.first().unwrap_or_else(|| panic!("not read: {text}"));
            assert_eq!((found.file.as_deref(), found.line, found.code.as_deref()), (file, None, code), "{text}");
            assert_eq!(found.message, message);
        }
        for text in ["/a/b.c: error: bad", "/usr/bin/x: WARNING bad"] {
            let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
            assert!(found.is_empty(), "{text}");
        }
    }
}
