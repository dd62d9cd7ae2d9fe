//! Rust sources: a `#[cfg(test)]` module is a test inside a file that is none.

use std::sync::LazyLock;

use regex::Regex;

use super::Spliced;
use crate::judgement::{Finding, Rule, Weight};
use crate::verify::weaken::weakened;

static MODULE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^[ \t]*#\[cfg\((?:all\()?test\b[^\n]*\]\s*(?:#\[[^\n]*\]\s*)*(?:pub(?:\([a-z]+\))?\s+)?mod\s+(\w+)\s*\{",
    )
    .expect("a literal")
});

struct Module<'a> {
    name: &'a str,
    /// From its attribute to its closing brace.
    text: &'a str,
    start: usize,
}

pub(super) fn splice(file: &str, before: &str, after: &str) -> Option<Spliced> {
    let (old, new) = (modules(before), modules(after));
    let mut findings = Vec::new();
    let mut text = after.to_owned();
    for module in &old {
        match new.iter().find(|other| other.name == module.name) {
            Some(other) if other.text == module.text || only_adds_tests(module.text, other.text) => {}
            Some(other) => {
                let above = after[..other.start].matches('\n').count() as u32;
                let changed = weakened(file, module.text, other.text, Weight::Objection);
                findings.extend(
                    changed
                        .into_iter()
                        .map(|finding| Finding { line: finding.line.map(|line| line + above), ..finding }),
                );
                text = text.replacen(other.text, module.text, 1);
            }
            None => {
                let line = before[..module.start].matches('\n').count() as u32 + 1;
                let gone = format!("the test module `{}` was removed", module.name);
                findings.push(Finding::objection(Rule::TestDeleted, gone).at(file, line));
                text.push('\n');
                text.push_str(module.text);
            }
        }
    }
    (!findings.is_empty()).then_some(Spliced { text, findings })
}

/// Whether the newer one has what the older one has and, at its end, functions that are tests: nothing else could not
/// stand in for what the older tests call.
fn only_adds_tests(old: &str, new: &str) -> bool {
    static TEST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\s*#\[test\]\s*fn\s+\w+\s*\(\)\s*\{").expect("a literal"));
    let inner = |text: &str| text.strip_suffix('}').map(|text| text.trim_end().to_owned());
    let (Some(old), Some(new)) = (inner(old), inner(new)) else { return false };
    let Some(mut added) = new.strip_prefix(old.as_str()) else { return false };
    while let Some(head) = TEST.find(added) {
        let body = &added[head.end() - 1..];
        let Some(end) = closing(body) else { return false };
        added = &body[end..];
    }
    added.trim().is_empty()
}

fn modules(text: &str) -> Vec<Module<'_>> {
    let found = MODULE.captures_iter(text).filter_map(|captures| {
        let (whole, name) = (captures.get(0)?, captures.get(1)?);
        let end = whole.end() - 1 + closing(&text[whole.end() - 1..])?;
        Some(Module { name: name.as_str(), text: &text[whole.start()..end], start: whole.start() })
    });
    found.collect()
}

/// Behind the brace that closes the one this begins with; braces in strings, characters and comments do not count.
pub(in crate::verify) fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at += 2,
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BEFORE: &str = "pub fn add(a: i32, b: i32) -> i32 { a - b }\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn adds() {\n        assert_eq!(add(2, 3), 5, \"}\");\n    }\n}\n";

    #[test]
    fn the_program_may_change_and_the_tests_in_it_may_not() {
        let cured = BEFORE.replace("a - b", "a + b");
        assert!(splice("src/lib.rs", BEFORE, &cured).is_none());
        let spliced = splice("src/lib.rs", BEFORE, &cured.replace("), 5", "), -1")).unwrap();
        assert_eq!(spliced.text, cured);
        assert_eq!((spliced.findings[0].rule, spliced.findings[0].line), (Rule::ExpectedChanged, Some(8)));
        let more =
            cured.replace("    }\n}\n", "    }\n\n    #[test]\n    fn more() {\n        assert!(true);\n    }\n}\n");
        assert!(splice("src/lib.rs", BEFORE, &more).is_none(), "a test more");
        let shadow = cured.replace("    }\n}\n", "    }\n    fn add(a: i32, b: i32) -> i32 { 5 }\n}\n");
        assert!(splice("src/lib.rs", BEFORE, &shadow).is_some(), "the tests would call that one");
        let removed = "pub fn add(a: i32, b: i32) -> i32 { a - b }\n";
        assert_eq!(splice("src/lib.rs", BEFORE, removed).unwrap().findings[0].rule, Rule::TestDeleted);
    }
}
