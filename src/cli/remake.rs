//! The image of a run that is resumed: the very one it ran in last, or that one made again as the journal says, where it
//! is gone or holds another version's PID 1.

use std::sync::Arc;

use super::plan::Plan;
use super::{Context, engine, set_up};
use crate::agent::{RunState, history};
use crate::config::Paths;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::BlobId;
use crate::network::{Install, InstalledPackage, Manager, Traffic};
use crate::output::human::style::{DIM, RESET};
use crate::sandbox::{AGENT_UID, ImageRef, Installer, Setup, SetupError, Wanted, supervisor_hash};
use crate::snapshot::pack::{SharedReadBlob, tar_stream};
use crate::snapshot::seen::Area;
use crate::snapshot::tree::FileTree;
use crate::store::{Blobs, Record};
use crate::tools::install::Args;

/// What there is to make an image again from.
pub(super) struct Origin<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: &'a RunState,
    /// Those of the branch that the run is on.
    pub(super) installs: Vec<Install>,
    /// With the manifest that the run began with, and the operator's allow-list as it is now.
    pub(super) setup: Option<Setup>,
    pub(super) blobs: &'a Blobs,
}

/// In the order they were made.
pub(super) fn installs(records: &[Record]) -> Vec<Install> {
    let branch = history::branch(records.iter().map(|record| &record.event));
    let made = branch.into_iter().filter_map(|event| match event {
        Event::ToolCallFinished { result, .. } => result.installed.as_deref().cloned(),
        _ => None,
    });
    made.collect()
}

/// The image, and what making it asked of the network.
pub(super) async fn image(
    origin: &Origin<'_>,
    paths: &Paths,
    engine: &engine::Connected,
    context: &mut Context,
) -> Result<(ImageRef, Traffic)> {
    let Origin { plan, state, .. } = origin;
    let newest = ImageRef {
        name: state.image.clone().unwrap_or_else(|| plan.image.name.clone()),
        digest: state.image_digest.clone().unwrap_or_else(|| plan.image.digest.clone()),
    };
    let same_supervisor = plan.supervisor == supervisor_hash();
    if same_supervisor && engine.images().has(&newest.digest).await? {
        return Ok((newest, Traffic::default()));
    }
    let has_own = !plan.setup.is_empty() || !origin.installs.is_empty();
    let (image, traffic) = match origin.setup.as_ref().filter(|_| has_own) {
        Some(setup) => again(origin, setup, paths, engine, context).await.map_err(|error| {
            let why = if same_supervisor { "is gone" } else { "was made by another version of Greenroom" };
            Error::no_sandbox(format!("the image of run {} {why}, and cannot be made again", state.run))
                .because(error)
                .hint(format!("`greenroom diff {} 0` prints what the run's steps changed so far", state.run))
        })?,
        None => (engine.prepare(&plan.image_name, &mut context.printer).await?.image, Traffic::default()),
    };
    if image.digest != newest.digest {
        let packages = if has_own { ", its packages installed anew: some may be newer" } else { "" };
        context.printer.note(&format!("{DIM}image{RESET}  {} was made again{packages}", plan.image_name))?;
    }
    Ok((image, traffic))
}

/// The set-up on the tree that the run began with, then every install on what that made.
async fn again(
    origin: &Origin<'_>,
    setup: &Setup,
    paths: &Paths,
    engine: &engine::Connected,
    context: &mut Context,
) -> Result<(ImageRef, Traffic)> {
    let blobs = origin.blobs.clone();
    let read: SharedReadBlob = Arc::new(move |id: &BlobId| blobs.get(id));
    let set_up::Made { mut image, mut traffic, .. } =
        set_up::image(engine, paths, setup, read.clone(), context).await?;
    if origin.installs.is_empty() {
        return Ok((image, traffic));
    }
    let installer = Installer::new(engine.docker_launcher(&paths.state), setup.clone());
    let manifest = match origin.state.snapshot() {
        Some(snapshot) => {
            let tree = FileTree::load(&snapshot.root, &|id| read(id));
            let tree = tree.map_err(|error| Error::internal("cannot read the run's newest files").because(error))?;
            Arc::new(Installer::tree(&setup.manifest, &tree.manifest(Area::Workspace)))
        }
        None => setup.manifest.clone(),
    };
    for install in &origin.installs {
        let wanted = wanted(install);
        context.printer.note(&format!("{DIM}installing again{RESET} with {}", install.manager))?;
        let tree = tar_stream(manifest.clone(), read.clone(), AGENT_UID, AGENT_UID);
        let mut lines = set_up::Unseen;
        let made = match installer.install(&wanted, &image, manifest.clone(), tree, &mut lines).await {
            Ok(made) => made,
            Err(SetupError::Sandbox(error)) => return Err(error.into()),
            Err(error @ SetupError::Failed { .. }) => return Err(Error::no_sandbox(error.to_string())),
        };
        traffic.requests.extend(made.traffic.requests);
        traffic.left_out += made.traffic.left_out;
        image = made.image;
    }
    Ok((image, traffic))
}

/// The very versions, where the manager can be asked for them; else what was asked for at first. A container told the
/// names: what is no plain name and version is not asked for.
fn wanted(install: &Install) -> Wanted {
    let between = match install.manager {
        Manager::Pip => Some("=="),
        Manager::Npm => Some("@"),
        // Archives keep the newest only; for Cargo the run's own lock file says more.
        Manager::Apt | Manager::Cargo => None,
    };
    let pinned = between.map(|between| {
        let pin = |package: &InstalledPackage| format!("{}{between}{}", package.name, package.version);
        Args { manager: install.manager, packages: install.packages.iter().map(pin).collect() }
    });
    match pinned.filter(|pinned| !pinned.packages.is_empty() && pinned.refusal().is_none()) {
        Some(pinned) => Wanted { manager: pinned.manager, packages: pinned.packages },
        None => Wanted { manager: install.manager, packages: install.asked.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(manager: Manager, asked: &str, name: &str, version: &str) -> Install {
        Install {
            manager,
            asked: vec![asked.into()],
            packages: vec![InstalledPackage { name: name.into(), version: version.into(), hash: None }],
            image: String::new(),
            image_digest: String::new(),
            container: String::new(),
        }
    }

    #[test]
    fn the_versions_of_then_are_asked_for_where_they_can_be() {
        let wanted = |manager| wanted(&install(manager, "six", "six", "1.16.0")).packages;
        assert_eq!(wanted(Manager::Pip), ["six==1.16.0"]);
        assert_eq!(wanted(Manager::Npm), ["six@1.16.0"]);
        assert_eq!((wanted(Manager::Apt), wanted(Manager::Cargo)), (vec!["six".to_owned()], vec!["six".to_owned()]));
    }

    #[test]
    fn a_name_that_is_a_command_is_not_asked_for() {
        let wanted = |name, version| wanted(&install(Manager::Pip, "six", name, version)).packages;
        assert_eq!(wanted("six'; id; '", "1"), ["six"]);
        assert_eq!(wanted("six", "1' --index-url=https://evil.example '"), ["six"]);
    }
}
