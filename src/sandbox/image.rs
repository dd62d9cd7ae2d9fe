//! Images: from a name that a person gives to a prepared image that a sandbox starts from.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use bollard::query_parameters::{CreateImageOptions, ListImagesOptions, RemoveImageOptions};
use futures_util::{Stream, StreamExt};

use super::connect::{CALL, Engine, SLOW_CALL, describe, is_not_found, within};
use super::toolchain::{TOOLCHAINS, Toolchain};
use super::{HOME, ImageRef, SandboxError, base, prepared, toolchain};

/// A registry that says nothing for so long is not going to.
const PULL_SILENCE_MAX: Duration = Duration::from_secs(15);

/// Between one try to pull and the next; there is one try more than pauses.
const PULL_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Takes the lines that tell a person how far a build is.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The images of one engine.
#[derive(Debug, Clone)]
pub struct Images {
    pub(super) engine: Engine,
}

/// A prepared image, and what commands in it see as their environment before the operator's own variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    pub image: ImageRef,
    pub env: Vec<(String, String)>,
    /// The same for a set-up phase, which has a way to the network.
    pub setup_env: Vec<(String, String)>,
}

/// One line of `greenroom images list`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ListedImage {
    /// The toolchain's name, or the image a prepared one was made from.
    pub name: String,
    pub kind: ImageKind,
    pub description: String,
    /// `None` for a toolchain that is not built yet.
    pub digest: Option<String>,
    pub bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageKind {
    Toolchain,
    Base,
    Prepared,
}

impl Images {
    pub fn new(engine: Engine) -> Self {
        Images { engine }
    }

    /// A prepared image of `name`: a toolchain (built where it is missing) or any image (pulled where it is missing).
    pub async fn prepare(&self, name: &str, progress: Progress<'_>) -> Result<PreparedImage, SandboxError> {
        let (source, env, setup_env) = match Toolchain::named(name) {
            Some(toolchain) => {
                let source = self.ensure_toolchain(toolchain, progress).await?;
                (source, toolchain.environment(), toolchain.online_environment())
            }
            None => {
                let source = self.ensure_pulled(name, progress).await?;
                let env = environment_of(&source);
                (source, env.clone(), env)
            }
        };
        let digest = prepared::ensure(&self.engine, name, &source, progress).await?;
        Ok(PreparedImage { image: ImageRef { name: name.to_owned(), digest }, env, setup_env })
    }

    /// Whether the engine has this very image.
    pub async fn has(&self, digest: &str) -> Result<bool, SandboxError> {
        Ok(inspect(&self.engine, digest).await?.is_some())
    }

    /// Builds a toolchain's image anew, whether or not it exists.
    pub async fn build(&self, name: &str, progress: Progress<'_>) -> Result<ImageRef, SandboxError> {
        let toolchain = Toolchain::named(name).ok_or_else(|| SandboxError::Image {
            image: name.to_owned(),
            detail: format!("no such toolchain; there are {}", Toolchain::names()),
        })?;
        let base = base::ensure(&self.engine, toolchain, progress).await?;
        let image = toolchain::build(&self.engine, toolchain, &base, progress).await?;
        Ok(ImageRef { name: name.to_owned(), digest: image.id.unwrap_or_default() })
    }

    async fn ensure_toolchain(
        &self,
        toolchain: &Toolchain,
        progress: Progress<'_>,
    ) -> Result<ImageInspect, SandboxError> {
        if let Some(image) = inspect(&self.engine, &toolchain.tag()).await? {
            return Ok(image);
        }
        progress(&format!("building image `{}` (once on this machine)", toolchain.name));
        let base = base::ensure(&self.engine, toolchain, progress).await?;
        toolchain::build(&self.engine, toolchain, &base, progress).await
    }

    async fn ensure_pulled(&self, name: &str, progress: Progress<'_>) -> Result<ImageInspect, SandboxError> {
        if let Some(image) = inspect(&self.engine, name).await? {
            return Ok(image);
        }
        progress(&format!("pulling image `{name}`"));
        let missing = |detail: String| SandboxError::Image { image: name.to_owned(), detail };
        pull_patiently(&self.engine, name, progress).await.map_err(|reason| {
            missing(format!(
                "it is not on this engine, and pulling failed: {reason} (toolchains: {})",
                Toolchain::names()
            ))
        })?;
        inspect(&self.engine, name).await?.ok_or_else(|| missing("pulled, yet not there".to_owned()))
    }

    /// Every toolchain, built or not, and every image made for or from one.
    pub async fn list(&self) -> Result<Vec<ListedImage>, SandboxError> {
        let options = ListImagesOptions { all: false, ..Default::default() };
        let images = within("list images", SLOW_CALL, self.engine.docker.list_images(Some(options)), |detail| {
            SandboxError::Image { image: "*".to_owned(), detail }
        })
        .await?;
        let with_tag = |tag: &str| images.iter().find(|image| image.repo_tags.iter().any(|known| known == tag));
        let mut listed: Vec<ListedImage> = TOOLCHAINS
            .iter()
            .map(|toolchain| {
                let built = with_tag(&toolchain.tag());
                ListedImage {
                    name: toolchain.name.to_owned(),
                    kind: ImageKind::Toolchain,
                    description: toolchain.description(),
                    digest: built.map(|image| image.id.clone()),
                    bytes: built.map(|image| u64::try_from(image.size).unwrap_or(0)),
                }
            })
            .collect();
        for image in &images {
            let of_kind = |repository: &str| image.repo_tags.iter().find(|tag| tag.starts_with(repository));
            let (kind, tag) = match (of_kind(base::REPOSITORY), of_kind(prepared::REPOSITORY)) {
                (Some(tag), _) => (ImageKind::Base, tag),
                (None, Some(tag)) => (ImageKind::Prepared, tag),
                (None, None) => continue,
            };
            let name = image.labels.get(prepared::SOURCE_LABEL).unwrap_or(tag);
            listed.push(ListedImage {
                name: name.clone(),
                kind,
                description: tag.clone(),
                digest: Some(image.id.clone()),
                bytes: Some(u64::try_from(image.size).unwrap_or(0)),
            });
        }
        Ok(listed)
    }

    /// Removes what Greenroom made under this name: a toolchain's images and what was prepared from them. An image the
    /// user brought stays; only what was prepared from it goes. Says what went.
    pub async fn remove(&self, name: &str) -> Result<Vec<String>, SandboxError> {
        let options = ListImagesOptions { all: false, ..Default::default() };
        let failed = |detail| SandboxError::Image { image: name.to_owned(), detail };
        let images = within("list images", SLOW_CALL, self.engine.docker.list_images(Some(options)), failed).await?;
        let toolchain = Toolchain::named(name).map(|toolchain| format!("greenroom/{}:", toolchain.name));
        let mut removed = Vec::new();
        for image in images {
            let prepared_from = image.labels.get(prepared::SOURCE_LABEL).is_some_and(|source| source == name);
            for tag in image.repo_tags {
                let ours = (prepared_from && tag.starts_with(prepared::REPOSITORY))
                    || toolchain.as_ref().is_some_and(|prefix| tag.starts_with(prefix.as_str()))
                    || (tag == name && tag.starts_with("greenroom/"));
                if ours {
                    let removal = self.engine.docker.remove_image(&tag, None::<RemoveImageOptions>, None);
                    within("remove image", SLOW_CALL, removal, failed).await?;
                    removed.push(tag);
                }
            }
        }
        Ok(removed)
    }
}

/// `None` where the engine has no such image.
pub(super) async fn inspect(engine: &Engine, name: &str) -> Result<Option<ImageInspect>, SandboxError> {
    let question = async {
        match engine.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    within("inspect image", CALL, question, |detail| SandboxError::Image { image: name.to_owned(), detail }).await
}

/// Pulls from whatever registry the name means; gives up when it stays silent.
pub(super) async fn pull(engine: &Engine, name: &str, progress: Progress<'_>) -> Result<(), String> {
    // A name without a tag means all tags to the API.
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = (!last.contains([':', '@'])).then(|| "latest".to_owned());
    let options = CreateImageOptions { from_image: Some(name.to_owned()), tag, ..Default::default() };
    let mut news = engine.transfers.create_image(Some(options), None, None);
    let mut last_status = String::new();
    while let Some(item) = next_within(&mut news, PULL_SILENCE_MAX).await? {
        let status = item.status.unwrap_or_default();
        // One line a layer and step, not one for every hundred kilobytes.
        if status != last_status && item.id.is_none() {
            progress(&status);
            last_status = status;
        }
    }
    Ok(())
}

/// The same, and again after a moment where the registry is only in trouble.
async fn pull_patiently(engine: &Engine, name: &str, progress: Progress<'_>) -> Result<(), String> {
    for pause in PULL_PAUSES {
        match pull(engine, name, progress).await {
            Err(reason) if !is_final(&reason) => {
                progress(&format!("{reason}; trying again in {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
    pull(engine, name, progress).await
}

/// Whether a registry, or the lack of one, has said its last word. Engines pass on text and no code.
fn is_final(reason: &str) -> bool {
    const WORDS: [&str; 8] = [
        "not found",
        "manifest unknown",
        "does not exist",
        "denied",
        "unauthorized",
        "no basic auth",
        "no such host",
        "invalid reference",
    ];
    let reason = reason.to_ascii_lowercase();
    WORDS.iter().any(|word| reason.contains(word))
}

/// The next message of a slow call, which has to come in time.
pub(super) async fn next_within<T>(
    news: &mut (impl Stream<Item = Result<T, EngineError>> + Unpin),
    silence_max: Duration,
) -> Result<Option<T>, String> {
    match tokio::time::timeout(silence_max, news.next()).await {
        Ok(Some(Ok(item))) => Ok(Some(item)),
        Ok(Some(Err(error))) => Err(describe(&error)),
        Ok(None) => Ok(None),
        Err(_) => Err(format!("nothing was heard for {} s", silence_max.as_secs())),
    }
}

/// What the image itself sets, without what would get into every program that is started.
fn environment_of(image: &ImageInspect) -> Vec<(String, String)> {
    let declared = image.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
    let mut env: Vec<(String, String)> = declared
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .filter(|(name, _)| !name.starts_with("LD_") && !matches!(*name, "HOME" | "USER"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !env.iter().any(|(name, _)| name == "PATH") {
        env.push(("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()));
    }
    env.push(("HOME".to_owned(), HOME.to_owned()));
    env.push(("USER".to_owned(), "agent".to_owned()));
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_cannot_slip_a_library_into_every_command() {
        let env = ["LD_PRELOAD=/evil.so", "HOME=/root", "JAVA_HOME=/opt/java", "ODD"].map(str::to_owned).to_vec();
        let config = bollard::models::ImageConfig { env: Some(env), ..Default::default() };
        let env = environment_of(&ImageInspect { config: Some(config), ..Default::default() });
        let names: Vec<_> = env.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["JAVA_HOME", "PATH", "HOME", "USER"]);
        assert_eq!(env[2].1, HOME);
    }
}
