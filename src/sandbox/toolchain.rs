//! Toolchain images: their definitions, embedded, and how they are built.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, TagImageOptions};

use super::SandboxError;
use super::connect::{CALL, Engine, within};
use super::image::{Progress, inspect, next_within};

/// A build step may compile for long without a word.
const BUILD_SILENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// How much of a failed build's log comes with the error.
const LOG_LINES: usize = 20;
const DEFINITION_LABEL: &str = "greenroom.definition";

/// One folder below `images/`.
#[derive(Debug)]
pub struct Toolchain {
    pub name: &'static str,
    dockerfile: &'static str,
    /// What Greenroom knows about the image: which repositories choose it, its default checks, its environment.
    pub manifest: &'static str,
    /// What the Dockerfile copies, by name.
    files: &'static [(&'static str, &'static str)],
}

macro_rules! toolchain {
    ($name:literal $(, $file:literal)*) => {
        Toolchain {
            name: $name,
            dockerfile: include_str!(concat!("../../images/", $name, "/Dockerfile")),
            manifest: include_str!(concat!("../../images/", $name, "/image.toml")),
            files: &[$(($file, include_str!(concat!("../../images/", $name, "/", $file)))),*],
        }
    };
}

/// Every toolchain, in the order in which they are listed.
pub const TOOLCHAINS: &[Toolchain] = &[
    toolchain!("python", "greenroom_locals.py"),
    toolchain!("rust"),
    toolchain!("node"),
    toolchain!("go"),
    toolchain!("c"),
    toolchain!("java"),
];

/// The part of `image.toml` that building needs.
#[derive(serde::Deserialize)]
struct Definition {
    description: String,
    base: Base,
    environment: toml::Table,
    /// Beside them where there is no network, so that package managers say so at once.
    #[serde(default)]
    offline: toml::Table,
}

#[derive(serde::Deserialize)]
pub(super) struct Base {
    pub(super) suite: String,
    pub(super) pull: String,
}

impl Toolchain {
    pub fn named(name: &str) -> Option<&'static Toolchain> {
        TOOLCHAINS.iter().find(|toolchain| toolchain.name == name)
    }

    pub(super) fn names() -> String {
        TOOLCHAINS.iter().map(|toolchain| toolchain.name).collect::<Vec<_>>().join(", ")
    }

    pub fn description(&self) -> String {
        self.definition().description
    }

    /// What every command sees, complete, where there is no network.
    pub fn environment(&self) -> Vec<(String, String)> {
        let definition = self.definition();
        variables(definition.environment.into_iter().chain(definition.offline))
    }

    /// The same where there is one.
    pub(super) fn online_environment(&self) -> Vec<(String, String)> {
        variables(self.definition().environment.into_iter())
    }

    pub(super) fn base(&self) -> Base {
        self.definition().base
    }

    /// The image of exactly this definition: another definition is another tag.
    pub(super) fn tag(&self) -> String {
        format!("greenroom/{}:{}", self.name, self.hash())
    }

    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let files = self.files.iter().map(|(_, content)| *content);
        for part in [self.dockerfile, self.manifest, super::base::SCRIPT].into_iter().chain(files) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    fn definition(&self) -> Definition {
        toml::from_str(self.manifest).expect("embedded definitions parse; a test reads each of them")
    }
}

fn variables(table: impl Iterator<Item = (String, toml::Value)>) -> Vec<(String, String)> {
    let text = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    table.map(|(name, value)| (name, text(value))).collect()
}

/// Builds on the image `base` and tags the result.
pub(super) async fn build(
    engine: &Engine,
    toolchain: &Toolchain,
    base: &str,
    progress: Progress<'_>,
) -> Result<ImageInspect, SandboxError> {
    let failed = |detail: String| SandboxError::Image { image: toolchain.name.to_owned(), detail };
    let context = context(toolchain).map_err(|error| failed(format!("cannot pack the build context: {error}")))?;
    let tag = toolchain.tag();
    let mut arguments: HashMap<String, String> = proxies().collect();
    // A proxy on this machine's loopback is out of reach for a build in a network of its own.
    let network = arguments.values().any(|url| is_loopback(url)).then(|| "host".to_owned());
    arguments.insert("BASE".to_owned(), base.to_owned());
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(tag.clone()),
        rm: true,
        forcerm: true,
        buildargs: Some(arguments),
        networkmode: network,
        labels: Some(HashMap::from([
            ("greenroom.toolchain".to_owned(), toolchain.name.to_owned()),
            (DEFINITION_LABEL.to_owned(), toolchain.hash()),
        ])),
        ..Default::default()
    };
    let mut news = engine.transfers.build_image(options, None, Some(bollard::body_full(context.into())));
    let mut log = VecDeque::new();
    loop {
        let item = match next_within(&mut news, BUILD_SILENCE_MAX).await {
            Ok(Some(item)) => item,
            Ok(None) => break,
            Err(reason) => {
                let log = Vec::from(log).join("\n");
                return Err(failed(format!("the build failed: {reason}\n{log}")));
            }
        };
        for line in item.stream.unwrap_or_default().lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            progress(line);
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(line.to_owned());
        }
    }
    let latest =
        TagImageOptions { repo: Some(format!("greenroom/{}", toolchain.name)), tag: Some("latest".to_owned()) };
    within("tag image", CALL, engine.docker.tag_image(&tag, Some(latest)), failed).await?;
    let built = inspect(engine, &tag).await?;
    built.ok_or_else(|| failed(format!("the build ended without an image: {}", Vec::from(log).join("\n"))))
}

/// The Dockerfile, and the certificates this machine trusts: behind a company's proxy nothing can be fetched without.
fn context(toolchain: &Toolchain) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let certificates = certificate_bundle();
    let files = toolchain.files.iter().map(|(name, content)| (*name, content.as_bytes()));
    let all = [("Dockerfile", toolchain.dockerfile.as_bytes()), ("ca-certificates.crt", certificates.as_slice())];
    for (path, content) in all.into_iter().chain(files) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

/// Empty where the machine has none: then the image's own have to do.
pub fn certificate_bundle() -> Vec<u8> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named.into_iter().chain(usual.map(PathBuf::from)).find_map(|path| std::fs::read(path).ok()).unwrap_or_default()
}

/// The build arguments that every builder knows without their being declared, and leaves out of the image's history.
fn proxies() -> impl Iterator<Item = (String, String)> {
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"]
        .into_iter()
        .flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()])
        .filter_map(|name| std::env::var(&name).ok().filter(|value| !value.is_empty()).map(|value| (name, value)))
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    ["localhost", "127.", "[::1]"].iter().any(|prefix| host.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_reads_and_says_where_programs_and_home_are() {
        for toolchain in TOOLCHAINS {
            let env = toolchain.environment();
            for name in ["PATH", "HOME"] {
                assert!(env.iter().any(|(known, _)| known == name), "{}: {name}", toolchain.name);
            }
            assert!(!toolchain.description().is_empty());
            assert!(!toolchain.base().suite.is_empty());
        }
    }

    #[test]
    fn a_proxy_on_this_machine_is_told_from_one_elsewhere() {
        assert!(is_loopback("http://127.0.0.1:3128"));
        assert!(is_loopback("http://me:secret@localhost:3128"));
        assert!(!is_loopback("http://proxy.example:3128"));
    }
}
