//! What of a `.git` folder may enter a sandbox: history and index, and a configuration written by us. Remotes,
//! credentials, hooks, reflogs and fetch records can hold tokens or commands and stay outside, as does whatever is new.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::TreePath;
use super::beneath::Folder;

/// What becomes of one path inside a `.git` folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Copy,
    /// Replaced by [`minimal_config`].
    Rewrite,
    Leave,
}

/// Which repository a run is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoIdentity {
    /// Without links.
    pub root: PathBuf,
    /// What `HEAD` points at, `refs/heads/main` for example.
    pub branch: Option<String>,
    pub commit: Option<String>,
}

const CONFIG_BYTES_MAX: u64 = 1 << 20;
const PACKED_REFS_BYTES_MAX: u64 = 64 << 20;

/// An allow-list, so that a file git learns to write tomorrow stays outside until somebody has looked at it.
pub(super) fn fate(inside: &[u8]) -> Fate {
    let parts: Vec<&[u8]> = inside.split(|&b| b == b'/').collect();
    match parts.as_slice() {
        [b"config"] => Fate::Rewrite,
        [b"HEAD" | b"packed-refs" | b"index" | b"shallow" | b"description" | b"info"] => Fate::Copy,
        [b"info", b"exclude" | b"attributes" | b"sparse-checkout" | b"grafts"] => Fate::Copy,
        // Alternates are paths and addresses of this machine.
        [b"objects", b"info", b"alternates" | b"http-alternates"] => Fate::Leave,
        [b"objects" | b"refs" | b"reftable", ..] => Fate::Copy,
        [name] if name.starts_with(b"sharedindex.") => Fate::Copy,
        _ => Fate::Leave,
    }
}

/// The settings without which the copy could not be read as a repository, and nothing else. Values are taken from a
/// fixed list, never passed on.
pub(super) fn minimal_config(host: &[u8]) -> Vec<u8> {
    let sha256 = setting(host, "extensions", "objectformat").is_some_and(|v| v.eq_ignore_ascii_case("sha256"));
    let reftable = setting(host, "extensions", "refstorage").is_some_and(|v| v.eq_ignore_ascii_case("reftable"));
    let version = if sha256 || reftable { 1 } else { 0 };
    let mut text = format!("[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n");
    if version == 1 {
        text.push_str("[extensions]\n");
    }
    if sha256 {
        text.push_str("\tobjectFormat = sha256\n");
    }
    if reftable {
        text.push_str("\trefStorage = reftable\n");
    }
    text.into_bytes()
}

/// Length of an object's hash in the repository whose root is `root`.
pub(super) fn hash_bytes(root: &Folder) -> usize {
    let config = root.read(b".git/config", CONFIG_BYTES_MAX).map(|(bytes, _)| bytes).unwrap_or_default();
    match setting(&config, "extensions", "objectformat") {
        Some(format) if format.eq_ignore_ascii_case("sha256") => 32,
        Some(_) | None => 20,
    }
}

pub(super) fn identity(canonical: PathBuf, root: &Folder) -> RepoIdentity {
    let head = text(root, b".git/HEAD", CONFIG_BYTES_MAX);
    let (branch, commit) = match head.as_deref().map(|h| (h, h.strip_prefix("ref: "))) {
        Some((_, Some(name))) => (Some(name.to_owned()), resolve(root, name)),
        Some((commit, None)) => (None, object_name(commit)),
        None => (None, None),
    };
    RepoIdentity { root: canonical, branch, commit }
}

fn resolve(root: &Folder, name: &str) -> Option<String> {
    let path = TreePath::new(format!(".git/{name}"))?;
    if let Some(loose) = text(root, path.as_bytes(), CONFIG_BYTES_MAX) {
        return object_name(&loose);
    }
    let packed = text(root, b".git/packed-refs", PACKED_REFS_BYTES_MAX)?;
    let line = packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
    line.and_then(object_name)
}

fn object_name(text: &str) -> Option<String> {
    (matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn text(root: &Folder, path: &[u8], bytes_max: u64) -> Option<String> {
    let (bytes, _) = root.read(path, bytes_max).ok()?;
    Some(String::from_utf8(bytes).ok()?.trim_end().to_owned())
}

/// The last value of `section.name`; sections with a subsection are others.
fn setting(config: &[u8], section: &str, name: &str) -> Option<String> {
    let config = String::from_utf8_lossy(config);
    let mut inside = false;
    let mut found = None;
    for line in config.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.strip_suffix(']').is_some_and(|h| h.trim().eq_ignore_ascii_case(section));
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && key.trim().eq_ignore_ascii_case(name)
        {
            found = Some(value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_a_repository_readable_is_kept() {
        for (path, expected) in [
            ("HEAD", Fate::Copy),
            ("objects/ab/cdef", Fate::Copy),
            ("refs/heads/main", Fate::Copy),
            ("info/exclude", Fate::Copy),
            ("config", Fate::Rewrite),
            ("config.worktree", Fate::Leave),
            ("hooks", Fate::Leave),
            ("hooks/pre-commit", Fate::Leave),
            ("credentials", Fate::Leave),
            ("FETCH_HEAD", Fate::Leave),
            ("logs/HEAD", Fate::Leave),
            ("modules/x/config", Fate::Leave),
            ("objects/info/alternates", Fate::Leave),
            ("index.lock", Fate::Leave),
        ] {
            assert_eq!(fate(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn a_configuration_keeps_its_object_format_and_no_word_of_its_own() {
        let host = b"[core]\n\thooksPath = /tmp/x\n[remote \"o\"]\n\turl = https://tok@h/x\n[Extensions]\n objectFormat = sha256\n";
        let kept = String::from_utf8(minimal_config(host)).expect("text");
        assert!(kept.contains("repositoryformatversion = 1") && kept.contains("objectFormat = sha256"), "{kept}");
        assert!(!kept.contains("tok") && !kept.contains("hooks"), "{kept}");
    }
}
