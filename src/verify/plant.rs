//! Tests that must fail, planted among the real ones: a runner that cannot fail proves nothing.
//!
//! They go into files of the pristine tree, so that whatever selects the real tests selects them too. Where a language
//! or a way of testing is not known, nothing is planted, and the finding says that nothing is proven.

use crate::snapshot::{Entry, Manifest, TreePath};

use super::mixed::closing;
use super::protect::{Kind, Mixed, Protection};

/// In one round.
pub(super) const PLANTS_MAX: usize = 6;

/// One file with a failing test in it.
pub(super) struct Plant {
    pub(super) path: TreePath,
    pub(super) text: String,
    /// Of a plain program, which names no tests: that it ends badly is all there is to see.
    pub(super) by_exit_only: bool,
}

/// Files that a failing test may be planted in: those that a check names first, then one of each folder, then any.
pub(super) fn candidates(tree: &Manifest, protection: &Protection) -> Vec<TreePath> {
    let files = tree.entries.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).map(|(path, _)| path);
    let mut found: Vec<&TreePath> = files
        .filter(|path| match protection.kind(path) {
            Some(Kind::Test | Kind::Mixed(Mixed::Rust)) => true,
            Some(Kind::Ci | Kind::Lock | Kind::CheckConfig | Kind::RunnerShadow | Kind::Mixed(_) | Kind::Operator)
            | None => false,
        })
        .collect();
    let mut folders = std::collections::BTreeSet::new();
    let order = |path: &&TreePath, is_first: bool| (!protection.is_named(path), !is_first);
    let keyed: Vec<((bool, bool), &TreePath)> = found
        .drain(..)
        .map(|path| {
            let first =
                folders.insert((path.parent(), path.file_name().rsplit(|b| *b == b'.').next().map(<[u8]>::to_vec)));
            (order(&path, first), path)
        })
        .collect();
    let mut keyed = keyed;
    keyed.sort();
    keyed.into_iter().map(|(_, path)| path.clone()).collect()
}

/// The text with a failing test called `name` in it. `None` where it is not known how.
pub(super) fn plant(path: &TreePath, text: &str, name: &str) -> Option<Plant> {
    let file = String::from_utf8_lossy(path.file_name()).into_owned();
    let (stem, extension) = file.rsplit_once('.')?;
    let planted = match extension {
        "py" if stem == "conftest" || stem == "__init__" => None,
        "py" if is_python_test(stem, text) => Some(python(text, name)),
        "py" => Some((format!("{text}\nraise AssertionError('{name}')\n"), true)),
        "go" if stem.ends_with("_test") && text.contains("\"testing\"") => {
            let name = name.replacen("greenroom", "Greenroom", 1);
            Some((format!("{text}\nfunc Test{name}(t *testing.T) {{ t.Fatal(\"planted\") }}\n"), false))
        }
        "rs" => rust(text, name),
        "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => javascript(text, name),
        "java" => java(text, name),
        "c" | "cc" | "cpp" | "cxx" => c(text),
        "sh" | "bash" => Some((format!("{text}\nexit 97\n"), true)),
        _ => None,
    };
    let (text, by_exit_only) = planted?;
    Some(Plant { path: path.clone(), text, by_exit_only })
}

fn is_python_test(stem: &str, text: &str) -> bool {
    let named = stem.starts_with("test_") || stem.ends_with("_test");
    named && (text.contains("def test") || text.contains("unittest") || text.contains("pytest"))
}

/// Both ways of failing, before a `__main__` part that would not return.
fn python(text: &str, name: &str) -> (String, bool) {
    let test = match text.contains("unittest") {
        true => format!(
            "\n\nimport unittest as greenroom_unittest\n\n\nclass Test_{name}(greenroom_unittest.TestCase):\n    \
             def test_{name}_a(self):\n        self.assertEqual(1, 2)\n\n    \
             def test_{name}_b(self):\n        assert 1 == 2\n\n\n"
        ),
        false => format!(
            "\n\ndef test_{name}_a():\n    assert 1 == 2\n\n\ndef test_{name}_b():\n    raise AssertionError('planted')\n\n\n"
        ),
    };
    let at = text.find("\nif __name__").map_or(text.len(), |at| at + 1);
    (format!("{}{test}{}", &text[..at], &text[at..]), false)
}

fn rust(text: &str, name: &str) -> Option<(String, bool)> {
    let test = format!("\n#[test]\nfn {name}() {{ assert_eq!(1, 2) }}\n");
    let module = regex::Regex::new(r"(?m)^\s*#\[cfg\((?:all\()?test\b[^\n]*\]\s*(?:pub\s+)?mod\s+\w+\s*(\{)")
        .expect("a literal");
    if let Some(open) = module.captures(text).and_then(|captures| captures.get(1)) {
        // At its end: a glob import or an inner attribute stands at its beginning.
        let end = open.start() + closing(&text[open.start()..])? - 1;
        return Some((format!("{}{test}{}", &text[..end], &text[end..]), false));
    }
    text.contains("#[test]").then(|| (format!("{text}{test}"), false))
}

fn javascript(text: &str, name: &str) -> Option<(String, bool)> {
    let test = if text.contains("node:test") {
        match text.contains("require(") {
            true => format!("require('node:test')('{name}', () => {{ require('node:assert').strictEqual(1, 2); }});\n"),
            false => format!(
                "import greenroomTest from 'node:test';\nimport greenroomAssert from 'node:assert';\n\
                 greenroomTest('{name}', () => {{ greenroomAssert.strictEqual(1, 2); }});\n"
            ),
        }
    } else if text.contains("vitest") {
        format!(
            "import {{ test as greenroomTest, expect as greenroomExpect }} from 'vitest';\ngreenroomTest('{name}', () => {{ greenroomExpect(1).toBe(2); }});\n"
        )
    } else if regex::Regex::new(r"\bit\s*\(").expect("a literal").is_match(text) {
        format!("it('{name}', () => {{ throw new Error('planted'); }});\n")
    } else if regex::Regex::new(r"\btest\s*\(").expect("a literal").is_match(text) {
        format!("test('{name}', () => {{ throw new Error('planted'); }});\n")
    } else {
        return Some((format!("{text}\nthrow new Error('planted');\n"), true));
    };
    Some((format!("{text}\n{test}"), false))
}

fn java(text: &str, name: &str) -> Option<(String, bool)> {
    let test = if text.contains("org.junit.jupiter") {
        format!(
            "\n@org.junit.jupiter.api.Test void {name}() {{ org.junit.jupiter.api.Assertions.assertEquals(1, 2); }}\n"
        )
    } else if text.contains("org.junit") {
        format!("\n@org.junit.Test public void {name}() {{ org.junit.Assert.assertEquals(1, 2); }}\n")
    } else {
        return None;
    };
    let end = text.rfind('}')?;
    Some((format!("{}{test}{}", &text[..end], &text[end..]), false))
}

/// A program of assertions: it must come to the end of its `main`.
fn c(text: &str) -> Option<(String, bool)> {
    let main = text.find("int main")?;
    let end = main + text[main..].rfind("return")?;
    Some((format!("{}__builtin_trap(); {}", &text[..end], &text[end..]), true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn planted(file: &str, text: &str) -> Option<(String, bool)> {
        let plant = plant(&TreePath::new(file).unwrap(), text, "greenroom_x")?;
        Some((plant.text, plant.by_exit_only))
    }

    #[test]
    fn a_failing_test_stands_where_the_real_ones_do() {
        let main = "import unittest\n\nif __name__ == '__main__':\n    unittest.main()\n";
        let (text, _) = planted("test_a.py", main).unwrap();
        assert!(text.find("test_greenroom_x_a") < text.find("if __name__"), "{text}");
        let (text, _) = planted("src/lib.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}\nfn b() {}\n").unwrap();
        assert!(text.find("fn greenroom_x").unwrap() < text.find("fn b()").unwrap(), "{text}");
        let (text, _) = planted("a_test.go", "import \"testing\"\n").unwrap();
        assert!(text.contains("func TestGreenroom_x(t *testing.T)"), "{text}");
        let (text, by_exit) = planted("tests/a.c", "int main(void) {\n  assert(x);\n  return 0;\n}\n").unwrap();
        assert!(by_exit && text.contains("__builtin_trap(); return 0;"), "{text}");
        assert!(planted("tests/data.csv", "a,b\n").is_none());
        assert!(planted("src/lib.rs", "fn a() {}\n").is_none());
    }

    #[test]
    fn each_javascript_runner_has_its_own_words() {
        assert!(planted("a.test.mjs", "import test from 'node:test';").unwrap().0.contains("greenroomTest"));
        assert!(
            planted("a.test.cjs", "const test = require('node:test');").unwrap().0.contains("require('node:test')(")
        );
        assert!(planted("a.test.ts", "import { it } from 'vitest';").unwrap().0.contains("greenroomExpect"));
        assert!(planted("a.spec.js", "describe('a', () => { it('b', c); });").unwrap().0.contains("it('greenroom_x'"));
    }
}
