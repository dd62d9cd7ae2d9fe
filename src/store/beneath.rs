//! The runs of helpers: each a run's folder inside the folder of the run that asked for it, so that it is found by that
//! run, listed with nobody else's, and gone when that is gone. Blobs are the same, and so is who writes them.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use super::run_dir::{RunDir, RunStore, runs_in};
use super::{Beneath, StoreError};
use crate::event::Event;
use crate::helper::DEPTH_MAX;
use crate::id::RunId;

const FOLDER: &str = "helpers";

impl RunDir {
    /// The runs that this one asked for, oldest first, each followed by those that it asked for.
    pub fn helpers(&self) -> Result<Vec<RunDir>, StoreError> {
        let mut found = Vec::new();
        for run in runs_in(&self.path.join(FOLDER))? {
            let dir = self.helper(&run);
            let below = dir.helpers()?;
            found.push(dir);
            found.extend(below);
        }
        Ok(found)
    }

    /// A journal from elsewhere, of the helper at the end of the path; it must be what its place says.
    pub(super) fn write_helper(&self, path: &[RunId], journal: &[u8]) -> Result<(), StoreError> {
        let dir = path.iter().fold(self.clone(), |dir, run| dir.helper(run));
        let failed = |source| StoreError::Io { path: dir.path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir.path).map_err(failed)?;
        let file = File::create(dir.journal_path()).map_err(failed)?;
        (&file).write_all(journal).and_then(|()| file.sync_all()).map_err(failed)?;
        let begins = dir.journal()?.records.into_iter().next().map(|record| record.event);
        match begins {
            Some(Event::RunStarted { run, .. }) if Some(&run) == path.last() => Ok(()),
            Some(_) | None => Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is another run's journal"))),
        }
    }

    pub(super) fn helper(&self, run: &RunId) -> RunDir {
        RunDir { path: self.path.join(FOLDER).join(run.as_str()), blobs: self.blobs.clone() }
    }
}

impl RunStore {
    pub(super) fn open_beneath(&self, run: &RunId, create: bool) -> io::Result<Option<Beneath>> {
        let dir = self.dir().helper(run);
        let (store, journal) = match dir.journal_path().exists() {
            true => {
                let (store, journal) = RunStore::open(dir).map_err(io::Error::other)?;
                (store, journal.records)
            }
            false if create => (RunStore::create_at(dir).map_err(io::Error::other)?, Vec::new()),
            false => return Ok(None),
        };
        let epoch = store.epoch();
        let events = journal.into_iter().map(|record| record.event).collect();
        Ok(Some(Beneath { store: Arc::new(store), events, epoch }))
    }
}

/// `helpers/RUN/helpers/RUN/journal.jsonl`, as an archive names a helper's journal; `None` for anything else.
pub fn helper_path(name: &str) -> Option<Vec<RunId>> {
    let folders = name.strip_suffix("/journal.jsonl")?;
    let parts: Vec<&str> = folders.split('/').collect();
    let runs = parts.chunks(2).map(|pair| match pair {
        [FOLDER, run] => run.parse().ok(),
        _ => None,
    });
    runs.collect::<Option<Vec<RunId>>>().filter(|path| path.len() <= DEPTH_MAX as usize)
}

/// Below any of the runs in a state folder.
pub(super) fn find(state: &Path, all: &[RunId], fits: impl Fn(&RunId) -> bool) -> Result<Vec<RunDir>, StoreError> {
    let mut found = Vec::new();
    for run in all {
        found.extend(RunDir::at(state, run.as_str()).helpers()?.into_iter().filter(|dir| fits(&dir.run())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Store, list_runs};
    use super::*;
    use crate::id::CallToken;

    #[test]
    fn a_helper_s_run_lies_below_the_one_that_asked_and_is_found_again() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        let (one, two) = (run.helper(CallToken(3)), run.helper(CallToken(3)).helper(CallToken(3)));
        assert!(store.beneath(&one, false).unwrap().is_none());
        let said = Event::Rewound { to_step: 0 };
        {
            let first = store.beneath(&one, true).unwrap().unwrap();
            first.store.append(&said).unwrap();
            let second = first.store.beneath(&two, true).unwrap().unwrap();
            assert_eq!((second.events.len(), second.epoch), (0, 1));
        }
        let again = store.beneath(&one, true).unwrap().unwrap();
        assert_eq!((again.events.as_slice(), again.epoch), ([said].as_slice(), 2));
        assert_eq!(list_runs(state.path()).unwrap(), std::slice::from_ref(&run), "it is nobody's newest run");
        assert_eq!(RunDir::find(state.path(), two.as_str()).unwrap().run(), two);
        assert_eq!(RunDir::find(state.path(), "last").unwrap().run(), run);
        let below: Vec<RunId> = store.dir().helpers().unwrap().iter().map(RunDir::run).collect();
        assert_eq!(below, [one, two]);
    }

    #[test]
    fn an_archive_names_helpers_by_their_place_and_nothing_else() {
        let run = RunId::generate();
        let name = format!("helpers/{run}/helpers/{run}/journal.jsonl");
        assert_eq!(helper_path(&name), Some(vec![run.clone(), run.clone()]));
        for bad in [
            "journal.jsonl".to_owned(),
            format!("helpers/{run}/lock"),
            format!("helpers/../{run}/journal.jsonl"),
            "helpers/../../journal.jsonl".to_owned(),
            format!("/helpers/{run}/journal.jsonl"),
            format!("{}journal.jsonl", format!("helpers/{run}/").repeat(6)),
        ] {
            assert_eq!(helper_path(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_helper_s_name_follows_from_who_asked_and_the_call() {
        let run: RunId = "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().unwrap();
        let helper = run.helper(CallToken(7));
        assert_eq!(helper, run.helper(CallToken(7)));
        assert_ne!(helper, run.helper(CallToken(8)));
        assert_eq!(helper.as_str()[..10], run.as_str()[..10], "told by its age as the run is");
        assert_eq!(helper.as_str().parse::<RunId>().unwrap(), helper);
    }
}
