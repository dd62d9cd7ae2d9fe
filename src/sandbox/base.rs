//! The base of toolchain images: pulled where a registry answers, else made from this machine's own package mirror.

use std::process::Stdio;
use std::time::Duration;

use bollard::query_parameters::{CreateImageOptions, TagImageOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::io::ReaderStream;

use super::SandboxError;
use super::connect::{CALL, Engine, within};
use super::image::{Progress, inspect, next_within, pull};
use super::toolchain::Toolchain;

pub(super) const REPOSITORY: &str = "greenroom/base";
/// Bootstraps a root file system and writes it to stdout as a tar.
pub(super) const SCRIPT: &str = include_str!("../../images/base.sh");
const BOOTSTRAP_SILENCE_MAX: Duration = Duration::from_secs(30 * 60);
const LOG_LINES: usize = 20;

/// The tag of the base image that `toolchain` is built on; had now if it is not there yet.
pub(super) async fn ensure(
    engine: &Engine,
    toolchain: &Toolchain,
    progress: Progress<'_>,
) -> Result<String, SandboxError> {
    let base = toolchain.base();
    let tag = format!("{REPOSITORY}:{}", base.suite);
    if inspect(engine, &tag).await?.is_some() {
        return Ok(tag);
    }
    let local = inspect(engine, &base.pull).await?.is_some();
    if !local {
        progress(&format!("pulling base image `{}`", base.pull));
        if let Err(reason) = pull(engine, &base.pull, progress).await {
            progress(&format!(
                "no registry gives `{}` ({reason}); making the base from this machine's package mirror",
                base.pull
            ));
            return bootstrap(engine, &base.suite, &tag, progress).await.map(|()| tag);
        }
    }
    let options = TagImageOptions { repo: Some(REPOSITORY.to_owned()), tag: Some(base.suite.clone()) };
    within("tag image", CALL, engine.docker.tag_image(&base.pull, Some(options)), |detail| SandboxError::Image {
        image: base.pull.clone(),
        detail,
    })
    .await?;
    Ok(tag)
}

/// Runs the script and imports what it writes, while it writes it.
async fn bootstrap(engine: &Engine, suite: &str, tag: &str, progress: Progress<'_>) -> Result<(), SandboxError> {
    let failed = |detail: String| SandboxError::Image { image: tag.to_owned(), detail };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-s", "--", "newest", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot run /bin/sh: {error}")))?;
    let (stdin, stdout, stderr) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
        _ => return Err(failed("the script's streams are missing".to_owned())),
    };
    let feed = async move {
        let mut stdin = stdin;
        // A script that ends early says why itself.
        let _ = stdin.write_all(SCRIPT.as_bytes()).await;
    };
    let narrate = async {
        let mut log = std::collections::VecDeque::new();
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            progress(&line);
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(line);
        }
        Vec::from(log).join("\n")
    };
    let import = async {
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(REPOSITORY.to_owned()),
            tag: Some(suite.to_owned()),
            message: Some("greenroom: bootstrapped from the host's package mirror".to_owned()),
            ..Default::default()
        };
        let body = bollard::body_try_stream(ReaderStream::with_capacity(stdout, 1 << 18));
        let mut news = engine.transfers.create_image(Some(options), Some(body), None);
        while next_within(&mut news, BOOTSTRAP_SILENCE_MAX).await?.is_some() {}
        Ok::<(), String>(())
    };
    let ((), log, imported) = tokio::join!(feed, narrate, import);
    let status = child.wait().await.map_err(|error| failed(format!("cannot wait for the script: {error}")))?;
    match (status.success(), imported) {
        (true, Ok(())) => Ok(()),
        (true, Err(reason)) => Err(failed(format!("cannot import the base: {reason}"))),
        (false, _) => {
            // What was imported until then is half a system.
            if inspect(engine, tag).await?.is_some() {
                let removal =
                    engine.docker.remove_image(tag, None::<bollard::query_parameters::RemoveImageOptions>, None);
                within("remove image", CALL, removal, failed).await?;
            }
            Err(failed(format!("the package mirror gave no base either:\n{log}")))
        }
    }
}
