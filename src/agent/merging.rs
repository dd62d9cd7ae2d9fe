//! A helper's changes into the workspace of the run that asked for them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::failpoint::{self, Failpoint};
use crate::id::CallToken;
use crate::sandbox::{ExecRequest, OutputSink, Sandbox, Stream, WORKSPACE};
use crate::snapshot::change::Change;
use crate::snapshot::{Entry, Manifest, ReadBlob, TreePath};
use crate::tools::ToolFailure;

/// Of one command, so that no list of arguments is too long.
const PATHS_MAX: usize = 128;
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
const REMOVE: &str = r#"rm -f -- "$@""#;
/// One that still holds something stays.
const REMOVE_FOLDERS: &str = r#"rmdir -- "$@" 2>/dev/null; :"#;
const LINK: &str = r#"while [ $# -gt 1 ]; do
    mkdir -p -- "$(dirname -- "$1")" && ln -s -- "$2" "$1" || exit 1
    shift 2
done"#;
const SET_MODES: &str = r#"while [ $# -gt 1 ]; do chmod -- "$2" "$1" || exit 1; shift 2; done"#;

/// Changes whose names or targets no command can be told.
pub(super) fn unwritable(changes: &[Change]) -> Vec<String> {
    let is_text = |path: &TreePath| std::str::from_utf8(path.as_bytes()).is_ok();
    let target = |change: &Change| match &change.after {
        Some(Entry::Symlink { target }) => is_text(target),
        Some(Entry::File { .. } | Entry::Directory { .. }) | None => true,
    };
    let odd = changes.iter().filter(|change| !is_text(&change.path) || !target(change));
    odd.map(|change| format!("{} (its name is no text)", change.path.to_text())).collect()
}

/// The inner error says where it broke off: then some of it is there and some is not.
pub(super) async fn apply(
    sandbox: &dyn Sandbox,
    token: CallToken,
    changes: &[Change],
    theirs: &Manifest,
    read: ReadBlob<'_>,
) -> Result<Result<(), String>, ToolFailure> {
    let mut commands = Commands { sandbox, token, part: 0 };
    let is_link = |entry: &Option<Entry>| matches!(entry, Some(Entry::Symlink { .. }));
    let goes = |change: &&Change| change.before.is_some() && (change.after.is_none() || is_link(&change.before));
    let goes = |change: &&Change| goes(change) || (change.before.is_some() && is_link(&change.after));
    let gone: Vec<&TreePath> = changes.iter().filter(goes).map(|change| &change.path).collect();
    let folders: BTreeSet<TreePath> = gone.iter().flat_map(|path| path.ancestors()).collect();
    // The deepest first.
    let folders: Vec<TreePath> = folders
        .into_iter()
        .rev()
        .filter(|folder| !theirs.entries.contains_key(folder) || is_file(theirs, folder))
        .collect();
    let removed = gone.iter().map(|path| vec![absolute(path)]).collect();
    let emptied = folders.iter().map(|path| vec![absolute(path)]).collect();
    for (script, arguments) in [(REMOVE, removed), (REMOVE_FOLDERS, emptied)] {
        if let Err(why) = commands.run(script, arguments).await? {
            return Ok(Err(why));
        }
    }
    let (mut links, mut modes) = (Vec::new(), Vec::new());
    for change in changes {
        match &change.after {
            Some(Entry::File { mode, content, .. }) => {
                let path = absolute(&change.path);
                if let Err(error) = sandbox.write(&path, &read(content)?, None).await? {
                    return Ok(Err(error.to_string()));
                }
                failpoint::hit(Failpoint::HelperMerging)?;
                modes.push(vec![path, format!("{mode:o}")]);
            }
            Some(Entry::Symlink { target }) => {
                let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
                links.push(vec![absolute(&change.path), target]);
            }
            Some(Entry::Directory { .. }) | None => {}
        }
    }
    for (script, arguments) in [(LINK, links), (SET_MODES, modes)] {
        if let Err(why) = commands.run(script, arguments).await? {
            return Ok(Err(why));
        }
    }
    Ok(Ok(()))
}

fn is_file(tree: &Manifest, path: &TreePath) -> bool {
    !matches!(tree.entries.get(path), Some(Entry::Directory { .. }) | None)
}

fn absolute(path: &TreePath) -> String {
    format!("{WORKSPACE}/{}", String::from_utf8_lossy(path.as_bytes()))
}

struct Commands<'a> {
    sandbox: &'a dyn Sandbox,
    token: CallToken,
    /// Each command of a step has a number of its own.
    part: u32,
}

impl Commands<'_> {
    /// The script over all arguments, some at a time.
    async fn run(&mut self, script: &str, arguments: Vec<Vec<String>>) -> Result<Result<(), String>, ToolFailure> {
        for some in arguments.chunks(PATHS_MAX) {
            let words = ["/bin/sh", "-c", script, "sh"].map(str::to_owned).into_iter();
            let argv = words.chain(some.iter().flatten().cloned()).collect();
            let request = ExecRequest { part: self.part, argv, ..ExecRequest::shell(self.token, "", COMMAND_TIME_MAX) };
            self.part += 1;
            let mut said = Said::default();
            let ran = self.sandbox.exec(&request, &mut said).await?;
            if !ran.outcome.succeeded() {
                let said = String::from_utf8_lossy(&said.0);
                return Ok(Err(format!("{}: {}", ran.outcome, said.lines().next().unwrap_or_default())));
            }
        }
        Ok(Ok(()))
    }
}

/// The beginning of what a command said.
#[derive(Default)]
struct Said(Vec<u8>);

impl OutputSink for Said {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        const KEPT_BYTES_MAX: usize = 1 << 10;
        let room = KEPT_BYTES_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
