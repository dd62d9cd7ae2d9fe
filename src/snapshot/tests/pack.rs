use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use super::{Blobs, link, tree};
use crate::sandbox::TarStream;
use crate::snapshot::Manifest;
use crate::snapshot::copy_in::CopyError;
use crate::snapshot::pack::{DataLimits, MTIME_SECONDS, SharedReadBlob, data_stream, tar_stream};

async fn collect(stream: TarStream) -> io::Result<Vec<u8>> {
    Ok(stream.try_collect::<Vec<_>>().await?.concat())
}

fn pack(tree: &Manifest, blobs: &Arc<Blobs>) -> TarStream {
    let blobs = Arc::clone(blobs);
    let read: SharedReadBlob = Arc::new(move |id| blobs.read(id));
    tar_stream(Arc::new(tree.clone()), read, 1000, 1001)
}

#[tokio::test]
async fn an_archive_holds_the_tree_and_is_the_same_each_time() {
    let blobs = Arc::new(Blobs::default());
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
    let hundred = "h".repeat(100);
    let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let tree = tree([
        (b"a/run".to_vec(), blobs.file(0o755, b"#!")),
        (b"a/link".to_vec(), link(&format!("./{}//x", "t".repeat(150)))),
        (b"short".to_vec(), link("./a/../b")),
        (b"odd\xff".to_vec(), blobs.file(0o600, b"")),
        (long.clone().into_bytes(), blobs.file(0o644, b"deep")),
        (hundred.clone().into_bytes(), blobs.file(0o644, b"edge")),
        (b"large".to_vec(), blobs.file(0o644, &large)),
    ]);
    let bytes = collect(pack(&tree, &blobs)).await.unwrap();
    assert_eq!(bytes, collect(pack(&tree, &blobs)).await.unwrap());

    let mut archive = tar::Archive::new(&bytes[..]);
    let mut found = Manifest::default();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1001));
        assert_eq!(header.mtime().unwrap(), MTIME_SECONDS);
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        let at = super::path(entry.path_bytes().into_owned());
        let read = match kind {
            tar::EntryType::Directory => crate::snapshot::Entry::Directory { mode },
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap().into_owned();
                crate::snapshot::Entry::Symlink { target: crate::snapshot::TreePath::link_target(target).unwrap() }
            }
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                blobs.file(mode, &content)
            }
        };
        assert!(at.parent().is_none_or(|parent| found.entries.contains_key(&parent)), "{at} before its folder");
        found.entries.insert(at, read);
    }
    assert_eq!(found, tree);
}

#[tokio::test]
async fn a_blob_that_cannot_be_read_breaks_the_stream_with_its_error() {
    let blobs = Arc::new(Blobs::default());
    let tree = tree([("a", Blobs::default().file(0o644, b"not stored"))]);
    assert_eq!(collect(pack(&tree, &blobs)).await.unwrap_err().kind(), io::ErrorKind::NotFound);

    let read: SharedReadBlob = Arc::new(|_| panic!("a reader that dies"));
    let stream = tar_stream(Arc::new(tree), read, 0, 0);
    assert_eq!(collect(stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn data_is_read_only_and_roots() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/rows.csv"), "a,b\n").unwrap();
    fs::set_permissions(folder.path().join("sub/rows.csv"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("/etc", folder.path().join("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap().success());
    let limits = DataLimits { bytes_max: 100, files_max: 10 };
    let (stream, skipped) = data_stream(folder.path(), limits).unwrap();
    let bytes = collect(stream).await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        let name = String::from_utf8(entry.path().unwrap().as_os_str().as_bytes().to_vec()).unwrap();
        members.push((name, header.mode().unwrap() & 0o222));
    }
    assert_eq!(members.iter().map(|m| m.0.as_str()).collect::<Vec<_>>(), ["link", "sub", "sub/rows.csv"]);
    assert!(members.iter().all(|(name, writable)| *writable == 0 || name == "link"), "{members:?}");
    assert_eq!(skipped.len(), 1);

    let tight = DataLimits { bytes_max: 3, files_max: 10 };
    assert!(matches!(data_stream(folder.path(), tight).map(drop), Err(CopyError::TooManyBytes { .. })));
}

#[tokio::test]
async fn dropping_the_stream_ends_the_thread_that_fills_it() {
    let blobs = Arc::new(Blobs::default());
    let many = tree((0..200).map(|n| (format!("f{n}"), blobs.file(0o644, &vec![7; 100_000]))));
    let watched = Arc::clone(&blobs);
    let read: SharedReadBlob = Arc::new(move |id| watched.read(id));
    let weak = Arc::downgrade(&read);
    let mut stream = tar_stream(Arc::new(many), read, 0, 0);
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        while weak.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    });
    ended.await.expect("the thread lets go of its reader");
}
