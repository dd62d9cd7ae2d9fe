//! `file:line:column: severity: message [code]`, with the ranges clang can print and the programs that name no file.

use crate::Severity;

pub(super) struct Header<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    /// Line and exclusive column where clang's first range ends.
    pub(super) range_end: Option<(u32, u32)>,
    pub(super) severity: Severity,
    pub(super) message: &'a str,
    pub(super) code: Option<&'a str>,
}

const SEVERITIES: &[(&str, Severity)] = &[
    (": error: ", Severity::Error),
    (": warning: ", Severity::Warning),
    (": note: ", Severity::Note),
    (": fatal error: ", Severity::Error),
    (": internal compiler error: ", Severity::Error),
    (": sorry, unimplemented: ", Severity::Error),
    (": remark: ", Severity::Info),
];

/// Files that gcc's family compiles; others print this form too, and have readers of their own.
const EXTENSIONS: &[&str] = &[
    "c", "C", "cc", "cp", "cpp", "cxx", "c++", "CPP", "h", "H", "hh", "hp", "hpp", "hxx", "h++", "inl", "inc", "ipp",
    "tcc", "tpp", "txx", "def", "m", "mm", "M", "i", "ii", "mi", "cu", "cuh", "hip", "cl", "s", "S", "sx", "f", "F",
    "for", "f90", "F90", "f95", "f03", "f08", "x", "y", "l", "yy", "ll", "cppm", "ixx",
];

/// Programs that print a finding of their own in place of a file's.
const PROGRAMS: &[&str] =
    &["gcc", "g++", "cc", "c++", "cc1", "cc1plus", "cc1obj", "clang", "clang++", "collect2", "gfortran", "f951", "as"];

impl<'a> Header<'a> {
    pub(super) fn parse(line: &'a str, expects: impl Fn(&str) -> bool) -> Option<Self> {
        // One pass for all the marks: each of them begins with a colon.
        let (at, mark, severity) = memchr::memchr_iter(b':', line.as_bytes()).find_map(|at| {
            let (mark, severity) = SEVERITIES.iter().find(|(mark, _)| line[at..].starts_with(mark))?;
            Some((at, *mark, *severity))
        })?;
        let head = &line[..at];
        let (message, code) = split_code(line[at + mark.len()..].trim());
        if message.is_empty() || head.is_empty() {
            return None;
        }
        let (head, range_end) = split_ranges(head);
        if let Some((file, line, column)) = place(head) {
            // run-clang-tidy's command ends without a newline where the first finding begins.
            let file = match file.rsplit_once(' ') {
                Some((command, file)) if is_tidy_command(command) => file,
                Some(_) | None => file,
            };
            let known = file.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
                || file == "<stdin>"
                || file == "<command-line>"
                || expects("gcc")
                || expects("clang");
            return (known && !file.starts_with([' ', '\t'])).then_some(Self {
                file: Some(file),
                line: Some(line),
                column,
                range_end,
                severity,
                message,
                code,
            });
        }
        let program = head.rsplit('/').next().unwrap_or(head);
        let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let program = program.rsplit_once('-').map_or(program, |(_, last)| last);
        // gcc's `collect2: error: ld returned 1 exit status` sums up what the linker said.
        let named = PROGRAMS.contains(&program) && !head.contains(' ');
        named.then_some(Self { file: None, line: None, column: None, range_end: None, severity, message, code })
    }
}

/// `/usr/bin/clang-tidy-14 -p=/w -header-filter=x`
fn is_tidy_command(text: &str) -> bool {
    let mut words = text.split(' ');
    let program = words.next().unwrap_or("").rsplit('/').next().unwrap_or("");
    program.starts_with("clang-tidy") && words.clone().count() > 0 && words.all(|word| word.starts_with('-'))
}

/// `file:line` or `file:line:column`; `file +line:column` where clang writes for vi.
pub(super) fn place(text: &str) -> Option<(&str, u32, Option<u32>)> {
    if let Some((file, at)) = text.rsplit_once(" +")
        && let Some((line, column)) = at.split_once(':')
        && let (Ok(line), Ok(column)) = (line.parse(), column.parse())
    {
        return Some((file, line, Some(column)));
    }
    let (rest, last) = text.rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    if let Some((file, line)) = rest.rsplit_once(':')
        && let Ok(line) = line.parse()
        && !file.is_empty()
    {
        return Some((file, line, Some(last)));
    }
    (!rest.is_empty()).then_some((rest, last, None))
}

/// clang's `file:1:2:{1:2-1:9}{1:12-1:14}`, end columns exclusive.
fn split_ranges(head: &str) -> (&str, Option<(u32, u32)>) {
    let Some((place, ranges)) = head.split_once(":{") else { return (head, None) };
    let end = ranges.split('}').next().and_then(|range| {
        let (_, end) = range.split_once('-')?;
        let (line, column) = end.split_once(':')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    (place, end)
}

/// ` [-Wname]`, ` [-Werror=name]`, clang's ` [-Werror,-Wname]`, clang-tidy's ` [group-name]`.
fn split_code(message: &str) -> (&str, Option<&str>) {
    let Some((text, bracket)) = message.strip_suffix(']').and_then(|rest| rest.rsplit_once(" [")) else {
        return (message, None);
    };
    let code = bracket.strip_prefix("-Werror,").unwrap_or(bracket);
    // clang may name a category behind the option: `[-Wunused-parameter,Semantic Issue]`.
    let code = if code.starts_with('-') { code.split(',').next().unwrap_or(code) } else { code };
    let code = code.strip_suffix(",-warnings-as-errors").unwrap_or(code);
    let tidy = code.contains('-') && code.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = !code.contains([' ', '‘', '\'', '[']);
    if plain && (code.starts_with('-') || tidy) { (text.trim_end(), Some(code)) } else { (message, None) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Header;

    #[test]
    fn clangs_other_forms() {
        let vi = Header::parse("a.c +514:18: error: use of undeclared identifier 'x'", |_| false).unwrap();
        assert_eq!((vi.file, vi.line, vi.column), (Some("a.c"), Some(514), Some(18)));
        let line = "a.c:7:2: warning: unused parameter 'p' [-Wunused-parameter,Semantic Issue]";
        let category = Header::parse(line, |_| false).unwrap();
        assert_eq!((category.code, category.message), (Some("-Wunused-parameter"), "unused parameter 'p'"));
    }

    #[test]
    fn a_command_before_the_file_and_what_made_it_an_error() {
        let read = |line| Header::parse(line, |_| false).map(|found| (found.file, found.line, found.code));
        assert_eq!(
            read("clang-tidy-14 -p=/w /w/a.cpp:3:5: warning: bad [bugprone-x,-warnings-as-errors]"),
            Some((Some("/w/a.cpp"), Some(3), Some("bugprone-x")))
        );
        assert_eq!(read("/w/a b.cpp:3:5: warning: bad"), Some((Some("/w/a b.cpp"), Some(3), None)));
    }
}
