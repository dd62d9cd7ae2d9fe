//! Who commands are, and what they may do beyond an ordinary user: nothing.

use bollard::models::{ContainerCreateBody, HostConfig};
use greenroom_supervisor::protocol::{Hardening, SANDBOX_UID};

use super::Refusals;

/// PID 1 becomes the user of each command with the first two, and empties the bounding set once with the third.
const ADDED: [&str; 3] = ["SETGID", "SETPCAP", "SETUID"];
/// SETGID and SETUID, as PID 1 keeps them.
const SUPERVISOR_MASK: u64 = 1 << 6 | 1 << 7;

pub(super) fn ask(body: &mut ContainerCreateBody, host: &mut HostConfig) {
    body.user = Some("0:0".to_owned());
    host.cap_drop = Some(vec!["ALL".to_owned()]);
    host.cap_add = Some(ADDED.map(str::to_owned).to_vec());
    host.privileged = Some(false);
}

pub(super) fn stuck(host: &HostConfig, refusals: &mut Refusals) {
    let plain = |names: &Option<Vec<String>>| {
        let mut names: Vec<String> = names
            .iter()
            .flatten()
            .map(|name| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned())
            .collect();
        names.sort();
        names
    };
    let (added, dropped) = (plain(&host.cap_add), plain(&host.cap_drop));
    // Podman answers with the list of what it dropped instead of ALL; what is left is seen from inside.
    refusals.unless(dropped.iter().any(|name| name == "ALL") || dropped.len() > 8, "capabilities", || {
        format!("the engine drops {dropped:?} instead of all")
    });
    refusals.unless(added.iter().all(|name| ADDED.contains(&name.as_str())), "capabilities", || {
        format!("the engine adds {added:?}")
    });
    refusals.unless(host.privileged != Some(true), "privileged", || "the container would be".to_owned());
}

pub(super) fn holds(seen: &Hardening, refusals: &mut Refusals) {
    let command = &seen.command;
    let ours = |ids: &[u32]| !ids.is_empty() && ids.iter().all(|&id| id == SANDBOX_UID);
    refusals.unless(ours(&command.uids), "uid", || format!("a command runs as {:?}", command.uids));
    refusals.unless(ours(&command.gids) && command.groups.iter().all(|&id| id == SANDBOX_UID), "gid", || {
        format!("a command runs as {:?} with groups {:?}", command.gids, command.groups)
    });
    for (set, mask) in [
        ("inheritable", command.cap_inheritable),
        ("permitted", command.cap_permitted),
        ("effective", command.cap_effective),
        ("bounding", command.cap_bounding),
        ("ambient", command.cap_ambient),
    ] {
        refusals.unless(mask == Some(0), "capabilities", || format!("a command's {set} set is {mask:x?}, not empty"));
    }
    let effective = seen.supervisor.cap_effective;
    refusals.unless(effective.is_some_and(|mask| mask & !SUPERVISOR_MASK == 0), "supervisor capabilities", || {
        format!("PID 1 holds {effective:x?}")
    });
}
