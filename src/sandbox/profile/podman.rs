//! Podman behind Docker's API: what has to be said to it otherwise, and what it shows otherwise.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::seccomp;

/// Which engine the API belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Dialect {
    Docker,
    /// With the name of a file that holds the seccomp profile.
    Podman {
        seccomp: String,
    },
}

/// Processes of one user in all sandboxes together: above what several of them may have, and below what machines were seen
/// to allow.
const NPROC_MAX: i64 = 16_384;
/// What Podman adds to a read-only root, for everybody to write to.
pub(super) const ADDED: [&str; 2] = ["/run", "/var/tmp"];

impl Dialect {
    /// Podman opens a file by its name where Docker takes the profile itself. Ours has no place in any folder, so that
    /// nothing is left of it; only a Podman on this machine can open it.
    pub(in crate::sandbox) fn podman() -> io::Result<Dialect> {
        static FILE: OnceLock<std::fs::File> = OnceLock::new();
        let file = match FILE.get() {
            Some(file) => file,
            None => FILE.get_or_init({
                let file = sealed(seccomp::profile().as_bytes())?;
                move || file
            }),
        };
        Ok(Dialect::Podman { seccomp: format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()) })
    }

    pub(super) fn ask(&self, body: &mut ContainerCreateBody) {
        let Dialect::Podman { seccomp } = self else { return };
        // A name alone would get the value that it has in the environment of Podman itself.
        for variable in body.env.iter_mut().flatten().filter(|variable| !variable.contains('=')) {
            variable.push('=');
        }
        let Some(host) = &mut body.host_config else { return };
        for option in host.security_opt.iter_mut().flatten().filter(|option| option.starts_with("seccomp={")) {
            *option = format!("seccomp={seccomp}");
        }
        // Its own default may be more than the machine allows, which is an error to the runtime.
        host.ulimits.get_or_insert_default().push(super::limits::ulimit("nproc", NPROC_MAX));
        let tmpfs = host.tmpfs.get_or_insert_with(HashMap::new);
        for path in ADDED {
            tmpfs.insert(path.to_owned(), super::filesystem::CLOSED.to_owned());
        }
    }

    /// What is shown, as Docker would show it.
    pub(super) fn read<'a>(&self, seen: &'a ContainerInspectResponse) -> Cow<'a, ContainerInspectResponse> {
        if *self == Dialect::Docker {
            return Cow::Borrowed(seen);
        }
        let mut seen = seen.clone();
        // A command of one word is shown as its own argument.
        if let (Some(path), Some(args)) = (&seen.path, &mut seen.args)
            && *args == [path.clone()]
        {
            args.clear();
        }
        // An anonymous volume is a bind too.
        let volumes: Vec<&str> = seen.mounts.iter().flatten().filter_map(|mount| mount.name.as_deref()).collect();
        if let Some(binds) = seen.host_config.as_mut().and_then(|host| host.binds.as_mut()) {
            binds.retain(|bind| {
                let source = bind.split(':').next().unwrap_or_default();
                let anonymous = source.len() == 64 && source.bytes().all(|byte| byte.is_ascii_hexdigit());
                !(anonymous && volumes.contains(&source))
            });
        }
        Cow::Owned(seen)
    }
}

fn sealed(content: &[u8]) -> io::Result<std::fs::File> {
    let fd = memfd_create("greenroom-seccomp", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(content)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bollard::models::{HostConfig, MountPoint};

    use super::*;

    #[test]
    fn no_variable_of_podmans_own_comes_in_and_the_filter_is_a_file_that_can_be_read() {
        let dialect = Dialect::podman().unwrap();
        let host = HostConfig { security_opt: Some(vec!["seccomp={}".into()]), ..Default::default() };
        let mut body = ContainerCreateBody {
            env: Some(vec!["PATH".into(), "A=b".into()]),
            host_config: Some(host),
            ..Default::default()
        };
        dialect.ask(&mut body);
        assert_eq!(body.env.unwrap(), ["PATH=", "A=b"]);
        let option = body.host_config.unwrap().security_opt.unwrap().remove(0);
        let content = std::fs::read_to_string(option.strip_prefix("seccomp=").unwrap()).unwrap();
        assert_eq!(content, seccomp::profile());
    }

    #[test]
    fn a_folder_of_the_host_stays_one_among_volumes() {
        let id = "ab".repeat(32);
        let binds = vec![format!("{id}:/workspace:rw"), "/etc:/host".into(), "named:/other".into()];
        let seen = ContainerInspectResponse {
            path: Some("/a".into()),
            args: Some(vec!["/a".into()]),
            host_config: Some(HostConfig { binds: Some(binds), ..Default::default() }),
            mounts: Some(vec![MountPoint { name: Some(id), ..Default::default() }]),
            ..Default::default()
        };
        let read = Dialect::podman().unwrap().read(&seen).into_owned();
        assert_eq!(read.host_config.unwrap().binds.unwrap(), ["/etc:/host", "named:/other"]);
        assert_eq!(read.args.unwrap(), Vec::<String>::new());
        assert_eq!(Dialect::Docker.read(&seen).as_ref(), &seen);
    }
}
