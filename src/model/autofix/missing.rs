//! Packages that a program asks for and does not find, by the names their managers know them by.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use greenroom_parsers::Report;
use regex::Regex;

use super::python::STDLIB;
use super::suggest;

/// More at once than this is no missing package, but a wrong environment.
const PACKAGES_MAX: usize = 16;

static PYTHON: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"No module named '?([A-Za-z_]\w*)").expect("the pattern is a literal"));
/// A relative or absolute path is a file of the repository's own.
static NODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"Cannot find (?:module|package) ['"]((?:@[a-z0-9._-]+/)?[a-z0-9][a-z0-9._-]*)"#)
        .expect("the pattern is a literal")
});
static RUST: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?:unresolved import|undeclared crate or module|unlinked crate|can't find crate for) `(\w+)";
    Regex::new(pattern).expect("the pattern is a literal")
});

/// Where a module is not called like its package.
const PYTHON_PACKAGES: [(&str, &str); 8] = [
    ("PIL", "pillow"),
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("cv2", "opencv-python-headless"),
    ("dateutil", "python-dateutil"),
    ("dotenv", "python-dotenv"),
    ("sklearn", "scikit-learn"),
    ("yaml", "pyyaml"),
];
const OWN_CRATES: [&str; 7] = ["alloc", "core", "crate", "self", "std", "super", "test"];

/// A manager and packages of its, of the first finding that lacks some; nothing that `tried` knows.
pub(super) fn packages(
    report: &Report,
    tried: impl Fn(&str, &str) -> bool,
) -> Option<(&'static str, BTreeSet<String>)> {
    let mut found: Option<(&'static str, BTreeSet<String>)> = None;
    for finding in suggest::findings(report) {
        let Some((manager, package)) = package(&finding.what).filter(|(manager, name)| !tried(manager, name)) else {
            continue;
        };
        let (chosen, packages) = found.get_or_insert_with(|| (manager, BTreeSet::new()));
        if *chosen == manager && packages.len() < PACKAGES_MAX {
            packages.insert(package);
        }
    }
    found
}

fn package(text: &str) -> Option<(&'static str, String)> {
    if let Some(found) = PYTHON.captures(text) {
        let module = &found[1];
        // A slip of the pen must not fetch what somebody put there for those who slip.
        if STDLIB.lines().any(|known| is_near(known, module)) {
            return None;
        }
        let known = PYTHON_PACKAGES.iter().find(|(name, _)| *name == module);
        return Some(("pip", known.map_or(module, |(_, package)| package).to_owned()));
    }
    if let Some(found) = NODE.captures(text) {
        return (!found[1].starts_with("node:")).then(|| ("npm", found[1].to_owned()));
    }
    let found = RUST.captures(text)?;
    (!OWN_CRATES.contains(&&found[1])).then(|| ("cargo", found[1].to_owned()))
}

/// Whether one letter more, less or other, or two in the other order, make the one name of the other.
fn is_near(one: &str, other: &str) -> bool {
    let (a, b) = (one.as_bytes(), other.as_bytes());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let common = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (short, long) = (&short[common..], &long[common..]);
    match (short, long) {
        ([], rest) => rest.len() <= 1,
        ([x, rest @ ..], [y, others @ ..]) if short.len() == long.len() => {
            rest == others || (rest.first() == Some(y) && others.first() == Some(x) && rest[1..] == others[1..])
        }
        (short, [_, rest @ ..]) => short == rest,
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_told_by_the_words_of_each_language() {
        for (text, expected) in [
            ("a.py:1: ModuleNotFoundError: No module named 'six'", Some(("pip", "six"))),
            ("/usr/bin/python3: No module named numpy", Some(("pip", "numpy"))),
            ("ModuleNotFoundError: No module named 'yaml.nodes'", Some(("pip", "pyyaml"))),
            ("ModuleNotFoundError: No module named 'jsn'", None),
            ("ModuleNotFoundError: No module named 'jsno'", None),
            ("Error: Cannot find module 'is-number'", Some(("npm", "is-number"))),
            ("Error: Cannot find package '@scope/name' imported from /workspace/a.mjs", Some(("npm", "@scope/name"))),
            ("Error: Cannot find module 'lodash/fp'", Some(("npm", "lodash"))),
            ("Error: Cannot find module './missing'", None),
            ("Cannot find module '/workspace/missing.mjs' imported from /workspace/import.mjs", None),
            ("src/main.rs:1: unresolved import `itoa`", Some(("cargo", "itoa"))),
            ("use of unresolved module or unlinked crate `serde_json`", Some(("cargo", "serde_json"))),
            ("unresolved import `crate::shop`", None),
            ("name 'six' is not defined", None),
        ] {
            let found = package(text);
            assert_eq!(found.as_ref().map(|(manager, name)| (*manager, name.as_str())), expected, "{text}");
        }
    }

    #[test]
    fn names_are_near_by_one_slip() {
        for near in [("json", "jsn"), ("json", "jsonn"), ("json", "jsno"), ("json", "json"), ("os", "is")] {
            assert!(is_near(near.0, near.1), "{near:?}");
        }
        for far in [("json", "js"), ("json", "nosj"), ("json", "simplejson"), ("a", "bcd")] {
            assert!(!is_near(far.0, far.1), "{far:?}");
        }
    }
}
