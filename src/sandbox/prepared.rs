//! Prepared images: any image plus PID 1, the folders of a sandbox, and a name for its user.
//!
//! Made by creating a container, unpacking a tar into it and committing it: nothing of the image is ever run, so it
//! works for images without a shell, and on every engine with Docker's API.

use std::io::Read;

use bollard::models::{ContainerConfig, ContainerCreateBody, HealthConfig, ImageInspect};
use bollard::query_parameters::{
    CommitContainerOptions, CreateContainerOptions, DownloadFromContainerOptions, UploadToContainerOptions,
};
use futures_util::StreamExt;
use greenroom_supervisor::protocol::SPOOL_FOLDER;

use super::SandboxError;
use super::connect::{Engine, SLOW_CALL, within};
use super::docker::Container;
use super::image::{Progress, inspect};
use super::profile::SUPERVISOR;
use super::toolchain::Toolchain;

pub(super) const REPOSITORY: &str = "greenroom/prepared";
/// The name the image was asked for by.
pub(super) const SOURCE_LABEL: &str = "greenroom.source";
pub(super) const KEY_LABEL: &str = "greenroom.prepared";

/// Goes up when what is added to an image changes, so that older ones are made anew.
const RECIPE: u32 = 3;
const SUPERVISOR_BINARY: &[u8] = include_bytes!(env!("GREENROOM_SUPERVISOR"));
const USER_FILE_BYTES_MAX: usize = 1 << 20;
const SANDBOX_ID: u64 = greenroom_supervisor::protocol::SANDBOX_UID as u64;

/// The digest of the prepared image of `source`; made now if it is not there yet.
pub(super) async fn ensure(
    engine: &Engine,
    name: &str,
    source: &ImageInspect,
    progress: Progress<'_>,
) -> Result<String, SandboxError> {
    let failed = |detail: String| SandboxError::Image { image: name.to_owned(), detail };
    let source_id = source.id.clone().ok_or_else(|| failed("the engine names no id for it".to_owned()))?;
    let host = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let of_image = format!("{}/{}", source.os.as_deref().unwrap_or("linux"), architecture(source));
    if of_image != host {
        return Err(failed(format!("it is for {of_image}, and PID 1 is built for {host}")));
    }
    let key = key(name, &source_id);
    let tag = format!("{REPOSITORY}:{key}");
    if let Some(found) = inspect(engine, &tag).await? {
        let labelled = found.config.and_then(|config| config.labels).and_then(|labels| labels.get(KEY_LABEL).cloned());
        if let (Some(id), true) = (found.id, labelled.as_deref() == Some(key.as_str())) {
            return Ok(id);
        }
    }
    progress(&format!("preparing image `{name}`"));
    make(engine, name, &source_id, &key).await
}

async fn make(engine: &Engine, name: &str, source_id: &str, key: &str) -> Result<String, SandboxError> {
    let failed = |detail: String| SandboxError::Image { image: name.to_owned(), detail };
    let labels = [(KEY_LABEL, key), (SOURCE_LABEL, name)];
    let body = ContainerCreateBody {
        image: Some(source_id.to_owned()),
        entrypoint: Some(vec![SUPERVISOR.to_owned()]),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()),
        network_disabled: Some(true),
        ..Default::default()
    };
    let creation = engine.docker.create_container(None::<CreateContainerOptions>, body);
    let created = within("create container", SLOW_CALL, creation, failed).await?;
    let container = Container::new(engine.docker.clone(), created.id);
    let passwd = with_line(
        download(engine, &container.id, "/etc/passwd").await,
        &format!("agent:x:{SANDBOX_ID}:{SANDBOX_ID}:agent:/home/agent:/bin/sh"),
    );
    let group = with_line(download(engine, &container.id, "/etc/group").await, &format!("agent:x:{SANDBOX_ID}:"));
    let tar = additions(passwd, group).map_err(|error| failed(format!("cannot pack the supervisor: {error}")))?;
    let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
    let upload = engine.transfers.upload_to_container(&container.id, Some(options), bollard::body_full(tar.into()));
    within("add the supervisor", SLOW_CALL, upload, failed).await?;
    let options = CommitContainerOptions {
        container: Some(container.id.clone()),
        repo: Some(REPOSITORY.to_owned()),
        tag: Some(key.to_owned()),
        comment: Some(format!("greenroom: prepared from {name}")),
        ..Default::default()
    };
    let commit = engine.transfers.commit_container(options, ContainerConfig::default());
    let committed = within("commit the prepared image", SLOW_CALL * 5, commit, failed).await?;
    container.remove().await?;
    Ok(committed.id)
}

/// Which PID 1 this version puts into images.
pub fn supervisor_hash() -> String {
    blake3::hash(SUPERVISOR_BINARY).to_hex().to_string()
}

/// What the image and what is added to it are, in a form that fits a tag.
pub(super) fn key(name: &str, source_id: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [name.as_bytes(), source_id.as_bytes(), &RECIPE.to_le_bytes(), SUPERVISOR_BINARY] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..24].to_owned()
}

/// The tags under which an image that was asked for by this name may be on the engine.
pub(super) fn source_tags(name: &str) -> Vec<String> {
    let as_given = [name.to_owned(), format!("{name}:latest")];
    Toolchain::named(name).map(Toolchain::tag).into_iter().chain(as_given).collect()
}

fn architecture(image: &ImageInspect) -> &str {
    match image.architecture.as_deref() {
        Some("amd64") => "x86_64",
        Some("arm64") => "aarch64",
        Some(other) => other,
        None => std::env::consts::ARCH,
    }
}

fn additions(passwd: Option<Vec<u8>>, group: Option<Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind, mode, id, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(id);
        header.set_gid(id);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)
    };
    let (folder, file) = (tar::EntryType::Directory, tar::EntryType::Regular);
    add(".greenroom/", folder, 0o755, 0, &[])?;
    // Where the files of a set-up phase are mounted, so that no image has them or a trace of them.
    add(".greenroom/setup/", folder, 0o755, 0, &[])?;
    add(SUPERVISOR.trim_start_matches('/'), file, 0o555, 0, SUPERVISOR_BINARY)?;
    // Volumes take their owner and mode from these.
    add(SPOOL_FOLDER.trim_start_matches('/'), folder, 0o700, 0, &[])?;
    add("workspace/", folder, 0o755, SANDBOX_ID, &[])?;
    add("home/agent/", folder, 0o755, SANDBOX_ID, &[])?;
    add("data/", folder, 0o755, 0, &[])?;
    add("tmp/", folder, 0o1777, 0, &[])?;
    for (path, content) in [("etc/passwd", passwd), ("etc/group", group)] {
        if let Some(content) = content {
            add(path, file, 0o644, 0, &content)?;
        }
    }
    archive.into_inner()
}

/// PID 1 alone, as [`ensure`] put it there.
pub(super) fn supervisor() -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, ".greenroom/", std::io::empty())?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o555);
    header.set_size(SUPERVISOR_BINARY.len() as u64);
    archive.append_data(&mut header, SUPERVISOR.trim_start_matches('/'), SUPERVISOR_BINARY)?;
    archive.into_inner()
}

/// A user file with our line; `None` where nothing must be changed: our number is taken, or there is no such file.
fn with_line(content: Option<Vec<u8>>, line: &str) -> Option<Vec<u8>> {
    let mut content = content?;
    let id = SANDBOX_ID.to_string();
    let taken = content
        .split(|&byte| byte == b'\n')
        .any(|known| known.split(|&byte| byte == b':').nth(2) == Some(id.as_bytes()));
    if taken {
        return None;
    }
    if content.last().is_some_and(|&byte| byte != b'\n') {
        content.push(b'\n');
    }
    content.extend_from_slice(line.as_bytes());
    content.push(b'\n');
    Some(content)
}

/// A small regular file of the image; `None` for anything else, links included.
async fn download(engine: &Engine, container: &str, path: &str) -> Option<Vec<u8>> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut stream = engine.docker.download_from_container(container, Some(options));
    let mut archive = Vec::new();
    let gather = async {
        while let Some(chunk) = stream.next().await {
            archive.extend_from_slice(&chunk.ok()?);
            if archive.len() > USER_FILE_BYTES_MAX {
                return None;
            }
        }
        Some(archive)
    };
    let archive = tokio::time::timeout(SLOW_CALL, gather).await.ok()??;
    let mut archive = tar::Archive::new(&archive[..]);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    if entry.header().entry_type() != tar::EntryType::Regular {
        return None;
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_user_gets_a_name_unless_the_image_has_one_for_its_number() {
        let line = "agent:x:1000:1000:agent:/home/agent:/bin/sh";
        let added = with_line(Some(b"root:x:0:0:root:/root:/bin/sh".to_vec()), line).unwrap();
        assert_eq!(added, format!("root:x:0:0:root:/root:/bin/sh\n{line}\n").into_bytes());
        assert_eq!(with_line(Some(b"node:x:1000:1000::/home/node:/bin/bash\n".to_vec()), line), None);
        assert_eq!(with_line(None, line), None);
    }

    #[test]
    fn nothing_that_is_added_belongs_to_a_stranger_or_lets_commands_change_pid_1() {
        let tar = additions(Some(b"x".to_vec()), None).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            seen.push((path, header.mode().unwrap(), header.uid().unwrap()));
        }
        assert!(seen.contains(&(".greenroom/supervisor".to_owned(), 0o555, 0)));
        assert!(seen.contains(&("workspace/".to_owned(), 0o755, 1000)));
        assert!(seen.contains(&(".greenroom/spool".to_owned(), 0o700, 0)));
        assert!(!seen.iter().any(|(path, ..)| path == "etc/group"));
    }
}
