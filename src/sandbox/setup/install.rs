//! Packages in the middle of a run: the set-up once more, on the image the run has, with the manifests as the run left
//! them; what it makes is the image for the rest of the run and for its verification.

use std::sync::Arc;

use super::super::{DockerLauncher, ImageRef, OutputSink, TarStream, WORKSPACE, prepared};
use super::{KEY_LABEL, Setup, SetupError, finish, inventory, run_all};
use crate::network::{InstalledPackage, Manager, Traffic};
use crate::snapshot::{Entry, Manifest, TreePath};

const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Manifests and lock files by name: what of a run's own changes a set-up sees.
const MANIFESTS: [&str; 20] = [
    "Cargo.lock",
    "Cargo.toml",
    "Pipfile",
    "Pipfile.lock",
    "constraints.txt",
    "go.mod",
    "go.sum",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pom.xml",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "setup.cfg",
    "setup.py",
    "uv.lock",
    "yarn.lock",
];
/// Those that a manager itself writes when it is told to add a package.
const WRITTEN: [&str; 4] = ["Cargo.lock", "Cargo.toml", "package-lock.json", "package.json"];

/// Makes images with more packages for the sandboxes of one run. The operator allowed that, or there is none.
#[derive(Clone)]
pub struct Installer {
    pub(super) launcher: DockerLauncher,
    /// Of the run's own set-up: what may be reached, what may be used, and which commands make it.
    pub(super) setup: Setup,
}

/// What to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub manager: Manager,
    /// In the manager's own notation; checked by who parsed them. None: what the manifests say.
    pub packages: Vec<String>,
}

pub struct Installed {
    pub image: ImageRef,
    /// What is there now and was not before.
    pub packages: Vec<InstalledPackage>,
    /// Manifests in the workspace that the manager itself changed, with their new content.
    pub written: Vec<(TreePath, Vec<u8>)>,
    pub traffic: Traffic,
}

impl Installer {
    pub fn new(launcher: DockerLauncher, setup: Setup) -> Self {
        Installer { launcher, setup }
    }

    /// The tree that a set-up sees: the pristine one with the run's manifests. The rest of what a run wrote is no part of
    /// it, so that nothing of that runs as root or beside a way out.
    pub fn tree(pristine: &Manifest, now: &Manifest) -> Manifest {
        let mut tree = pristine.clone();
        tree.entries.retain(|path, _| !is_manifest(path) || now.entries.contains_key(path));
        for (path, entry) in now.entries.iter().filter(|(path, _)| is_manifest(path)) {
            let folders =
                path.ancestors().filter_map(|folder| Some((folder.clone(), now.entries.get(&folder)?.clone())));
            for (folder, entry) in folders {
                tree.entries.entry(folder).or_insert(entry);
            }
            tree.entries.insert(path.clone(), entry.clone());
        }
        tree
    }

    /// `manifest` and `tree` are the same, from [`Installer::tree`]; `from` is the image the run has now.
    pub async fn install(
        &self,
        wanted: &Wanted,
        from: &ImageRef,
        manifest: Arc<Manifest>,
        tree: TarStream,
        sink: &mut dyn OutputSink,
    ) -> Result<Installed, SetupError> {
        let setup = Setup { manifest: manifest.clone(), commands: self.commands(wanted), ..self.setup.clone() };
        let (mut chamber, proxy) = self.launcher.open_chamber(&setup, from, tree, &|_| {}).await?;
        let before = inventory::take(&mut chamber, wanted.manager).await?;
        let traffic = match run_all(&mut chamber, &proxy, &setup, &|_| {}, sink).await {
            Ok(traffic) => traffic,
            Err(error) => {
                chamber.end().await?;
                return Err(error);
            }
        };
        let after = inventory::take(&mut chamber, wanted.manager).await?;
        let packages = inventory::hashed(&mut chamber, wanted.manager, inventory::added(&before, after)).await?;
        let mut written = Vec::new();
        for name in WRITTEN {
            let path = TreePath::new(name).expect("a plain name");
            let Ok(content) = chamber.read(&format!("{WORKSPACE}/{name}"), MANIFEST_BYTES_MAX).await? else { continue };
            if !has(&manifest, &path, &content) {
                written.push((path, content));
            }
        }
        finish(&mut chamber).await?;
        // Two installs of one run may ask for the same and find something else: never an image of before.
        let tag = format!("setup-{}-{}", setup.key(), &setup.run.to_string()[..8]);
        let key = setup.key();
        let labels = [(KEY_LABEL, key.as_str()), (prepared::SOURCE_LABEL, from.name.as_str())];
        let digest = chamber.commit(prepared::REPOSITORY, &tag, &labels).await?;
        chamber.end().await?;
        Ok(Installed { image: ImageRef { name: from.name.clone(), digest }, packages, written, traffic })
    }

    /// The operator said how this repository is set up.
    pub fn has_commands(&self) -> bool {
        !self.setup.commands.is_empty()
    }

    pub(super) fn commands(&self, wanted: &Wanted) -> Vec<String> {
        let packages: Vec<String> = wanted.packages.iter().map(|package| format!("'{package}'")).collect();
        let packages = packages.join(" ");
        let command = match (wanted.manager, wanted.packages.is_empty()) {
            // What the operator said makes this repository's packages comes before what is usual.
            (_, true) if !self.setup.commands.is_empty() => return self.setup.commands.clone(),
            (Manager::Pip, true) => "python3 -m pip install -r requirements.txt".to_owned(),
            (Manager::Npm, true) => "npm install --no-audit --no-fund".to_owned(),
            (Manager::Cargo, true) => "cargo fetch".to_owned(),
            (Manager::Apt, true) => "apt-get update".to_owned(),
            (Manager::Pip, false) => {
                format!("python3 -m pip install --report {} {packages}", inventory::PIP_REPORT)
            }
            (Manager::Npm, false) => format!("npm install --no-audit --no-fund {packages}"),
            (Manager::Cargo, false) => format!("cargo add {packages} && cargo fetch"),
            (Manager::Apt, false) => format!("apt-get update -qq && apt-get install --yes -qq {packages}"),
        };
        vec![command]
    }
}

impl std::fmt::Debug for Installer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installer").finish_non_exhaustive()
    }
}

fn is_manifest(path: &TreePath) -> bool {
    MANIFESTS.iter().any(|name| name.as_bytes() == path.file_name())
}

fn has(manifest: &Manifest, path: &TreePath, content: &[u8]) -> bool {
    let same = |entry: &Entry| match entry {
        Entry::File { content: known, .. } => *known == crate::id::BlobId::of(content),
        Entry::Directory { .. } | Entry::Symlink { .. } => false,
    };
    manifest.entries.get(path).is_some_and(same)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::BlobId;

    fn tree(files: &[(&str, &str)]) -> Manifest {
        let entry = |content: &str| match content {
            "/" => Entry::Directory { mode: 0o755 },
            content => Entry::File { mode: 0o644, size: content.len() as u64, content: BlobId::of(content.as_bytes()) },
        };
        Manifest {
            entries: files.iter().map(|(path, content)| (TreePath::new(*path).unwrap(), entry(content))).collect(),
        }
    }

    #[test]
    fn a_set_up_sees_the_manifests_of_the_run_and_none_of_its_code() {
        let pristine = tree(&[("Cargo.toml", "old"), ("src", "/"), ("src/main.rs", "old"), ("go.sum", "x")]);
        let now = tree(&[
            ("Cargo.toml", "new"),
            ("new", "/"),
            ("new/package.json", "{}"),
            ("new/evil.py", "evil"),
            ("src", "/"),
            ("src/main.rs", "evil"),
        ]);
        let seen = Installer::tree(&pristine, &now);
        let expected =
            [("Cargo.toml", "new"), ("new", "/"), ("new/package.json", "{}"), ("src", "/"), ("src/main.rs", "old")];
        assert_eq!(seen, tree(&expected));
    }
}
