//! Files: what comes out of a sandbox, what goes in, and what of the host must never be seen or changed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lab::{Lab, Room, nothing};
use super::{Case, Danger, Fault, Found, Group, ensure, runner};
use crate::id::BlobId;
use crate::sandbox::{AGENT_UID, FileError};
use crate::snapshot::copy_in::{CopyOptions, copy_in};
use crate::snapshot::extract::{ExtractError, ExtractLimits, Links, write_tree};
use crate::snapshot::pack::tar_stream;
use crate::snapshot::{Entry, Manifest, TreePath};
use crate::store::Blobs;
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Filesystem, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("files-out", "hostile names, links and special files write nothing outside the target", |lab| {
        Box::pin(files_out(lab))
    }),
    case("swapped-paths", "swapped paths and a hostile .git make the host do nothing", |lab| {
        Box::pin(swapped_paths(lab))
    }),
    case("host-untouched", "the repository on the host stays as it is, byte for byte", |lab| {
        Box::pin(host_untouched(lab))
    }),
    case("secrets", "a secret of the host is nowhere in the sandbox, the output or the state folder", |lab| {
        Box::pin(secrets(lab))
    }),
];

const HOSTILE_TREE: &str = "
import os, socket
os.makedirs('t/sub')
os.symlink('/', 't/abs'); os.symlink('../../../../../..', 't/up'); os.symlink('sub', 't/in'); os.symlink('loop', 't/loop')
for name in ('t/A', 't/a', 't/new\\nline', 't/\\x1b[2J', 't/-rf', 't/..;', 't/\\u202ecod.exe', b't/\\xff\\xfe', 't/' + 'n' * 255):
    with open(name, 'w') as file:
        file.write('plain')
os.mkfifo('t/fifo'); s = socket.socket(socket.AF_UNIX); s.bind('t/socket')
open('t/suid', 'w').close(); os.chmod('t/suid', 0o6777)
os.link('t/a', 't/hard')
try:
    os.link('/etc/passwd', 't/passwd')
except OSError:
    pass
open('t/closed', 'w').close(); os.chmod('t/closed', 0)
";

async fn files_out(lab: &Lab) -> Found {
    for path in ["../x", "/x", "a/../../x", "a//x", "", ".", "a/./x", "a\0x"] {
        ensure(TreePath::new(path).is_none(), || format!("`{path:?}` is taken for a path inside a tree"))?;
    }
    let room = lab.room().await?;
    let made = room.python(HOSTILE_TREE, &[]).await?;
    ensure(made.outcome() == Outcome::Exited { code: 0 }, || made.summary())?;
    // While it is read, it changes.
    let churn = room.request(
        &["sh", "-c", "while :; do echo $$ >t/a; rm -f t/in; ln -s /etc t/in; rm t/in; mkdir t/in; rmdir t/in; done"],
        std::time::Duration::from_secs(3),
    );
    let (churned, tree) = tokio::join!(room.run(&churn), taken_out(&room));
    churned?;
    let (manifest, contents) = tree?;
    let special = ["t/fifo", "t/socket"].iter().filter(|path| has(&manifest, path)).count();
    ensure(special == 0, || "a FIFO or socket is in the snapshot".into())?;
    let outside = lab.folder("outside")?;
    fs::write(outside.join("canary"), "untouched")?;
    let read = |id: &BlobId| contents.get(id).cloned().ok_or_else(|| io::Error::other("changed meanwhile"));
    let with_links = write_tree(&outside.join("refused"), &manifest, &read, ExtractLimits::default());
    ensure(matches!(with_links, Err(ExtractError::Link { .. })), || {
        format!("links were written unasked: {with_links:?}")
    })?;
    let limits = ExtractLimits { links: Links::Write, ..ExtractLimits::default() };
    let dest = outside.join("dest");
    let written = match write_tree(&dest, &manifest, &read, limits) {
        Ok(()) => "all written below the target".to_owned(),
        // A file that changed between the walk and the reading has no content any more.
        Err(ExtractError::Content { .. }) => "stopped at a file that had changed".to_owned(),
        Err(error) => return Err(Fault::Broken(error.to_string())),
    };
    let names: Vec<_> =
        fs::read_dir(&outside)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    ensure(names.iter().all(|name| name == "canary" || name == "dest" || name == "refused"), || {
        format!("outside: {names:?}")
    })?;
    ensure(fs::read(outside.join("canary"))? == b"untouched", || "a file outside was changed".into())?;
    let mut count = 0;
    for path in below(&dest)? {
        let seen = fs::symlink_metadata(&path)?;
        count += 1;
        let own = seen.uid() == rustix::process::geteuid().as_raw();
        let plain = seen.is_file() || seen.is_dir() || seen.is_symlink();
        ensure(own && plain && (seen.is_symlink() || seen.permissions().mode() & 0o7000 == 0), || {
            format!("{} came out as {:?}, mode {:o}", path.display(), seen.file_type(), seen.mode())
        })?;
    }
    room.leave().await?;
    Ok(format!(
        "{count} entries, {written}; links only when asked for, no special file, no setuid bit; owner is the invoking user"
    ))
}

/// A walk, and the content of every file that can be read.
async fn taken_out(room: &Room) -> Result<(Manifest, HashMap<BlobId, Vec<u8>>), Fault> {
    let manifest = room.sandbox.walk().await?;
    let mut contents = HashMap::from([(BlobId::of(b""), Vec::new())]);
    for (path, entry) in &manifest.entries {
        let Entry::File { .. } = entry else { continue };
        let Ok(name) = std::str::from_utf8(path.as_bytes()) else { continue };
        if let Ok(bytes) = room.sandbox.read(name, 1 << 20).await? {
            contents.insert(BlobId::of(&bytes), bytes);
        }
    }
    contents.insert(BlobId::of(b"plain"), b"plain".to_vec());
    Ok((manifest, contents))
}

fn has(manifest: &Manifest, path: &str) -> bool {
    TreePath::new(path).is_some_and(|path| manifest.entries.contains_key(&path))
}

/// Everything below a folder that is there, links not followed.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A repository whose own settings would run commands, were anybody to run git in it.
fn hostile_repo(lab: &Lab, executed: &Path) -> io::Result<PathBuf> {
    let repo = lab.folder("hostile")?;
    let touch = format!("touch {}", executed.display());
    for folder in [".git/hooks", ".git/objects", ".git/refs/heads", ".git/modules/evil", "src"] {
        fs::create_dir_all(repo.join(folder))?;
    }
    fs::write(repo.join(".git/HEAD"), "ref: refs/heads/main\n")?;
    let config = format!(
        "[core]\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n\teditor = {touch}\n\thooksPath = hooks\n\
         [filter \"evil\"]\n\tclean = {touch}\n\tsmudge = {touch}\n[diff \"evil\"]\n\ttextconv = {touch}\n\
         [remote \"origin\"]\n\turl = https://user:token@example.com/x\n[include]\n\tpath = ../evil\n"
    );
    fs::write(repo.join(".git/config"), config)?;
    for hook in ["pre-commit", "post-checkout", "post-index-change", "fsmonitor-watchman"] {
        let path = repo.join(".git/hooks").join(hook);
        fs::write(&path, format!("#!/bin/sh\n{touch}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(repo.join(".gitattributes"), "* filter=evil diff=evil\n")?;
    fs::write(repo.join(".gitmodules"), "[submodule \"evil\"]\n\tpath = src\n\turl = ../evil\n\tupdate = !touch\n")?;
    fs::write(repo.join("src/file"), "content")?;
    symlink("/etc/passwd", repo.join("passwd"))?;
    rustix::fs::mknodat(rustix::fs::CWD, repo.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)?;
    Ok(repo)
}

async fn swapped_paths(lab: &Lab) -> Found {
    let outside = lab.folder("executed")?;
    let executed = outside.join("canary");
    let repo = hostile_repo(lab, &executed)?;
    let blobs = Blobs::new(lab.folder("blobs")?);
    let put = |bytes: &[u8]| blobs.put(bytes);
    let copied = copy_in(&repo, &CopyOptions::default(), &put).map_err(|error| Fault::broken(error.to_string()))?;
    let manifest = Arc::new(copied.manifest);
    let hooks = manifest.entries.keys().filter(|path| path.to_text().starts_with(".git/hooks/")).count();
    ensure(hooks == 0, || format!("{hooks} hooks were copied in"))?;
    let stored = blobs.clone();
    let tree = tar_stream(manifest, Arc::new(move |id| stored.get(id)), AGENT_UID, AGENT_UID);
    let room = lab.room_of(&lab.launcher(), &lab.spec(), tree).await?;
    let config = room.say("cat .git/config").await?;
    for word in ["fsmonitor", "filter", "token", "include"] {
        ensure(!config.contains(word), || format!("`{word}` of the host's .git/config is inside"))?;
    }
    room.say("rm -rf src .git && ln -s /etc src && echo 'gitdir: /etc' >.git && ln -s /proc/1 one && ln -s / top")
        .await?;
    for path in ["src/attack", "top/etc/attack", "one/attack", ".git/config"] {
        let written = room.sandbox.write(path, b"x", None).await?;
        ensure(written.is_err(), || format!("`{path}` could be written"))?;
    }
    let environ = room.sandbox.read("one/environ", 1 << 20).await?;
    ensure(environ.is_err(), || "the environment of PID 1 can be read through a link".into())?;
    let walked = room.sandbox.walk().await?;
    let through =
        walked.entries.keys().any(|path| path.to_text().starts_with("src/") || path.to_text().starts_with("top/"));
    ensure(!through, || "a walk followed a link".into())?;
    let blocked = room.sandbox.read("nothing/here", 10).await?;
    ensure(matches!(blocked, Err(FileError::NotFound { .. })), || format!("a missing file came to {blocked:?}"))?;
    room.leave().await?;
    ensure(!executed.exists(), || "the host ran a command of the repository".into())?;
    Ok("hooks, filters, fsmonitor and remotes stay outside or are rewritten; links made between calls lead nowhere; nothing ran on the host".into())
}

/// Names, kinds, modes, times and contents.
fn fingerprint(folder: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    for path in below(folder)? {
        let seen = fs::symlink_metadata(&path)?;
        hasher.update(path.as_os_str().as_encoded_bytes());
        let facts =
            [u64::from(seen.mode()), u64::from(seen.uid()), seen.len(), seen.mtime() as u64, seen.mtime_nsec() as u64];
        for fact in facts {
            hasher.update(&fact.to_le_bytes());
        }
        if seen.is_file() {
            hasher.update(&fs::read(&path)?);
        } else if seen.is_symlink() {
            hasher.update(fs::read_link(&path)?.as_os_str().as_encoded_bytes());
        }
    }
    Ok(hasher.finalize())
}

async fn host_untouched(lab: &Lab) -> Found {
    let outside = lab.folder("canary")?;
    let repo = hostile_repo(lab, &outside.join("executed"))?;
    let before = fingerprint(&repo)?;
    let home = lab.folder("home")?;
    let destroy = "rm -rf .git src; echo new >file; chmod 777 .; ln -sf /etc/passwd x; echo >passwd; find . -type f -delete; true";
    let child = runner::exec(lab, &home, &repo, &["sh", "-c", destroy])?;
    let ended = child.wait_with_output().await?;
    ensure(ended.status.success(), || {
        format!("exec ended with {:?}: {}", ended.status, String::from_utf8_lossy(&ended.stdout))
    })?;
    ensure(fingerprint(&repo)? == before, || "the repository on the host has changed".into())?;
    ensure(!outside.join("executed").exists(), || "the host ran a command of the repository".into())?;
    Ok("names, modes, times and contents equal before and after a command that destroys its copy".into())
}

/// Looks for a word that is given backwards, so that its own arguments do not hold it.
const SEARCH: &str = "
import os, sys
word = sys.argv[1][::-1].encode()
found = []
def look(path):
    try:
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                if word in block:
                    found.append(path)
                    return
    except OSError:
        pass
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ('environ', 'cmdline', 'mountinfo'):
        look('/proc/%s/%s' % (pid, name))
for top in ('/workspace', '/home', '/root', '/etc', '/run', '/var', '/tmp', '/data', '/opt', '/srv', '/mnt', '/.greenroom'):
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.path.getsize(path) < 64 << 20:
                look(path)
for name in ('/var/run/docker.sock', '/run/docker.sock', '/run/secrets', '/var/run/secrets'):
    if os.path.exists(name):
        found.append(name)
print('FOUND', found)
";

async fn secrets(lab: &Lab) -> Found {
    let home = lab.folder("home")?;
    let repo = lab.folder("repo")?;
    fs::write(repo.join("file"), "content")?;
    let secret = runner::secret();
    let backwards: String = secret.chars().rev().collect();
    let child = runner::exec_with_secret(lab, &home, &repo, &secret, &["python3", "-c", SEARCH, &backwards])?;
    let ended = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure(ended.status.success() && said.contains("FOUND []"), || format!("inside: {:?} {said}", ended.status))?;
    ensure(!said.contains(&secret), || "the secret is in the output".into())?;
    let kept = below(&home.join("state"))?.into_iter().filter(|path| path.is_file());
    for path in kept {
        let bytes = fs::read(&path)?;
        let plain = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
        ensure(!plain.windows(secret.len()).any(|part| part == secret.as_bytes()), || {
            format!("the secret is in {}", path.display())
        })?;
    }
    // The search itself must be able to find: a secret that the operator hands in is found.
    let mut spec = lab.spec();
    spec.env.push(("HANDED_IN".into(), secret));
    let room = lab.room_of(&lab.launcher(), &spec, nothing()).await?;
    let control = room.python(SEARCH, &[&backwards]).await?;
    ensure(control.text().contains("/environ"), || format!("the search cannot find: {}", control.summary()))?;
    room.leave().await?;
    Ok("keys in the environment and five credential files are in no process, file or mount inside, not in the output, not in the state folder; a search that can find them proves it".into())
}
