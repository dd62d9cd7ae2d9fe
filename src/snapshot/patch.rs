//! Changes as a unified diff that `git apply` and `patch` readers know, made without git. Always text: what is not
//! UTF-8 becomes a binary patch, names that are not plain are quoted as git quotes them.

use std::io;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag};

use super::change::{Change, is_executable};
use super::patch_binary;
use super::{Entry, ReadBlob, TreePath};

#[derive(Debug, Clone, Copy)]
pub struct PatchLimits {
    /// For all files together; what is left then is shown coarsely, still exact.
    pub diff_time_max: Duration,
    pub patch_bytes_max: usize,
}

impl Default for PatchLimits {
    fn default() -> Self {
        PatchLimits { diff_time_max: Duration::from_secs(10), patch_bytes_max: 512 << 20 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    #[error("cannot read the content of `{path}`")]
    Content { path: TreePath, source: io::Error },
    #[error("the patch would have more than {bytes_max} bytes, at `{path}`")]
    TooLarge { path: TreePath, bytes_max: usize },
}

const CONTEXT_LINES: usize = 3;
/// Beyond this a file's lines are not compared: its whole text is replaced.
const COMPARED_LINES_MAX: usize = 2_000_000;
const NO_NEWLINE: &str = "\\ No newline at end of file\n";

/// One side of a diff as git sees it.
struct Blob {
    mode: &'static str,
    bytes: Vec<u8>,
}

pub fn patch(changes: &[Change], read: ReadBlob<'_>, limits: PatchLimits) -> Result<String, PatchError> {
    let deadline = Instant::now() + limits.diff_time_max;
    let mut text = String::new();
    for change in changes {
        let side = |entry: &Option<Entry>| match entry {
            None | Some(Entry::Directory { .. }) => Ok(None),
            Some(entry) => {
                blob(entry, read).map(Some).map_err(|source| PatchError::Content { path: change.path.clone(), source })
            }
        };
        match (side(&change.before)?, side(&change.after)?) {
            // Git has no block for a file that becomes a link: the old goes, then the new comes.
            (Some(old), Some(new)) if (old.mode == "120000") != (new.mode == "120000") => {
                block(&mut text, &change.path, Some(&old), None, deadline);
                block(&mut text, &change.path, None, Some(&new), deadline);
            }
            (old, new) => block(&mut text, &change.path, old.as_ref(), new.as_ref(), deadline),
        }
        if text.len() > limits.patch_bytes_max {
            return Err(PatchError::TooLarge { path: change.path.clone(), bytes_max: limits.patch_bytes_max });
        }
    }
    Ok(text)
}

fn blob(entry: &Entry, read: ReadBlob<'_>) -> io::Result<Blob> {
    Ok(match entry {
        Entry::File { mode, content, .. } => {
            Blob { mode: if is_executable(*mode) { "100755" } else { "100644" }, bytes: read(content)? }
        }
        Entry::Symlink { target } => Blob { mode: "120000", bytes: target.as_bytes().to_vec() },
        Entry::Directory { .. } => return Err(io::Error::other("a folder has no content")),
    })
}

fn block(text: &mut String, path: &TreePath, old: Option<&Blob>, new: Option<&Blob>, deadline: Instant) {
    let (a, b) = (quoted("a/", path), quoted("b/", path));
    text.push_str(&format!("diff --git {a} {b}\n"));
    let mut index_mode = String::new();
    match (old, new) {
        (None, None) => return,
        (None, Some(new)) => text.push_str(&format!("new file mode {}\n", new.mode)),
        (Some(old), None) => text.push_str(&format!("deleted file mode {}\n", old.mode)),
        (Some(old), Some(new)) if old.mode != new.mode => {
            text.push_str(&format!("old mode {}\nnew mode {}\n", old.mode, new.mode));
        }
        (Some(old), Some(_)) => index_mode = format!(" {}", old.mode),
    }
    let (old_bytes, new_bytes) = (old.map_or(&[][..], |o| &o.bytes), new.map_or(&[][..], |n| &n.bytes));
    if old.is_some() && new.is_some() && old_bytes == new_bytes {
        return;
    }
    let name = |side: Option<&Blob>| side.map_or("0".repeat(40), |s| patch_binary::object_name(&s.bytes));
    text.push_str(&format!("index {}..{}{index_mode}\n", name(old), name(new)));
    match (as_text(old_bytes), as_text(new_bytes)) {
        (Some(old_text), Some(new_text)) => {
            if old_text.is_empty() && new_text.is_empty() {
                return;
            }
            // A tab ends a name that holds a blank, so that no date is looked for behind it.
            let ended = |name: &str| if name.contains(' ') { format!("{name}\t") } else { name.to_owned() };
            let from = if old.is_some() { ended(&a) } else { "/dev/null".into() };
            let to = if new.is_some() { ended(&b) } else { "/dev/null".into() };
            text.push_str(&format!("--- {from}\n+++ {to}\n"));
            hunks(text, old_text, new_text, deadline);
        }
        _ => patch_binary::append(text, old_bytes, new_bytes),
    }
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    if bytes.contains(&0) { None } else { std::str::from_utf8(bytes).ok() }
}

fn hunks(text: &mut String, old: &str, new: &str, deadline: Instant) {
    // Only `\n` ends a line for git; a lone `\r` is content.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let ops = match old.len() + new.len() > COMPARED_LINES_MAX {
        true => vec![DiffOp::Replace { old_index: 0, old_len: old.len(), new_index: 0, new_len: new.len() }],
        false => similar::capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline)),
    };
    for group in similar::group_diff_ops(ops, CONTEXT_LINES) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        text.push_str(&format!("@@ -{old_range} +{new_range} @@\n"));
        for op in &group {
            match op.tag() {
                DiffTag::Equal => lines(text, ' ', &old[op.old_range()]),
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                    lines(text, '-', &old[op.old_range()]);
                    lines(text, '+', &new[op.new_range()]);
                }
            }
        }
    }
}

fn lines(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push('\n');
            text.push_str(NO_NEWLINE);
        }
    }
}

/// `start,length` counted from one; an empty range names the line before it.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// A name as git writes it: in quotes, C-style, once a byte is not plain.
fn quoted(prefix: &str, path: &TreePath) -> String {
    let bytes = path.as_bytes();
    let plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if bytes.iter().all(|&b| plain(b)) {
        return format!("{prefix}{}", String::from_utf8_lossy(bytes));
    }
    let mut name = format!("\"{prefix}");
    for &byte in bytes {
        match byte {
            b'"' => name.push_str("\\\""),
            b'\\' => name.push_str("\\\\"),
            b'\n' => name.push_str("\\n"),
            b'\t' => name.push_str("\\t"),
            b'\r' => name.push_str("\\r"),
            byte if plain(byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("\\{byte:03o}")),
        }
    }
    name.push('"');
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted_as_git_quotes_them() {
        let name = |bytes: &[u8]| quoted("a/", &TreePath::new(bytes.to_vec()).expect("a name"));
        assert_eq!(name(b"plain name.txt"), "a/plain name.txt");
        assert_eq!(name("é\t\"\\".as_bytes()), r#""a/\303\251\t\"\\""#);
        assert_eq!(name(b"\x01\xff"), r#""a/\001\377""#);
    }

    #[test]
    fn a_hunk_reads_as_diff_writes_it() {
        let mut text = String::new();
        hunks(&mut text, "1\n2\n3\n4\n5\n6", "1\n2\n3\n4\nfive\n6", Instant::now() + Duration::from_secs(9));
        assert_eq!(text, "@@ -2,5 +2,5 @@\n 2\n 3\n 4\n-5\n+five\n 6\n\\ No newline at end of file\n");
    }
}
