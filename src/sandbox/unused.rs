//! What lies on the engine and no run needs: containers that ended without being removed, images nobody starts from.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::{ContainerSummary, ImageSummary};
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveImageOptions};

use super::connect::{SLOW_CALL, within};
use super::docker::{Container, OWNER_LABEL};
use super::image::Images;
use super::reap::forgotten;
use super::{SandboxError, UNSTARTED_MAX, prepared};

/// Younger images may be about to be used, by runs of other state folders too.
const IMAGE_AGE_MIN: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unused {
    Container { id: String, because: String },
    Image { id: String, name: String, bytes: u64, because: String },
}

impl Images {
    /// Containers of `owner`'s that are over, with their volumes; images that were prepared or set up more than a day ago
    /// and that neither a container nor `needed` (digests) names. Without `images` none of the latter.
    pub async fn unused(
        &self,
        owner: &str,
        needed: &BTreeSet<String>,
        images: bool,
    ) -> Result<Vec<Unused>, SandboxError> {
        let docker = &self.engine.docker;
        let failed = |detail| SandboxError::Start { detail };
        let options = ListContainersOptions { all: true, ..Default::default() };
        let containers = within("list containers", SLOW_CALL, docker.list_containers(Some(options)), failed).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut unused: Vec<Unused> = containers.iter().filter_map(|container| over(container, owner, now)).collect();
        if !images {
            return Ok(unused);
        }
        let options = ListImagesOptions { all: false, ..Default::default() };
        let listed = within("list images", SLOW_CALL, docker.list_images(Some(options)), failed).await?;
        let in_use: HashSet<&str> = containers.iter().filter_map(|container| container.image_id.as_deref()).collect();
        let ids: HashMap<&str, &str> = listed
            .iter()
            .flat_map(|image| image.repo_tags.iter().map(move |tag| (tag.as_str(), image.id.as_str())))
            .collect();
        for image in &listed {
            let young = u64::try_from(image.created).is_ok_and(|at| now < Duration::from_secs(at) + IMAGE_AGE_MIN);
            if young || in_use.contains(image.id.as_str()) || needed.contains(&image.id) {
                continue;
            }
            if let Some((name, because)) = superseded(image, &ids) {
                let bytes = u64::try_from(image.size).unwrap_or(0);
                unused.push(Unused::Image { id: image.id.clone(), name, bytes, because });
            }
        }
        Ok(unused)
    }

    pub async fn free(&self, unused: &Unused) -> Result<(), SandboxError> {
        match unused {
            Unused::Container { id, .. } => Container::new(self.engine.docker.clone(), id.clone()).remove().await,
            Unused::Image { id, name, .. } => {
                let failed = |detail| SandboxError::Image { image: name.clone(), detail };
                // Not by force: an image that something began to use meanwhile stays.
                let removal = self.engine.docker.remove_image(id, None::<RemoveImageOptions>, None);
                within("remove image", SLOW_CALL, removal, failed).await.map(drop)
            }
        }
    }
}

fn over(container: &ContainerSummary, owner: &str, now: Duration) -> Option<Unused> {
    let id = container.id.clone()?;
    let state = container.state.map(|state| state.to_string()).unwrap_or_default();
    match state.as_str() {
        "created" => forgotten(container, owner, now, UNSTARTED_MAX)
            .map(|id| Unused::Container { id, because: "created and never started".to_owned() }),
        "exited" | "dead" => {
            let ours = container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL)).is_some_and(|o| o == owner);
            ours.then(|| Unused::Container { id, because: format!("{state}, and the engine did not remove it") })
        }
        _ => None,
    }
}

/// A set-up image, or one prepared by another version of this program or from an image that is not there any more.
fn superseded(image: &ImageSummary, ids: &HashMap<&str, &str>) -> Option<(String, String)> {
    let tag = image.repo_tags.iter().find(|tag| tag.starts_with(prepared::REPOSITORY))?;
    let suffix = tag.strip_prefix(prepared::REPOSITORY)?.strip_prefix(':')?;
    if suffix.starts_with("setup-") {
        return Some((tag.clone(), "set up for a run that is not kept".to_owned()));
    }
    let key = image.labels.get(prepared::KEY_LABEL)?;
    let source = image.labels.get(prepared::SOURCE_LABEL)?;
    let current = prepared::source_tags(source)
        .iter()
        .any(|name| ids.get(name.as_str()).is_some_and(|id| prepared::key(source, id) == *key));
    (!current).then(|| (tag.clone(), format!("prepared from `{source}` as it was, or by another version")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image(tag: &str, labels: &[(&str, &str)]) -> ImageSummary {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ImageSummary { id: "sha256:9".into(), repo_tags: vec![tag.to_owned()], labels, ..Default::default() }
    }

    #[test]
    fn what_would_be_used_next_time_stays_and_what_is_not_ours_is_not_looked_at() {
        let ids = HashMap::from([("greenroom/python:latest", "sha256:1"), ("debian:12", "sha256:2")]);
        let goes = |image: &ImageSummary| superseded(image, &ids).is_some();
        let prepared = |key: &str, source: &str| {
            image(&format!("greenroom/prepared:{key}"), &[("greenroom.prepared", key), ("greenroom.source", source)])
        };
        assert!(!goes(&prepared(&prepared::key("debian:12", "sha256:2"), "debian:12")));
        assert!(goes(&prepared(&prepared::key("debian:12", "sha256:1"), "debian:12")), "the source has changed");
        assert!(goes(&prepared("old", "debian:12")) && goes(&prepared(&prepared::key("gone:1", "x"), "gone:1")));
        assert!(goes(&image("greenroom/prepared:setup-1", &[])));
        assert!(!goes(&image("somebody/prepared:setup-1", &[])) && !goes(&image("greenroom/python:latest", &[])));
    }
}
