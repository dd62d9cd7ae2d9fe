//! Titles that ESLint's `RuleTester` makes: suites `RULE` and `valid` or `invalid`, and in them the code under test.
//!
//! Runners that print suites and test joined by blanks leave open where a title begins. Where every title of a run has
//! this form, it is known. The code may have several lines, and runners print them as they are.

use crate::TestCase;

/// Fewer could be of this form by chance.
const TITLES_MIN: usize = 2;

/// `no-undef valid a = 1`: the suites, and the code.
fn split(title: &str) -> Option<(&str, &str)> {
    let (rule, rest) = title.split_once(' ')?;
    let code = ["valid", "invalid"].iter().find_map(|suite| rest.strip_prefix(suite))?;
    let is_word = code.is_empty() || code.starts_with([' ', '\n']);
    let suites = &title[..title.len() - code.len()];
    (is_word && is_rule(rule)).then(|| (suites, code.strip_prefix(' ').unwrap_or(code)))
}

pub(super) fn fits(title: &str) -> bool {
    split(title).is_some()
}

/// `no-undef`, `@stylistic/indent`
fn is_rule(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '@')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'@'))
}

/// Whether tests in a suite of this title have code for a title.
pub(super) fn is_suite(title: &str) -> bool {
    matches!(title, "valid" | "invalid")
}

/// Gives joined titles the form `SUITES > TITLE`, if all of them are `RuleTester`'s.
pub(super) fn name(tests: &mut [&mut TestCase]) {
    if tests.len() < TITLES_MIN || !tests.iter().all(|test| fits(&test.id)) {
        return;
    }
    for test in tests {
        if let Some((suites, code)) = split(&test.id) {
            test.id = format!("{suites} > {code}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(titles: &[&str]) -> Vec<String> {
        let mut tests: Vec<TestCase> =
            titles.iter().map(|title| TestCase { id: (*title).to_owned(), ..TestCase::default() }).collect();
        name(&mut tests.iter_mut().collect::<Vec<_>>());
        tests.into_iter().map(|test| test.id).collect()
    }

    #[test]
    fn the_suites_of_a_rule_end_with_valid_or_invalid() {
        assert_eq!(
            named(&["no-undef valid a = 1;", "no-undef invalid \n  b valid\nc"]),
            ["no-undef valid > a = 1;", "no-undef invalid > \n  b valid\nc"]
        );
        assert_eq!(named(&["@x/indent valid a", "curly invalid b"]), ["@x/indent valid > a", "curly invalid > b"]);
    }

    #[test]
    fn one_title_of_another_form_leaves_all_as_they_are() {
        for titles in [
            &["no-undef valid a", "no-undef invalid b", "no-undef reports c"][..],
            &["no-undef valid a"],
            &["Parser valid a", "Parser invalid b"],
            &["a rule valid a", "a rule invalid b"],
            &["valid a", "invalid b"],
        ] {
            assert_eq!(named(titles), titles);
        }
    }
}
