//! What `run`, `exec` and `demo` do before anything starts: the repository copied into blobs, image and checks chosen.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::toolchain::{self, Chosen};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::id::BlobId;
use crate::output::Printer;
use crate::output::human::style::{DIM, RESET};
use crate::snapshot::Manifest;
use crate::snapshot::copy_in::{CopyError, CopyIn, CopyOptions, copy_in};
use crate::task::Check;

/// The tree a sandbox begins with. Reads the repository on the host; follows no link and runs nothing.
pub async fn copy(
    repo: &Path,
    include: Vec<String>,
    put: impl Fn(&[u8]) -> io::Result<BlobId> + Send + 'static,
) -> Result<CopyIn> {
    let options = CopyOptions { include, ..CopyOptions::default() };
    let repo = repo.to_owned();
    let copied = tokio::task::spawn_blocking(move || copy_in(&repo, &options, &put));
    copied.await.map_err(|error| Error::internal("copying the repository failed").because(error))?.map_err(copy_failed)
}

pub fn copy_failed(error: CopyError) -> Error {
    let hint = match &error {
        CopyError::Missing { .. } | CopyError::NotDirectory { .. } | CopyError::Empty { .. } => {
            "name the project's folder with `--repo DIR`"
        }
        CopyError::Include { .. } => "`--include` takes paths relative to the repository",
        CopyError::TooManyFiles { .. } | CopyError::TooManyBytes { .. } | CopyError::FileTooLarge { .. } => {
            "list what the checks do not need in .gitignore, or name a smaller folder with `--repo DIR`"
        }
        CopyError::Store { .. } => "make room on the disk that holds the state folder, or point GREENROOM_HOME elsewhere",
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

pub fn manifest(copied: &CopyIn) -> Arc<Manifest> {
    Arc::new(copied.manifest.clone())
}

/// Image and checks: the user's where given, else what the manifests suggest. Says what was chosen and why.
pub fn choose(config: &RunConfig, checks: &[String], printer: &mut Printer) -> Result<(String, Vec<Check>)> {
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

pub fn tell_image(chosen: &Chosen, printer: &mut Printer) -> Result<()> {
    let because = chosen.image_because.as_deref().unwrap_or("as you said");
    printer.note(&format!("{DIM}image{RESET}  {} {DIM}({because}){RESET}", chosen.image))
}
