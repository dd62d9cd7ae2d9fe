//! Which paths a tree's own ignore files leave out: `.gitignore` in every folder and `.git/info/exclude`.
//! What the user configured globally does not count: a copy must not depend on whose machine makes it.

use std::collections::BTreeMap;
use std::io;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Entry, Manifest, ReadBlob, TreePath};

/// Beyond this an ignore file is an error rather than a guess: what it leaves out may be secret.
pub(super) const IGNORE_FILE_BYTES_MAX: u64 = 1 << 20;
pub(super) const IGNORE_FILE: &[u8] = b".gitignore";

/// The rules of one tree. A rule in a deeper folder wins over one above; `exclude` comes last.
#[derive(Debug, Default)]
pub struct IgnoreRules {
    /// Keyed by the folder that holds the ignore file; `""` is the root.
    folders: BTreeMap<Vec<u8>, Gitignore>,
    exclude: Option<Gitignore>,
}

impl IgnoreRules {
    /// All rules that a manifest's tree carries.
    pub fn of(tree: &Manifest, read: ReadBlob<'_>) -> io::Result<Self> {
        let mut rules = IgnoreRules::default();
        for (path, entry) in &tree.entries {
            let Entry::File { content, size, .. } = entry else { continue };
            let is_exclude = path.as_bytes() == b".git/info/exclude";
            if !is_exclude && (path.file_name() != IGNORE_FILE || path.as_bytes().starts_with(b".git/")) {
                continue;
            }
            if *size > IGNORE_FILE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("ignore file `{path}`")));
            }
            let text = read(content)?;
            match is_exclude {
                true => rules.set_exclude(&text),
                false => rules.add(path.parent().as_ref(), &text),
            }
        }
        Ok(rules)
    }

    /// The `.gitignore` of one folder; `None` is the root.
    pub fn add(&mut self, folder: Option<&TreePath>, text: &[u8]) {
        let key = folder.map(|f| f.as_bytes().to_vec()).unwrap_or_default();
        self.folders.insert(key, parse(text));
    }

    pub fn set_exclude(&mut self, text: &[u8]) {
        self.exclude = Some(parse(text));
    }

    /// Whether a rule names this very path. That a parent is ignored is for a walk to know, which does not descend.
    pub fn names(&self, path: &TreePath, is_folder: bool) -> bool {
        let bytes = path.as_bytes();
        let cuts = bytes.iter().enumerate().rev().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        for at in cuts {
            if let Some(verdict) = self.folders.get(&bytes[..at]).and_then(|r| verdict(r, &bytes[at + 1..], is_folder))
            {
                return verdict;
            }
        }
        let root = self.folders.get(&b""[..]).and_then(|rules| verdict(rules, bytes, is_folder));
        root.or_else(|| self.exclude.as_ref().and_then(|rules| verdict(rules, bytes, is_folder))).unwrap_or(false)
    }

    /// Whether this path or any folder above it is ignored: git never looks into an ignored folder.
    pub fn covers(&self, path: &TreePath, is_folder: bool) -> bool {
        self.names(path, is_folder) || path.ancestors().any(|folder| self.names(&folder, true))
    }
}

fn verdict(rules: &Gitignore, relative: &[u8], is_folder: bool) -> Option<bool> {
    use std::os::unix::ffi::OsStrExt;
    let relative = std::path::Path::new(std::ffi::OsStr::from_bytes(relative));
    match rules.matched(relative, is_folder) {
        Match::None => None,
        Match::Ignore(_) => Some(true),
        Match::Whitelist(_) => Some(false),
    }
}

/// A line that is no glob is left out, as git does.
fn parse(text: &[u8]) -> Gitignore {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(text).lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("a plain path")
    }

    #[test]
    fn deeper_rules_win_and_exclude_comes_last() {
        let mut rules = IgnoreRules::default();
        rules.set_exclude(b"*.log\nsecret\n");
        rules.add(None, b"*.tmp\n/build/\n# note\n");
        rules.add(Some(&path("keep")), b"!*.tmp\n!x.log\nlocal/\n");
        for (name, is_folder, ignored) in [
            ("a.log", false, true),
            ("deep/a.log", false, true),
            ("keep/x.log", false, false),
            ("keep/y.log", false, true),
            ("a.tmp", false, true),
            ("keep/a.tmp", false, false),
            ("build", true, true),
            ("build", false, false),
            ("src/build", true, false),
            ("keep/local", true, true),
            ("local", true, false),
            ("a/b/secret", false, true),
        ] {
            assert_eq!(rules.names(&path(name), is_folder), ignored, "{name}");
        }
        assert!(rules.covers(&path("build/deep/file"), false));
        assert!(!rules.covers(&path("src/build/file"), false));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_matched_by_its_suffix() {
        let mut rules = IgnoreRules::default();
        rules.add(None, b"*.o\n");
        assert!(rules.names(&TreePath::new(b"dir/\xff.o".to_vec()).expect("plain"), false));
    }
}
