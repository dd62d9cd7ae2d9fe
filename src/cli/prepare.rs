//! What `run`, `exec` and `demo` do before anything starts: the repository copied into blobs, image and checks chosen.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::toolchain::{self, Chosen};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::id::BlobId;
use crate::output::Printer;
use crate::output::human::style::{DIM, RESET};
use crate::snapshot::copy_in::{CopyError, CopyIn, CopyOptions, SkipReason, copy_in};
use crate::store::Blobs;
use crate::task::Check;

/// The tree a sandbox begins with. Reads the repository on the host; follows no link and runs nothing.
pub(super) async fn copy(
    repo: &Path,
    include: Vec<String>,
    put: impl Fn(&[u8]) -> io::Result<BlobId> + Send + 'static,
) -> Result<CopyIn> {
    let options = CopyOptions { include, ..CopyOptions::default() };
    let repo = repo.to_owned();
    let copied = tokio::task::spawn_blocking(move || copy_in(&repo, &options, &put));
    copied.await.map_err(|error| Error::internal("copying the repository failed").because(error))?.map_err(copy_failed)
}

pub(super) fn copy_failed(error: CopyError) -> Error {
    let hint = match &error {
        CopyError::Missing { .. } | CopyError::NotDirectory { .. } | CopyError::Empty { .. } => {
            "name the project's folder with `--repo DIR`"
        }
        CopyError::Include { .. } => "`--include` takes paths relative to the repository",
        CopyError::TooManyFiles { .. } | CopyError::TooManyBytes { .. } | CopyError::FileTooLarge { .. } => {
            "list what the checks do not need in .gitignore, or name a smaller folder with `--repo DIR`"
        }
        CopyError::Store { .. } => {
            "make room on the disk that holds the state folder, or point GREENROOM_HOME elsewhere"
        }
        CopyError::Unreadable { .. } | CopyError::TooDeep { .. } | CopyError::IgnoreFile { .. } => {
            "make it readable, or list it in .gitignore"
        }
    };
    let exit = match &error {
        CopyError::Store { .. } => crate::error::ExitCode::Internal,
        _ => crate::error::ExitCode::Usage,
    };
    let what = error.to_string();
    let error: Error = match std::error::Error::source(&error).map(ToString::to_string) {
        Some(cause) => Error::new(exit, what).because(cause),
        None => Error::new(exit, what),
    };
    error.hint(hint)
}

/// What stays behind without being ignored by git or part of it: the person should know.
pub(super) fn tell_skipped(copied: &CopyIn, printer: &mut Printer) -> Result<()> {
    const SHOWN_MAX: usize = 5;
    let expected = |reason: &SkipReason| matches!(reason, SkipReason::Ignored | SkipReason::GitPrivate);
    let told: Vec<_> = copied.skipped.iter().filter(|skipped| !expected(&skipped.reason)).collect();
    for skipped in told.iter().take(SHOWN_MAX) {
        printer.note(&format!("{DIM}left out{RESET} {} {DIM}({}){RESET}", skipped.path, skipped.reason))?;
    }
    if told.len() > SHOWN_MAX {
        printer.note(&format!("{DIM}left out{RESET} {} more", told.len() - SHOWN_MAX))?;
    }
    Ok(())
}

/// The blobs all runs share, for a command that has no journal.
pub(super) fn shared_blobs(state: &Path) -> Result<Blobs> {
    let root = state.join("blobs");
    DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(|error| {
        Error::internal(format!("cannot use the state folder `{}`", root.display()))
            .because(error)
            .hint("GREENROOM_HOME chooses another folder for state, cache and configuration")
    })?;
    Ok(Blobs::new(root))
}

/// Makes what was copied durable: events will name it.
pub(super) fn keep(blobs: &Blobs) -> Result<()> {
    blobs.sync().map_err(|error| {
        Error::internal("cannot store the repository's files")
            .because(error)
            .hint("make room on the disk that holds the state folder, or point GREENROOM_HOME elsewhere")
    })
}

/// `--data DIR`, absolute.
pub(super) fn data_folder(path: &Path) -> Result<PathBuf> {
    let absolute = path
        .canonicalize()
        .map_err(|error| Error::usage(format!("no data folder at `{}`", path.display())).because(error))?;
    match absolute.is_dir() {
        true => Ok(absolute),
        false => Err(Error::usage(format!("`{}` is not a folder", path.display())).hint("`--data` takes a folder")),
    }
}

/// Complete: what the image says, then the user's own.
pub(super) fn environment(image: Vec<(String, String)>, own: &[(String, String)]) -> Vec<(String, String)> {
    let env: BTreeMap<String, String> = image.into_iter().chain(own.iter().cloned()).collect();
    env.into_iter().collect()
}

/// Image and checks: the user's where given, else what the manifests suggest. Says what was chosen and why.
pub(super) fn choose(config: &RunConfig, checks: &[String], printer: &mut Printer) -> Result<(String, Vec<Check>)> {
    let chosen = toolchain::choose(&config.repo, config.image.as_deref())?;
    tell_image(&chosen, printer)?;
    if !checks.is_empty() {
        return Ok((chosen.image, checks.iter().map(|command| Check { command: command.clone() }).collect()));
    }
    let Some(check) = chosen.check else {
        return Err(Error::usage(format!("no check found for `{}`", config.repo.display()))
            .hint("name the command that must pass with `--check CMD`, for example `--check 'make test'`"));
    };
    printer.note(&format!("{DIM}check{RESET}  `{}` {DIM}({}){RESET}", check.command, check.because))?;
    Ok((chosen.image, vec![Check { command: check.command }]))
}

pub(super) fn tell_image(chosen: &Chosen, printer: &mut Printer) -> Result<()> {
    let because = chosen.image_because.as_deref().unwrap_or("as you said");
    printer.note(&format!("{DIM}image{RESET}  {} {DIM}({because}){RESET}", chosen.image))
}
