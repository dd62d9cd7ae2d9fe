//! Whole conversations: the fixture projects, what their tools said about them, and what autofix makes of it.

use greenroom_parsers::{Applicability, Diagnostic, Edit, Frame, Report, Severity, Suggestion, Trace, Verdict};
use serde_json::{Value, json};

use super::desk::{Desk, End, Files, fixture};
use super::*;
use crate::message::{Message, Role};

fn line_of(files: &Files, file: &str, text: &str) -> Option<u32> {
    let position = files[file].lines().position(|line| line.contains(text))?;
    u32::try_from(position + 1).ok()
}

fn report(diagnostics: Vec<Diagnostic>) -> Option<Report> {
    let verdict = Verdict::Error;
    (!diagnostics.is_empty()).then(|| Report { verdict, diagnostics, ..Default::default() })
}

fn error(source: &str, file: &str, line: Option<u32>, column: u32, message: &str) -> Diagnostic {
    Diagnostic {
        source: source.into(),
        severity: Some(Severity::Error),
        message: message.into(),
        file: Some(file.into()),
        line,
        column: Some(column),
        fingerprint: format!("{source} {file} {message}"),
        ..Default::default()
    }
}

/// Frames outermost first, as Python prints them.
fn traceback(exception: &str, message: &str, frames: &[(&str, Option<u32>)]) -> Option<Report> {
    let frames = frames.iter().rev();
    let frames = frames.map(|&(file, line)| Frame { file: Some(file.into()), line, ..Default::default() }).collect();
    let trace = Trace {
        language: "python".into(),
        exception: Some(exception.into()),
        message: Some(message.into()),
        frames,
        cause: None,
    };
    Some(Report { verdict: Verdict::Error, traces: vec![trace], ..Default::default() })
}

fn csv_pipeline(files: &Files) -> Option<Report> {
    let read = line_of(files, "pipeline/read.py", "csv.DictReader");
    let runpy = ("<frozen runpy>", Some(198));
    if !files["pipeline/read.py"].contains("import csv\n") {
        let message = "name 'csv' is not defined. Did you forget to import 'csv'?";
        let main = ("/workspace/pipeline/__main__.py", Some(23));
        return traceback("NameError", message, &[runpy, main, ("/workspace/pipeline/read.py", read)]);
    }
    if let Some(line) = line_of(files, "pipeline/summary.py", "meddian") {
        let message = "module 'statistics' has no attribute 'meddian'. Did you mean: 'median'?";
        return traceback("AttributeError", message, &[runpy, ("/workspace/pipeline/summary.py", Some(line))]);
    }
    // Python names the line on which the call begins; the keyword stands four lines below.
    let call = line_of(files, "pipeline/__main__.py", "svg = bar_chart(");
    line_of(files, "pipeline/__main__.py", "widht")?;
    let message = "bar_chart() got an unexpected keyword argument 'widht'. Did you mean 'width'?";
    traceback("TypeError", message, &[runpy, ("/workspace/pipeline/__main__.py", call)])
}

#[test]
fn three_mistakes_in_a_pipeline_take_three_red_runs() {
    let mut desk = Desk::new(fixture("csv_pipeline"), &csv_pipeline);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!(desk.red_runs, 2, "after the baseline");
    assert_eq!(
        desk.log,
        [
            "read_file pipeline/read.py",
            "edit_file pipeline/read.py",
            "run_checks",
            "read_file pipeline/summary.py",
            "edit_file pipeline/summary.py",
            "run_checks",
            "read_file pipeline/__main__.py",
            "edit_file pipeline/__main__.py",
            "run_checks",
        ]
    );
    assert!(desk.files["pipeline/read.py"].contains("\n\nimport csv\nfrom dataclasses import dataclass\n"));
    assert!(desk.files["pipeline/__main__.py"].contains("        width=640,\n"));
}

/// make stops at the first file that does not compile, so each file is a run of its own.
fn c_wordcount(files: &Files) -> Option<Report> {
    if let Some(line) = line_of(files, "src/table.c", "lenght") {
        let message = "‘struct table’ has no member named ‘lenght’; did you mean ‘length’?";
        return report(vec![error("gcc", "src/table.c", Some(line), 24, message)]);
    }
    if !files["src/words.c"].contains("#include <ctype.h>\n") {
        let missing = |name: &str| {
            let message = format!("implicit declaration of function ‘{name}’");
            let line = line_of(files, "src/words.c", name);
            let mut found = error("gcc", "src/words.c", line, 16, &message);
            let note = format!("include ‘<ctype.h>’ or provide a declaration of ‘{name}’");
            found.related = vec![Diagnostic { severity: Some(Severity::Note), message: note, ..Default::default() }];
            found
        };
        return report(vec![missing("isalnum"), missing("tolower")]);
    }
    let line = line_of(files, "src/main.c", "count_steam")?;
    let message = "implicit declaration of function ‘count_steam’; did you mean ‘count_stream’?";
    report(vec![error("gcc", "src/main.c", Some(line), 45, message)])
}

#[test]
fn gcc_names_a_field_a_header_and_a_function() {
    let mut desk = Desk::new(fixture("c_wordcount"), &c_wordcount);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!(desk.edits(), 3, "two functions miss the same header: {:?}", desk.log);
    assert!(desk.files["src/words.c"].contains("#include <ctype.h>\n#include <stdlib.h>\n"));
}

/// The text for people: what it underlines has lost the blank at its end.
fn rust_text(files: &Files) -> Option<Report> {
    let mut report = rust_json(files)?;
    for edit in report.diagnostics.iter_mut().flat_map(|found| &mut found.suggestions).flat_map(|all| &mut all.edits) {
        if let Edit::Replace { replacement, .. } = edit {
            replacement.truncate(replacement.trim_end().len());
        }
    }
    Some(report)
}

/// rustc says everything at once, and twice: for the library and for its tests.
fn rust_json(files: &Files) -> Option<Report> {
    let mut found = Vec::new();
    let mut add = |file: &str, at: (u32, u32, u32), message: &str, replacement: &str, applicability| {
        let (line, column, end_column) = at;
        let replacement = replacement.to_owned();
        let edit = Edit::Replace { file: file.into(), line, column, end_line: line, end_column, replacement };
        let mut diagnostic = error("rustc", file, Some(line), column, message);
        let suggestion = Suggestion { message: "consider this".into(), applicability, edits: vec![edit] };
        diagnostic.suggestions = vec![suggestion];
        found.extend([diagnostic.clone(), diagnostic]);
    };
    if !files["src/packing.rs"].contains("use std::collections::BTreeMap;\n") {
        let import = "use std::collections::BTreeMap;\n";
        add("src/packing.rs", (3, 1, 1), "cannot find type `BTreeMap`", import, Applicability::MaybeIncorrect);
    }
    if let Some(line) = line_of(files, "src/order.rs", "quantitiy") {
        add("src/order.rs", (line, 43, 52), "no field `quantitiy`", "quantity", Applicability::MaybeIncorrect);
    }
    if let Some(line) = line_of(files, "src/order.rs", "let order = Order::default") {
        add("src/order.rs", (line, 13, 13), "cannot borrow as mutable", "mut ", Applicability::MachineApplicable);
    }
    report(found)
}

#[test]
fn rustc_is_asked_for_exact_places_and_mended_in_one_go() {
    let mut desk = Desk::new(fixture("rust_shipping"), &rust_text).with_exact(&rust_json);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!(
        desk.log,
        [
            "bash cargo check --message-format=json --all-targets --offline",
            "read_file src/order.rs",
            "read_file src/packing.rs",
            "edit_file src/order.rs",
            "edit_file src/order.rs",
            "edit_file src/packing.rs",
            "run_checks",
        ]
    );
    assert!(desk.files["src/order.rs"].contains("        let mut order = Order::default();\n"));
    assert!(desk.files["src/order.rs"].contains("|item| item.quantity)"));
    assert!(desk.files["src/packing.rs"].contains("\n\nuse std::collections::BTreeMap;\nuse crate::order::Item;\n"));
}

#[test]
fn a_rust_error_without_any_suggestion_is_asked_about_once() {
    let mismatch = |_: &Files| report(vec![error("rustc", "src/lib.rs", Some(1), 1, "mismatched types")]);
    let mut desk = Desk::new(fixture("rust_shipping"), &mismatch).with_exact(&mismatch);
    let End::GaveUp(text) = desk.play() else { panic!("nothing was suggested") };
    assert_eq!(desk.log.len(), 1, "{:?}", desk.log);
    assert!(text.ends_with("suggest nothing for what is left:\n- src/lib.rs:1: mismatched types"), "{text}");
}

fn go_ledger(files: &Files) -> Option<Report> {
    let mut found = Vec::new();
    let unused = |file, name: &str| {
        let line = line_of(files, file, &format!("\t\"{name}\""))?;
        Some(error("go", file, Some(line), 2, &format!("\"{name}\" imported and not used")))
    };
    found.extend(unused("ledger/ledger.go", "os"));
    if let Some(line) = line_of(files, "ledger/ledger.go", "t.cents") {
        let message = "t.cents undefined (type Transaction has no field or method cents, but does have field Cents)";
        found.push(error("go", "ledger/ledger.go", Some(line), 8, message));
        found.push(error("vet", "ledger/ledger.go", Some(line), 8, message));
    }
    // The command depends on the package, and is looked at when that compiles.
    if found.is_empty() {
        found.extend(unused("cmd/ledger/main.go", "strings"));
    }
    report(found)
}

#[test]
fn go_refuses_two_imports_and_knows_a_field_by_another_case() {
    let mut desk = Desk::new(fixture("go_ledger"), &go_ledger);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!((desk.red_runs, desk.edits()), (1, 3));
    assert!(desk.files["cmd/ledger/main.go"].contains("\t\"fmt\"\n\t\"os\"\n\n\t\"example.com"));
}

/// All that tsc says at once. Where the import is misspelt, it takes the right name for the mistake elsewhere.
fn ts_schedule(files: &Files) -> Option<Report> {
    let mut found = Vec::new();
    let mut add = |file: &str, text: &str, column, code: &str, message: &str| {
        if let Some(line) = line_of(files, file, text) {
            let code = Some(code.to_owned());
            found.push(Diagnostic { code, ..error("tsc", file, Some(line), column, message) });
        }
    };
    let lenght = "Property 'lenght' does not exist on type 'string[]'. Did you mean 'length'?";
    add("src/format.ts", "ranges.lenght", 31, "TS2551", lenght);
    let seperator = "Object literal may only specify known properties, but 'seperator' does not exist in type \
                     'FormatOptions'. Did you mean to write 'separator'?";
    add("src/format.ts", "{ seperator:", 37, "TS2561", seperator);
    let used = "Cannot find name 'weekdays'. Did you mean 'weekdys'?";
    if files["src/parse.ts"].contains("weekdys }") {
        add("src/parse.ts", "const from = weekdays", 16, "TS2552", used);
        add("src/parse.ts", "const to = weekdays", 14, "TS2552", used);
        let implicit = "Parameter 'day' implicitly has an 'any' type.";
        add("src/parse.ts", "const to = weekdays", 34, "TS7006", implicit);
        add("src/parse.ts", "return weekdays", 10, "TS2552", used);
        let imported = "'\"./time.js\"' has no exported member named 'weekdys'. Did you mean 'weekdays'?";
        add("src/parse.ts", "weekdys }", 47, "TS2724", imported);
    }
    report(found)
}

#[test]
fn a_misspelt_import_is_mended_and_not_what_it_broke() {
    let mut desk = Desk::new(fixture("ts_schedule"), &ts_schedule);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!((desk.red_runs, desk.edits()), (0, 3), "{:?}", desk.log);
    assert!(desk.files["src/parse.ts"].contains("type Weekday, weekdays }"));
    assert!(!desk.files["src/parse.ts"].contains("weekdys"));
}

/// What cargo's JSON says of the crate, each change with the text it is for.
fn rust_clippy(files: &Files) -> Option<Report> {
    let mut found = Vec::new();
    let mut add = |file: &str, lint: &str, applicability, changes: &[(&str, &str)]| {
        let edits: Option<Vec<Edit>> = changes.iter().map(|(old, new)| span(files, file, old, new)).collect();
        if let Some(edits) = edits {
            let mut diagnostic = error("clippy", file, None, 1, lint);
            diagnostic.code = Some(lint.to_owned());
            diagnostic.suggestions = vec![Suggestion { message: "try".into(), applicability, edits }];
            found.push(diagnostic);
        }
    };
    let (sure, unspecified) = (Applicability::MachineApplicable, Applicability::Unspecified);
    let value = "Timestamp(self.0.saturating_add_signed(offset_ms))";
    let returned = format!("return {value}");
    add("src/cue.rs", "clippy::needless_return", sure, &[(&returned, value), (";\n    }\n\n    /// Reads", "")]);
    add("src/parse.rs", "clippy::len_zero", sure, &[("block.len() > 0", "!block.is_empty()")]);
    add("src/parse.rs", "clippy::needless_borrow", sure, &[("&block", "block")]);
    add("src/lib.rs", "clippy::ptr_arg", unspecified, &[("&mut Vec<Cue>", "&mut [Cue]")]);
    add("src/lib.rs", "clippy::search_is_some", sure, &[("find(&words).is_some()", "contains(&words)")]);
    let filtered = "filter(|cue| cue.start <= time && time < cue.end).next()";
    let sought = "find(|cue| cue.start <= time && time < cue.end)";
    add("src/lib.rs", "clippy::filter_next", sure, &[(filtered, sought)]);
    report(found)
}

/// The span of the first line of `old`, to be replaced; of its first character alone where `old` goes on below.
fn span(files: &Files, file: &str, old: &str, new: &str) -> Option<Edit> {
    let at = files[file].find(old)?;
    let before = &files[file][..at];
    let line = u32::try_from(before.matches('\n').count() + 1).ok()?;
    let column = u32::try_from(at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1).ok()?;
    let length = u32::try_from(old.find('\n').unwrap_or(old.len())).ok()?;
    let (file, replacement) = (file.to_owned(), new.to_owned());
    Some(Edit::Replace { file, line, column, end_line: line, end_column: column + length, replacement })
}

#[test]
fn clippy_has_all_its_wishes_at_once() {
    let text = |files: &Files| {
        let mut report = rust_clippy(files)?;
        report.diagnostics.iter_mut().for_each(|found| found.suggestions.clear());
        for found in &mut report.diagnostics {
            found.line = Some(1);
        }
        Some(report)
    };
    let mut desk = Desk::new(fixture("rust_clippy"), &text).with_exact(&rust_clippy);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!(desk.log[0], "bash cargo clippy --message-format=json --all-targets --offline -- -D warnings");
    assert_eq!(desk.red_runs, 0, "{:?}", desk.log);
    assert!(desk.files["src/cue.rs"].contains("        Timestamp(self.0.saturating_add_signed(offset_ms))\n    }"));
}

#[test]
fn what_did_not_help_is_not_done_again() {
    let insatiable = |files: &Files| {
        let line = files["a.rs"].lines().count();
        let mut found = error("rustc", "a.rs", u32::try_from(line).ok(), 1, "expected a reference");
        let replacement = "&".to_owned();
        let (file, line, column) = ("a.rs".to_owned(), 1, 1);
        let edits = vec![Edit::Replace { file, line, column, end_line: 1, end_column: 1, replacement }];
        let applicability = Applicability::MachineApplicable;
        found.suggestions = vec![Suggestion { message: "borrow".into(), applicability, edits }];
        report(vec![found])
    };
    let mut desk = Desk::new(Files::from([("a.rs".into(), "x;\n".into())]), &insatiable);
    let End::GaveUp(text) = desk.play() else { panic!("it never helps") };
    assert_eq!(desk.files["a.rs"], "&x;\n");
    assert!(text.contains("did not help"), "{text}");
}

#[test]
fn the_next_suggestion_is_tried_when_the_first_did_not_help() {
    let message = "name 'time' is not defined. Did you mean: 'tile'? Or did you forget to import 'time'?";
    let wants_tile = |files: &Files| match line_of(files, "a.py", "f(tile)") {
        None => traceback("NameError", message, &[("a.py", line_of(files, "a.py", "f(time)"))]),
        Some(_) => None,
    };
    let mut desk = Desk::new(Files::from([("a.py".into(), "tile = 1\nf(time)\n".into())]), &wants_tile);
    assert_eq!(desk.play(), End::Submitted);
    assert_eq!(desk.red_runs, 1);
}

#[test]
fn eslint_fixes_its_own_findings_once() {
    let complains = |_: &Files| report(vec![error("eslint", "src/it's.js", Some(1), 1, "Missing semicolon.")]);
    let mut desk = Desk::new(Files::new(), &complains);
    assert!(matches!(desk.play(), End::GaveUp(_)));
    assert_eq!(desk.log.len(), 2, "{:?}", desk.log);
    assert!(desk.log[0].contains(r"eslint --fix -- 'src/it'\''s.js'"), "{:?}", desk.log);
    assert_eq!(desk.log[1], "run_checks");
}

#[test]
fn a_missing_package_is_left_alone() {
    let missing = |_: &Files| traceback("ModuleNotFoundError", "No module named 'requests'", &[("a.py", Some(1))]);
    let End::GaveUp(text) = Desk::new(Files::new(), &missing).play() else { panic!("nothing was suggested") };
    assert!(text.contains("a.py:1: ModuleNotFoundError: No module named 'requests'"), "{text}");
}

#[test]
fn a_request_without_findings_asks_for_the_checks() {
    let history = History::read(&[Message::user("Make the checks pass.")]);
    let answer = decide(&history, None, false).into_response(0);
    assert_eq!(answer.stop_reason, StopReason::ToolUse);
    let calls: Vec<(&str, &Value)> = answer.tool_uses().map(|call| (call.name.as_str(), &call.input)).collect();
    assert_eq!(calls, [("run_checks", &json!({}))]);
}

#[test]
fn a_refused_submit_is_not_repeated() {
    let call = |id: &str, name: &str| ToolUse { id: id.into(), name: name.into(), input: json!({}) };
    let turn = |id: &str, name: &str, content: &str| {
        let result = Block::ToolResult { tool_use_id: id.into(), content: content.into(), is_error: false };
        [
            Message { role: Role::Assistant, content: vec![Block::ToolUse(call(id, name))] },
            Message { role: Role::User, content: vec![result] },
        ]
    };
    let mut messages = turn("1", "run_checks", "checks: PASS").to_vec();
    let answer = |messages: &[Message]| decide(&History::read(messages), None, false).into_response(1);
    assert_eq!(answer(&messages).tool_uses().next().map(|call| call.name.as_str()), Some("submit"));
    messages.extend(turn("2", "submit", "not verified: the checks fail in a clean container"));
    assert_eq!(answer(&messages).stop_reason, StopReason::GaveUp);
}
