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
        ("keyboard handler.c(5) : warning C4005: bad", "keyboard handler.c", 5, None, warning, Some("C4005"), "bad"),
        ("SyntaxError: /a/b.js: Unexpected token (3:5)", "/a/b.js", 3, Some(5), None, None, "Unexpected token"),
        ("ERROR: [VRFC 10-91] bad [/a/foo.vhd:12]", "/a/foo.vhd", 12, None, error, Some("VRFC 10-91"), "bad"),
        ("# ** Error: (vlog-130) foo.sv(12): bad", "foo.sv", 12, None, error, Some("vlog-130"), "bad"),
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
        ("Error E2010 a.c 3: bad", "a.c", 3, None, error, Some("E2010"), "bad"),
        ("cfe: Warning 600: a.c: 3: bad", "a.c", 3, None, warning, Some("600"), "bad"),
        ("%Warning-WIDTH: a.v:3:5: bad", "a.v", 3, Some(5), warning, Some("WIDTH"), "bad"),
        ("\"a.cpp\", line 3: error(3114): bad", "a.cpp", 3, None, error, Some("3114"), "bad"),
        ("a.f90(3) : (col. 5) remark: bad", "a.f90", 3, Some(5), Some(Severity::Info), None, "bad"),
        ("\"a.adb\", line 3(5): warning: bad", "a.adb", 3, Some(5), warning, None, "bad"),
        ("a.rb:3:5 error oas3-schema \"bad\"", "a.rb", 3, Some(5), error, Some("oas3-schema"), "\"bad\""),
        ("a.slim:3 [W] LineLength: bad", "a.slim", 3, None, warning, Some("LineLength"), "bad"),
        ("a.bb:3:error:oelint.x.y:bad", "a.bb", 3, None, error, Some("oelint.x.y"), "bad"),
        ("a.py:3:5:E302:bad", "a.py", 3, Some(5), None, Some("E302"), "bad"),
        ("a.php:3 PhanUndeclaredX bad thing", "a.php", 3, None, None, Some("PhanUndeclaredX"), "bad thing"),
        ("a.lu(3,5): SyntaxError: bad", "a.lu", 3, Some(5), error, None, "SyntaxError: bad"),
        ("a.awk:3: syntax error near bad", "a.awk", 3, None, error, None, "syntax error near bad"),
        ("a.xml:3: element b: validity error : bad", "a.xml", 3, None, error, None, "element b: validity error : bad"),
        ("a.c:3:warning bad", "a.c", 3, None, warning, None, "warning bad"),
        ("a.c:3: required from here", "a.c", 3, None, Some(Severity::Note), None, "required from here"),
        ("[R] → a.ex:3:5 bad thing", "a.ex", 3, Some(5), Some(Severity::Info), None, "bad thing"),
        ("/usr/bin/luac: a.lua:3: bad thing", "a.lua", 3, None, None, None, "bad thing"),
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
        ("name[play]: bad thing\na.yml:1", "a.yml", 1, None, None, Some("name[play]"), "bad thing"),
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
        "served in app.run(3)",
        "warning handlers at start",
        "12:5: done",
        "// not turned a_class(0,0) into 0",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

/// File, line, column, severity, code, message.
type Place = (Option<String>, u32, Option<u32>, Option<Severity>, Option<String>, String);

fn told(text: &str) -> Place {
    let found = read(text).unwrap_or_else(|| panic!("not read: {text}"));
    (found.file, found.line.unwrap(), found.column, found.severity, found.code, found.message)
}

#[test]
fn places_told_late_or_in_another_line() {
    let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
    for (text, file, line, column, severity, code, message) in [
        ("bad thing: f in a.c(12)", "a.c", 12, None, None, None, "bad thing: f"),
        ("f: lib(3)  ::  /a/b.c(8)", "/a/b.c", 8, None, None, None, "f: lib(3)"),
        ("bad thing at a.adb:12", "a.adb", 12, None, None, None, "bad thing"),
        ("line 3 of \"x.f\": bad", "x.f", 3, None, None, None, "bad"),
        ("Error: a.gv: bad in line 5 near x", "a.gv", 5, None, error, None, "bad in line 5 near x"),
        ("a.groovy: 2: bad @ line 2, column 14.", "a.groovy", 2, Some(14), None, None, "bad"),
        ("[FATAL] Non-parseable POM /a/pom.xml: bad @12:5", "/a/pom.xml", 12, Some(5), error, None, "bad"),
        ("error: line 2: bad", "", 2, None, error, None, "bad"),
        ("Error: bad thing (line: 3, column: 9)", "", 3, Some(9), error, None, "bad thing"),
        ("L 1 (C 7-9): CLALL: ML0: bad", "", 1, Some(7), None, Some("CLALL"), "bad"),
        ("a.nix>46:13:W:3:bad", "a.nix", 46, Some(13), warning, Some("3"), "bad"),
        ("cucumber a/b.feature:6 # Scenario: x", "a/b.feature", 6, None, None, None, "Scenario: x"),
        ("Extra data: line 1 column 44 (char 43)", "", 1, Some(44), None, None, "Extra data"),
        ("YAMLException: bad thing (3:7)", "", 3, Some(7), error, None, "bad thing"),
        ("ERROR: 0:5: bad", "", 5, None, error, None, "bad"),
        ("Error:11:1: bad", "", 11, Some(1), error, None, "bad"),
        ("# Test 2 got: \"x\" (a.t at line 10 fail #2)", "a.t", 10, None, None, None, "Test 2 got: \"x\""),
        (
            "*** ERROR: =over on line 1 without =back at line EOF in file a.pm",
            "a.pm",
            1,
            None,
            error,
            None,
            "=over on line 1 without =back at line EOF in file a.pm",
        ),
        ("gawk: a.awk:2:  x = |\ngawk: a.awk:2:      ^ syntax error", "a.awk", 2, Some(6), error, None, "syntax error"),
        (
            "cc-1020 CC: REMARK File = a.h, Line = 7\n  bad",
            "a.h",
            7,
            None,
            Some(Severity::Info),
            Some("cc-1020"),
            "bad",
        ),
        (
            "Found 1 semantic error compiling \"B.java\":\n   150.  x\n         ^\n*** Error: bad",
            "B.java",
            150,
            None,
            error,
            None,
            "bad",
        ),
        ("Thu May 14 10:46:12 1992  a.p:\nE 185 line 61 -  bad", "a.p", 61, None, error, Some("185"), "bad"),
        (" ┌─ src/a.erl:\n │\n7 │  f() -> ok.\n │  ╰── Warning: bad", "src/a.erl", 7, Some(1), warning, None, "bad"),
        ("Error: bad\n  ╷\n3 │ x\n  ╵\n  a.scss 3:20  root stylesheet", "a.scss", 3, Some(20), error, None, "bad"),
        ("! LaTeX Error: bad.\n\nSee more\n\nl.12 \\begin{x}", "", 12, None, error, None, "bad."),
        ("Error: Parse error on line 2:\nx y\n--^\nExpecting 'X'", "", 2, None, error, None, "Expecting 'X'"),
        ("KeyError in file Snakefile, line 5:\n'x'", "Snakefile", 5, None, error, None, "'x'"),
        ("Slim::Parser::SyntaxError: bad\n  a.slim, Line 2, Column 1", "a.slim", 2, Some(1), error, None, "bad"),
        ("Error in parse(x) : \n  a.R:8:4: bad thing", "a.R", 8, Some(4), error, None, "bad thing"),
        ("Error: a.pug:2:1\n  > 2| html\n-----^\n\nbad thing", "a.pug", 2, Some(1), error, None, "bad thing"),
    ] {
        let file = (!file.is_empty()).then(|| file.to_owned());
        let expected = (file, line, column, severity, code.map(str::to_owned), message.to_owned());
        assert_eq!(told(text), expected, "{text}");
    }
}
