//! Writes an archive that came out of a container below an empty folder of ours: files, folders and links as data, within
//! limits, and never through a link.

use std::io::{self, Read};
use std::path::Path;

use super::TreePath;
use super::archive::{Member, members};
use super::beneath::Folder;
use super::change::is_executable;

#[derive(Debug, Clone, Copy)]
pub struct UnpackLimits {
    pub entries_max: usize,
    pub depth_max: usize,
    pub bytes_max: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits { entries_max: 1_000_000, depth_max: 128, bytes_max: 8 << 30 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("more than {entries_max} entries")]
    TooMany { entries_max: usize },
    #[error("`{path}` lies more than {depth_max} folders deep")]
    TooDeep { path: TreePath, depth_max: usize },
    #[error("more than {bytes_max} bytes, at `{path}`")]
    TooLarge { path: TreePath, bytes_max: u64 },
    #[error("`{}` is no path inside the archive", name.escape_debug())]
    Path { name: String },
    #[error("`{path}` is neither file, folder nor link")]
    Kind { path: TreePath },
    #[error("cannot write `{path}`")]
    Write { path: TreePath, source: io::Error },
    #[error("the archive breaks off")]
    Archive(#[from] io::Error),
}

/// `dest` is there and empty. The archive's one folder at its top is `dest` itself.
pub fn unpack(archive: impl Read, dest: &Path, limits: UnpackLimits) -> Result<(), UnpackError> {
    let root = Folder::open(dest)?;
    let mut archive = tar::Archive::new(archive);
    let mut bytes_left = limits.bytes_max;
    for (count, member) in members(&mut archive)?.enumerate() {
        if count >= limits.entries_max {
            return Err(UnpackError::TooMany { entries_max: limits.entries_max });
        }
        let Member { name, link, mut entry } = member?;
        let Some(path) = below_top(&name)? else { continue };
        if path.parts().count() > limits.depth_max {
            return Err(UnpackError::TooDeep { path, depth_max: limits.depth_max });
        }
        let failed = |source: io::Error| UnpackError::Write { path: path.clone(), source };
        let (folder, file) = root.parent(&path).map_err(failed)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            folder.make_folder(file, 0o755).map_err(failed)?;
        } else if kind.is_symlink() {
            let target = link.and_then(TreePath::link_target);
            let target = target.ok_or_else(|| UnpackError::Kind { path: path.clone() })?;
            folder.make_link(target.as_bytes(), file).map_err(failed)?;
        } else if kind.is_file() {
            bytes_left = bytes_left
                .checked_sub(entry.size())
                .ok_or_else(|| UnpackError::TooLarge { path: path.clone(), bytes_max: limits.bytes_max })?;
            let mode = if is_executable(entry.header().mode().unwrap_or(0)) { 0o755 } else { 0o644 };
            let mut file = folder.create(file, mode).map_err(failed)?;
            io::copy(&mut entry, &mut file).map_err(failed)?;
        } else {
            return Err(UnpackError::Kind { path });
        }
    }
    Ok(())
}

/// Without the folder at the top; `None` for that folder itself.
fn below_top(name: &[u8]) -> Result<Option<TreePath>, UnpackError> {
    let wrong = || UnpackError::Path { name: String::from_utf8_lossy(name).into_owned() };
    let name = name.strip_suffix(b"/").unwrap_or(name);
    match name.iter().position(|&byte| byte == b'/') {
        Some(at) => match (TreePath::new(&name[..at]), TreePath::new(&name[at + 1..])) {
            (Some(_), Some(path)) => Ok(Some(path)),
            (None, _) | (_, None) => Err(wrong()),
        },
        None => TreePath::new(name).map(|_| None).ok_or_else(wrong),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    enum Member<'a> {
        Folder(&'a str),
        File(&'a str, &'a str),
        Link(&'a str, &'a str),
        Other(&'a str, tar::EntryType),
    }

    fn archive(members: &[Member<'_>]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for member in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let (name, kind, content) = match member {
                Member::Folder(name) => (*name, tar::EntryType::Directory, ""),
                Member::File(name, content) => (*name, tar::EntryType::Regular, *content),
                Member::Link(name, target) => {
                    header.set_link_name_literal(target).unwrap();
                    (*name, tar::EntryType::Symlink, "")
                }
                Member::Other(name, kind) => (*name, *kind, ""),
            };
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            // As bytes: the crate would not write what must be refused.
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpacked(members: &[Member<'_>], limits: UnpackLimits) -> (tempfile::TempDir, Result<(), UnpackError>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let done = unpack(&archive(members)[..], &folder.path().join("in"), limits);
        (folder, done)
    }

    #[test]
    fn files_folders_and_links_arrive_without_the_top() {
        let members = [
            Member::Folder("top/"),
            Member::Folder("top/a/"),
            Member::File("top/a/f", "x"),
            Member::Link("top/l", "/etc"),
        ];
        let (folder, done) = unpacked(&members, UnpackLimits::default());
        done.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("in/a/f")).unwrap(), "x");
        assert_eq!(std::fs::read_link(folder.path().join("in/l")).unwrap(), Path::new("/etc"));
    }

    #[test]
    fn nothing_leaves_the_folder_and_nothing_special_is_made() {
        let hostile: [&[Member<'_>]; 7] = [
            &[Member::File("top/../../out", "x")],
            &[Member::File("/top/../out", "x")],
            &[Member::File("../out", "x")],
            &[Member::Link("top/l", ".."), Member::File("top/l/out", "x")],
            &[Member::Link("top/l", "../out"), Member::File("top/l", "x")],
            &[Member::Other("top/f", tar::EntryType::Fifo)],
            &[Member::Other("top/h", tar::EntryType::Link)],
        ];
        for members in hostile {
            let (folder, done) = unpacked(members, UnpackLimits::default());
            assert!(done.is_err());
            assert!(!folder.path().join("out").exists());
        }
    }

    #[test]
    fn everything_is_bounded() {
        let small = UnpackLimits { entries_max: 2, depth_max: 2, bytes_max: 3 };
        let (_kept, done) = unpacked(&[Member::File("top/a", "xxxx")], small);
        assert!(matches!(done, Err(UnpackError::TooLarge { .. })), "{done:?}");
        let three = [Member::File("top/a", ""), Member::File("top/b", ""), Member::File("top/c", "")];
        let (_kept, done) = unpacked(&three, small);
        assert!(matches!(done, Err(UnpackError::TooMany { .. })), "{done:?}");
        let (_kept, done) = unpacked(&[Member::File("top/a/b/c", "")], small);
        assert!(matches!(done, Err(UnpackError::TooDeep { .. })), "{done:?}");
    }
}
