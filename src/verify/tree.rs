//! The tree that is verified: the run's own, with what is protected as it was in the pristine one.

use std::io;

use super::mixed::{self, Spliced};
use super::protect::{Kind, Protection, manifests_of};
use super::suspect::suspects;
use super::weaken::{suppressions, weakened};
use crate::id::BlobId;
use crate::judgement::{Finding, Rule, Weight};
use crate::snapshot::change::{Change, changes, patched};
use crate::snapshot::{Entry, Manifest, TreePath};
use crate::task::Check;

/// Beyond this a file is compared as a whole.
const TEXT_BYTES_MAX: u64 = 1 << 20;
const FINDINGS_MAX: usize = 100;

pub(super) struct Judged {
    /// Pristine tests only.
    pub(super) tree: Manifest,
    /// New test files, which come on top; those that a check names are in `tree`.
    pub(super) additions: Vec<TreePath>,
    pub(super) findings: Vec<Finding>,
    /// The run was allowed to change tests that were there.
    pub(super) tests_may_differ: bool,
}

/// Reads and keeps contents; nothing else.
pub(super) struct Contents<'a> {
    pub(super) read: &'a dyn Fn(&BlobId) -> io::Result<Vec<u8>>,
    pub(super) put: &'a dyn Fn(&[u8]) -> io::Result<BlobId>,
}

/// What of the pristine tree a run may not change, as one tree.
pub(super) fn protected_part(pristine: &Manifest, protection: &Protection) -> Manifest {
    let held = |path: &TreePath| match protection.kind(path) {
        Some(Kind::Test | Kind::Ci | Kind::CheckConfig | Kind::RunnerShadow | Kind::Operator) => true,
        Some(Kind::Lock | Kind::Mixed(_)) | None => false,
    };
    let entries = pristine.entries.iter().filter(|(path, entry)| {
        !matches!(entry, Entry::Directory { .. }) && held(path) && !protection.may_change(path)
    });
    Manifest { entries: entries.map(|(path, entry)| (path.clone(), entry.clone())).collect() }
}

pub(super) fn judge(
    pristine: &Manifest,
    tree: &Manifest,
    protection: &Protection,
    checks: &[Check],
    contents: &Contents<'_>,
) -> io::Result<Judged> {
    let all = changes(pristine, tree);
    let commands: Vec<&str> = checks.iter().map(|check| check.command.as_str()).collect();
    let has_tests = pristine.entries.keys().any(|path| protection.kind(path) == Some(Kind::Test));
    let mut judge =
        Judge { protection, commands, contents, all: &all, has_tests, additions: Vec::new(), tests_may_differ: false };
    let (mut kept, mut findings) = (Vec::new(), Vec::new());
    for change in &all {
        let (taken, found) = judge.change(change)?;
        kept.extend(taken);
        findings.extend(found);
    }
    for change in all.iter().filter(|change| is_manifest(&change.path)) {
        let message = "a manifest changed: the packages that it was verified with are those of the image";
        findings
            .push(Finding::note(Rule::ManifestChanged, message).at(change.path.to_text(), judge.first_line(change)?));
    }
    findings.truncate(FINDINGS_MAX);
    let Judge { additions, tests_may_differ, .. } = judge;
    Ok(Judged { tree: patched(pristine, &kept), additions, findings, tests_may_differ })
}

/// A file that says which packages there should be.
fn is_manifest(path: &TreePath) -> bool {
    const NAMES: [&str; 9] = [
        "Cargo.toml",
        "Gemfile",
        "Pipfile",
        "composer.json",
        "go.mod",
        "package.json",
        "pom.xml",
        "pyproject.toml",
        "setup.py",
    ];
    let name = String::from_utf8_lossy(path.file_name());
    NAMES.contains(&name.as_ref()) || (name.starts_with("requirements") && name.ends_with(".txt"))
}

struct Judge<'a> {
    protection: &'a Protection,
    commands: Vec<&'a str>,
    contents: &'a Contents<'a>,
    all: &'a [Change],
    /// The pristine tree has some.
    has_tests: bool,
    additions: Vec<TreePath>,
    tests_may_differ: bool,
}

impl Judge<'_> {
    /// What of a change goes into the tree, and what is to be said of it.
    fn change(&mut self, change: &Change) -> io::Result<(Option<Change>, Vec<Finding>)> {
        let path = &change.path;
        let kind = self.protection.kind(path);
        let allowed = self.protection.may_change(path);
        let taken = Some(change.clone());
        let is_new = change.before.is_none();
        let Some(kind) = kind else { return Ok((taken, self.of_source(change, allowed)?)) };
        if allowed {
            self.tests_may_differ |= kind == Kind::Test && !is_new;
            let notes = self.of_protected(change, kind)?.into_iter();
            return Ok((taken, notes.map(|finding| Finding { weight: Weight::Note, ..finding }).collect()));
        }
        Ok(match kind {
            Kind::Test if is_new => {
                if self.has_tests && !self.protection.is_named(path) {
                    self.additions.push(path.clone());
                    (None, Vec::new())
                } else {
                    (taken, Vec::new())
                }
            }
            Kind::Ci if is_new => {
                let message = "CI configuration was added: it will run where you merge it";
                (taken, vec![Finding::note(Rule::ProtectedAdded, message).at(path.to_text(), 1)])
            }
            Kind::Lock if self.manifest_changed(path) => (taken, Vec::new()),
            Kind::Lock => {
                let message = "a lock file changed, and no manifest that it follows";
                let line = self.first_line(change)?;
                (None, vec![Finding::objection(Rule::LockWithoutManifest, message).at(path.to_text(), line)])
            }
            Kind::Mixed(mixed) => self.of_mixed(change, mixed)?,
            Kind::Test | Kind::Ci | Kind::CheckConfig | Kind::RunnerShadow | Kind::Operator => {
                (None, self.of_protected(change, kind)?)
            }
        })
    }

    fn of_protected(&self, change: &Change, kind: Kind) -> io::Result<Vec<Finding>> {
        let file = change.path.to_text();
        let objection =
            |rule, what: &str| Finding::objection(rule, format!("{what}: it is {}", kind.name())).at(file.clone(), 1);
        let (before, after) = (self.text(change.before.as_ref())?, self.text(change.after.as_ref())?);
        Ok(match (&change.before, &change.after, before, after) {
            (None, _, _, after) => {
                let first = after
                    .as_deref()
                    .and_then(|text| text.lines().find(|line| !line.trim().is_empty()))
                    .unwrap_or("")
                    .to_owned();
                vec![objection(Rule::ProtectedAdded, "added").quoting(&first)]
            }
            (_, None, before, _) => {
                let rule = if kind == Kind::Test { Rule::TestDeleted } else { Rule::ProtectedChanged };
                let first = before.as_deref().and_then(|text| text.lines().next()).unwrap_or("").to_owned();
                vec![objection(rule, "deleted").quoting(&first)]
            }
            (Some(_), Some(_), Some(before), Some(after)) if before != after => match kind {
                Kind::Test => weakened(&file, &before, &after, Weight::Objection),
                Kind::Ci | Kind::Lock | Kind::CheckConfig | Kind::RunnerShadow | Kind::Mixed(_) | Kind::Operator => {
                    let mut found = weakened(&file, &before, &after, Weight::Objection);
                    // What is said of tests does not fit every configuration; the place does.
                    found.truncate(1);
                    let line = found.first().and_then(|finding| finding.line);
                    let quoted = found.first().and_then(|finding| finding.evidence.clone()).unwrap_or_default();
                    vec![objection(Rule::ProtectedChanged, "changed").at(file.clone(), line).quoting(&quoted)]
                }
            },
            (Some(_), Some(_), _, _) => vec![objection(Rule::ProtectedChanged, "changed")],
        })
    }

    fn of_mixed(&self, change: &Change, kind: super::protect::Mixed) -> io::Result<(Option<Change>, Vec<Finding>)> {
        let file = change.path.to_text();
        let after_text = self.text(change.after.as_ref())?;
        let before = self.text(change.before.as_ref())?.unwrap_or_default();
        let (Some(after), Some(Entry::File { mode, .. })) = (after_text, &change.after) else {
            let removed = change.after.is_none();
            let source = kind == super::protect::Mixed::Rust;
            if source && mixed::splice(kind, &file, &before, "", &self.commands).is_none() {
                return Ok((Some(change.clone()), Vec::new()));
            }
            let what = if removed { "deleted" } else { "replaced by something that is no text" };
            return Ok((
                None,
                vec![Finding::objection(Rule::ProtectedChanged, format!("{what}: the checks read it")).at(file, 1)],
            ));
        };
        let mut findings = match kind {
            super::protect::Mixed::Rust => self.of_source(change, false)?,
            _ => Vec::new(),
        };
        match mixed::splice(kind, &file, &before, &after, &self.commands) {
            None => Ok((Some(change.clone()), findings)),
            Some(Spliced { text, findings: found }) => {
                findings.extend(found);
                if text.is_empty() {
                    return Ok((None, findings));
                }
                let content = (self.contents.put)(text.as_bytes())?;
                let entry = Entry::File { mode: *mode, size: text.len() as u64, content };
                Ok((Some(Change { after: Some(entry), ..change.clone() }), findings))
            }
        }
    }

    /// Of what is no test and no configuration.
    fn of_source(&self, change: &Change, allowed: bool) -> io::Result<Vec<Finding>> {
        let Some(after) = self.text(change.after.as_ref())? else { return Ok(Vec::new()) };
        let before = self.text(change.before.as_ref())?.unwrap_or_default();
        let file = change.path.to_text();
        let mut found = suspects(&file, &before, &after);
        if allowed {
            found.iter_mut().for_each(|finding| finding.weight = Weight::Note);
        }
        found.extend(suppressions(&file, &before, &after));
        Ok(found)
    }

    fn manifest_changed(&self, lock: &TreePath) -> bool {
        let name = String::from_utf8_lossy(lock.file_name()).into_owned();
        let manifests = manifests_of(&name);
        self.all.iter().any(|change| manifests.iter().any(|name| name.as_bytes() == change.path.file_name()))
    }

    fn first_line(&self, change: &Change) -> io::Result<Option<u32>> {
        let (before, after) = (self.text(change.before.as_ref())?, self.text(change.after.as_ref())?);
        Ok(super::lines::differing(&before.unwrap_or_default(), &after.unwrap_or_default()).first)
    }

    /// `None` for what is no text, too long, or not there.
    fn text(&self, entry: Option<&Entry>) -> io::Result<Option<String>> {
        match entry {
            Some(Entry::File { size, content, .. }) if *size <= TEXT_BYTES_MAX => {
                Ok(String::from_utf8((self.contents.read)(content)?).ok())
            }
            Some(Entry::File { .. } | Entry::Symlink { .. } | Entry::Directory { .. }) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::*;
    use crate::judgement::Rules;

    #[derive(Default)]
    struct Blobs(RefCell<HashMap<BlobId, Vec<u8>>>);

    impl Blobs {
        fn put(&self, bytes: &[u8]) -> io::Result<BlobId> {
            let id = BlobId::of(bytes);
            self.0.borrow_mut().insert(id.clone(), bytes.to_vec());
            Ok(id)
        }

        fn tree(&self, files: &[(&str, &str)]) -> Manifest {
            let none = Manifest::default();
            let change = |(path, text): &(&str, &str)| Change {
                path: TreePath::new(*path).unwrap(),
                before: None,
                after: Some(Entry::File {
                    mode: 0o644,
                    size: text.len() as u64,
                    content: self.put(text.as_bytes()).unwrap(),
                }),
                renamed_from: None,
            };
            patched(&none, &files.iter().map(change).collect::<Vec<_>>())
        }

        fn judge(&self, before: &Manifest, after: &Manifest, rules: &Rules) -> Judged {
            let checks = [Check { command: "python3 -m pytest".into() }];
            let protection = Protection::new(rules, &checks);
            let read = |id: &BlobId| Ok(self.0.borrow()[id].clone());
            let put = |bytes: &[u8]| self.put(bytes);
            judge(before, after, &protection, &checks, &Contents { read: &read, put: &put }).unwrap()
        }
    }

    const TEST: &str = "def test_a():\n    assert add(2, 3) == 5\n";

    #[test]
    fn tests_are_the_old_ones_and_what_was_done_to_them_is_told() {
        let blobs = Blobs::default();
        let before = blobs.tree(&[("calc.py", "a - b"), ("tests/test_a.py", TEST)]);
        let after = blobs.tree(&[
            ("calc.py", "a + b"),
            ("tests/test_a.py", &TEST.replace('5', "-1")),
            ("tests/test_b.py", TEST),
            ("conftest.py", "x"),
        ]);
        let judged = blobs.judge(&before, &after, &Rules::default());
        assert_eq!(judged.tree, blobs.tree(&[("calc.py", "a + b"), ("tests/test_a.py", TEST)]));
        assert_eq!(judged.additions, [TreePath::new("tests/test_b.py").unwrap()]);
        let told: Vec<_> = judged.findings.iter().map(|f| (f.place().unwrap(), f.rule)).collect();
        assert_eq!(
            told,
            [("conftest.py:1".into(), Rule::ProtectedAdded), ("tests/test_a.py:2".into(), Rule::ExpectedChanged)]
        );
        assert!(judged.findings.iter().all(Finding::is_objection));
    }

    #[test]
    fn what_the_operator_allows_is_taken_and_noted() {
        let blobs = Blobs::default();
        let before = blobs.tree(&[("tests/test_a.py", TEST)]);
        let after = blobs.tree(&[("tests/test_a.py", &TEST.replace('5', "-1"))]);
        let rules = Rules { may_change: vec!["tests/**".into()], ..Rules::default() };
        let judged = blobs.judge(&before, &after, &rules);
        assert_eq!(judged.tree, after);
        assert!(judged.tests_may_differ && !judged.findings.is_empty());
        assert!(judged.findings.iter().all(|finding| !finding.is_objection()));
    }

    #[test]
    fn a_deleted_test_comes_back_with_its_folder() {
        let blobs = Blobs::default();
        let before = blobs.tree(&[("a.py", "1"), ("tests/test_a.py", TEST)]);
        let judged = blobs.judge(&before, &blobs.tree(&[("a.py", "1")]), &Rules::default());
        assert_eq!((judged.tree, judged.findings[0].rule), (before, Rule::TestDeleted));
    }

    #[test]
    fn a_lock_file_may_follow_its_manifest_and_nothing_else() {
        let blobs = Blobs::default();
        let before = blobs.tree(&[("package.json", "{}"), ("package-lock.json", "1")]);
        let both = blobs.tree(&[("package.json", "{\"dependencies\":{}}"), ("package-lock.json", "2")]);
        let judged = blobs.judge(&before, &both, &Rules::default());
        assert_eq!((judged.tree, judged.findings.iter().any(Finding::is_objection)), (both, false));
        let alone = blobs.tree(&[("package.json", "{}"), ("package-lock.json", "2")]);
        let judged = blobs.judge(&before, &alone, &Rules::default());
        assert_eq!((judged.tree, judged.findings[0].rule), (before, Rule::LockWithoutManifest));
    }

    #[test]
    fn the_first_tests_of_a_repository_are_what_is_checked() {
        let blobs = Blobs::default();
        let after = blobs.tree(&[("a.py", "1"), ("test_a.py", TEST)]);
        let judged = blobs.judge(&blobs.tree(&[("a.py", "1")]), &after, &Rules::default());
        assert_eq!((judged.tree, judged.additions.len()), (after, 0));
    }
}
