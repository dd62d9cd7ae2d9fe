//! System calls are filtered, and no program gains rights by being started.

use bollard::models::HostConfig;
use greenroom_supervisor::protocol::Hardening;

use super::{Refusals, seccomp};

const FILTERED: u32 = 2;

pub(super) fn ask(host: &mut HostConfig) {
    host.security_opt = Some(vec!["no-new-privileges:true".to_owned(), format!("seccomp={}", seccomp::profile())]);
}

pub(super) fn stuck(host: &HostConfig, refusals: &mut Refusals) {
    let options = host.security_opt.as_deref().unwrap_or_default();
    // Engines write the first option with `:true`, `=true` or neither.
    refusals.unless(
        options.iter().any(|option| option.starts_with("no-new-privileges") && !option.ends_with("false")),
        "no-new-privileges",
        || "the engine dropped it".to_owned(),
    );
    refusals.unless(
        options.iter().any(|option| option.starts_with("seccomp=") && option != "seccomp=unconfined"),
        "seccomp",
        || "the engine dropped the profile".to_owned(),
    );
}

pub(super) fn holds(seen: &Hardening, refusals: &mut Refusals) {
    for (who, credentials) in [("a command", &seen.command), ("PID 1", &seen.supervisor)] {
        refusals.unless(credentials.no_new_privs == Some(true), "no-new-privileges", || {
            format!("{who} sees {:?}", credentials.no_new_privs)
        });
        refusals.unless(credentials.seccomp == Some(FILTERED), "seccomp", || {
            format!("{who} sees mode {:?}, not {FILTERED} (filter)", credentials.seccomp)
        });
    }
}
