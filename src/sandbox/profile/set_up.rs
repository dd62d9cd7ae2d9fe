//! The other profile: commands are root and the root file system can be written to, so that packages can be installed.
//! Network, system calls and limits are those of every sandbox.

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, MountType};
use greenroom_supervisor::protocol::{DiskLimits, Hardening};

use super::{Profile, Refusals, SandboxError, limits, network, podman, syscalls};

/// What PID 1 is told, so that it takes this role.
const ROLE: &str = "setup";
/// Certificates and configuration of the phase: a volume, and so no part of what is committed.
pub(in crate::sandbox) const SET_UP_FILES: &str = "/.greenroom/setup";

/// What package managers need as root; SETPCAP for PID 1, which empties the bounding set of the rest.
const ADDED: [&str; 8] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETPCAP", "SETUID"];
/// The same without SETPCAP, as masks show it.
const COMMAND_MASK: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;

impl Profile {
    /// The container in which an image is set up.
    pub(in crate::sandbox) fn set_up_container(&self, image: &str) -> ContainerCreateBody {
        let mut body = self.container(image);
        body.cmd = Some(vec![ROLE.to_owned()]);
        // The workspace is part of the image here.
        body.volumes = None;
        if let Some(host) = &mut body.host_config {
            host.readonly_rootfs = Some(false);
            host.tmpfs.iter_mut().for_each(|tmpfs| tmpfs.retain(|path, _| !podman::ADDED.contains(&path.as_str())));
            host.cap_add = Some(ADDED.map(str::to_owned).to_vec());
            // Not among the volumes of the configuration, which the committed image would declare.
            let files =
                Mount { target: Some(SET_UP_FILES.to_owned()), typ: Some(MountType::VOLUME), ..Default::default() };
            host.mounts = Some(vec![files]);
        }
        body
    }

    /// The whole root is writable here, and counts.
    pub(in crate::sandbox) fn set_up_disk_limits(&self) -> DiskLimits {
        let (bytes_max, inodes_max) = (self.limits.disk_bytes, self.limits.disk_inodes);
        DiskLimits { roots: vec!["/".into()], bytes_max, inodes_max }
    }

    pub(in crate::sandbox) fn verify_set_up_created(
        &self,
        seen: &ContainerInspectResponse,
    ) -> Result<(), SandboxError> {
        let seen = self.dialect.read(seen);
        let mut refusals = Refusals::default();
        match &seen.host_config {
            Some(host) => {
                syscalls::stuck(host, &mut refusals);
                network::stuck(host, &mut refusals);
                limits::stuck(self, host, &mut refusals);
                stuck(self, &seen, host, &mut refusals);
            }
            None => refusals.unless(false, "host_config", || "the engine does not show what it applies".to_owned()),
        }
        refusals.into_result(&self.weaker)
    }

    pub(in crate::sandbox) fn verify_set_up_inside(&self, seen: &Hardening) -> Result<(), SandboxError> {
        let mut refusals = Refusals::default();
        syscalls::holds(seen, &mut refusals);
        network::holds(seen, &mut refusals);
        limits::holds(self, seen, &mut refusals);
        let command = &seen.command;
        for (set, mask) in [
            ("permitted", command.cap_permitted),
            ("effective", command.cap_effective),
            ("bounding", command.cap_bounding),
        ] {
            refusals.unless(mask == Some(COMMAND_MASK), "capabilities", || {
                format!("a command's {set} set is {mask:x?}, not {COMMAND_MASK:x}")
            });
        }
        refusals.into_result(&self.weaker)
    }
}

fn stuck(profile: &Profile, seen: &ContainerInspectResponse, host: &HostConfig, refusals: &mut Refusals) {
    let added: Vec<String> = host
        .cap_add
        .iter()
        .flatten()
        .map(|name| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned())
        .collect();
    refusals.unless(added.iter().all(|name| ADDED.contains(&name.as_str())), "capabilities", || {
        format!("the engine adds {added:?}")
    });
    refusals.unless(host.privileged != Some(true), "privileged", || "the container would be".to_owned());
    let binds = host.binds.iter().flatten().count() + host.volumes_from.iter().flatten().count();
    refusals.unless(binds == 0, "mounts", || format!("the engine mounts {:?} of the host", host.binds));
    refusals.unless(host.auto_remove == Some(true), "automatic removal", || {
        "the engine would keep the container after its end".to_owned()
    });
    for mount in seen.mounts.iter().flatten() {
        let place = mount.destination.as_deref().unwrap_or_default();
        let known = place == SET_UP_FILES
            || place == "/tmp"
            || profile.image_volumes.iter().any(|volume| volume.trim_end_matches('/') == place);
        let ours = matches!(mount.typ.as_deref(), Some("volume" | "tmpfs"));
        refusals.unless(known && ours, "mounts", || format!("the engine mounts a {:?} at {place}", mount.typ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::super::{DataVolume, Fill};
    use super::*;
    use crate::sandbox::{ResourceLimits, Weaker};

    fn profile() -> Profile {
        let limits = ResourceLimits {
            memory_bytes: 1 << 30,
            pids: 256,
            cpu_millis: 1500,
            tmp_bytes: 64 << 20,
            file_bytes: 1 << 30,
            disk_bytes: 1 << 30,
            disk_inodes: 10_000,
        };
        let labels = HashMap::new();
        Profile {
            limits,
            labels,
            image_env: Vec::new(),
            image_volumes: Vec::new(),
            data: DataVolume::None,
            fill: Fill::FromImage,
            runtime: None,
            weaker: Weaker::new(),
            left_out: Weaker::new(),
            dialect: super::super::Dialect::Docker,
        }
    }

    fn obedient() -> ContainerInspectResponse {
        let body = profile().set_up_container("image");
        ContainerInspectResponse { host_config: body.host_config, ..Default::default() }
    }

    #[test]
    fn the_network_of_a_set_up_is_that_of_a_run() {
        profile().verify_set_up_created(&obedient()).unwrap();
        let body = profile().set_up_container("image");
        assert_eq!(body.volumes, None, "a declared volume would be in the image");
        assert_eq!(body.host_config.unwrap().network_mode.as_deref(), Some("none"));
    }

    #[test]
    fn what_an_engine_drops_or_adds_is_named() {
        type Spoil = fn(&mut HostConfig);
        let cases: &[(&str, Spoil)] = &[
            ("network", |host| host.network_mode = Some("bridge".into())),
            ("capabilities", |host| host.cap_add = Some(vec!["CAP_SYS_ADMIN".into()])),
            ("privileged", |host| host.privileged = Some(true)),
            ("seccomp", |host| host.security_opt = Some(vec!["no-new-privileges".into()])),
            ("mounts", |host| host.binds = Some(vec!["/:/host".into()])),
            ("memory", |host| host.memory = None),
            ("automatic removal", |host| host.auto_remove = None),
        ];
        for (field, spoil) in cases {
            let mut seen = obedient();
            spoil(seen.host_config.as_mut().unwrap());
            let error = profile().verify_set_up_created(&seen).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }

    #[test]
    fn a_command_holds_exactly_what_installing_takes() {
        let holds = |mask| {
            let mut seen = Hardening::default();
            let command = &mut seen.command;
            (command.cap_permitted, command.cap_effective, command.cap_bounding) = (mask, mask, mask);
            let error = profile().verify_set_up_inside(&seen).unwrap_err().to_string();
            !error.contains("capabilities")
        };
        assert!(holds(Some(COMMAND_MASK)));
        for wrong in [None, Some(0), Some(COMMAND_MASK | 1 << 21), Some(COMMAND_MASK | 1 << 19)] {
            assert!(!holds(wrong), "{wrong:?}");
        }
    }
}
