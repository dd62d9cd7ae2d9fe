//! Other runners: this program started again, to be killed, interrupted, or to run beside us.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::Fault;
use super::lab::{Lab, nothing};
use crate::id::RunId;
use crate::sandbox::DockerLauncher;

/// Short, so that its end can be waited for.
pub(super) const DOOMED_LEASE: Duration = Duration::from_secs(3);
/// What makes `doctor --attack` play the runner that is about to be killed.
pub const DOOMED: &str = "GREENROOM_ATTACK_DOOMED_RUNNER";

/// A runner that has started a sandbox once it prints a line, and holds it until it is killed.
pub(super) fn doomed(lab: &Lab) -> Result<Child, Fault> {
    let mut command = itself(lab)?;
    command.args(["doctor", "--attack"]).env(DOOMED, "1");
    for confinement in lab.weaker() {
        command.args(["--allow-weaker", confinement.name()]);
    }
    if let Some(runtime) = lab.runtime() {
        command.args(["--runtime", runtime]);
    }
    Ok(command.spawn()?)
}

/// What a doomed runner does: the container's id for `tell`, then a command that takes longer than anybody waits.
pub async fn play_doomed(lab: &Lab, tell: impl FnOnce(&str)) -> Result<(), String> {
    let launcher = lab.launcher().with_lease(DOOMED_LEASE);
    let room = lab.room_of(&launcher, &lab.spec(), nothing()).await.map_err(|error| error.to_string())?;
    tell(&room.sandbox.facts().container);
    room.sh_for("sleep 600", Duration::from_secs(600)).await.map(drop).map_err(|error| error.to_string())
}

/// `greenroom exec` in the lab's image.
pub(super) fn exec(lab: &Lab, home: &Path, repo: &Path, argv: &[&str]) -> Result<Child, Fault> {
    let mut command = itself(lab)?;
    command.arg("exec").arg("--repo").arg(repo).args(["--image", super::IMAGE, "--timeout", "120s", "--json"]);
    command.args(as_in(lab)).arg("--").args(argv).env("GREENROOM_HOME", home);
    Ok(command.spawn()?)
}

/// The same with a secret in every place where this user's secrets lie.
pub(super) fn exec_with_secret(
    lab: &Lab,
    home: &Path,
    repo: &Path,
    secret: &str,
    argv: &[&str],
) -> Result<Child, Fault> {
    let user = home.join("user");
    for file in [".ssh/id_ed25519", ".aws/credentials", ".netrc", ".git-credentials", ".docker/config.json"] {
        let path = user.join(file);
        std::fs::create_dir_all(path.parent().expect("a file has a folder"))?;
        // An engine's settings that are no JSON would be an error of their own.
        let content = if file.ends_with(".json") { format!("{{\"x\":\"{secret}\"}}") } else { secret.to_owned() };
        std::fs::write(path, content)?;
    }
    let mut command = itself(lab)?;
    command.arg("exec").arg("--repo").arg(repo).args(["--image", super::IMAGE, "--timeout", "120s", "--json"]);
    command.args(as_in(lab)).arg("--").args(argv).env("GREENROOM_HOME", home).env("HOME", &user);
    for name in
        ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "GREENROOM_ATTACK_SECRET"]
    {
        command.env(name, secret);
    }
    Ok(command.spawn()?)
}

/// The lab's runtime, and what that cannot do.
fn as_in(lab: &Lab) -> Vec<&str> {
    let runtime = lab.runtime().into_iter().flat_map(|name| ["--runtime", name]);
    runtime.chain(lab.unenforced().iter().flat_map(|missing| ["--allow-weaker", missing.name()])).collect()
}

/// The label value by which containers of the runner with this home are known.
pub(super) fn owner(home: &Path) -> String {
    DockerLauncher::owner_of(&home.join("state"))
}

/// Ctrl-C.
pub(super) fn interrupt(child: &Child) -> Result<(), Fault> {
    let id = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let Some(id) = id else { return Ok(()) };
    rustix::process::kill_process(id, rustix::process::Signal::INT).map_err(|error| Fault::NotRun(error.to_string()))
}

fn itself(lab: &Lab) -> Result<Command, Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    // The engine under attack, whatever a changed home would suggest.
    command.env("DOCKER_HOST", &lab.engine.facts.address);
    Ok(command)
}

/// Hard to meet by chance.
pub(super) fn secret() -> String {
    format!("secret-{}", RunId::generate())
}
