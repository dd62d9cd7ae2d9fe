//! What gcc and clang say about a mistake in C or C++, and where an include goes.

use std::sync::LazyLock;

use greenroom_parsers::{Applicability, Diagnostic, Edit, Suggestion};
use regex::Regex;

use super::splice::Splice;

pub(super) const EXTENSIONS: [&str; 12] = ["c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "ipp", "m", "mm"];

/// gcc quotes as the locale does, clang always the plain way.
static DID_YOU_MEAN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"; did you mean ['‘]([^'’]+)['’]").expect("the pattern is a literal"));
/// What stands before the wrong name says that it is the wrong one.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:named|name|function|identifier|template|directive) ['‘]([^'’]+)['’]")
        .expect("the pattern is a literal")
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"['‘]([^'’]+)['’]").expect("the pattern is a literal"));
static INCLUDE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^include (?:the header )?['‘]?(<[\w./+-]+>)['’]? or |by adding ['‘]#include (<[\w./+-]+>)['’]")
        .expect("the pattern is a literal")
});

pub(super) fn suggest(diagnostic: &Diagnostic, file: &str) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let message = &diagnostic.message;
    if let (Some(hint), Some(line)) = (DID_YOU_MEAN.captures(message), diagnostic.line) {
        let before = hint.get(0).map_or("", |whole| &message[..whole.start()]);
        if let Some(wrong) = NAMED.captures(before).or_else(|| QUOTED.captures(before)) {
            let (original, replacement) = (wrong[1].to_owned(), hint[1].to_owned());
            let what = format!("write {replacement} for {original}");
            let column = diagnostic.column;
            let edit = Edit::Substitute { file: file.to_owned(), line, column, original, replacement };
            suggestions.push(one(what, edit));
        }
    }
    for message in diagnostic.related.iter().map(|note| &note.message).chain([message]) {
        if let Some(header) = INCLUDE.captures(message).and_then(|found| found.get(1).or(found.get(2))) {
            let header = header.as_str().to_owned();
            let what = format!("include {header}");
            suggestions.push(one(what, Edit::AddImport { file: file.to_owned(), module: header }));
        }
    }
    suggestions
}

fn one(message: String, edit: Edit) -> Suggestion {
    Suggestion { message, applicability: Applicability::MaybeIncorrect, edits: vec![edit] }
}

/// Puts `#include <header>` among the system headers in alphabetical order, else behind the last include, else on top.
pub(super) fn include(lines: &[String], header: &str) -> Splice {
    let directive = format!("#include <{}>", header.trim_matches(['<', '>']));
    let is = |line: &&String, start: &str| line.starts_with(start);
    let system = lines.iter().position(|line| is(&line, "#include <"));
    let at = match (system, lines.iter().rposition(|line| is(&line, "#include"))) {
        (Some(first), _) => {
            let smaller = |line: &&String| is(line, "#include <") && line.trim_end() < directive.as_str();
            first + lines[first..].iter().take_while(smaller).count()
        }
        (None, Some(last)) => last + 1,
        (None, None) => 0,
    };
    Splice::insert_lines(lines, at, &format!("{directive}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_suggestions() {
        for (message, note, expected) in [
            ("‘struct table’ has no member named ‘lenght’; did you mean ‘length’?", "", Some(("lenght", "length"))),
            ("'steam' undeclared (first use in this function); did you mean 'stream'?", "", Some(("steam", "stream"))),
            (
                "implicit declaration of function ‘count_steam’; did you mean ‘count_stream’?",
                "",
                Some(("count_steam", "count_stream")),
            ),
            ("‘vectr’ is not a member of ‘std’; did you mean ‘vector’?", "", Some(("vectr", "vector"))),
            ("no member named 'lenght' in 'struct table'; did you mean 'length'?", "", Some(("lenght", "length"))),
            ("use of undeclared identifier 'cuont'; did you mean 'count'?", "", Some(("cuont", "count"))),
            (
                "implicit declaration of function ‘isalnum’ [-Wimplicit-function-declaration]",
                "include ‘<ctype.h>’ or provide a declaration of ‘isalnum’",
                Some(("", "<ctype.h>")),
            ),
            (
                "‘NULL’ undeclared (first use in this function)",
                "‘NULL’ is defined in header ‘<stddef.h>’; this is probably fixable by adding ‘#include <stddef.h>’",
                Some(("", "<stddef.h>")),
            ),
            (
                "call to undeclared library function 'strlen' with type 'unsigned long (const char *)'",
                "include the header <string.h> or explicitly provide a declaration for 'strlen'",
                Some(("", "<string.h>")),
            ),
            ("expected ‘;’ before ‘}’ token", "", None),
        ] {
            let note = Diagnostic { message: note.into(), ..Default::default() };
            let diagnostic =
                Diagnostic { message: message.into(), line: Some(3), related: vec![note], ..Default::default() };
            let found = suggest(&diagnostic, "a.c").into_iter().next().map(|found| match &found.edits[0] {
                Edit::Substitute { original, replacement, .. } => (original.clone(), replacement.clone()),
                Edit::AddImport { module, .. } => (String::new(), module.clone()),
                Edit::Replace { .. } | Edit::DeleteLines { .. } => panic!("{found:?}"),
            });
            let expected = expected.map(|(original, replacement)| (original.to_owned(), replacement.to_owned()));
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn an_include_finds_its_place() {
        for (before, line) in [
            ("#include \"a.h\"\n\n#include <assert.h>\n#include <stdio.h>\nint x;", 3),
            ("#include \"a.h\"\n\n#include <stdio.h>\nint x;", 2),
            ("/* doc */\n#include \"a.h\"\nint x;", 2),
            ("int x;", 0),
        ] {
            let lines: Vec<String> = before.split('\n').map(str::to_owned).collect();
            assert_eq!(include(&lines, "<ctype.h>").start.line, line, "{before:?}");
        }
    }
}
