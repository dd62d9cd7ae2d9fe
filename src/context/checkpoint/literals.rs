//! Exact things in prose: ports, ids, flags, paths. A note may only hold those that stand in what it was made from.

use std::sync::LazyLock;

use regex::Regex;

static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
          `[^`\n]+`                               # anything quoted as code
        | (?:[\w.~-]+)?(?:/[\w.@+-]+)+/?          # paths
        | --?[A-Za-z][\w-]*(?:=\S+)?              # flags
        | \b[\w.-]+\.(?:py|rs|js|ts|go|java|c|h|cpp|toml|json|yaml|yml|md|txt|cfg|ini|sh|lock)\b
        | \b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b           # environment variables and constants
        | \b[0-9a-fA-F]*[0-9][0-9a-fA-F]*[a-fA-F][0-9a-fA-F]*\b   # hexadecimal ids
        | \b\d[\d.,:_]*\d\b                       # numbers of two digits and more, versions, times, addresses
        ",
    )
    .expect("a fixed expression")
});

/// The first exact thing in `text` that does not stand in `source` letter by letter.
pub(super) fn unsupported(text: &str, source: &str) -> Option<String> {
    LITERAL
        .find_iter(text)
        .map(|found| found.as_str().trim_matches('`').trim_end_matches(['.', ',', ':']))
        .filter(|literal| literal.len() > 1)
        .find(|literal| !stands_in(literal, source))
        .map(str::to_owned)
}

/// As a whole: `80` does not stand in `8080`.
fn stands_in(literal: &str, source: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.match_indices(literal).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = source[at + literal.len()..].chars().next();
        let joins = |inner: Option<char>, outer: Option<char>| inner.is_some_and(part) && outer.is_some_and(part);
        !joins(literal.chars().next(), before) && !joins(literal.chars().next_back(), after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "The server listens on port 8473; start it with `make run` --workers=4. See src/app/main.py, \
                          MAX_RETRIES is 17 and the build is 3f9ac2d1.";

    #[test]
    fn what_was_copied_exactly_is_supported() {
        for note in
            ["port 8473, see src/app/main.py", "MAX_RETRIES is 17", "build 3f9ac2d1", "`make run` with --workers=4"]
        {
            assert_eq!(unsupported(note, SOURCE), None, "{note}");
        }
    }

    #[test]
    fn what_was_changed_on_the_way_is_named() {
        for (note, literal) in [
            ("port 8474", "8474"),
            ("the file src/app/mian.py", "src/app/mian.py"),
            ("port 847", "847"),
            ("use --worker=4", "--worker=4"),
            ("MAX_RETRY is 17", "MAX_RETRY"),
            ("run `make test`", "make test"),
        ] {
            assert_eq!(unsupported(note, SOURCE).as_deref(), Some(literal), "{note}");
        }
    }

    #[test]
    fn prose_needs_no_support() {
        assert_eq!(unsupported("The retry loop is the cause, not the parser.", ""), None);
    }
}
