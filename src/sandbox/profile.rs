//! How a sandbox is confined: what is asked of the engine, whether it stuck, and whether it holds as seen from inside.
//!
//! One file a confinement, each with the same three questions. An engine that does not know a field ignores it without
//! a word, so nothing counts as confined until it has been looked at from both sides.

mod capabilities;
mod filesystem;
mod lifecycle;
mod limits;
mod network;
mod podman;
mod seccomp;
mod set_up;
mod syscalls;
mod weaker;

use std::collections::HashMap;
use std::fmt;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use greenroom_supervisor::protocol::Hardening;

pub(super) use filesystem::{COPIED, DATA};
pub(super) use lifecycle::SUPERVISOR;
pub(super) use podman::Dialect;
pub(super) use set_up::SET_UP_FILES;

use super::{Confinement, ResourceLimits, SandboxError, Weaker};

/// What the engine is asked for.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) limits: ResourceLimits,
    pub(super) labels: HashMap<String, String>,
    /// Names of the variables the image would put into the environment of PID 1.
    pub(super) image_env: Vec<String>,
    /// Where the image wants volumes of its own.
    pub(super) image_volumes: Vec<String>,
    /// Whether `/data` is filled.
    pub(super) data: DataVolume,
    pub(super) fill: Fill,
    /// By name, as the engine knows it; `None` is the engine's default.
    pub(super) runtime: Option<String>,
    /// What may be missing without a refusal.
    pub(super) weaker: Weaker,
    /// What is not even asked for, to see what breaks without it.
    pub(super) left_out: Weaker,
    pub(super) dialect: Dialect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataVolume {
    None,
    Filled,
}

/// Where what lies in the volumes comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// The engine begins with what the image has there.
    FromImage,
    /// They begin empty: everything is copied from another sandbox.
    ByCopy,
}

/// One confinement that did not stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    field: &'static str,
    detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

/// What does not fit, gathered so that one message names all of it.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Refusal>);

impl Refusals {
    fn unless(&mut self, holds: bool, field: &'static str, detail: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Refusal { field, detail: detail() });
        }
    }

    /// What is missing because it was asked to be is no reason to refuse.
    pub(super) fn into_result(mut self, weaker: &Weaker) -> Result<(), SandboxError> {
        self.0.retain(|refusal| !weaker.iter().any(|confinement| confinement.fields().contains(&refusal.field)));
        if self.0.is_empty() {
            return Ok(());
        }
        let detail = self.0.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ");
        let named = self.0.iter().map(|refusal| Confinement::of_field(refusal.field)).collect::<Option<Weaker>>();
        Err(SandboxError::Hardening { detail, unenforced: named.unwrap_or_default() })
    }
}

impl Profile {
    /// The container to create from `image`.
    pub(super) fn container(&self, image: &str) -> ContainerCreateBody {
        let mut body = ContainerCreateBody { image: Some(image.to_owned()), ..Default::default() };
        let mut host = HostConfig::default();
        lifecycle::ask(self, &mut body, &mut host);
        capabilities::ask(&mut body, &mut host);
        syscalls::ask(&mut host);
        network::ask(&mut body, &mut host);
        limits::ask(self, &mut host);
        filesystem::ask(self, &mut body, &mut host);
        weaker::ask(&self.left_out, &mut body, &mut host);
        body.host_config = Some(host);
        self.dialect.ask(&mut body);
        body
    }

    /// Whether the created container is what was asked for.
    pub(super) fn verify_created(&self, seen: &ContainerInspectResponse) -> Result<(), SandboxError> {
        let seen = self.dialect.read(seen);
        let mut refusals = Refusals::default();
        match &seen.host_config {
            Some(host) => {
                lifecycle::stuck(self, &seen, host, &mut refusals);
                capabilities::stuck(host, &mut refusals);
                syscalls::stuck(host, &mut refusals);
                network::stuck(host, &mut refusals);
                limits::stuck(self, host, &mut refusals);
                filesystem::stuck(self, &seen, host, &mut refusals);
            }
            None => refusals.unless(false, "host_config", || "the engine does not show what it applies".to_owned()),
        }
        refusals.into_result(&self.weaker)
    }

    /// The same of a container that an earlier runner created, and more: it has to be this profile's in all respects.
    pub(super) fn verify_running(&self, seen: &ContainerInspectResponse) -> Result<(), SandboxError> {
        let mut refusals = Refusals::default();
        filesystem::mounted(self, seen, &mut refusals);
        refusals.into_result(&self.weaker)?;
        self.verify_created(seen)
    }

    /// Whether it holds, as PID 1 and a command see it.
    pub(super) fn verify_inside(&self, seen: &Hardening) -> Result<(), SandboxError> {
        let mut refusals = Refusals::default();
        capabilities::holds(seen, &mut refusals);
        syscalls::holds(seen, &mut refusals);
        network::holds(seen, &mut refusals);
        limits::holds(self, seen, &mut refusals);
        filesystem::holds(seen, &mut refusals);
        refusals.into_result(&self.weaker)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use greenroom_supervisor::protocol::hardening::Credentials;

    use super::*;

    fn profile() -> Profile {
        Profile {
            limits: ResourceLimits {
                memory_bytes: 1 << 30,
                pids: 256,
                cpu_millis: 1500,
                tmp_bytes: 64 << 20,
                file_bytes: 1 << 30,
                disk_bytes: 8 << 30,
                disk_inodes: 1 << 20,
            },
            labels: HashMap::new(),
            image_env: vec!["LD_PRELOAD".into()],
            image_volumes: Vec::new(),
            data: DataVolume::None,
            fill: Fill::FromImage,
            runtime: None,
            weaker: Weaker::new(),
            left_out: Weaker::new(),
            dialect: Dialect::Docker,
        }
    }

    /// As an engine answers that did all it was told.
    fn obedient() -> ContainerInspectResponse {
        let body = profile().container("image");
        ContainerInspectResponse {
            host_config: body.host_config.clone(),
            path: Some("/.greenroom/supervisor".into()),
            args: Some(Vec::new()),
            config: Some(bollard::models::ContainerConfig {
                user: body.user,
                tty: Some(false),
                open_stdin: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn confined() -> Hardening {
        let command = Credentials {
            uids: vec![1000; 4],
            gids: vec![1000; 4],
            groups: Vec::new(),
            cap_inheritable: Some(0),
            cap_permitted: Some(0),
            cap_effective: Some(0),
            cap_bounding: Some(0),
            cap_ambient: Some(0),
            no_new_privs: Some(true),
            seccomp: Some(2),
        };
        let supervisor = Credentials {
            uids: vec![0; 4],
            gids: vec![0; 4],
            cap_effective: Some(0xc0),
            cap_permitted: Some(0xc0),
            ..command.clone()
        };
        Hardening {
            command,
            supervisor,
            root_read_only: Some(true),
            spool_private: true,
            memory_bytes_max: Some(1 << 30),
            memory_swap_bytes_max: Some(1 << 30),
            pids_max: Some(256),
            cpu_millis_max: Some(1500),
            interfaces: Some(vec!["lo".into()]),
            oom_counter: true,
        }
    }

    #[test]
    fn what_was_asked_for_and_applied_is_accepted() {
        profile().verify_created(&obedient()).unwrap();
        profile().verify_inside(&confined()).unwrap();
    }

    #[test]
    fn what_was_left_out_by_name_is_not_refused_and_nothing_else_is_let_pass() {
        use crate::sandbox::Confinement;
        let without = Weaker::from([Confinement::Pids]);
        let pids = Profile { weaker: without.clone(), left_out: without, ..profile() };
        let mut seen = obedient();
        seen.host_config = pids.container("image").host_config;
        assert_eq!(seen.host_config.as_ref().unwrap().pids_limit, None);
        pids.verify_created(&seen).unwrap();
        assert!(profile().verify_created(&seen).is_err());
        pids.verify_inside(&Hardening { pids_max: None, ..confined() }).unwrap();
        assert!(pids.verify_inside(&Hardening { memory_bytes_max: None, ..confined() }).is_err());
    }

    #[test]
    fn what_is_only_accepted_is_asked_for_all_the_same_and_a_refusal_says_what_to_accept() {
        use crate::sandbox::Confinement;
        let weaker = Weaker::from([Confinement::Pids, Confinement::Seccomp]);
        let accepting = Profile { weaker: weaker.clone(), ..profile() };
        assert_eq!(accepting.container("image"), profile().container("image"));
        let named = Profile { runtime: Some("runsc".into()), ..accepting.clone() };
        let pids = named.container("image").host_config.and_then(|host| host.pids_limit).unwrap();
        assert!(pids > i64::from(named.limits.pids), "the engine counts the threads of its kernel too: {pids}");
        let mut seen = Hardening { pids_max: None, ..confined() };
        seen.command.seccomp = Some(0);
        accepting.verify_inside(&seen).unwrap();
        match profile().verify_inside(&seen) {
            Err(SandboxError::Hardening { unenforced, .. }) => assert_eq!(unenforced, weaker),
            other => panic!("{other:?}"),
        }
        let mut host = obedient();
        host.host_config.as_mut().unwrap().binds = Some(vec!["/:/host".into()]);
        match profile().verify_created(&host) {
            Err(SandboxError::Hardening { unenforced, .. }) => assert_eq!(unenforced, Weaker::new()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_an_engine_drops_is_named() {
        type Spoil = fn(&mut HostConfig);
        let cases: &[(&str, Spoil)] = &[
            ("memory", |host| host.memory = None),
            ("swap", |host| host.memory_swap = Some(-1)),
            ("pids", |host| host.pids_limit = Some(0)),
            ("cpus", |host| host.nano_cpus = None),
            ("file size", |host| host.ulimits = None),
            ("capabilities", |host| host.cap_drop = None),
            ("capabilities", |host| host.cap_add = Some(vec!["CAP_SYS_ADMIN".into()])),
            ("privileged", |host| host.privileged = Some(true)),
            ("no-new-privileges", |host| host.security_opt = Some(vec!["seccomp={}".into()])),
            ("seccomp", |host| host.security_opt = Some(vec!["no-new-privileges".into(), "seccomp=unconfined".into()])),
            ("network", |host| host.network_mode = Some("bridge".into())),
            ("read-only root", |host| host.readonly_rootfs = Some(false)),
            ("mounts", |host| host.binds = Some(vec!["/:/host".into()])),
            ("automatic removal", |host| host.auto_remove = None),
            ("log driver", |host| host.log_config = None),
            ("namespaces", |host| host.pid_mode = Some("host".into())),
        ];
        for (field, spoil) in cases {
            let mut seen = obedient();
            spoil(seen.host_config.as_mut().unwrap());
            let error = profile().verify_created(&seen).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }

    #[test]
    fn every_confinement_that_does_not_hold_inside_is_named() {
        type Spoil = fn(&mut Hardening);
        let cases: &[(&str, Spoil)] = &[
            ("uid", |seen| seen.command.uids = vec![1000, 1000, 0, 1000]),
            ("gid", |seen| seen.command.groups = vec![0]),
            ("capabilities", |seen| seen.command.cap_bounding = Some(1)),
            ("capabilities", |seen| seen.command.cap_effective = None),
            ("supervisor capabilities", |seen| seen.supervisor.cap_effective = Some(1 << 21)),
            ("no-new-privileges", |seen| seen.command.no_new_privs = Some(false)),
            ("seccomp", |seen| seen.command.seccomp = Some(0)),
            ("read-only root", |seen| seen.root_read_only = Some(false)),
            ("spool", |seen| seen.spool_private = false),
            ("memory", |seen| seen.memory_bytes_max = None),
            ("swap", |seen| seen.memory_swap_bytes_max = Some(2 << 30)),
            ("pids", |seen| seen.pids_max = None),
            ("cpus", |seen| seen.cpu_millis_max = Some(2000)),
            ("network", |seen| seen.interfaces = Some(vec!["lo".into(), "eth0".into()])),
            ("network", |seen| seen.interfaces = None),
        ];
        for (field, spoil) in cases {
            let mut seen = confined();
            spoil(&mut seen);
            let error = profile().verify_inside(&seen).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
