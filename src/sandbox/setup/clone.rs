//! A repository from a git host: git runs in a set-up container, never on this machine, and what it checked out comes
//! back as an archive for the caller to unpack by its own rules.

use std::time::Duration;

use bollard::query_parameters::DownloadFromContainerOptions;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::super::{DockerLauncher, SandboxError, SandboxSpec};
use super::chamber::Chamber;
use super::{Setup, SetupError, Silent, complaints, phase};
use crate::network::Traffic;
use crate::sandbox::image::Progress;
use crate::sandbox::proxy::{Entry, Origin, Proxy, ProxyLimits, Target};
use crate::task::Outcome;

/// Beside the workspace's own volume-less folder, so that the archive has one name at its top.
const FOLDER: &str = "/workspace/clone";
/// The archive moves nothing for so long: the engine is gone.
const STALLED: Duration = Duration::from_secs(120);

/// Where to clone from. Checked by who parsed it: neither text has a quote in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub url: String,
    /// A branch, a tag or a commit; `None` is what the host calls HEAD.
    pub reference: Option<String>,
    /// Host and port of the URL, all that naming it allows.
    pub target: Target,
}

pub struct Cloned {
    pub commit: String,
    pub traffic: Traffic,
}

impl DockerLauncher {
    /// Clones in a container of `setup`'s image, whose tree and commands do not count. The archive goes to `archive`, its
    /// paths below one folder; hooks, filters, submodules and credentials have no part in it.
    pub async fn clone_repository(
        &self,
        setup: &Setup,
        source: &Source,
        archive: Sender<std::io::Result<Bytes>>,
        progress: Progress<'_>,
    ) -> Result<Cloned, SetupError> {
        progress(&format!("cloning {} in a container", source.url));
        let mut allow = setup.allow.clone();
        // As learned: the operator's word for this host does not reach inside this machine's network by itself.
        allow.allow(Entry::from(source.target.clone()), Origin::Learned);
        let proxy = Proxy::new(allow, ProxyLimits::default());
        let mut spec: SandboxSpec = setup.spec();
        spec.env.extend(ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let files = phase::files(&setup.ca_bundle);
        let mut chamber = Chamber::start(self, &spec, None, &files, proxy.clone()).await?;
        let cloned = clone(&mut chamber, &proxy, setup, source).await;
        let cloned = match cloned {
            Ok(cloned) => chamber.archive(FOLDER, archive).await.map(|()| cloned).map_err(SetupError::from),
            Err(error) => Err(error),
        };
        chamber.end().await?;
        cloned
    }
}

/// Nothing but what is said here configures this git.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_LFS_SKIP_SMUDGE", "1"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
];

async fn clone(chamber: &mut Chamber<'_>, proxy: &Proxy, setup: &Setup, source: &Source) -> Result<Cloned, SetupError> {
    let mut tail = super::Tail { sink: &mut Silent, kept: Vec::new() };
    let output = chamber.run(&script(source), setup.command_timeout, &mut tail).await?;
    let traffic = proxy.take_traffic();
    let complaints = complaints(&traffic.requests);
    let mut tail = tail.into_text();
    for complaint in &complaints {
        tail.push_str(&format!("greenroom: proxy: {complaint}\n"));
    }
    if output.outcome != (Outcome::Exited { code: 0 }) {
        let command = format!("git fetch {}", source.url);
        let Traffic { requests, left_out } = traffic;
        return Err(SetupError::Failed { command, outcome: output.outcome, tail, complaints, requests, left_out });
    }
    let question = format!("git -C {FOLDER} rev-parse --verify HEAD");
    let (found, commit) = chamber.answer("/", &question, Duration::from_secs(30), 256).await?;
    let commit = commit.trim().to_owned();
    if !found || commit.len() < 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let detail = format!("git does not say which commit it checked out: `{}`", commit.escape_debug());
        return Err(SandboxError::Start { detail }.into());
    }
    Ok(Cloned { commit, traffic })
}

/// Shallow where the host can; all of it where it cannot, or where only a search finds what was asked for.
fn script(source: &Source) -> String {
    let Source { url, reference, .. } = source;
    let git = "git -c core.hooksPath=/dev/null -c credential.helper= -c submodule.recurse=false \
               -c fetch.recurseSubmodules=false -c protocol.allow=never -c protocol.http.allow=always \
               -c protocol.https.allow=always -c gc.auto=0 -c advice.detachedHead=false";
    let wanted = reference.as_deref().unwrap_or("HEAD");
    format!(
        "set -e; command -v git >/dev/null || {{ echo 'this image has no git' >&2; exit 127; }}\n\
         git init --quiet --template= {FOLDER}; cd {FOLDER}\n\
         if {git} fetch --quiet --no-tags --depth 1 '{url}' '{wanted}' 2>/dev/null || \
            {git} fetch --quiet --no-tags '{url}' '{wanted}' 2>/tmp/refused; then at=FETCH_HEAD\n\
         else\n\
           {git} fetch --quiet '{url}' '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' || \
             {{ cat /tmp/refused >&2; exit 1; }}\n\
           at=$(git rev-parse --verify --quiet '{wanted}^{{commit}}') || \
             {{ echo 'there is no branch, tag or commit `{wanted}`' >&2; exit 1; }}\n\
         fi\n\
         {git} checkout --quiet --force --detach $at\n"
    )
}

impl Chamber<'_> {
    /// What lies at `path`, as a tar archive.
    async fn archive(&self, path: &str, into: Sender<std::io::Result<Bytes>>) -> Result<(), SandboxError> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut stream = self.transfers().download_from_container(self.id(), Some(options));
        loop {
            let next = tokio::time::timeout(STALLED, stream.next())
                .await
                .map_err(|_| SandboxError::Deadline { what: format!("reading {path}"), seconds: STALLED.as_secs() })?;
            let Some(chunk) = next else { return Ok(()) };
            let chunk = chunk.map_err(|error| SandboxError::Start {
                detail: format!("cannot read {path}: {}", super::super::connect::describe(&error)),
            })?;
            // Who unpacks it has seen enough, and says why.
            if into.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_script_is_shell_and_asks_for_one_thing() {
        let source = Source {
            url: "https://git.example/a/b.git".to_owned(),
            reference: Some("feature/x".to_owned()),
            target: Target::parse("git.example:443", None).unwrap(),
        };
        let script = script(&source);
        assert_eq!(script.matches("'feature/x'").count(), 2, "{script}");
        assert!(script.contains("'feature/x^{commit}'") && !script.contains("{{"), "{script}");
    }
}
