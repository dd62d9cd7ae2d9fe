//! A profile without some of its confinements: what is not asked of the engine, and what PID 1 is told to leave out.

use bollard::models::{ContainerCreateBody, HostConfig};

use super::super::confinement::{Confinement, Weaker};
use super::lifecycle::SUPERVISOR;

/// Takes back what the other files of the profile asked for.
pub(super) fn ask(weaker: &Weaker, body: &mut ContainerCreateBody, host: &mut HostConfig) {
    for confinement in weaker {
        match confinement {
            Confinement::Seccomp => {
                let options = host.security_opt.get_or_insert_default();
                options.retain(|option| !option.starts_with("seccomp="));
                options.push("seccomp=unconfined".to_owned());
            }
            Confinement::NoNewPrivileges => {
                let options = host.security_opt.get_or_insert_default();
                options.retain(|option| !option.starts_with("no-new-privileges"));
            }
            // What is left is the engine's own default set.
            Confinement::Capabilities => host.cap_drop = None,
            Confinement::Uid | Confinement::Disk => {}
            Confinement::ReadOnlyRoot => host.readonly_rootfs = Some(false),
            Confinement::Network => {
                body.network_disabled = Some(false);
                host.network_mode = Some("bridge".to_owned());
            }
            Confinement::Memory => {
                host.memory = None;
                host.memory_swap = None;
            }
            Confinement::Pids => host.pids_limit = None,
            Confinement::Cpus => host.nano_cpus = None,
            Confinement::FileSize => {
                host.ulimits.iter_mut().for_each(|limits| limits.retain(|l| l.name.as_deref() != Some("fsize")));
            }
        }
    }
    body.cmd = Some(arguments(weaker));
}

/// What PID 1 is started as.
pub(super) fn argv(weaker: &Weaker) -> Vec<String> {
    [SUPERVISOR.to_owned()].into_iter().chain(arguments(weaker)).collect()
}

/// PID 1 confines commands by itself too, and would otherwise hide that the engine does not.
fn arguments(weaker: &Weaker) -> Vec<String> {
    weaker
        .iter()
        .filter(|confinement| match confinement {
            Confinement::NoNewPrivileges | Confinement::Capabilities | Confinement::Uid => true,
            Confinement::Seccomp
            | Confinement::ReadOnlyRoot
            | Confinement::Network
            | Confinement::Memory
            | Confinement::Pids
            | Confinement::Cpus
            | Confinement::FileSize
            | Confinement::Disk => false,
        })
        .map(|confinement| format!("--without-{confinement}"))
        .collect()
}
