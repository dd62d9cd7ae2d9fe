//! What Python 3.13 says about a mistake, and where an import goes.

use std::sync::LazyLock;

use greenroom_parsers::{Applicability, Edit, Suggestion};
use regex::Regex;

use super::splice::Splice;

/// `sys.stdlib_module_names` of Python 3.13 without the private ones.
pub(super) const STDLIB: &str = include_str!("python_stdlib.txt");

static NOT_DEFINED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:NameError: )?name '(\w+)' is not defined").expect("the pattern is a literal"));
static DID_YOU_MEAN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[.;] Did you mean:? '([\w.]+)'\?").expect("the pattern is a literal"));
/// The wrong name: the last one quoted before the hint, or the first one of an import.
static WRONG_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"cannot import name '(\w+)'|(?:name|attribute|keyword argument) '(\w+)'")
        .expect("the pattern is a literal")
});

/// What the message proposes for the line that raised it, best first.
pub(super) fn suggest(message: &str, file: &str, line: Option<u32>) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let unknown = NOT_DEFINED.captures(message).map(|captures| captures[1].to_owned());
    if let Some(name) = unknown.filter(|name| STDLIB.lines().any(|module| module == name)) {
        let edit = Edit::AddImport { file: file.to_owned(), module: name.clone() };
        suggestions.push(one(format!("import the module {name}"), edit));
    }
    let hint = DID_YOU_MEAN.captures(message);
    if let (Some(hint), Some(line)) = (hint, line) {
        let before = hint.get(0).map_or("", |whole| &message[..whole.start()]);
        let wrong = WRONG_NAME.captures_iter(before).last();
        if let Some(original) = wrong.and_then(|names| names.get(1).or(names.get(2))) {
            let (original, replacement) = (original.as_str().to_owned(), hint[1].to_owned());
            let what = format!("write {replacement} for {original}");
            let edit = Edit::Substitute { file: file.to_owned(), line, column: None, original, replacement };
            suggestions.push(one(what, edit));
        }
    }
    suggestions
}

fn one(message: String, edit: Edit) -> Suggestion {
    Suggestion { message, applicability: Applicability::MaybeIncorrect, edits: vec![edit] }
}

/// Puts `import module` among the plain imports at the top of the file, in alphabetical order; in a file without any,
/// behind the docstring and what must come first. `None` where the file does not use the module, or imports it already:
/// then that is not what it lacks.
pub(super) fn import(lines: &[String], module: &str) -> Option<Splice> {
    let name = module.split('.').next().unwrap_or(module);
    let words = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
    let used = lines.iter().any(|line| !is_import(line) && words(line));
    let imported = lines.iter().any(|line| line.trim_end() == format!("import {module}"));
    (used && !imported).then(|| insert_import(lines, module))
}

fn insert_import(lines: &[String], module: &str) -> Splice {
    let mut header = header_end(lines);
    let mut first = next_statement(lines, header);
    while lines.get(first).is_some_and(|line| line.starts_with("from __future__ ")) {
        header = statement_end(lines, first);
        first = next_statement(lines, header);
    }
    let mut at = first;
    while let Some(line) = lines.get(at).filter(|line| is_import(line)) {
        let plain = line.strip_prefix("import ").map(|rest| rest.split([' ', ',', '.', ';']).next().unwrap_or(rest));
        if plain.is_none_or(|name| name > module) {
            break;
        }
        at = statement_end(lines, at);
    }
    if lines.get(first).is_some_and(|line| is_import(line)) {
        return Splice::insert_lines(lines, at, &format!("import {module}\n"));
    }
    let blank = |at: usize| lines.get(at).is_some_and(|line| line.trim().is_empty());
    match (header, blank(header)) {
        (0, _) => Splice::insert_lines(lines, 0, &format!("import {module}\n\n")),
        (_, true) => Splice::insert_lines(lines, header, &format!("\nimport {module}\n")),
        (_, false) => Splice::insert_lines(lines, header, &format!("\nimport {module}\n\n")),
    }
}

fn is_import(line: &str) -> bool {
    line.starts_with("import ") || line.starts_with("from ")
}

/// The line behind the comments at the very top and the docstring; 0 where there are neither.
fn header_end(lines: &[String]) -> usize {
    let comments = lines.iter().take_while(|line| line.starts_with('#')).count();
    let docstring = next_statement(lines, comments);
    let opening = lines.get(docstring).map_or("", |line| line.trim_start_matches(['r', 'R', 'u', 'U']));
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| opening.starts_with(quote)) else {
        return comments;
    };
    let closes_here = opening[quote.len()..].contains(quote);
    if quote.len() == 1 || closes_here {
        return docstring + 1;
    }
    let rest = lines.iter().skip(docstring + 1).position(|line| line.contains(quote));
    rest.map_or(comments, |rest| docstring + rest + 2)
}

/// The first line from `at` on that is neither blank nor a comment.
fn next_statement(lines: &[String], at: usize) -> usize {
    let skipped = lines.iter().skip(at).take_while(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    });
    at + skipped.count()
}

/// The line behind the statement that begins at `at`, over open brackets and backslashes.
fn statement_end(lines: &[String], at: usize) -> usize {
    let mut depth = 0i32;
    for (number, line) in lines.iter().enumerate().skip(at) {
        let code = line.split('#').next().unwrap_or(line);
        depth += code.chars().map(|c| i32::from(c == '(') - i32::from(c == ')')).sum::<i32>();
        if depth <= 0 && !code.trim_end().ends_with('\\') {
            return number + 1;
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_suggestions() {
        let substitute = |original: &str, replacement: &str| Edit::Substitute {
            file: "a.py".into(),
            line: 7,
            column: None,
            original: original.into(),
            replacement: replacement.into(),
        };
        let import = |module: &str| Edit::AddImport { file: "a.py".into(), module: module.into() };
        for (message, expected) in [
            ("name 'csv' is not defined. Did you forget to import 'csv'?", vec![import("csv")]),
            ("NameError: name 'os' is not defined", vec![import("os")]),
            ("name 'time' is not defined. Did you mean: 'item'? Or did you forget to import 'time'?", {
                vec![import("time"), substitute("time", "item")]
            }),
            ("name 'length' is not defined. Did you mean: 'self.length'?", vec![substitute("length", "self.length")]),
            ("module 'json' has no attribute 'lods'. Did you mean: 'loads'?", vec![substitute("lods", "loads")]),
            ("'P' object has no attribute 'lenght'. Did you mean: 'length'?", vec![substitute("lenght", "length")]),
            ("round() got an unexpected keyword argument 'ndigit'. Did you mean 'ndigits'?", {
                vec![substitute("ndigit", "ndigits")]
            }),
            ("cannot import name 'OrderedDic' from 'collections' (/usr/lib/x.py). Did you mean: 'OrderedDict'?", {
                vec![substitute("OrderedDic", "OrderedDict")]
            }),
            ("No module named 'jsn'", vec![]),
            ("name 'tiem' is not defined", vec![]),
        ] {
            let edits: Vec<Edit> = suggest(message, "a.py", Some(7)).into_iter().flat_map(|s| s.edits).collect();
            assert_eq!(edits, expected, "{message}");
        }
    }

    #[test]
    fn an_import_finds_its_place() {
        for (before, after) in [
            ("json", "import json\n\njson"),
            ("\"\"\"Doc.\"\"\"\n\njson", "\"\"\"Doc.\"\"\"\n\nimport json\n\njson"),
            ("\"\"\"Doc\nmore.\n\"\"\"\njson", "\"\"\"Doc\nmore.\n\"\"\"\n\nimport json\n\njson"),
            (
                "\"\"\"Doc.\"\"\"\n\nimport abc\nimport os\njson",
                "\"\"\"Doc.\"\"\"\n\nimport abc\nimport json\nimport os\njson",
            ),
            ("import abc\nfrom os import path", "import abc\nimport json\nfrom os import path"),
            ("from os import (\n  path,\n)\n", "import json\nfrom os import (\n  path,\n)\n"),
            ("from __future__ import annotations\n\njson", {
                "from __future__ import annotations\n\nimport json\n\njson"
            }),
            ("from __future__ import annotations\n\nimport abc", {
                "from __future__ import annotations\n\nimport abc\nimport json"
            }),
            ("#!/usr/bin/env python3\nimport sys\n", "#!/usr/bin/env python3\nimport json\nimport sys\n"),
        ] {
            let mut lines: Vec<String> = before.split('\n').map(str::to_owned).collect();
            let splice = insert_import(&lines, "json");
            lines[splice.start.line].replace_range(splice.start.byte..splice.end.byte, &splice.text);
            assert_eq!(lines.join("\n"), after, "{before:?}");
        }
    }

    #[test]
    fn an_import_is_not_what_every_file_lacks() {
        for (text, lacks) in [
            ("x = json.dumps(y)", true),
            ("x = jsonify(y)", false),
            ("import json\nx = json.dumps(y)", false),
            ("def f():\n    import json\n    return json.dumps(1)\njson.loads(f())", true),
        ] {
            let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
            assert_eq!(import(&lines, "json").is_some(), lacks, "{text:?}");
        }
    }
}
