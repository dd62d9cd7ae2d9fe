//! The set-up once more for a verification: from its beginning, with the manifests as the patch leaves them, so that what
//! is verified has the packages that its manifests name and no others.

use std::sync::Arc;

use super::super::{ImageRef, OutputSink, TarStream, prepared};
use super::install::Wanted;
use super::{Installer, KEY_LABEL, Setup, SetupError, finish, inventory, run_all};
use crate::network::{InstalledPackage, Manager, Traffic};
use crate::snapshot::Manifest;

/// What to set up again.
pub struct Again<'a> {
    /// Of the manifests that changed, for what they are usually installed with and where what there is is recorded.
    pub managers: &'a [Manager],
    /// The image that the run has now: what it has not, is added.
    pub had: &'a ImageRef,
    /// The agent had packages installed that no manifest may name: the set-up goes on from where they are.
    pub keep: bool,
}

pub struct SetUpAgain {
    pub image: ImageRef,
    pub commands: Vec<String>,
    pub added: Vec<(Manager, InstalledPackage)>,
    pub traffic: Traffic,
}

impl Installer {
    /// `pristine` is the tree that the set-up before the run saw; `manifest` and `tree` are the same, from
    /// [`Installer::tree`]. The image goes with what
    /// is unused.
    pub async fn set_up_again(
        &self,
        again: Again<'_>,
        pristine: TarStream,
        manifest: Arc<Manifest>,
        tree: TarStream,
        sink: &mut dyn OutputSink,
    ) -> Result<SetUpAgain, SetupError> {
        let mut before = Vec::new();
        let (mut chamber, _) = self.launcher.open_chamber(&self.setup, again.had, pristine, &|_| {}).await?;
        for manager in again.managers {
            before.push(inventory::take(&mut chamber, *manager).await?);
        }
        chamber.end().await?;

        let commands = self.commands_of(again.managers);
        let setup = Setup { manifest, commands: commands.clone(), ..self.setup.clone() };
        let from = if again.keep { again.had } else { &self.setup.image.image };
        let (mut chamber, proxy) = self.launcher.open_chamber(&setup, from, tree, &|_| {}).await?;
        let traffic = match run_all(&mut chamber, &proxy, &setup, &|_| {}, sink).await {
            Ok(traffic) => traffic,
            Err(error) => {
                chamber.end().await?;
                return Err(error);
            }
        };
        let mut added = Vec::new();
        for (manager, before) in again.managers.iter().zip(&before) {
            let after = inventory::take(&mut chamber, *manager).await?;
            let new = inventory::hashed(&mut chamber, *manager, inventory::added(before, after)).await?;
            added.extend(new.into_iter().map(|package| (*manager, package)));
        }
        finish(&mut chamber).await?;
        let key = setup.key();
        let tag = format!("setup-{key}-{}", &setup.run.to_string()[..8]);
        let labels = [(KEY_LABEL, key.as_str()), (prepared::SOURCE_LABEL, from.name.as_str())];
        let digest = chamber.commit(prepared::REPOSITORY, &tag, &labels).await?;
        chamber.end().await?;
        Ok(SetUpAgain { image: ImageRef { name: from.name.clone(), digest }, commands, added, traffic })
    }

    /// What the operator said makes this repository's packages, or what is usual for each manager.
    fn commands_of(&self, managers: &[Manager]) -> Vec<String> {
        let usual = |manager: &Manager| self.commands(&Wanted { manager: *manager, packages: Vec::new() });
        match self.setup.commands.is_empty() {
            true => managers.iter().flat_map(usual).collect(),
            false => self.setup.commands.clone(),
        }
    }
}
