//! Forks of a sandbox with a workspace of some size: how long until all of them run a command.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::calls::{greenroom_true, request};
use super::{Tell, round};
use crate::error::{Error, Result};
use crate::sandbox::{AGENT_UID, Launcher, OutputSink, Sandbox, SandboxSpec, Stream, TarStream};

const FILE_BYTES: usize = 10 << 10;
const FILES_A_FOLDER: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forks {
    pub count: usize,
    /// In the workspace of the original and of each fork.
    pub files: usize,
    pub bytes: u64,
    /// From the request until the last of them had run a command.
    pub running_ms: f64,
}

pub(super) async fn measure(
    launcher: &dyn Launcher,
    spec: &SandboxSpec,
    (count, files): (usize, usize),
    tell: Tell<'_>,
) -> Result<Forks> {
    tell(&format!("{count} forks of {files} files"));
    let original = launcher.start(spec, tree(files)).await?;
    let start = Instant::now();
    let forks = launcher.fork(spec, original.as_ref(), count).await?;
    let running = join_all(forks.iter().map(|fork| greenroom_true(fork.as_ref(), 1))).await;
    let elapsed = start.elapsed();
    let counts = join_all(forks.iter().map(|fork| count_files(fork.as_ref()))).await;
    for sandbox in forks.iter().chain([&original]) {
        sandbox.stop().await?;
    }
    running.into_iter().collect::<Result<()>>()?;
    for seen in counts {
        let seen = seen?;
        if seen != files {
            return Err(Error::internal(format!("a fork of {files} files has {seen}")));
        }
    }
    let running_ms = round(elapsed.as_secs_f64() * 1000.0, 1);
    Ok(Forks { count, files, bytes: (files * FILE_BYTES) as u64, running_ms })
}

async fn count_files(sandbox: &dyn Sandbox) -> Result<usize> {
    let mut said = Said::default();
    let command = ["/bin/sh", "-c", "find . -type f | wc -l"];
    sandbox.exec(&request(2, &command, std::time::Duration::from_secs(60), 1 << 20), &mut said).await?;
    let text = String::from_utf8_lossy(&said.0).trim().to_owned();
    text.parse().map_err(|_| Error::internal(format!("counting the files of a fork: {text}")))
}

#[derive(Default)]
struct Said(Vec<u8>);

impl OutputSink for Said {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Files of different content, made while they are sent: this process is not to grow by them.
pub(super) fn tree(files: usize) -> TarStream {
    let archive = (0..files).map(member).chain([Ok(Bytes::from_static(&[0; 1024]))]);
    stream::iter(archive).boxed()
}

fn member(number: usize) -> io::Result<Bytes> {
    let mut member = Vec::with_capacity(FILE_BYTES + 1024);
    let folder = number / FILES_A_FOLDER;
    if number.is_multiple_of(FILES_A_FOLDER) {
        let header = header(&format!("folder{folder}/"), tar::EntryType::Directory, 0o755, 0)?;
        member.extend_from_slice(header.as_bytes());
    }
    let name = format!("folder{folder}/file{number}");
    member.extend_from_slice(header(&name, tar::EntryType::Regular, 0o644, FILE_BYTES)?.as_bytes());
    let mut content = vec![0; FILE_BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut content);
    member.extend_from_slice(&content);
    Ok(member.into())
}

fn header(path: &str, kind: tar::EntryType, mode: u32, bytes: usize) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(AGENT_UID);
    header.set_gid(AGENT_UID);
    header.set_size(bytes as u64);
    header.set_mtime(1_704_067_200);
    header.set_cksum();
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_tree_is_an_archive_of_so_many_files() {
        let mut stream = tree(250);
        let mut archive = Vec::new();
        while let Some(chunk) = stream.next().await {
            archive.extend_from_slice(&chunk.unwrap());
        }
        let mut archive = tar::Archive::new(&archive[..]);
        let kinds: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().header().entry_type()).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.is_file()).count(), 250);
        assert_eq!(kinds.iter().filter(|kind| kind.is_dir()).count(), 3);
    }
}
