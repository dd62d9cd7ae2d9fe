//! Taking over a sandbox that an earlier runner started: the same one, confined as this one would confine it, or none.

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use super::connect::{CALL, is_not_found, within};
use super::docker::{DockerLauncher, OWNER_LABEL, RUN_LABEL, post_mortem, streams};
use super::link::Link;
use super::profile::Profile;
use super::{SandboxError, SandboxFacts, SandboxSpec};

impl DockerLauncher {
    /// `None`: it is gone, is about to go, or is somebody else's.
    pub(super) async fn open_again(
        &self,
        spec: &SandboxSpec,
        container: &str,
        epoch: u32,
    ) -> Result<Option<(Link, SandboxFacts)>, SandboxError> {
        let docker = &self.engine.docker;
        let failed = |detail| SandboxError::Lost { detail };
        let Some(seen) = within("inspect container", CALL, self.seen(container), failed).await? else {
            return Ok(None);
        };
        let profile = self.profile(spec).await?;
        let runs = seen.state.as_ref().is_some_and(|state| state.running == Some(true));
        if !runs || !is_of(&profile, &seen) {
            return Ok(None);
        }
        if seen.image.as_ref() != Some(&spec.image.digest) {
            let detail = format!("the container is of image {:?}, not {}", seen.image, spec.image.digest);
            return Err(SandboxError::Hardening { detail, unenforced: super::Weaker::new() });
        }
        profile.verify_running(&seen)?;
        let attached = within("attach", CALL, docker.attach_container(container, Some(streams())), failed).await?;
        let epitaph = post_mortem(docker.clone(), container.to_owned());
        match Link::open(attached.input, attached.output, epoch, self.lease, epitaph).await {
            Ok((link, ack)) => {
                let facts = self.facts(&profile, spec, container, &ack)?;
                // Asked for again in case the one before did not come to it; once is enough for PID 1.
                if let Some(limits) = profile.disk_limits() {
                    link.watch_disk(limits);
                }
                Ok(Some((link, facts)))
            }
            // It may have ended since we looked.
            Err(SandboxError::Start { detail }) => {
                match within("inspect container", CALL, self.seen(container), failed).await? {
                    Some(_) => Err(SandboxError::Lost { detail }),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn seen(&self, container: &str) -> Result<Option<ContainerInspectResponse>, bollard::errors::Error> {
        match self.engine.docker.inspect_container(container, None::<InspectContainerOptions>).await {
            Ok(seen) => Ok(Some(seen)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Labels are inherited from images, so they alone make no container ours; without them it is none of ours.
fn is_of(profile: &Profile, seen: &ContainerInspectResponse) -> bool {
    let labels = seen.config.as_ref().and_then(|config| config.labels.as_ref());
    [OWNER_LABEL, RUN_LABEL].iter().all(|&name| {
        let wanted = profile.labels.get(name);
        wanted.is_some() && labels.and_then(|labels| labels.get(name)) == wanted
    })
}
