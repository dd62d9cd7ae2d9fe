//! What is remembered of a repository from run to run: `memory/<id>/MEMORY.md` in the state folder, never in the
//! repository. Each line says where it came from and when it was last true; what a tool may have put there waits until a
//! person accepts it.
//!
//! A repository is known again by its root commit, where its commits lie in files of their own, or else by what its tree has in common
//! with the one seen last. Never by its path.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::snapshot::{Entry, Manifest, TreePath};

const LINES_MAX: usize = 200;
/// Hashes kept of a tree.
const SKETCH_MAX: usize = 256;
/// Of those that two trees have in common, per thousand, for them to be one repository's.
const COMMON_PER_MILLE_MIN: usize = 400;
const REPOSITORIES_MAX: usize = 10_000;
const COMMITS_MAX: usize = 10_000;
const COMMIT_BYTES_MAX: u64 = 64 << 10;
const FILE: &str = "MEMORY.md";

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^- m(\d+) (accepted|quarantined) (\d{4}-\d\d-\d\d) run=(\S+) step=(\d+): (.+)$";
    Regex::new(pattern).expect("a fixed expression")
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A person vouches for it: it is shown to the next run.
    Accepted,
    Quarantined,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLine {
    pub number: u32,
    pub standing: Standing,
    /// The day it was last seen true, `2026-01-31`.
    pub seen: String,
    pub run: String,
    pub step: u64,
    pub text: String,
}

impl std::fmt::Display for MemoryLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let standing = match self.standing {
            Standing::Accepted => "accepted",
            Standing::Quarantined => "quarantined",
        };
        let MemoryLine { number, seen, run, step, text, .. } = self;
        write!(f, "- m{number} {standing} {seen} run={run} step={step}: {text}")
    }
}

#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    /// Held while it is changed.
    lock: File,
    tree: Sketch,
    pub lines: Vec<MemoryLine>,
}

impl Memory {
    /// Of the repository with this tree; empty where it is not known yet. `root` is its root commit, where that is known.
    pub fn open(state: &Path, tree: &Manifest, root: Option<String>) -> io::Result<Self> {
        let all = state.join("memory");
        DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
        let lock = File::options().write(true).create(true).truncate(false).open(all.join("lock"))?;
        lock.lock()?;
        let tree = Sketch::of(tree, root);
        let folder = match known(&all, &tree)? {
            Some(folder) => folder,
            None => all.join(ulid::Ulid::generate().to_string().to_lowercase()),
        };
        let lines = match fs::read_to_string(folder.join(FILE)) {
            Ok(text) => parse(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", folder.join(FILE).display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Memory { folder, lock, tree, lines })
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Known already: seen true again. `true` where it is new.
    pub fn remember(&mut self, line: MemoryLine) -> bool {
        if let Some(known) = self.lines.iter_mut().find(|known| known.text == line.text) {
            (known.seen, known.run, known.step) = (line.seen, line.run, line.step);
            return false;
        }
        let number = self.lines.iter().map(|known| known.number).max().unwrap_or(0) + 1;
        self.lines.push(MemoryLine { number, ..line });
        while self.lines.len() > LINES_MAX {
            let oldest = self.lines.iter().enumerate().min_by_key(|(_, line)| line.seen.clone()).map(|(at, _)| at);
            oldest.map(|at| self.lines.remove(at));
        }
        true
    }

    /// Durable when this returns.
    pub fn save(&self) -> io::Result<()> {
        // Held since it was read, so nobody's lines are lost.
        debug_assert!(self.lock.metadata().is_ok());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        replace(&self.folder.join("tree"), &self.tree.to_text())?;
        replace(&self.folder.join(FILE), &format!("# What is remembered of this repository\n\n{lines}"))?;
        File::open(&self.folder)?.sync_all()
    }
}

/// A tree in a few hashes: of each path, and of each path with its content, the smallest ones.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sketch {
    root: Option<String>,
    hashes: BTreeSet<u64>,
}

impl Sketch {
    fn of(tree: &Manifest, root: Option<String>) -> Self {
        let mut hashes = BTreeSet::new();
        let mut add = |parts: &[&[u8]]| {
            let hash = blake3::hash(&parts.join(&0));
            hashes.insert(u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes")));
        };
        for (path, entry) in tree.entries.iter().filter(|(path, _)| !is_git(path)) {
            match entry {
                Entry::File { content, .. } => {
                    add(&[path.as_bytes()]);
                    add(&[path.as_bytes(), content.as_str().as_bytes()]);
                }
                Entry::Symlink { .. } | Entry::Directory { .. } => {}
            }
        }
        Sketch { root, hashes: hashes.into_iter().take(SKETCH_MAX).collect() }
    }

    /// Per thousand: all or nothing where both root commits are known.
    fn in_common(&self, other: &Sketch) -> usize {
        if let (Some(ours), Some(theirs)) = (&self.root, &other.root) {
            return if ours == theirs { 1_000 } else { 0 };
        }
        let smallest: Vec<&u64> = self.hashes.union(&other.hashes).take(SKETCH_MAX).collect();
        let common = smallest.iter().filter(|hash| self.hashes.contains(hash) && other.hashes.contains(hash)).count();
        (1_000 * common).checked_div(smallest.len()).unwrap_or(0)
    }

    fn to_text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| format!("{hash:016x}\n")).collect();
        format!("root {}\n{hashes}", self.root.as_deref().unwrap_or("-"))
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let root = lines.next()?.strip_prefix("root ")?;
        let hashes = lines.map(|line| u64::from_str_radix(line, 16).ok()).collect::<Option<_>>()?;
        Some(Sketch { root: (root != "-").then(|| root.to_owned()), hashes })
    }
}

/// The root of the branch that is checked out, by first parents, as far as its commits lie in files of their own: those in
/// packs are not looked for. `read` gives a file of the tree by its path.
pub fn root_commit(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<String> {
    let text = |path: &str| Some(String::from_utf8_lossy(&read(path)?).trim().to_owned());
    let head = text(".git/HEAD")?;
    let mut commit = match head.strip_prefix("ref: ") {
        Some(name) => text(&format!(".git/{name}"))?,
        None => head,
    };
    for _ in 0..COMMITS_MAX {
        let is_hash = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let object = read(&format!(".git/objects/{}/{}", commit.get(..2)?, commit.get(2..)?)).filter(|_| is_hash)?;
        let mut plain = Vec::new();
        flate2::read::ZlibDecoder::new(&*object).take(COMMIT_BYTES_MAX).read_to_end(&mut plain).ok()?;
        let body = plain.strip_prefix(b"commit ")?;
        let body = &body[body.iter().position(|byte| *byte == 0)? + 1..];
        let parent = body.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
        match parent.filter_map(|line| line.strip_prefix(b"parent ")).next() {
            Some(parent) => commit = String::from_utf8_lossy(parent).into_owned(),
            None => return Some(commit),
        }
    }
    None
}

fn is_git(path: &TreePath) -> bool {
    path.as_bytes() == b".git" || path.as_bytes().starts_with(b".git/")
}

/// The folder of the repository that has most in common with this tree.
fn known(all: &Path, tree: &Sketch) -> io::Result<Option<PathBuf>> {
    let mut best = None;
    for entry in fs::read_dir(all)?.take(REPOSITORIES_MAX) {
        let folder = entry?.path();
        let Ok(text) = fs::read_to_string(folder.join("tree")) else { continue };
        let common = Sketch::from_text(&text).map_or(0, |known| known.in_common(tree));
        if common >= COMMON_PER_MILLE_MIN && best.as_ref().is_none_or(|(most, _)| common > *most) {
            best = Some((common, folder));
        }
    }
    Ok(best.map(|(_, folder)| folder))
}

fn parse(text: &str) -> Result<Vec<MemoryLine>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.starts_with("- "));
    lines
        .map(|(number, line)| {
            let wrong = || format!("line {number} is none that Greenroom wrote");
            let found = LINE.captures(line).ok_or_else(wrong)?;
            Ok(MemoryLine {
                number: found[1].parse().map_err(|_| wrong())?,
                standing: if &found[2] == "accepted" { Standing::Accepted } else { Standing::Quarantined },
                seen: found[3].to_owned(),
                run: found[4].to_owned(),
                step: found[5].parse().map_err(|_| wrong())?,
                text: found[6].to_owned(),
            })
        })
        .collect()
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let hidden = path.with_extension("new");
    let mut file = File::create(&hidden)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&hidden, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::BlobId;

    fn tree(files: &[(&str, &str)]) -> Manifest {
        let entry = |content: &str| Entry::File {
            size: content.len() as u64,
            mode: 0o644,
            content: BlobId::of(content.as_bytes()),
        };
        let entries = files.iter().map(|(path, content)| (TreePath::new(*path).unwrap(), entry(content))).collect();
        Manifest { entries }
    }

    fn line(text: &str, seen: &str) -> MemoryLine {
        let (run, text) = ("01k".to_owned(), text.to_owned());
        MemoryLine { number: 0, standing: Standing::Quarantined, seen: seen.into(), run, step: 12, text }
    }

    #[test]
    fn a_repository_is_known_again_by_what_is_in_it() {
        let state = tempfile::tempdir().unwrap();
        let before = tree(&[("a.py", "1"), ("b.py", "2"), ("c.py", "3"), ("d/e.py", "4")]);
        let mut memory = Memory::open(state.path(), &before, None).unwrap();
        assert!(memory.remember(line("the cache lies: port 8473", "2026-01-01")));
        memory.save().unwrap();
        drop(memory);
        let edited = tree(&[("a.py", "1 changed"), ("b.py", "2"), ("c.py", "3"), ("d/e.py", "4"), ("new.py", "")]);
        let mut memory = Memory::open(state.path(), &edited, None).unwrap();
        assert_eq!(memory.lines[0].text, "the cache lies: port 8473");
        assert!(!memory.remember(line("the cache lies: port 8473", "2026-02-02")));
        assert_eq!((memory.lines.len(), memory.lines[0].seen.as_str()), (1, "2026-02-02"));
        drop(memory);
        let other = tree(&[("a.py", "x"), ("main.rs", "y"), ("lib.rs", "z")]);
        assert_eq!(Memory::open(state.path(), &other, None).unwrap().lines, []);
    }

    #[test]
    fn another_root_commit_is_another_repository_however_alike() {
        let state = tempfile::tempdir().unwrap();
        let files = tree(&[("a.py", "1")]);
        let mut memory = Memory::open(state.path(), &files, Some("a".repeat(40))).unwrap();
        memory.remember(line("x", "2026-01-01"));
        memory.save().unwrap();
        drop(memory);
        assert_eq!(Memory::open(state.path(), &files, Some("b".repeat(40))).unwrap().lines, []);
        let grown = tree(&[("quite", "different")]);
        assert_eq!(Memory::open(state.path(), &grown, Some("a".repeat(40))).unwrap().lines.len(), 1);
    }

    #[test]
    fn the_root_commit_is_found_by_first_parents_and_nothing_is_guessed() {
        use std::collections::HashMap;
        let loose = |body: &str| {
            let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(format!("commit {}\0{body}", body.len()).as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        let (first, second) = ("a".repeat(40), "b".repeat(40));
        let object = |hash: &str| format!(".git/objects/{}/{}", &hash[..2], &hash[2..]);
        let mut files = HashMap::from([
            (".git/HEAD".to_owned(), b"ref: refs/heads/main\n".to_vec()),
            (".git/refs/heads/main".to_owned(), format!("{second}\n").into_bytes()),
            (object(&second), loose(&format!("tree x\nparent {first}\nparent c\n\nparent {second}\n"))),
            (object(&first), loose("tree x\n\nbegin\n")),
        ]);
        let root = |files: &HashMap<String, Vec<u8>>| root_commit(&|path| files.get(path).cloned());
        assert_eq!(root(&files), Some(first.clone()));
        files.insert(object(&first), b"garbage".to_vec());
        assert_eq!(root(&files), None);
        files.insert(object(&first), loose(&format!("tree x\nparent {second}\n\nround in circles\n")));
        assert_eq!(root(&files), None);
        files.insert(".git/HEAD".to_owned(), "é".repeat(40).into_bytes());
        assert_eq!(root(&files), None);
    }

    #[test]
    fn a_line_that_somebody_wrote_by_hand_is_named_and_lines_are_bounded() {
        assert_eq!(parse("# x\n\n- buy milk\n").unwrap_err(), "line 3 is none that Greenroom wrote");
        let state = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(state.path(), &tree(&[("a", "")]), None).unwrap();
        for n in 0..LINES_MAX + 5 {
            memory.remember(line(&format!("line {n}"), &format!("2026-01-{:02}", 1 + n / 10 % 28)));
        }
        assert_eq!(memory.lines.len(), LINES_MAX);
        let texts: String = memory.lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(parse(&texts).unwrap(), memory.lines);
    }
}
