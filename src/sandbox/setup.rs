//! The set-up phase: commands that need packages run once, as root, with no way out but an allow-list proxy; what they
//! leave becomes an image, and every sandbox of the repository starts from that.
//!
//! The files of the repository are in the workspace while the commands run and are taken out before the image is made:
//! each sandbox brings its own tree, and what set-up made beside it (`node_modules`, `.venv`, `target`) is kept. A file
//! of the repository that set-up changed is therefore back as it was.
//!
//! The agent's `install` tool goes the same way ([`Installer`]): the image of its run, one more command, and the tree with
//! the manifests as the run left them.

mod again;
mod chamber;
mod clone;
mod install;
mod inventory;
mod phase;
mod presets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::image::{Progress, inspect};
use super::{
    DockerLauncher, ImageRef, OutputSink, PreparedImage, ResourceLimits, SandboxError, SandboxSpec, Stream, TarStream,
    prepared,
};
use crate::id::RunId;
use crate::network::{Manager, Packages, Traffic};
use crate::sandbox::proxy::{AllowList, Entry, Origin, Proxy, ProxyLimits, ProxyRecord, Target, Verdict};
use crate::snapshot::{Entry as TreeEntry, Manifest};
use crate::task::Outcome;
use chamber::Chamber;

pub use again::{Again, SetUpAgain};
pub use clone::{Cloned, Source};
pub use install::{Installed, Installer, Wanted};
pub use phase::mirrors;

/// Where the way out begins, inside.
const PROXY_PORT: u16 = 3128;
/// Goes up when what a set-up leaves changes, so that older images are made anew.
const RECIPE: u32 = 2;
const KEY_LABEL: &str = "greenroom.setup";
/// What a set-up brought in, as JSON: the image is used again without it being made again.
const PACKAGES_LABEL: &str = "greenroom.packages";
const TAIL_BYTES_MAX: usize = 8 << 10;
const FINISH_MAX: Duration = Duration::from_secs(10 * 60);
const COMPLAINTS_MAX: usize = 8;

/// What to set up. Everything but the tree comes from the operator.
#[derive(Clone)]
pub struct Setup {
    pub run: RunId,
    pub image: PreparedImage,
    /// Each run by `/bin/sh -c` in the workspace; the first that fails ends it.
    pub commands: Vec<String>,
    /// What makes two repositories different though their trees are equal.
    pub repository: String,
    pub manifest: Arc<Manifest>,
    /// Variables of the operator's: mirrors, and what every command gets.
    pub env: Vec<(String, String)>,
    /// What the operator allows and denies.
    pub allow: AllowList,
    /// Certificates that this machine trusts, in PEM; empty where the image's own have to do.
    pub ca_bundle: Vec<u8>,
    pub limits: ResourceLimits,
    pub command_timeout: Duration,
    /// A folder in which what was learned about an image is kept.
    pub cache: PathBuf,
}

pub struct SetUp {
    pub image: ImageRef,
    /// Every request that left the container, refused ones too. Empty where the image was there already.
    pub requests: Vec<ProxyRecord>,
    /// Requests beyond the limit of records.
    pub left_out: u64,
    /// What is there and is not in the image it began with.
    pub packages: Vec<Packages>,
    pub reused: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("`{command}` {outcome}")]
    Failed {
        command: String,
        outcome: Outcome,
        /// The end of its output.
        tail: String,
        /// What the proxy refused it, and why, one sentence each.
        complaints: Vec<String>,
        requests: Vec<ProxyRecord>,
        left_out: u64,
    },
}

impl DockerLauncher {
    /// The image for sandboxes of this repository: made now if it is not there yet. `sink` sees the commands' output.
    pub async fn set_up(
        &self,
        setup: &Setup,
        tree: TarStream,
        progress: Progress<'_>,
        sink: &mut dyn OutputSink,
    ) -> Result<SetUp, SetupError> {
        let key = setup.key();
        let tag = format!("setup-{key}");
        let name = setup.image.image.name.clone();
        if let Some(found) = inspect(&self.engine, &format!("{}:{tag}", prepared::REPOSITORY)).await? {
            let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
            if let (Some(digest), true) = (found.id, labels.get(KEY_LABEL) == Some(&key)) {
                let packages = labels.get(PACKAGES_LABEL).and_then(|text| serde_json::from_str(text).ok());
                let image = ImageRef { name, digest };
                let packages = packages.unwrap_or_default();
                return Ok(SetUp { image, requests: Vec::new(), left_out: 0, packages, reused: true });
            }
        }
        let (mut chamber, proxy) = self.open_chamber(setup, &setup.image.image, tree, progress).await?;
        let mut before = Vec::new();
        for manager in Manager::ALL {
            before.push((manager, inventory::take(&mut chamber, manager).await?));
        }
        let traffic = match run_all(&mut chamber, &proxy, setup, progress, sink).await {
            Ok(traffic) => traffic,
            Err(error) => {
                chamber.end().await?;
                return Err(error);
            }
        };
        let mut packages = Vec::new();
        for (manager, before) in before {
            let after = inventory::take(&mut chamber, manager).await?;
            let added = inventory::hashed(&mut chamber, manager, inventory::added(&before, after)).await?;
            if !added.is_empty() {
                packages.push(Packages { manager, packages: added });
            }
        }
        finish(&mut chamber).await?;
        let told = serde_json::to_string(&packages).expect("packages are plain data");
        let labels = [(KEY_LABEL, key.as_str()), (prepared::SOURCE_LABEL, name.as_str()), (PACKAGES_LABEL, &told)];
        let digest = chamber.commit(prepared::REPOSITORY, &tag, &labels).await?;
        chamber.end().await?;
        let Traffic { requests, left_out } = traffic;
        Ok(SetUp { image: ImageRef { name, digest }, requests, left_out, packages, reused: false })
    }

    /// A set-up container of `from` with the tree in it, and its proxy. What may be reached was learned from the pristine
    /// image, whatever `from` is.
    async fn open_chamber(
        &self,
        setup: &Setup,
        from: &ImageRef,
        tree: TarStream,
        progress: Progress<'_>,
    ) -> Result<(Chamber<'_>, Proxy), SandboxError> {
        let learned = self.learn(setup, progress).await?;
        let proxy = Proxy::new(presets::with(&setup.allow, &learned), ProxyLimits::default());
        let mut files = phase::files(&setup.ca_bundle);
        files.extend(setup.tree_lists());
        let spec = SandboxSpec { image: from.clone(), ..setup.spec() };
        let chamber = Chamber::start(self, &spec, Some(tree), &files, proxy.clone()).await?;
        Ok((chamber, proxy))
    }

    /// What the managers of the image talk to: asked once per image, while there is nothing of a repository in it.
    async fn learn(&self, setup: &Setup, progress: Progress<'_>) -> Result<Vec<Target>, SandboxError> {
        let file = setup.learned_file();
        if let Some(known) = std::fs::read_to_string(&file).ok().and_then(|text| parse_learned(&text)) {
            return Ok(known);
        }
        progress("asking the image's package managers where they fetch from");
        let proxy = Proxy::new(setup.allow.clone(), ProxyLimits::default());
        let files = phase::files(&setup.ca_bundle);
        let mut chamber = Chamber::start(self, &setup.spec(), None, &files, proxy.clone()).await?;
        let learned = presets::learn(&mut chamber, &proxy, &setup.allow, progress).await;
        chamber.end().await?;
        let learned = learned?;
        let lines: Vec<String> = learned.iter().map(ToString::to_string).collect();
        let kept = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = kept.and_then(|()| std::fs::write(&file, lines.join("\n"))) {
            tracing::warn!(%error, file = %file.display(), "what was learned about the image is not kept");
        }
        Ok(learned)
    }
}

impl Setup {
    /// What the image depends on. The same tree of another repository is another image: neither can poison the other.
    fn key(&self) -> String {
        let manifest = serde_json::to_vec(&*self.manifest).expect("a manifest is plain data");
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        add(&RECIPE.to_le_bytes());
        add(self.image.image.digest.as_bytes());
        add(self.repository.as_bytes());
        add(&manifest);
        add(self.allow.canonical().as_bytes());
        for text in self.commands.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value])) {
            add(text.as_bytes());
        }
        hasher.finalize().to_hex()[..24].to_owned()
    }

    /// The operator's mirrors decide where a manager fetches from, so they are part of the question.
    fn learned_file(&self) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&presets::EDITION.to_le_bytes());
        for text in [&self.image.image.digest, &self.allow.canonical(), &format!("{:?}", self.env)] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        self.cache.join("package-hosts").join(&hasher.finalize().to_hex()[..24])
    }

    fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            run: self.run.clone(),
            image: self.image.image.clone(),
            limits: self.limits,
            env: phase::environment(&self.image.setup_env, &self.env, &self.ca_bundle),
            data: None,
        }
    }

    /// The paths of the tree, so that they can be taken out again; folders from the inside out.
    fn tree_lists(&self) -> [(&'static str, Vec<u8>); 2] {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for (path, entry) in self.manifest.entries.iter().rev() {
            let list = match entry {
                TreeEntry::Directory { .. } => &mut folders,
                TreeEntry::File { .. } | TreeEntry::Symlink { .. } => &mut files,
            };
            list.extend_from_slice(b"./");
            list.extend_from_slice(path.as_bytes());
            list.push(0);
        }
        [(phase::TREE_FILES, files), (phase::TREE_FOLDERS, folders)]
    }
}

/// An allow-list of the operator's: what the configuration names, and the hosts of the mirrors in `env`.
pub fn operator_list(allow: &[Entry], deny: &[Entry], mirrors: &[(String, String)]) -> AllowList {
    let mut list = AllowList::default();
    allow.iter().for_each(|entry| list.allow(entry.clone(), Origin::Operator));
    deny.iter().for_each(|entry| list.deny(entry.clone()));
    for (_, value) in mirrors {
        phase::web_targets(value).into_iter().for_each(|target| list.allow(target.into(), Origin::Operator));
    }
    list
}

/// Every command of the set-up; the first that fails ends it.
async fn run_all(
    chamber: &mut Chamber<'_>,
    proxy: &Proxy,
    setup: &Setup,
    progress: Progress<'_>,
    sink: &mut dyn OutputSink,
) -> Result<Traffic, SetupError> {
    let mut traffic = Traffic::default();
    for command in &setup.commands {
        progress(&format!("setting up: {command}"));
        let mut tail = Tail { sink: &mut *sink, kept: Vec::new() };
        let output = chamber.run(command, setup.command_timeout, &mut tail).await?;
        let asked = proxy.take_traffic();
        let complaints = complaints(&asked.requests);
        // Some tools keep the proxy's reason to themselves, so it stands behind their own words.
        for complaint in &complaints {
            tail.chunk(Stream::Stderr, format!("greenroom: proxy: {complaint}\n").as_bytes());
        }
        let tail = tail.into_text();
        traffic.requests.extend(asked.requests);
        traffic.left_out += asked.left_out;
        if output.outcome != (Outcome::Exited { code: 0 }) {
            let (command, outcome) = (command.clone(), output.outcome);
            let Traffic { requests, left_out } = traffic;
            return Err(SetupError::Failed { command, outcome, tail, complaints, requests, left_out });
        }
    }
    Ok(traffic)
}

/// Takes the repository's files out, and gives what is left in the user's places to that user.
async fn finish(chamber: &mut Chamber<'_>) -> Result<(), SandboxError> {
    let lists = super::profile::SET_UP_FILES;
    let command = format!(
        "xargs -0 rm -f -- <{lists}/{files}; xargs -0 rmdir -- <{lists}/{folders} 2>/dev/null; \
         rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb; \
         chown -R -h 1000:1000 {workspace} {home}",
        files = phase::TREE_FILES,
        folders = phase::TREE_FOLDERS,
        workspace = super::WORKSPACE,
        home = super::HOME,
    );
    let mut nobody = Silent;
    let mut tail = Tail { sink: &mut nobody, kept: Vec::new() };
    let output = chamber.run(&command, FINISH_MAX, &mut tail).await?;
    match output.outcome {
        Outcome::Exited { code: 0 } => Ok(()),
        outcome => Err(SandboxError::Start {
            detail: format!("what was set up cannot be handed over ({outcome}): {}", tail.into_text().trim()),
        }),
    }
}

fn parse_learned(text: &str) -> Option<Vec<Target>> {
    text.lines().map(|line| Target::parse(line, None).ok()).collect()
}

fn complaints(requests: &[ProxyRecord]) -> Vec<String> {
    let mut found = Vec::new();
    for request in requests {
        match (&request.verdict, request.complaint()) {
            (Verdict::Refused { .. } | Verdict::Failed { .. }, Some(complaint)) if !found.contains(&complaint) => {
                found.push(complaint);
            }
            (Verdict::Allowed | Verdict::Refused { .. } | Verdict::Failed { .. }, _) => {}
        }
    }
    found.truncate(COMPLAINTS_MAX);
    found
}

/// Passes output on and keeps its end.
struct Tail<'a> {
    sink: &'a mut dyn OutputSink,
    kept: Vec<u8>,
}

impl Tail<'_> {
    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

impl OutputSink for Tail<'_> {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        self.sink.chunk(stream, bytes);
        self.kept.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let excess = self.kept.len().saturating_sub(TAIL_BYTES_MAX);
        self.kept.drain(..excess);
    }
}

struct Silent;

impl OutputSink for Silent {
    fn chunk(&mut self, _: Stream, _: &[u8]) {}
}
