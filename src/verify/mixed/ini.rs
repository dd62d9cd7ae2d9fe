//! `setup.cfg`: sections of test tools and linters.

use std::collections::BTreeMap;

use super::ByKey;

const SECTIONS: [&str; 12] = [
    "tool:pytest",
    "pytest",
    "coverage",
    "flake8",
    "mypy",
    "pylint",
    "tox",
    "testenv",
    "isort",
    "pycodestyle",
    "aliases",
    "pydocstyle",
];

pub(super) fn splice(before: &str, after: &str) -> Option<ByKey> {
    let (old, new) = (sections(before), sections(after));
    let names: Vec<&String> = old.keys().chain(new.keys()).collect();
    let mut differing: Vec<String> = names
        .into_iter()
        .filter(|name| is_checked(name) && old.get(*name).map(|s| lines(s)) != new.get(*name).map(|s| lines(s)))
        .cloned()
        .collect();
    differing.sort();
    differing.dedup();
    if differing.is_empty() {
        return None;
    }
    let kept = new.iter().filter(|(name, _)| !differing.contains(name));
    let put = old.iter().filter(|(name, _)| differing.contains(name));
    let text = kept.chain(put).map(|(_, text)| text.as_str()).collect();
    Some(ByKey { text, keys: differing.into_iter().filter(|name| !name.is_empty()).collect() })
}

fn is_checked(section: &str) -> bool {
    SECTIONS
        .iter()
        .any(|known| section.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-'])))
}

fn lines(section: &str) -> Vec<&str> {
    section.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])).collect()
}

/// By name, each with its heading; what stands before the first is of the empty name.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            name = heading.0.trim().to_owned();
        }
        let section = found.entry(name.clone()).or_default();
        section.push_str(line);
        section.push('\n');
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_section_of_pytest_is_taken_from_the_old_file() {
        let before = "[metadata]\nname = a\n[tool:pytest]\naddopts = -ra\n";
        let after = "[metadata]\nname = b\n[tool:pytest]\naddopts = -ra --ignore=tests\n[coverage:run]\nomit = *\n";
        let spliced = splice(before, after).unwrap();
        assert_eq!(spliced.keys, ["coverage:run", "tool:pytest"]);
        assert_eq!(spliced.text, "[metadata]\nname = b\n[tool:pytest]\naddopts = -ra\n");
        assert!(splice(before, &before.replace("= a\n", "= b\n")).is_none());
    }
}
