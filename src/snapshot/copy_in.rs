//! The host repository as a manifest: what a sandbox gets to see of it. Read without following a link or blocking on
//! a FIFO, without what git ignores, and without what a `.git` folder may hold of secrets.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::beneath::{self, Folder, Kind};
use super::git_folder::{self, Fate, RepoIdentity};
use super::ignored::{IGNORE_FILE, IGNORE_FILE_BYTES_MAX, IgnoreRules};
use super::{Entry, Manifest, TreePath, git_index};
use crate::id::BlobId;

/// A single file may not be larger: it passes through memory whole.
pub const FILE_BYTES_MAX: u64 = 2 << 30;
const DEPTH_MAX: usize = 256;
const FOLDER_NAMES_MAX: u64 = 1 << 22;
const SKIPPED_LISTED_MAX: usize = 1_000;

#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Paths relative to the repository that come along although git ignores them, with all that lies below.
    pub include: Vec<String>,
    pub bytes_max: u64,
    pub files_max: u64,
    pub git_folder: GitFolder,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions { include: Vec::new(), bytes_max: 8 << 30, files_max: 500_000, git_folder: GitFolder::Sanitized }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitFolder {
    /// History and index come along, configuration is rewritten, the rest stays outside.
    Sanitized,
    /// For comparing trees: left out as a whole.
    Omitted,
}

#[derive(Debug)]
pub struct CopyIn {
    pub manifest: Manifest,
    /// The first thousand paths left out, folders standing for what is below them.
    pub skipped: Vec<Skipped>,
    pub skipped_unlisted: u64,
    /// Of all files, as copied.
    pub bytes: u64,
    pub repo_identity: RepoIdentity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub path: TreePath,
    pub reason: SkipReason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    #[error("ignored by git")]
    Ignored,
    #[error("{0}, not a file")]
    Special(&'static str),
    #[error("points at a git folder elsewhere")]
    GitPointer,
    #[error("may hold credentials, commands or paths of this machine")]
    GitPrivate,
    #[error("a link to outside the repository")]
    LinkOutside,
    #[error("left by an interrupted `apply`")]
    ApplyStaging,
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("`{}` does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is not a directory", path.display())]
    NotDirectory { path: PathBuf },
    #[error("`{}` is empty: there is nothing to work on", path.display())]
    Empty { path: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{path}` cannot be included: {why}")]
    Include { path: String, why: &'static str },
    #[error("more than {files_max} files")]
    TooManyFiles { files_max: u64 },
    #[error("more than {bytes_max} bytes, at `{path}`")]
    TooManyBytes { path: TreePath, bytes_max: u64 },
    #[error("`{path}` has more than {bytes_max} bytes, too many for one file")]
    FileTooLarge { path: TreePath, bytes_max: u64 },
    #[error("`{path}` lies more than {DEPTH_MAX} folders deep")]
    TooDeep { path: TreePath },
    #[error("ignore file `{path}` cannot be read, and what it leaves out is unknown")]
    IgnoreFile { path: TreePath, source: io::Error },
    #[error("cannot store the content of `{path}`")]
    Store { path: TreePath, source: io::Error },
}

pub fn copy_in(
    repo: &Path,
    options: &CopyOptions,
    put: &dyn Fn(&[u8]) -> io::Result<BlobId>,
) -> Result<CopyIn, CopyError> {
    let root = open_root(repo)?;
    let unreadable = |source| CopyError::Unreadable { path: repo.to_owned(), source };
    let canonical = std::fs::canonicalize(repo).map_err(unreadable)?;
    let mut walk = Walk::new(&root, options, put)?;
    walk.folder(&root, None, Selection::Unignored, 0).map_err(|stop| match stop {
        Stop::Folder(source) => unreadable(source),
        Stop::Copy(error) => error,
    })?;
    let inside = |path: &TreePath| path.parts().next() != Some(b".git");
    if options.git_folder == GitFolder::Sanitized && !walk.manifest.entries.keys().any(inside) {
        return Err(CopyError::Empty { path: repo.to_owned() });
    }
    Ok(CopyIn {
        manifest: walk.manifest,
        skipped: walk.skipped,
        skipped_unlisted: walk.skipped_unlisted,
        bytes: walk.bytes,
        repo_identity: git_folder::identity(canonical, &root),
    })
}

/// The repository as it stands now, for comparing with an earlier copy: hashed, nothing stored, `.git` left out.
pub fn target_state(repo: &Path, options: &CopyOptions) -> Result<Manifest, CopyError> {
    let options = CopyOptions { git_folder: GitFolder::Omitted, ..options.clone() };
    Ok(copy_in(repo, &options, &|bytes| Ok(BlobId::of(bytes)))?.manifest)
}

pub(super) fn open_root(repo: &Path) -> Result<Folder, CopyError> {
    let path = repo.to_owned();
    Folder::open(repo).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CopyError::Missing { path },
        io::ErrorKind::NotADirectory => CopyError::NotDirectory { path },
        _ => CopyError::Unreadable { path, source },
    })
}

/// Which of a folder's content is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    Unignored,
    /// Inside an ignored folder: only what is tracked or asked for.
    Wanted,
    /// Inside something the user asked for.
    All,
    Git,
}

/// Why a folder's walk ended early.
enum Stop {
    /// This folder cannot be read; the others can.
    Folder(io::Error),
    Copy(CopyError),
}

impl From<CopyError> for Stop {
    fn from(error: CopyError) -> Self {
        Stop::Copy(error)
    }
}

struct Walk<'a> {
    options: &'a CopyOptions,
    put: &'a dyn Fn(&[u8]) -> io::Result<BlobId>,
    include: BTreeSet<TreePath>,
    tracked: BTreeSet<TreePath>,
    rules: IgnoreRules,
    manifest: Manifest,
    skipped: Vec<Skipped>,
    skipped_unlisted: u64,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn new(
        root: &Folder,
        options: &'a CopyOptions,
        put: &'a dyn Fn(&[u8]) -> io::Result<BlobId>,
    ) -> Result<Self, CopyError> {
        let mut rules = IgnoreRules::default();
        match root.read(b".git/info/exclude", IGNORE_FILE_BYTES_MAX) {
            Ok((text, _)) => rules.set_exclude(&text),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            // `.git` or a part of it is a link: git's own folder is elsewhere, and so are its rules.
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {}
            Err(source) => {
                let path = TreePath::new(".git/info/exclude").expect("a plain path");
                return Err(CopyError::IgnoreFile { path, source });
            }
        }
        let index = root.read(b".git/index", git_index::INDEX_BYTES_MAX).map(|(bytes, _)| bytes).unwrap_or_default();
        Ok(Walk {
            options,
            put,
            include: include_paths(root, &options.include)?,
            tracked: git_index::tracked(&index, git_folder::hash_bytes(root)).unwrap_or_default(),
            rules,
            manifest: Manifest::default(),
            skipped: Vec::new(),
            skipped_unlisted: 0,
            bytes: 0,
        })
    }

    fn folder(
        &mut self,
        folder: &Folder,
        at: Option<&TreePath>,
        selection: Selection,
        depth: usize,
    ) -> Result<(), Stop> {
        let names = folder.names(FOLDER_NAMES_MAX).map_err(Stop::Folder)?;
        if selection != Selection::Git && names.iter().any(|name| name == IGNORE_FILE) {
            self.ignore_file(folder, at)?;
        }
        for name in names {
            let path = match at {
                Some(at) => at.child(&name),
                None => TreePath::new(name.clone()),
            };
            let path = path.expect("a directory entry is one plain name");
            if depth > DEPTH_MAX {
                return Err(CopyError::TooDeep { path }.into());
            }
            match self.entry(folder, &name, &path, selection, depth) {
                Ok(()) => {}
                // Whoever works in the repository may remove a file while it is copied.
                Err(Stop::Folder(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Stop::Folder(error)) => self.skip(path, SkipReason::Unreadable(error.to_string())),
                Err(Stop::Copy(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &Folder,
        name: &[u8],
        path: &TreePath,
        selection: Selection,
        depth: usize,
    ) -> Result<(), Stop> {
        let Some(stat) = folder.stat(name).map_err(Stop::Folder)? else { return Ok(()) };
        let kind = beneath::kind(&stat);
        let below = match self.select(name, path, kind, selection, depth) {
            Ok(below) => below,
            Err(reason) => {
                self.skip(path.clone(), reason);
                return Ok(());
            }
        };
        let entry = match kind {
            Kind::File => self.file(folder, name, path, selection)?,
            Kind::Directory => Entry::Directory { mode: beneath::permissions(&stat) },
            Kind::Symlink => {
                let target = folder.link_target(name).map_err(Stop::Folder)?;
                let target = TreePath::link_target(target).expect("a link's target is never empty");
                if path.leads_outside(&target) {
                    self.skip(path.clone(), SkipReason::LinkOutside);
                    return Ok(());
                }
                Entry::Symlink { target }
            }
            Kind::Special(what) => {
                self.skip(path.clone(), SkipReason::Special(what));
                return Ok(());
            }
        };
        if self.manifest.entries.len() as u64 >= self.options.files_max {
            return Err(CopyError::TooManyFiles { files_max: self.options.files_max }.into());
        }
        if kind == Kind::Directory {
            // Opened before it is recorded: one that cannot be read is reported, not left empty.
            let inner = folder.folder(name).map_err(Stop::Folder)?;
            self.manifest.entries.insert(path.clone(), entry);
            self.folder(&inner, Some(path), below, depth + 1)
        } else {
            self.manifest.entries.insert(path.clone(), entry);
            Ok(())
        }
    }

    /// How to go on below `path`, or why to leave it out.
    fn select(
        &self,
        name: &[u8],
        path: &TreePath,
        kind: Kind,
        selection: Selection,
        depth: usize,
    ) -> Result<Selection, SkipReason> {
        let is_folder = kind == Kind::Directory;
        if let Kind::Special(what) = kind {
            return Err(SkipReason::Special(what));
        }
        if selection == Selection::Git {
            let inside = git_inside(path).unwrap_or_default();
            return match (git_folder::fate(inside), kind) {
                (Fate::Copy, Kind::File | Kind::Directory) | (Fate::Rewrite, Kind::File) => Ok(Selection::Git),
                (Fate::Copy | Fate::Rewrite | Fate::Leave, _) => Err(SkipReason::GitPrivate),
            };
        }
        if name == b".git" {
            return match (is_folder, self.options.git_folder) {
                (true, GitFolder::Sanitized) => Ok(Selection::Git),
                (true, GitFolder::Omitted) => Err(SkipReason::GitPrivate),
                (false, GitFolder::Sanitized | GitFolder::Omitted) => Err(SkipReason::GitPointer),
            };
        }
        if depth == 0 && name.starts_with(super::apply::STAGING_PREFIX.as_bytes()) {
            return Err(SkipReason::ApplyStaging);
        }
        if selection == Selection::All || self.include.contains(path) {
            return Ok(Selection::All);
        }
        if selection == Selection::Unignored && !self.rules.names(path, is_folder) {
            return Ok(Selection::Unignored);
        }
        let wanted = match is_folder {
            true => holds_below(&self.tracked, path) || holds_below(&self.include, path),
            false => self.tracked.contains(path),
        };
        if wanted { Ok(Selection::Wanted) } else { Err(SkipReason::Ignored) }
    }

    /// A file that changes while it is read is taken as read: `apply` will see that its preimage moved.
    fn file(&mut self, folder: &Folder, name: &[u8], path: &TreePath, selection: Selection) -> Result<Entry, Stop> {
        let left = self.options.bytes_max.saturating_sub(self.bytes);
        let (mut bytes, stat) = folder.read(name, left.min(FILE_BYTES_MAX)).map_err(|error| {
            if error.kind() != io::ErrorKind::FileTooLarge {
                Stop::Folder(error)
            } else if left < FILE_BYTES_MAX {
                Stop::Copy(CopyError::TooManyBytes { path: path.clone(), bytes_max: self.options.bytes_max })
            } else {
                Stop::Copy(CopyError::FileTooLarge { path: path.clone(), bytes_max: FILE_BYTES_MAX })
            }
        })?;
        let rewritten = selection == Selection::Git && git_inside(path).map(git_folder::fate) == Some(Fate::Rewrite);
        let mut mode = beneath::permissions(&stat);
        if rewritten {
            bytes = git_folder::minimal_config(&bytes);
            mode = 0o644;
        }
        self.bytes += bytes.len() as u64;
        let content = (self.put)(&bytes).map_err(|source| CopyError::Store { path: path.clone(), source })?;
        Ok(Entry::File { mode, size: bytes.len() as u64, content })
    }

    fn ignore_file(&mut self, folder: &Folder, at: Option<&TreePath>) -> Result<(), CopyError> {
        match folder.read(IGNORE_FILE, IGNORE_FILE_BYTES_MAX) {
            Ok((text, _)) => self.rules.add(at, &text),
            // Git does not follow a link here, nor read a folder of that name.
            Err(_) if !matches!(folder.stat(IGNORE_FILE), Ok(Some(s)) if beneath::kind(&s) == Kind::File) => {}
            Err(source) => {
                let path = at.map_or_else(|| TreePath::new(IGNORE_FILE), |at| at.child(IGNORE_FILE));
                return Err(CopyError::IgnoreFile { path: path.expect("a plain path"), source });
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: TreePath, reason: SkipReason) {
        match self.skipped.len() < SKIPPED_LISTED_MAX {
            true => self.skipped.push(Skipped { path, reason }),
            false => self.skipped_unlisted += 1,
        }
    }
}

/// The part of `path` after its outermost `.git` folder.
fn git_inside(path: &TreePath) -> Option<&[u8]> {
    let bytes = path.as_bytes();
    let below_root = bytes.strip_prefix(b".git/");
    below_root.or_else(|| bytes.windows(6).position(|w| w == b"/.git/").map(|at| &bytes[at + 6..]))
}

fn holds_below(paths: &BTreeSet<TreePath>, folder: &TreePath) -> bool {
    let Some(first) = folder.child(b"\x01") else { return false };
    paths.range(first..).next().is_some_and(|path| path.is_within(folder))
}

fn include_paths(root: &Folder, include: &[String]) -> Result<BTreeSet<TreePath>, CopyError> {
    let mut paths = BTreeSet::new();
    for text in include {
        let refuse = |why| CopyError::Include { path: text.clone(), why };
        let plain = text.trim_start_matches("./").trim_end_matches('/');
        let path = TreePath::new(plain).ok_or_else(|| refuse("it is not a path inside the repository"))?;
        if path.parts().any(|part| part == b".git") {
            return Err(refuse("what a `.git` folder holds back cannot be had"));
        }
        match root.parent(&path).and_then(|(folder, name)| folder.stat(name)) {
            Ok(Some(_)) => paths.insert(path),
            Ok(None) | Err(_) => return Err(refuse("there is no such file")),
        };
    }
    Ok(paths)
}
