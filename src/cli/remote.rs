//! `--repo URL[@REF]`: a repository from a git host, cloned in a container and copied in from there like any other.

use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use url::Url;

use super::interrupt::Interrupt;
use super::{Context, engine, set_up};
use crate::config::{FileConfig, Paths};
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::network::Traffic;
use crate::output::human::Progress;
use crate::output::human::style::{DIM, RESET};
use crate::sandbox::proxy::Target;
use crate::sandbox::{SetupError, Source};
use crate::snapshot::unpack::{UnpackLimits, unpack};

const REFERENCE_BYTES_MAX: usize = 200;
/// Chunks of an archive on their way to the disk.
const CHUNKS_MAX: usize = 16;
/// A clone that a killed command left behind is nobody's any more.
const LEFT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What `--repo` named, if it is no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    source: Source,
}

/// A clone on this machine, for as long as this value lives.
pub(super) struct Fetched {
    folder: PathBuf,
    /// `URL@COMMIT`: what this repository is called from now on.
    pub(super) name: String,
    pub(super) traffic: Traffic,
}

impl Remote {
    /// `None` for a folder.
    pub(super) fn parse(repo: &Path) -> Result<Option<Remote>> {
        let Some(text) = repo.to_str() else { return Ok(None) };
        let wrong = |why: &str| {
            Err(Error::usage(format!("cannot clone `{text}`: {why}"))
                .hint("give `https://HOST/PATH`, with `@BRANCH`, `@TAG` or `@COMMIT` behind it if it matters"))
        };
        match text.split_once("://") {
            Some(("http" | "https", _)) => {}
            Some(_) => return wrong("only http:// and https:// go through the proxy"),
            None if text.starts_with("git@") => return wrong("only http:// and https:// go through the proxy"),
            None => return Ok(None),
        }
        let Ok(whole) = Url::parse(text) else { return wrong("it is not a URL") };
        if !whole.username().is_empty() || whole.password().is_some() {
            return Err(Error::usage("cannot clone a URL with a name or password in it").hint(
                "clone it yourself, and name the folder with `--repo DIR`: a container never gets your credentials",
            ));
        }
        if whole.query().is_some() || whole.fragment().is_some() || text.contains(['\'', '\\']) {
            return wrong("it has more than host and path");
        }
        // A reference may have slashes of its own, so the first `@` of the path counts.
        let (path, reference) = match whole.path().split_once('@') {
            Some((path, reference)) => (path.to_owned(), Some(reference.to_owned())),
            None => (whole.path().to_owned(), None),
        };
        if reference.as_deref().is_some_and(|reference| !is_reference(reference)) {
            return wrong("what stands behind `@` is no branch, tag or commit");
        }
        if path.trim_matches('/').is_empty() {
            return wrong("it names no repository on that host");
        }
        let target = whole.host_str().and_then(|host| {
            let port = whole.port_or_known_default()?;
            Target::parse(&format!("{host}:{port}"), None).ok()
        });
        let Some(target) = target else { return wrong("its host has no usable name") };
        let mut url = whole;
        url.set_path(&path);
        Ok(Some(Remote { source: Source { url: url.into(), reference, target } }))
    }

    /// Clones it. No git runs here, and nothing of it is ever executed here.
    pub(super) async fn fetch(self, context: &mut Context, interrupt: &Interrupt) -> Result<Fetched> {
        let paths = context.paths()?;
        let file = FileConfig::load(&paths.config_file)?;
        let engine = interrupt.or_stop(engine::connect()).await?;
        let toolchain = interrupt.or_stop(engine.toolchain_at_hand()).await?;
        let prepared = interrupt.or_stop(engine.prepare(toolchain, &mut context.printer)).await?;
        let setup = set_up::for_clone(&paths, &file, &prepared);
        let folder = make_folder(&paths)?;
        let mut fetched = Fetched { folder, name: self.source.url.clone(), traffic: Traffic::default() };
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let dest = fetched.folder.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let archive = Archive { receiver, chunk: Bytes::new() };
            unpack(archive, &dest, UnpackLimits::default())
        });
        let launcher = engine.docker_launcher(&paths.state);
        let cloned = {
            let printer = &mut context.printer;
            let progress = Mutex::new((Progress::new(printer), printer));
            let tell = |line: &str| engine::tell(&progress, line);
            interrupt
                .or_stop(async {
                    launcher
                        .clone_repository(&setup, &self.source, sender, &tell)
                        .await
                        .map_err(|error| clone_failed(&self.source, error))
                })
                .await
        };
        let unpacked = unpacking.await.map_err(|error| Error::internal("unpacking the clone failed").because(error))?;
        let cloned = cloned?;
        unpacked.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let failed = Error::usage(format!("cannot take the clone of {} over: {error}", self.source.url));
            match cause {
                Some(cause) => failed.because(cause),
                None => failed,
            }
        })?;
        fetched.name = format!("{}@{}", self.source.url, cloned.commit);
        fetched.traffic = cloned.traffic;
        context.printer.note(&format!("{DIM}cloned{RESET} {}", fetched.name))?;
        Ok(fetched)
    }
}

/// A name that git takes, without anything that could be an option or a word of a shell.
fn is_reference(text: &str) -> bool {
    text.len() <= REFERENCE_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/+-".contains(&byte))
        && !text.contains("..")
}

fn clone_failed(source: &Source, error: SetupError) -> Error {
    match error {
        SetupError::Sandbox(error) => error.into(),
        SetupError::Failed { tail, complaints, .. } => {
            let failed = Error::usage(format!("cannot clone {}", source.url)).because(tail.trim());
            match complaints.is_empty() {
                true => failed.hint("a private repository is cloned by you: `--repo DIR` takes the folder"),
                false => failed.hint("what the proxy refused can be allowed with `[setup] allow` in config.toml"),
            }
        }
    }
}

/// A new folder for a clone; what killed commands left of theirs goes.
fn make_folder(paths: &Paths) -> Result<PathBuf> {
    let clones = paths.cache.join("clones");
    let folder = clones.join(RunId::generate().to_string());
    let failed = |error| Error::internal(format!("cannot make the folder `{}`", folder.display())).because(error);
    for entry in std::fs::read_dir(&clones).into_iter().flatten().flatten() {
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        if made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > LEFT_MAX)) {
            remove(&entry.path());
        }
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    Ok(folder)
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "a clone could not be removed");
    }
}

impl Fetched {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Chunks as they come, as one stream of bytes.
struct Archive {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(text: &str) -> Source {
        Remote::parse(Path::new(text)).unwrap().unwrap().source
    }

    #[test]
    fn a_url_is_told_from_a_folder_and_its_reference_is_found() {
        for folder in [".", "../shop", "/srv/http", "https", "a@b"] {
            assert_eq!(Remote::parse(Path::new(folder)).unwrap(), None, "{folder}");
        }
        let source = parsed("https://Git.example/a/b.git@feature/x");
        assert_eq!(source.url, "https://git.example/a/b.git");
        assert_eq!(
            (source.reference.as_deref(), source.target.to_string().as_str()),
            (Some("feature/x"), "git.example:443")
        );
        let source = parsed("http://git.example:8080/b");
        assert_eq!((source.reference, source.target.to_string().as_str()), (None, "git.example:8080"));
    }

    #[test]
    fn what_no_proxy_carries_or_nobody_should_send_is_refused() {
        for bad in [
            "ssh://git.example/a",
            "git://git.example/a",
            "file:///etc",
            "git@git.example:a/b",
            "https://me:secret@git.example/a",
            "https://token@git.example/a",
            "https://git.example/",
            "https://git.example",
            "https://git.example/a?x=1",
            "https://git.example/a@--upload-pack=x",
            "https://git.example/a@a..b",
            "https://git.example/a'b",
            "https://git.example/a@$(id)",
        ] {
            let error = Remote::parse(Path::new(bad)).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
