//! The changes that Python's own messages propose, as edits.

use super::Exception;
use crate::{Applicability, Edit, Suggestion};

/// Where an exception was raised: the frame's line and the source lines printed from there on.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) code: &'a [String],
}

/// What the message of a run-time exception proposes.
pub(super) fn suggestions(exception: &str, message: &str, place: Place<'_>) -> Vec<Suggestion> {
    let message = message.lines().next().unwrap_or("");
    let wrong = match Exception::short_name(exception) {
        "AttributeError" => between(message, "has no attribute '", "'"),
        "NameError" => between(message, "name '", "'"),
        "ImportError" => between(message, "cannot import name '", "'"),
        "ModuleNotFoundError" => between(message, "No module named '", "'"),
        "TypeError" => between(message, "unexpected keyword argument '", "'"),
        _ => None,
    };
    let mut found = Vec::new();
    if let Some(module) = between(message, "id you forget to import '", "'") {
        found.push(Suggestion {
            message: format!("import `{module}`"),
            applicability: Applicability::MaybeIncorrect,
            edits: vec![Edit::AddImport { file: place.file.to_owned(), module: module.to_owned() }],
        });
    }
    let right = between(message, "Did you mean: '", "'?").or_else(|| between(message, "Did you mean '", "'?"));
    if let (Some(wrong), Some(right)) = (wrong, right)
        && let Some((line, original, replacement)) = place.find(wrong, right)
    {
        found.push(Suggestion {
            message: format!("replace `{wrong}` by `{right}`"),
            applicability: Applicability::MaybeIncorrect,
            edits: vec![Edit::Substitute { file: place.file.to_owned(), line, column: None, original, replacement }],
        });
    }
    found
}

impl Place<'_> {
    /// The line that has the wrong name, and the words to exchange. Where the source was printed without the name
    /// (`getattr(x, name)`), there is nothing to exchange.
    fn find(&self, wrong: &str, right: &str) -> Option<(u32, String, String)> {
        if self.code.is_empty() {
            return Some((self.line, wrong.to_owned(), right.to_owned()));
        }
        let mut row = self.line;
        for text in self.code {
            if text.trim_start().starts_with("...<") {
                return None;
            }
            let keyword = format!("{wrong}=");
            match words(text, wrong) {
                0 => {}
                // `f(ndigit, ndigit=2)`: the keyword is meant.
                2.. if text.contains(&keyword) => return Some((row, keyword, format!("{right}="))),
                _ => return Some((row, wrong.to_owned(), right.to_owned())),
            }
            row = row.checked_add(1)?;
        }
        None
    }
}

/// How often `word` stands in `text` as a whole identifier.
fn words(text: &str, word: &str) -> usize {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .filter(|(at, _)| !text[..*at].ends_with(joins) && !text[at + word.len()..].starts_with(joins))
        .count()
}

/// What the message of a syntax error proposes, where message and carets leave no choice.
pub(super) fn syntax_fix(
    message: &str,
    code: &str,
    (from, to): (usize, usize),
    file: &str,
    line: u32,
) -> Option<Suggestion> {
    let (applicability, what, replacement) = if message == "expected ':'" {
        // Inside a line something else may be meant (`else if`).
        let at_end = from >= code.len() && !code.contains('#');
        at_end.then(|| (Applicability::MachineApplicable, "add `:`", format!("{code}:")))?
    } else if message.starts_with("Missing parentheses in call to '") {
        let name = between(message, "call to '", "'")?;
        let arguments = code.get(from..)?.strip_prefix(name)?.strip_prefix(' ')?;
        let whole = to >= code.len() && !arguments.ends_with(',') && !arguments.contains(['#', ';']);
        whole.then(|| {
            (Applicability::MaybeIncorrect, "add parentheses", format!("{}{name}({})", &code[..from], arguments.trim()))
        })?
    } else if message.contains("Maybe you meant '==' or ':=' instead of '='?")
        || message.contains("Maybe you meant '==' instead of '='?")
    {
        let at = lone_equals(code, from)?;
        (Applicability::MaybeIncorrect, "compare with `==`", format!("{}={}", &code[..at], &code[at..]))
    } else if let Some(right) = between(message, "invalid syntax. Did you mean '", "'?") {
        let (head, tail) = (code.get(..from)?, code.get(to..)?);
        (Applicability::MaybeIncorrect, "correct the keyword", format!("{head}{right}{tail}"))
    } else {
        return None;
    };
    Some(Suggestion {
        message: what.to_owned(),
        applicability,
        edits: vec![Edit::Substitute {
            file: file.to_owned(),
            line,
            column: None,
            original: code.to_owned(),
            replacement,
        }],
    })
}

/// The first `=` from there on that is not part of another operator.
fn lone_equals(code: &str, from: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    (from..bytes.len()).find(|&at| {
        bytes[at] == b'='
            && bytes.get(at + 1) != Some(&b'=')
            && !at.checked_sub(1).is_some_and(|before| b"=!<>:+-*/%&|^@".contains(&bytes[before]))
    })
}

/// The text after `start` up to `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn edits(exception: &str, message: &str, code: &str) -> Vec<Edit> {
        let code: Vec<String> = code.lines().map(str::to_owned).collect();
        let place = Place { file: "app.py", line: 7, code: &code };
        suggestions(exception, message, place).into_iter().flat_map(|s| s.edits).collect()
    }

    fn substitute(line: u32, original: &str, replacement: &str) -> Edit {
        Edit::Substitute {
            file: "app.py".into(),
            line,
            column: None,
            original: original.into(),
            replacement: replacement.into(),
        }
    }

    #[test]
    fn a_name_is_replaced_on_the_line_that_has_it() {
        let message = "module 'json' has no attribute 'lods'. Did you mean: 'loads'?";
        assert_eq!(edits("AttributeError", message, "json.lods(x)"), [substitute(7, "lods", "loads")]);
        assert_eq!(edits("AttributeError", message, "call(\n    json.lods(x))"), [substitute(8, "lods", "loads")]);
        assert_eq!(edits("AttributeError", message, "getattr(json, name)"), []);
    }

    #[test]
    fn a_keyword_is_told_from_a_variable_of_its_name() {
        let message = "f() got an unexpected keyword argument 'ndigit'. Did you mean 'ndigits'?";
        assert_eq!(edits("TypeError", message, "f(ndigit=2)"), [substitute(7, "ndigit", "ndigits")]);
        assert_eq!(edits("TypeError", message, "f(ndigit, ndigit=2)"), [substitute(7, "ndigit=", "ndigits=")]);
    }

    #[test]
    fn a_forgotten_import_comes_first() {
        let message = "name 'jsn' is not defined. Did you mean: 'jn'? Or did you forget to import 'jsn'?";
        let import = Edit::AddImport { file: "app.py".into(), module: "jsn".into() };
        assert_eq!(edits("NameError", message, "jsn.x"), [import, substitute(7, "jsn", "jn")]);
    }

    #[test]
    fn syntax_is_mended_only_where_the_message_leaves_no_choice() {
        let fix =
            |message: &str, code: &str, marked| match syntax_fix(message, code, marked, "app.py", 1)?.edits.pop()? {
                Edit::Substitute { replacement, .. } => Some(replacement),
                _ => None,
            };
        assert_eq!(fix("expected ':'", "def f()", (7, 8)).unwrap(), "def f():");
        assert_eq!(fix("expected ':'", "else if x:", (5, 7)), None);
        let print = "Missing parentheses in call to 'print'. Did you mean print(...)?";
        assert_eq!(fix(print, "print \"a\"", (0, 9)).unwrap(), "print(\"a\")");
        assert_eq!(fix(print, "print \"a\",", (0, 9)), None);
        let equals = "invalid syntax. Maybe you meant '==' or ':=' instead of '='?";
        assert_eq!(fix(equals, "if a <= b and x = 3:", (3, 19)).unwrap(), "if a <= b and x == 3:");
    }
}
