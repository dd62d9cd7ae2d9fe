//! A suggested edit against the file as it is: where exactly, or nowhere.

use greenroom_parsers::Edit;

use super::splice::Splice;
use super::{c, go, path, python};

/// A statement that goes on over more lines than this is not searched further.
const STATEMENT_LINES_MAX: usize = 60;
/// What gcc takes a tab to be wide when it counts columns.
const TAB_COLUMNS: usize = 8;

/// What the tool said about the name, for a line on which it stands more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Any,
    /// `name=` in a call.
    Keyword,
    /// `.name` or `->name`.
    Member,
}

impl Role {
    pub(super) fn told_by(message: &str) -> Role {
        if message.contains("keyword argument") {
            Role::Keyword
        } else if ["attribute", "member", "roperty", "field"].iter().any(|word| message.contains(word)) {
            Role::Member
        } else {
            Role::Any
        }
    }

    fn fits(self, line: &str, found: &Found) -> bool {
        let before = line[..found.start].trim_end();
        let after = line[found.end..].trim_start();
        match self {
            Role::Any => true,
            Role::Keyword => after.starts_with('=') && !after.starts_with("=="),
            Role::Member => before.ends_with('.') || before.ends_with("->"),
        }
    }
}

pub(super) fn file_of(edit: &Edit) -> &str {
    match edit {
        Edit::Replace { file, .. }
        | Edit::Substitute { file, .. }
        | Edit::AddImport { file, .. }
        | Edit::DeleteLines { file, .. } => file,
    }
}

/// `None` where the file does not look as the tool saw it, or where it could mean more than one place.
pub(super) fn splice(edit: &Edit, role: Role, lines: &[String]) -> Option<Splice> {
    match edit {
        Edit::Replace { file, line, column, end_line, end_column, replacement } => {
            // gcc counts a tab as up to eight columns, clang as one: which of them spoke, the span does not say.
            let tabbed =
                || [line, end_line].iter().any(|line| text_of(lines, **line).is_some_and(|t| t.contains('\t')));
            if c::EXTENSIONS.contains(&path::extension(file)) && tabbed() {
                return None;
            }
            let start = position(lines, *line, *column)?;
            let end = position(lines, *end_line, *end_column)?;
            (start <= end).then(|| Splice { start, end, text: replacement.clone() })
        }
        Edit::Substitute { file, line, column, original, replacement } => {
            let first = index(*line)?;
            let found = find(file, lines, first, *column, original, role)?;
            Some(Splice::within(found.line, found.start..found.end, replacement))
        }
        Edit::AddImport { file, module } => match path::extension(file) {
            "py" | "pyi" => python::import(lines, module),
            extension if c::EXTENSIONS.contains(&extension) => Some(c::include(lines, module)),
            _no_rule => None,
        },
        Edit::DeleteLines { file, first, last } => {
            let (first, last) = (index(*first)?, index(*last)?);
            if path::extension(file) == "go" && !lines.get(first..=last)?.iter().all(|line| go::is_import_line(line)) {
                return None;
            }
            Splice::delete_lines(lines, first, last)
        }
    }
}

fn text_of(lines: &[String], line: u32) -> Option<&String> {
    lines.get(index(line)?)
}

fn index(line: u32) -> Option<usize> {
    usize::try_from(line).ok()?.checked_sub(1)
}

/// Columns count characters. The line behind the last one has a first column.
fn position(lines: &[String], line: u32, column: u32) -> Option<super::splice::Position> {
    let (line, column) = (index(line)?, index(column)?);
    let at = |line, byte| Some(super::splice::Position { line, byte });
    let Some(text) = lines.get(line) else {
        let last = lines.last().filter(|_| line == lines.len() && column == 0)?;
        return at(line - 1, last.len());
    };
    let mut bytes = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    at(line, bytes.nth(column)?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    line: usize,
    start: usize,
    end: usize,
}

/// The one place on the line that is meant, or in the rest of the statement where the line itself has none.
fn find(file: &str, lines: &[String], first: usize, column: Option<u32>, original: &str, role: Role) -> Option<Found> {
    let line = lines.get(first)?;
    let here = occurrences(file, line, first, original);
    if !here.is_empty() {
        return only(here.clone(), lines, role).or_else(|| at_column(&here, line, index(column?)?));
    }
    let mut depth = depth_change(line);
    let mut rest = Vec::new();
    for (number, line) in lines.iter().enumerate().skip(first + 1).take(STATEMENT_LINES_MAX) {
        if depth <= 0 {
            break;
        }
        rest.extend(occurrences(file, line, number, original));
        depth += depth_change(line);
    }
    only(rest, lines, role)
}

fn only(found: Vec<Found>, lines: &[String], role: Role) -> Option<Found> {
    if let [one] = found[..] {
        return Some(one);
    }
    let mut fitting = found.iter().filter(|found| role.fits(&lines[found.line], found));
    fitting.next().filter(|_| role != Role::Any && fitting.next().is_none()).copied()
}

/// The occurrence that begins in this column, counted in characters or as gcc counts.
fn at_column(found: &[Found], line: &str, column: usize) -> Option<Found> {
    let characters = |found: &Found| line[..found.start].chars().count();
    let displayed = |found: &Found| {
        line[..found.start]
            .chars()
            .fold(0, |at, c| if c == '\t' { at + TAB_COLUMNS - at % TAB_COLUMNS } else { at + 1 })
    };
    let exact = found.iter().find(|found| characters(found) == column);
    exact.or_else(|| found.iter().find(|found| displayed(found) == column)).copied()
}

/// Where `original` stands as a whole name; in comments and strings only if it stands nowhere else.
fn occurrences(file: &str, line: &str, number: usize, original: &str) -> Vec<Found> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let bounded =
        |inner: Option<char>, outer: Option<char>| !(inner.is_some_and(is_name) && outer.is_some_and(is_name));
    if original.is_empty() {
        return Vec::new();
    }
    let all = line.match_indices(original).map(|(start, _)| (start, start + original.len())).filter(|&(start, end)| {
        bounded(original.chars().next(), line[..start].chars().next_back())
            && bounded(original.chars().next_back(), line[end..].chars().next())
    });
    let quoted = quoted(file, line);
    let (outside, inside): (Vec<Found>, Vec<Found>) = all
        .map(|(start, end)| Found { line: number, start, end })
        .partition(|found| !quoted.iter().any(|range| range.start < found.start && found.start < range.end));
    if outside.is_empty() { inside } else { outside }
}

/// The ranges of the line that are strings or a comment, each from its opening mark. Good enough to choose by: nothing
/// is changed on its word alone.
fn quoted(file: &str, line: &str) -> Vec<std::ops::Range<usize>> {
    let comment = if matches!(path::extension(file), "py" | "pyi") { "#" } else { "//" };
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        if line[at..].starts_with(comment) {
            ranges.push(at..line.len());
            break;
        }
        if matches!(c, '"' | '\'' | '`') {
            let mut end = at + 1;
            let mut escaped = false;
            for inner in line[at + 1..].chars() {
                end += inner.len_utf8();
                if inner == c && !escaped {
                    break;
                }
                escaped = inner == '\\' && !escaped;
            }
            ranges.push(at..end);
            at = end;
        } else {
            at += c.len_utf8();
        }
    }
    ranges
}

/// How many brackets the line leaves open, or closes.
fn depth_change(line: &str) -> i32 {
    line.chars().map(|c| i32::from("([{".contains(c)) - i32::from(")]}".contains(c))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substitute(file: &str, text: &str, column: Option<u32>, original: &str, role: Role) -> Option<String> {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let edit = Edit::Substitute {
            file: file.into(),
            line: 1,
            column,
            original: original.into(),
            replacement: "NEW".into(),
        };
        let splice = splice(&edit, role, &lines)?;
        lines[splice.start.line].replace_range(splice.start.byte..splice.end.byte, &splice.text);
        Some(lines.join("\n"))
    }

    #[test]
    fn a_name_is_substituted_where_it_can_only_mean_one_place() {
        use Role::{Any, Keyword, Member};
        for (file, text, column, original, role, expected) in [
            ("a.py", "x = json.lods(s)", None, "lods", Any, Some("x = json.NEW(s)")),
            ("a.py", "lodsx = lods(s)", None, "lods", Any, Some("lodsx = NEW(s)")),
            ("a.py", "lods = lods(s)", None, "lods", Any, None),
            ("a.py", "lods = json.lods(s)", None, "lods", Member, Some("lods = json.NEW(s)")),
            ("a.py", "f('lods', lods)  # lods", None, "lods", Any, Some("f('lods', NEW)  # lods")),
            ("a.py", "f(widht=widht)", None, "widht", Keyword, Some("f(NEW=widht)")),
            ("a.py", "f(\n  1,\n  widht=3)", None, "widht", Keyword, Some("f(\n  1,\n  NEW=3)")),
            ("a.py", "f(1)\nwidht = 3", None, "widht", Keyword, None),
            ("a.ts", "a + b + a", Some(9), "a", Any, Some("a + b + NEW")),
            ("a.ts", "a + b + a", Some(2), "a", Any, None),
            ("a.c", "\tx(a, a)", Some(14), "a", Any, Some("\tx(a, NEW)")),
            ("a.ts", "f(\"rad\")", Some(3), "\"rad\"", Any, Some("f(NEW)")),
            ("a.py", "nothing", None, "lods", Any, None),
        ] {
            assert_eq!(substitute(file, text, column, original, role).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_span_behind_a_tab_in_c_could_be_anywhere() {
        for (text, fits) in [("\tint a = 1", false), ("    int a = 1", true)] {
            let lines = vec![text.to_owned()];
            let (file, replacement) = ("a.c".to_owned(), ";".to_owned());
            let edit = Edit::Replace { file, line: 1, column: 9, end_line: 1, end_column: 9, replacement };
            assert_eq!(splice(&edit, Role::Any, &lines).is_some(), fits, "{text:?}");
        }
    }

    #[test]
    fn a_span_outside_the_file_is_no_place() {
        let lines = vec!["één".to_owned()];
        assert_eq!(position(&lines, 1, 4).map(|at| at.byte), Some(5));
        assert_eq!(position(&lines, 1, 5), None);
        assert_eq!(position(&lines, 2, 1).map(|at| at.byte), Some(5));
        assert_eq!(position(&lines, 2, 2), None);
        assert_eq!(position(&lines, 0, 1), None);
    }
}
