//! What runs in a sandbox and what becomes of it: our PID 1, whatever the image says, and nothing once that has ended.

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, HostConfigLogConfig, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::{Profile, Refusals, weaker};

/// Where prepared images hold the supervisor.
pub(in crate::sandbox) const SUPERVISOR: &str = "/.greenroom/supervisor";

pub(super) fn ask(profile: &Profile, body: &mut ContainerCreateBody, host: &mut HostConfig) {
    body.entrypoint = Some(vec![SUPERVISOR.to_owned()]);
    body.cmd = Some(Vec::new());
    body.working_dir = Some("/".to_owned());
    body.healthcheck = Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() });
    // A name without a value takes the variable away. Commands get an environment of their own.
    body.env = Some(profile.image_env.clone());
    body.labels = Some(profile.labels.clone());
    body.open_stdin = Some(true);
    body.stdin_once = Some(false);
    body.attach_stdin = Some(true);
    body.attach_stdout = Some(true);
    body.attach_stderr = Some(true);
    // A terminal would mix the streams and make the engine's framing a guess.
    body.tty = Some(false);
    host.auto_remove = Some(true);
    host.restart_policy = Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None });
    // Frames are read once, by us: a log would only cost time and disk.
    host.log_config = Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None });
    host.init = Some(false);
    host.runtime = profile.runtime.clone();
}

pub(super) fn stuck(profile: &Profile, seen: &ContainerInspectResponse, host: &HostConfig, refusals: &mut Refusals) {
    let argv: Vec<&str> = seen
        .path
        .iter()
        .chain(seen.args.iter().flatten())
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    refusals
        .unless(argv == weaker::argv(&profile.left_out), "entry point", || format!("the container would run {argv:?}"));
    if let Some(name) = &profile.runtime {
        refusals.unless(host.runtime.as_ref() == Some(name), "runtime", || {
            format!("asked for {name}, got {:?}", host.runtime)
        });
    }
    let user = seen.config.as_ref().and_then(|config| config.user.as_deref()).unwrap_or_default();
    refusals.unless(matches!(user, "0:0" | "0" | "root" | ""), "user", || format!("PID 1 would run as `{user}`"));
    refusals.unless(host.auto_remove == Some(true), "automatic removal", || {
        "the engine would keep the container after its end".to_owned()
    });
    let log = host.log_config.as_ref().and_then(|config| config.typ.as_deref());
    refusals.unless(log == Some("none"), "log driver", || format!("the engine logs with {log:?}"));
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    refusals.unless(
        matches!(restart, None | Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY)),
        "restart policy",
        || format!("the engine would restart it: {restart:?}"),
    );
}
