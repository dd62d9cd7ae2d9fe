//! What a person says to a run: one file a message in its folder, synced before `say` returns, taken away once the
//! journal has it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Of one message.
pub const LETTER_BYTES_MAX: u64 = 16 << 10;
/// At a time: what waits longer is read at the turn after.
const LETTERS_MAX: usize = 64;
const FOLDER: &str = "inbox";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Sorts by the time it was written.
    pub id: String,
    pub text: String,
}

/// Durable when this returns.
pub(super) fn put(run: &Path, text: &str) -> io::Result<String> {
    let folder = run.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    File::open(run)?.sync_all()?;
    let id = after(ids(run)?.last());
    let hidden = folder.join(format!(".{id}"));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&hidden)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&hidden, path(run, &id))?;
    File::open(&folder)?.sync_all()?;
    Ok(id)
}

/// A new name that sorts after every message that waits, also one of the same millisecond or of a clock that was ahead.
fn after(newest: Option<&String>) -> String {
    let id = ulid::Ulid::generate();
    let newest = newest.and_then(|newest| ulid::Ulid::from_string(newest).ok()).filter(|newest| *newest >= id);
    let id = newest.map_or(id, |newest| ulid::Ulid::from_parts(newest.timestamp_ms() + 1, id.random()));
    id.to_string().to_lowercase()
}

/// Oldest first. What is no message of ours is left alone.
pub(super) fn list(run: &Path) -> io::Result<Vec<Letter>> {
    let mut ids = ids(run)?;
    ids.truncate(LETTERS_MAX);
    ids.into_iter()
        .map(|id| {
            let mut bytes = Vec::new();
            File::open(path(run, &id))?.take(LETTER_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(Letter { text: String::from_utf8_lossy(&bytes).into_owned(), id })
        })
        .collect()
}

/// Of the messages that wait, oldest first.
fn ids(run: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(run.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".txt")?.to_owned()))
        .filter(|id| ulid::Ulid::from_string(id).is_ok())
        .collect();
    ids.sort();
    Ok(ids)
}

/// It is in the journal now.
pub(super) fn remove(run: &Path, id: &str) -> io::Result<()> {
    match fs::remove_file(path(run, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn path(run: &Path, id: &str) -> PathBuf {
    run.join(FOLDER).join(format!("{id}.txt"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn messages_come_in_their_order_and_go_once_they_are_known() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(list(run.path()).unwrap(), []);
        let first = put(run.path(), "port 8473\n").unwrap();
        put(run.path(), "not vendor/").unwrap();
        // Half written, or somebody else's.
        fs::write(run.path().join("inbox/.01k"), "x").unwrap();
        fs::write(run.path().join("inbox/note.txt"), "x").unwrap();
        let texts = || list(run.path()).unwrap().into_iter().map(|letter| letter.text).collect::<Vec<_>>();
        assert_eq!(texts(), ["port 8473\n", "not vendor/"]);
        assert!(
            after(Some(&"7zzzzzzzz0".repeat(3)[..26].to_owned())).starts_with("7zzzzzzzz1"),
            "a clock that was ahead"
        );
        remove(run.path(), &first).unwrap();
        remove(run.path(), &first).unwrap();
        assert_eq!(texts(), ["not vendor/"]);
        let mode = fs::metadata(run.path().join("inbox")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
