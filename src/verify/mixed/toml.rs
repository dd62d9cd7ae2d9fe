//! `pyproject.toml` and `Cargo.toml`.

use toml::{Table, Value};

use super::ByKey;

pub(super) const PYPROJECT: [&str; 19] = [
    "tool.pytest",
    "tool.coverage",
    "tool.tox",
    "tool.nox",
    "tool.ruff",
    "tool.mypy",
    "tool.pylint",
    "tool.flake8",
    "tool.pyright",
    "tool.basedpyright",
    "tool.bandit",
    "tool.black",
    "tool.isort",
    "tool.poe",
    "tool.taskipy",
    "tool.hatch.envs",
    "tool.pdm.scripts",
    "tool.unittest",
    "tool.behave",
];
/// Which tests there are and how they are built; lints; and what is put in the place of a dependency.
pub(super) const CARGO: [&str; 11] = [
    "test",
    "lib",
    "profile",
    "lints",
    "package.autotests",
    "package.build",
    "workspace.lints",
    "workspace.members",
    "workspace.default-members",
    "patch",
    "replace",
];

pub(super) fn splice(before: &str, after: &str, keys: &[&str]) -> Option<ByKey> {
    let old: Table = before.parse().unwrap_or_default();
    // What nobody can read, no check is to read either.
    let Ok(mut new) = after.parse::<Table>() else {
        return Some(ByKey { text: before.to_owned(), keys: vec!["all of it".into()] });
    };
    let differing: Vec<&str> = keys.iter().copied().filter(|key| get(&old, key) != get(&new, key)).collect();
    if differing.is_empty() {
        return None;
    }
    for key in &differing {
        set(&mut new, key, get(&old, key).cloned());
    }
    Some(ByKey { text: new.to_string(), keys: differing.into_iter().map(str::to_owned).collect() })
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_table()?.get(part))
}

fn set(table: &mut Table, key: &str, value: Option<Value>) {
    let (folder, name) = match key.rsplit_once('.') {
        Some((folder, name)) => (Some(folder), name),
        None => (None, key),
    };
    let mut table = table;
    for part in folder.into_iter().flat_map(|folder| folder.split('.')) {
        let Value::Table(inner) = table.entry(part).or_insert_with(|| Value::Table(Table::new())) else { return };
        table = inner;
    }
    match value {
        Some(value) => drop(table.insert(name.to_owned(), value)),
        None => drop(table.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dependency_may_come_and_an_option_of_pytest_may_not() {
        let before = "[project]\ndependencies = []\n[tool.pytest.ini_options]\naddopts = ''\n";
        let dependency = before.replace("[]", "['attrs']");
        assert!(splice(before, &dependency, &PYPROJECT).is_none());
        let both = dependency.replace("addopts = ''", "addopts = '--deselect x'");
        let spliced = splice(before, &both, &PYPROJECT).unwrap();
        assert_eq!(spliced.keys, ["tool.pytest"]);
        assert_eq!(spliced.text.parse::<Table>().unwrap(), dependency.parse::<Table>().unwrap());
    }

    #[test]
    fn a_key_that_was_not_there_goes_and_a_file_nobody_can_read_is_the_old_one() {
        let spliced = splice("[package]\nname='a'\n", "[package]\nname='a'\n[lib]\ntest=false\n", &CARGO).unwrap();
        assert_eq!(spliced.text.parse::<Table>().unwrap(), "[package]\nname='a'\n".parse::<Table>().unwrap());
        assert_eq!(splice("a = 1\n", "a = \n", &CARGO).unwrap().text, "a = 1\n");
    }
}
