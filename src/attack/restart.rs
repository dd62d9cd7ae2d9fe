//! The engine restarted in the middle of a call, by the command that was named for it or as the system's own service.

use std::time::{Duration, Instant};

use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use tokio::process::Command;

use super::lab::Lab;
use super::{Fault, Found, ensure};
use crate::sandbox::SandboxError;

/// Where the system's service listens: that of another engine is not known.
const SYSTEM: [&str; 2] = ["unix:///var/run/docker.sock", "unix:///run/docker.sock"];
const SERVICE: &str = "systemctl restart docker || service docker restart";
const RESTART_MAX: Duration = Duration::from_secs(120);
/// How soon after the engine has gone the call must have ended.
const NOTICED_MAX: Duration = Duration::from_secs(5);

pub(super) async fn engine_restart(lab: &Lab) -> Found {
    let address = lab.engine.facts.address.as_str();
    let command = match lab.restart_command() {
        Some(command) => command,
        None if SYSTEM.contains(&address) => SERVICE,
        None => {
            let detail = format!("{address} is not the system's own engine; --restart-with says how to restart it");
            return Err(Fault::NotRun(detail));
        }
    };
    let room = lab.room().await?;
    let call = async { Ok((room.sh_for("sleep 600", Duration::from_secs(600)).await, Instant::now())) };
    let ((ended, ended_at), (gone_at, up_after)) = tokio::try_join!(call, restart(lab, command))?;
    ensure(matches!(ended, Err(SandboxError::Lost { .. })), || format!("the call came to: {ended:?}"))?;
    let noticed = ended_at.saturating_duration_since(gone_at);
    ensure(noticed < NOTICED_MAX, || format!("noticed only after {noticed:?}"))?;
    // Its container too, where the engine kept that alive.
    room.sandbox.stop().await?;
    lab.room().await?.leave().await?;
    Ok(format!(
        "sandbox lost {} ms after the engine was gone; it was back after {:.1} s, and the next sandbox works",
        noticed.as_millis(),
        up_after.as_secs_f32()
    ))
}

/// When the engine went away, and how long it was away. A command that ends without that has restarted nothing.
async fn restart(lab: &Lab, command: &str) -> Result<(Instant, Duration), Fault> {
    // Past the start of the call.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut events = lab.docker.events(None::<EventsOptions>);
    let gone = tokio::spawn(async move {
        while let Some(Ok(_)) = events.next().await {}
        Instant::now()
    });
    let restart = async {
        let output = Command::new("sh").args(["-c", command]).kill_on_drop(true).output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Fault::NotRun(format!("`{command}` failed: {said}")));
        }
        let Ok(Ok(gone_at)) = tokio::time::timeout(NOTICED_MAX, gone).await else {
            return Err(Fault::NotRun(format!("`{command}` left the engine running")));
        };
        while lab.docker.version().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok((gone_at, gone_at.elapsed()))
    };
    let late = || Fault::broken(format!("the engine did not come back within {} s", RESTART_MAX.as_secs()));
    tokio::time::timeout(RESTART_MAX, restart).await.unwrap_or_else(|_| Err(late()))
}
