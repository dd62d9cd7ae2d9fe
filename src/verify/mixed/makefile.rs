//! Makefiles: the rules that the checks reach, and every variable.

use std::collections::{BTreeMap, BTreeSet};

use super::ByKey;

pub(super) fn splice(before: &str, after: &str, commands: &[&str]) -> Option<ByKey> {
    let (old, new) = (Makefile::read(before), Makefile::read(after));
    let mut keys = Vec::new();
    if old.outside != new.outside {
        keys.push("variables".to_owned());
    }
    let reached: BTreeSet<String> = old.reached(commands).into_iter().chain(new.reached(commands)).collect();
    keys.extend(reached.into_iter().filter(|target| old.rules.get(target) != new.rules.get(target)));
    // Whole: a rule that is not reached today may be by another of the old ones.
    (!keys.is_empty()).then(|| ByKey { text: before.to_owned(), keys })
}

#[derive(Default)]
struct Makefile {
    /// By target: prerequisites and recipe lines.
    rules: BTreeMap<String, Vec<String>>,
    order: Vec<String>,
    outside: Vec<String>,
}

impl Makefile {
    fn read(text: &str) -> Self {
        let mut file = Makefile::default();
        let mut targets: Vec<String> = Vec::new();
        for line in text.replace("\\\n", " ").lines() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('\t') {
                for target in &targets {
                    file.rules.entry(target.clone()).or_default().push(line.trim().to_owned());
                }
                continue;
            }
            match line.split_once(':') {
                Some((names, rest)) if !names.contains('=') && !rest.starts_with('=') && !rest.starts_with(":=") => {
                    targets = names.split_whitespace().map(str::to_owned).collect();
                    for target in &targets {
                        if !file.rules.contains_key(target) {
                            file.order.push(target.clone());
                        }
                        file.rules.entry(target.clone()).or_default().push(format!(":{}", rest.trim()));
                    }
                }
                Some(_) | None => {
                    targets.clear();
                    file.outside.push(line.trim().to_owned());
                }
            }
        }
        file
    }

    /// Targets that the commands name, or the first one, with all they need. Pattern rules always count.
    fn reached(&self, commands: &[&str]) -> BTreeSet<String> {
        let words: BTreeSet<&str> = commands.iter().flat_map(|command| command.split_whitespace()).collect();
        let special = |target: &&String| target.contains('%') || target.starts_with('.');
        let mut waiting: Vec<&String> = self.order.iter().filter(special).collect();
        let named: Vec<&String> = self.order.iter().filter(|target| words.contains(target.as_str())).collect();
        match named.is_empty() {
            true => waiting.extend(self.order.iter().find(|target| !special(target))),
            false => waiting.extend(named),
        }
        let mut reached = BTreeSet::new();
        while let Some(target) = waiting.pop() {
            if !reached.insert(target.clone()) {
                continue;
            }
            let rule = self.rules.get(target).into_iter().flatten();
            let needs = rule.flat_map(|line| line.split([' ', '\t', ':', '|', '(', ')']));
            waiting.extend(needs.filter_map(|word| self.order.iter().find(|known| *known == word)));
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BEFORE: &str =
        "CC = gcc\nall: prog\nprog: main.c\n\t$(CC) -o prog main.c\ntest: prog\n\t./prog --self-test\n";

    #[test]
    fn what_the_check_reaches_is_taken_from_the_old_file() {
        for (after, key) in [
            (BEFORE.replace("./prog --self-test", "true"), "test"),
            (BEFORE.replace("-o prog", "-DNDEBUG -o prog"), "prog"),
            (BEFORE.replace("CC = gcc", "CC = true"), "variables"),
        ] {
            let spliced = splice(BEFORE, &after, &["make test"]).unwrap();
            assert_eq!((spliced.text.as_str(), spliced.keys), (BEFORE, vec![key.to_owned()]));
        }
        let other = format!("{BEFORE}clean:\n\trm -f prog\n");
        assert!(splice(BEFORE, &other, &["make test"]).is_none());
    }
}
