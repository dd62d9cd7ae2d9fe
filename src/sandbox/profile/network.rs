//! No network: the sandbox has a loopback interface and nothing else.

use bollard::models::{ContainerCreateBody, HostConfig};
use greenroom_supervisor::protocol::Hardening;

use super::Refusals;

/// What some kernels put into every network namespace by themselves: tunnels that are down and lead nowhere.
const KERNEL_FALLBACKS: [&str; 9] =
    ["erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0", "ip6tnl0", "ip_vti0", "sit0", "tunl0"];

pub(super) fn ask(body: &mut ContainerCreateBody, host: &mut HostConfig) {
    // A fixed name says nothing about the machine, and is one thing less that differs between two runs.
    body.hostname = Some("greenroom".to_owned());
    body.network_disabled = Some(true);
    host.network_mode = Some("none".to_owned());
    host.publish_all_ports = Some(false);
}

pub(super) fn stuck(host: &HostConfig, refusals: &mut Refusals) {
    refusals.unless(host.network_mode.as_deref() == Some("none"), "network", || {
        format!("the engine attaches the container to {:?}", host.network_mode)
    });
    let ports = host.port_bindings.as_ref().map_or(0, std::collections::HashMap::len);
    refusals.unless(ports == 0 && host.publish_all_ports != Some(true), "ports", || {
        format!("the engine publishes {ports} ports")
    });
}

pub(super) fn holds(seen: &Hardening, refusals: &mut Refusals) {
    match &seen.interfaces {
        Some(names) => {
            let strangers: Vec<_> =
                names.iter().filter(|name| *name != "lo" && !KERNEL_FALLBACKS.contains(&name.as_str())).collect();
            refusals.unless(strangers.is_empty(), "network", || format!("inside there are interfaces {strangers:?}"));
        }
        None => refusals.unless(false, "network", || "the interfaces cannot be seen from inside".to_owned()),
    }
}
