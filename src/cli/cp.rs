//! `greenroom cp RUN:PATH DEST`: files out of a run's workspace, without applying its patch.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Past};
use crate::error::{Error, ExitCode, Result};
use crate::id::BlobId;
use crate::snapshot::extract::{ExtractError, ExtractLimits, write_tree};
use crate::snapshot::seen::Area;
use crate::snapshot::tree::FileTree;
use crate::snapshot::{Entry, Manifest, TreePath};

/// Copy a file or folder out of a run's workspace
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  greenroom cp last:out/chart.svg .

An existing folder as DEST gets the file or folder put into it; nothing that is there is replaced, no link is written.")]
pub struct CpArgs {
    /// The run and a path relative to its workspace
    #[arg(value_name = "RUN:PATH")]
    source: String,
    /// A file or folder on this machine
    #[arg(value_name = "DEST")]
    dest: PathBuf,
}

pub async fn run(args: CpArgs, context: &mut Context) -> Result<ExitCode> {
    let (run, path) = args.source.split_once(':').ok_or_else(|| {
        Error::usage(format!("`{}` is not of the form RUN:PATH", args.source)).hint("for example `last:out/chart.svg`")
    })?;
    let past = Past::find(context, run)?;
    let path = path.trim_start_matches("/workspace/").trim_end_matches('/');
    let wanted =
        TreePath::new(path).ok_or_else(|| Error::usage(format!("`{path}` is not a path inside the workspace")))?;
    let (mut picked, held) = files(&past, &wanted)?;
    if picked.entries.is_empty() {
        return Err(Error::usage(format!("run {} has no `{wanted}`", past.state.run))
            .hint(format!("`greenroom diff {}` shows what it changed", past.state.run)));
    }
    let (folder, name) = destination(&args.dest, &wanted)?;
    picked = renamed(picked, &wanted, &name);
    let count = picked.entries.values().filter(|entry| matches!(entry, Entry::File { .. })).count();
    let stored = |id: &BlobId| past.dir.blobs().get(id);
    let read = |id: &BlobId| match &held {
        Some(tree) => tree.content(id, &stored),
        None => stored(id),
    };
    write_tree(&folder, &picked, &read, ExtractLimits::default()).map_err(extract_failed)?;
    let files = if count == 1 { "file" } else { "files" };
    context.printer.note(&format!("{count} {files} copied to `{}`", folder.join(name.to_path()).display()))?;
    Ok(ExitCode::Success)
}

/// What the run ended with; where it has not ended, or left the path out, the files of its newest snapshot, which is then
/// what knows how they are stored. What it began with counts only while there is neither.
fn files(past: &Past, wanted: &TreePath) -> Result<(Manifest, Option<FileTree>)> {
    let captured = past.state.workspace.as_ref().or(past.state.tree.as_ref());
    if let Some(tree) = captured {
        let picked = pick(&past.manifest(tree)?, wanted);
        if !picked.entries.is_empty() {
            return Ok((picked, None));
        }
    }
    if let Some(snapshot) = past.state.snapshot() {
        let tree = FileTree::load(&snapshot.root, &|id| past.dir.blobs().get(id))
            .map_err(|error| Error::internal("cannot read the run's newest snapshot").because(error))?;
        return Ok((pick(&tree.manifest(Area::Workspace), wanted), Some(tree)));
    }
    let tree = captured.or(past.state.pristine.as_ref()).ok_or_else(|| {
        Error::usage(format!("run {} has no files", past.state.run))
            .hint("it ended before the repository was copied in")
    })?;
    Ok((pick(&past.manifest(tree)?, wanted), None))
}

/// The entry and all that lies below it.
fn pick(tree: &Manifest, wanted: &TreePath) -> Manifest {
    let inside = |path: &TreePath| path == wanted || path.is_within(wanted);
    Manifest {
        entries: tree.entries.iter().filter(|(path, _)| inside(path)).map(|(p, e)| (p.clone(), e.clone())).collect(),
    }
}

/// The folder to write in, and the name there.
fn destination(dest: &std::path::Path, wanted: &TreePath) -> Result<(PathBuf, TreePath)> {
    let unusable = || Error::usage(format!("`{}` is not a place to write to", dest.display()));
    if dest.is_dir() {
        let name = TreePath::new(wanted.file_name()).ok_or_else(unusable)?;
        return Ok((dest.to_owned(), name));
    }
    let name = dest.file_name().ok_or_else(unusable)?;
    let name = TreePath::new(std::os::unix::ffi::OsStrExt::as_bytes(name)).ok_or_else(unusable)?;
    let folder = match dest.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => return Err(unusable()),
    };
    if !folder.is_dir() {
        return Err(Error::usage(format!("there is no folder `{}`", folder.display())).hint("make it first"));
    }
    Ok((folder, name))
}

fn renamed(tree: Manifest, from: &TreePath, to: &TreePath) -> Manifest {
    let rename = |path: TreePath| {
        let mut bytes = to.as_bytes().to_vec();
        bytes.extend_from_slice(&path.as_bytes()[from.as_bytes().len()..]);
        TreePath::new(bytes).expect("a path below one keeps its form below another")
    };
    Manifest { entries: tree.entries.into_iter().map(|(path, entry)| (rename(path), entry)).collect() }
}

fn extract_failed(error: ExtractError) -> Error {
    let what = error.to_string();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let failed = match error {
        ExtractError::Exists { .. } => Error::usage(what).hint("nothing is replaced: name another DEST"),
        ExtractError::Link { .. } => Error::usage(what).hint("links are not written: copy what it points at"),
        ExtractError::TooMany { .. } | ExtractError::TooDeep { .. } | ExtractError::TooLarge { .. } => {
            Error::usage(what).hint("copy a smaller part of it")
        }
        ExtractError::Dest { .. } | ExtractError::Write { .. } => {
            Error::usage(what).hint("name a DEST that can be written")
        }
        ExtractError::Content { .. } => Error::internal(what),
    };
    match cause {
        Some(cause) => failed.because(cause),
        None => failed,
    }
}
