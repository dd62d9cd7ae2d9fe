//! A patch that changes manifests is verified with the packages that they name: the set-up is done again with them, where
//! the operator allows one, and what came in by it is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Case, ToolFailure, stream};
use crate::judgement::{Finding, Rule};
use crate::network::{Manager, Traffic};
use crate::sandbox::{Again, Installer, OutputSink, SandboxSpec, SetupError, Stream};
use crate::snapshot::Manifest;
use crate::snapshot::change::changes;

/// Packages told one by one; the rest is counted.
const PACKAGES_SHOWN: usize = 20;
const TAIL_LINES: usize = 4;

/// What to verify in, and what is to be said of how it came about.
pub(super) struct SetUp {
    pub(super) spec: SandboxSpec,
    /// In the place of what is said of changed manifests otherwise; `None`: nothing was done.
    pub(super) told: Option<Vec<Finding>>,
    pub(super) traffic: Traffic,
}

/// `tree` is what is verified.
pub(super) async fn again(case: &Case<'_>, tree: &Manifest) -> Result<SetUp, ToolFailure> {
    let as_it_is = SetUp { spec: case.spec.clone(), told: None, traffic: Traffic::default() };
    let Some(installer) = case.installer else { return Ok(as_it_is) };
    let manifest = Installer::tree(case.pristine, tree);
    let changed: Vec<String> = changes(case.pristine, &manifest).iter().map(|change| change.path.to_text()).collect();
    let managers: BTreeSet<Manager> =
        changed.iter().filter_map(|path| manager(path, installer.has_commands())).collect();
    if changed.is_empty() || (managers.is_empty() && !installer.has_commands()) {
        return Ok(as_it_is);
    }
    let managers: Vec<Manager> = managers.into_iter().collect();
    let again = Again { managers: &managers, had: &case.spec.image, keep: case.installed };
    let before = stream(case.store, case.pristine.clone());
    let files = stream(case.store, manifest.clone());
    match installer.set_up_again(again, before, Arc::new(manifest), files, &mut Nobody).await {
        Ok(done) => {
            let commands = done.commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ");
            let message = format!("a manifest changed: the set-up was done again with it: {commands}");
            let mut told: Vec<Finding> =
                changed.iter().map(|path| Finding::note(Rule::ManifestChanged, &message).at(path, None)).collect();
            let more = done.added.len().saturating_sub(PACKAGES_SHOWN);
            told.extend(done.added.iter().take(PACKAGES_SHOWN).map(|(manager, package)| {
                let (name, version) = (&package.name, &package.version);
                Finding::note(Rule::PackageAdded, format!("the manifests bring in {name} {version} ({manager})"))
            }));
            if more > 0 {
                told.push(Finding::note(Rule::PackageAdded, format!("and {more} packages more")));
            }
            let spec = SandboxSpec { image: done.image, ..case.spec.clone() };
            Ok(SetUp { spec, told: Some(told), traffic: done.traffic })
        }
        Err(SetupError::Sandbox(error)) => Err(error.into()),
        Err(SetupError::Failed { command, outcome, tail, requests, left_out, .. }) => {
            let lines: Vec<&str> = tail.trim().lines().collect();
            let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join(" ");
            let message =
                format!("the set-up fails with the manifests as the patch leaves them: `{command}` {outcome}");
            let first = changed.first().cloned().unwrap_or_default();
            let finding = Finding::objection(Rule::ManifestChanged, message).at(first, None).quoting(&last);
            let traffic = Traffic { requests, left_out };
            Ok(SetUp { spec: case.spec.clone(), told: Some(vec![finding]), traffic })
        }
    }
}

/// Who installs what a manifest names. What is usual is known only of those at the top of the repository.
fn manager(path: &str, operator_says_how: bool) -> Option<Manager> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name != path && !operator_says_how {
        return None;
    }
    match name {
        "requirements.txt" => Some(Manager::Pip),
        "Cargo.toml" | "Cargo.lock" => Some(Manager::Cargo),
        "package.json" | "package-lock.json" | "npm-shrinkwrap.json" => Some(Manager::Npm),
        "constraints.txt"
        | "Pipfile"
        | "Pipfile.lock"
        | "poetry.lock"
        | "pyproject.toml"
        | "requirements-dev.txt"
        | "setup.cfg"
        | "setup.py"
        | "uv.lock"
            if operator_says_how =>
        {
            Some(Manager::Pip)
        }
        _ => None,
    }
}

/// What managers print on the way is in what a failure says.
struct Nobody;

impl OutputSink for Nobody {
    fn chunk(&mut self, _: Stream, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_known_of_manifests_at_the_top() {
        assert_eq!(manager("requirements.txt", false), Some(Manager::Pip));
        assert_eq!(manager("docs/requirements.txt", false), None);
        assert_eq!(manager("docs/requirements.txt", true), Some(Manager::Pip));
        assert_eq!(manager("pyproject.toml", false), None, "nobody said how to install it");
        assert_eq!(manager("go.mod", true), None, "the operator's commands run; what they add has no record");
    }
}
