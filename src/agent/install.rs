//! The `install` step: an image with the packages, and the run's files in a sandbox that starts from it.

use std::sync::Arc;

use super::capture::capture;
use super::driver::{Run, made_beside, no_sandbox, tree_stream};
use super::snapshots::Snapshots;
use crate::event::{Event, ToolOutcome};
use crate::id::CallToken;
use crate::network::{Install, ProxyRecord};
use crate::sandbox::{Installed, Installer, OutputSink, SandboxSpec, SetupError, Stream, WORKSPACE, Wanted};
use crate::snapshot::Manifest;
use crate::tools::ToolFailure;
use crate::tools::install::{self, Args, INSTALLS_MAX};

/// Of requests in one record of the journal.
const REQUESTS_MAX: usize = 200;

/// Events for what was asked of a proxy.
pub(super) fn network_events(token: Option<CallToken>, requests: &[ProxyRecord], left_out: u64) -> Vec<Event> {
    let mut batches: Vec<Vec<ProxyRecord>> = requests.chunks(REQUESTS_MAX).map(<[_]>::to_vec).collect();
    if batches.is_empty() && left_out > 0 {
        batches.push(Vec::new());
    }
    let last = batches.len();
    let event = |(number, requests)| Event::NetworkUsed {
        token,
        requests,
        left_out: if number + 1 == last { left_out } else { 0 },
    };
    batches.into_iter().enumerate().map(event).collect()
}

impl Run<'_> {
    pub(super) async fn install(&mut self, token: CallToken, args: &Args) -> Result<ToolOutcome, ToolFailure> {
        let Some(installer) = self.parts.installer.clone() else { return Ok(install::not_allowed()) };
        if let Some(refusal) = args.refusal() {
            return Ok(ToolOutcome::refused(refusal));
        }
        if self.state.installs.len() >= INSTALLS_MAX {
            return Ok(ToolOutcome::refused(format!("{INSTALLS_MAX} installs are the most one run can have")));
        }
        let now = self.files_now().await?;
        let seen = Arc::new(Installer::tree(&self.parts.pristine, &now));
        let tree = tree_stream(&self.parts.store, seen.clone());
        let wanted = Wanted { manager: args.manager, packages: args.packages.clone() };
        let done = match installer.install(&wanted, &self.parts.spec.image, seen, tree, &mut Nobody).await {
            Ok(done) => done,
            Err(SetupError::Sandbox(error)) => return Err(error.into()),
            Err(SetupError::Failed { command, outcome, tail, complaints: _, requests, left_out }) => {
                self.commit_all(network_events(Some(token), &requests, left_out))?;
                let content = format!("`{command}` {outcome}; nothing was installed\n{tail}");
                return Ok(ToolOutcome { outcome: Some(outcome), ..ToolOutcome::told(content) });
            }
        };
        self.commit_all(network_events(Some(token), &done.traffic.requests, done.traffic.left_out))?;
        self.move_to(args, done, now).await
    }

    /// Pristine tree and patch: what build output there is, the new sandbox makes again.
    async fn files_now(&mut self) -> Result<Manifest, ToolFailure> {
        let sandbox = self.sandbox.as_deref().ok_or_else(no_sandbox)?;
        let (parts, outputs) = (&self.parts, &self.state.build_output);
        let captured = capture(sandbox, &parts.store, &parts.pristine, outputs, &mut self.snapshots).await?;
        let Event::TreeCaptured { tree, .. } = captured else { return Ok((*self.parts.pristine).clone()) };
        let manifest = self.parts.store.blob(&tree)?;
        Ok(serde_json::from_slice(&manifest).map_err(std::io::Error::from)?)
    }

    /// The run's files in a sandbox of the new image, in place of the one it had.
    async fn move_to(&mut self, args: &Args, done: Installed, now: Manifest) -> Result<ToolOutcome, ToolFailure> {
        let spec = SandboxSpec { image: done.image, ..self.parts.spec.clone() };
        let now = Arc::new(now);
        let fresh = self.parts.launcher.start(&spec, tree_stream(&self.parts.store, now.clone())).await?;
        let mut build_output = made_beside(&now, &fresh.walk().await?);
        let mut written = Vec::new();
        for (path, content) in &done.written {
            let name = path.to_text();
            if let Err(error) = fresh.write(&format!("{WORKSPACE}/{name}"), content, None).await? {
                tracing::warn!(%error, "a manifest that a package manager wrote is not taken over");
                continue;
            }
            build_output.remove(path);
            written.push(name);
        }
        let installed = Install {
            manager: args.manager,
            asked: args.packages.clone(),
            packages: done.packages.clone(),
            image: spec.image.name.clone(),
            image_digest: spec.image.digest.clone(),
            container: fresh.facts().container.clone(),
        };
        self.parts.spec = spec;
        // What was known of the old sandbox's files is not known of this one's.
        self.snapshots = Snapshots::of_unknown(self.parts.store.as_ref(), self.state.snapshot())?;
        if let Some(old) = self.sandbox.replace(fresh) {
            old.stop().await?;
        }
        Ok(ToolOutcome {
            build_output: build_output.into_iter().collect(),
            installed: Some(Box::new(installed)),
            may_write: true,
            ..ToolOutcome::told(install::told(args.manager, &done.packages, &written))
        })
    }

    /// What was asked of the network before this process began with the run.
    pub(super) fn tell_traffic(&mut self) -> Result<(), ToolFailure> {
        let traffic = std::mem::take(&mut self.parts.traffic);
        self.commit_all(network_events(None, &traffic.requests, traffic.left_out))
    }

    fn commit_all(&mut self, events: Vec<Event>) -> Result<(), ToolFailure> {
        events.into_iter().try_for_each(|event| self.commit(event))
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
    use crate::network::Verdict;

    #[test]
    fn many_requests_make_several_records_and_none_is_lost() {
        let request = ProxyRecord {
            host: "index.example".into(),
            port: 443,
            bytes_up: 1,
            bytes_down: 2,
            verdict: Verdict::Allowed,
        };
        let events = network_events(None, &vec![request; 2 * REQUESTS_MAX + 1], 7);
        let counts: Vec<(usize, u64)> = events
            .iter()
            .filter_map(|event| match event {
                Event::NetworkUsed { requests, left_out, .. } => Some((requests.len(), *left_out)),
                _ => None,
            })
            .collect();
        assert_eq!(counts, [(REQUESTS_MAX, 0), (REQUESTS_MAX, 0), (1, 7)]);
        assert!(network_events(None, &[], 0).is_empty());
        assert_eq!(network_events(None, &[], 3).len(), 1);
    }
}
