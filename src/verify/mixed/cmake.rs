//! `CMakeLists.txt`: which tests there are; sources may come and go.

use regex::Regex;

use super::ByKey;

pub(super) fn splice(before: &str, after: &str) -> Option<ByKey> {
    let of_tests = Regex::new(
        r"(?i)add_test|enable_testing|set_tests_properties|gtest|catch_discover|\bctest|WILL_FAIL|DISABLED|NDEBUG",
    )
    .expect("a literal");
    let lines = |text| -> Vec<String> {
        let text: &str = text;
        text.lines().map(str::trim).filter(|line| of_tests.is_match(line)).map(str::to_owned).collect()
    };
    (lines(before) != lines(after)).then(|| ByKey { text: before.to_owned(), keys: vec!["add_test".into()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_come_and_a_test_may_not_go() {
        let before = "add_library(a a.c)\nadd_test(NAME a COMMAND a_test)\n";
        assert!(splice(before, &before.replace("a.c", "a.c b.c")).is_none());
        assert!(splice(before, "add_library(a a.c)\n").is_some());
    }
}
