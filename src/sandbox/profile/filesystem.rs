//! Where a sandbox can write: the workspace, `$HOME` and `/tmp`. The rest of its root cannot be written to by anybody.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, MountType, MountVolumeOptions,
};
use greenroom_supervisor::protocol::{ByteString, DiskLimits, Hardening, SPOOL_FOLDER};

use super::super::{Confinement, HOME, WORKSPACE};
use super::{DataVolume, Fill, Profile, Refusals};

/// Where the operator's read-only data is.
pub(in crate::sandbox) const DATA: &str = "/data";

/// A tmpfs that nobody can write to.
pub(super) const CLOSED: &str = "ro,noexec,nosuid,nodev,mode=555,size=4096";

/// The volumes that a fork has in common with its original.
pub(in crate::sandbox) const COPIED: [&str; 3] = [WORKSPACE, HOME, DATA];

pub(super) fn ask(profile: &Profile, body: &mut ContainerCreateBody, host: &mut HostConfig) {
    host.readonly_rootfs = Some(true);
    // Anonymous volumes, which the engine removes with the container. Those that it is to fill from the image, with its
    // owners, are named in the configuration; an empty one takes a mount without a name.
    let (empty, filled): (Vec<_>, Vec<_>) =
        volumes(profile).partition(|place| profile.fill == Fill::ByCopy && COPIED.contains(place));
    body.volumes = Some(filled.into_iter().map(str::to_owned).collect());
    host.mounts = (!empty.is_empty()).then(|| empty.into_iter().map(empty_volume).collect());
    let mut tmpfs = HashMap::from([(
        "/tmp".to_owned(),
        // Tests compile to /tmp and run what they find there, so `exec`, which engines leave out by default.
        format!("rw,exec,nosuid,nodev,mode=1777,size={}", profile.limits.tmp_bytes),
    )]);
    for path in foreign_volumes(profile) {
        // A volume the image declares would be one more place to write to, of a size nobody limits.
        tmpfs.insert(path.to_owned(), CLOSED.to_owned());
    }
    host.tmpfs = Some(tmpfs);
    host.ipc_mode = Some("private".to_owned());
}

pub(super) fn stuck(profile: &Profile, seen: &ContainerInspectResponse, host: &HostConfig, refusals: &mut Refusals) {
    refusals.unless(host.readonly_rootfs == Some(true), "read-only root", || "the engine dropped it".to_owned());
    let binds = host.binds.iter().flatten().count() + host.volumes_from.iter().flatten().count();
    refusals.unless(binds == 0, "mounts", || format!("the engine mounts {:?} of the host", host.binds));
    let devices = host.devices.iter().flatten().count();
    refusals.unless(devices == 0, "devices", || format!("the engine passes {devices} devices on"));
    refusals.unless(host.tmpfs.as_ref().is_some_and(|tmpfs| tmpfs.contains_key("/tmp")), "/tmp", || {
        "the engine dropped the sized /tmp".to_owned()
    });
    for mount in seen.mounts.iter().flatten() {
        let place = mount.destination.as_deref().unwrap_or_default();
        let known = volumes(profile).any(|known| known == place)
            || foreign_volumes(profile).any(|known| known == place)
            || place == "/tmp";
        let ours = matches!(mount.typ.as_deref(), Some("volume" | "tmpfs"));
        refusals.unless(known && ours, "mounts", || format!("the engine mounts a {:?} at {place}", mount.typ));
    }
    for (namespace, mode) in [("pid", &host.pid_mode), ("ipc", &host.ipc_mode), ("uts", &host.uts_mode)] {
        let mode = mode.as_deref().unwrap_or_default();
        let own = matches!(mode, "" | "private" | "none" | "shareable");
        refusals.unless(own, "namespaces", || format!("the engine shares the {namespace} namespace: {mode}"));
    }
}

pub(super) fn holds(seen: &Hardening, refusals: &mut Refusals) {
    refusals.unless(seen.root_read_only == Some(true), "read-only root", || {
        format!("seen from inside: {:?}", seen.root_read_only)
    });
    refusals.unless(seen.spool_private, "spool", || {
        format!("PID 1 has no volume at {SPOOL_FOLDER} that is its own, to keep output in")
    });
}

fn volumes(profile: &Profile) -> impl Iterator<Item = &'static str> {
    let data = match profile.data {
        DataVolume::Filled => Some(DATA),
        DataVolume::None => None,
    };
    [WORKSPACE, HOME, SPOOL_FOLDER].into_iter().chain(data)
}

/// Whether a container that runs has what this profile gives: it may have been made for another one.
pub(super) fn mounted(profile: &Profile, seen: &ContainerInspectResponse, refusals: &mut Refusals) {
    for place in volumes(profile) {
        let mounted = seen.mounts.iter().flatten().any(|mount| mount.destination.as_deref() == Some(place));
        refusals.unless(mounted, "mounts", || format!("there is no volume at {place}"));
    }
}

fn empty_volume(place: &str) -> Mount {
    let options = MountVolumeOptions { no_copy: Some(true), ..Default::default() };
    Mount {
        target: Some(place.to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(options),
        ..Default::default()
    }
}

impl Profile {
    /// What PID 1 is to watch: the host's file system below the volumes has no quota of its own.
    pub(in crate::sandbox) fn disk_limits(&self) -> Option<DiskLimits> {
        let roots = [WORKSPACE, HOME].map(ByteString::from).to_vec();
        let limits = DiskLimits { roots, bytes_max: self.limits.disk_bytes, inodes_max: self.limits.disk_inodes };
        (!self.left_out.contains(&Confinement::Disk)).then_some(limits)
    }
}

fn foreign_volumes(profile: &Profile) -> impl Iterator<Item = &str> {
    profile
        .image_volumes
        .iter()
        .map(|path| path.trim_end_matches('/'))
        .filter(|path| !matches!(*path, WORKSPACE | HOME | DATA | SPOOL_FOLDER | "/tmp"))
}
