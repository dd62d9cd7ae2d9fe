//! A run whose journal is written as a whole, as a fork's is.

use std::io;
use std::path::Path;

use super::journal::{GENESIS, seal};
use super::{Record, RunStore, StoreError};
use crate::event::Event;

impl RunStore {
    /// A new run that begins with these events: all of them are there at once, or there is no run. The owner that is
    /// returned is the second one.
    pub fn begin_with(state: &Path, events: impl IntoIterator<Item = Event>) -> Result<Self, StoreError> {
        let at_ms = jiff::Timestamp::now().as_millisecond();
        let failed = |source: io::Error| StoreError::Io { path: state.to_owned(), source };
        let (mut journal, mut prev) = (String::new(), GENESIS.to_owned());
        for (seq, event) in (0..).zip(events) {
            let (line, hash) = seal(&Record { seq, epoch: 1, at_ms, prev, event }).map_err(failed)?;
            journal.push_str(&line);
            prev = hash;
        }
        let (store, _) = RunStore::import(state, journal.as_bytes(), &[])?;
        Ok(store)
    }
}

/// Begins the name of a folder in which a journal is written before it is a run's.
pub(super) const UNFINISHED: &str = ".import-";

/// Removes what processes left that were killed meanwhile. What cannot be removed is nobody's run anyway.
pub(super) fn sweep(runs: &Path) {
    let is_dead = |name: &str| {
        let pid = name.strip_prefix(UNFINISHED).filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_dead) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_dead_left_half_written_goes_and_the_living_keep_theirs() {
        let runs = tempfile::tempdir().unwrap();
        let mine = runs.path().join(format!("{UNFINISHED}{}", std::process::id()));
        // No process has such a number.
        let dead = runs.path().join(format!("{UNFINISHED}999999999"));
        [&mine, &dead].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        sweep(runs.path());
        assert_eq!((mine.exists(), dead.exists()), (true, false));
    }
}
