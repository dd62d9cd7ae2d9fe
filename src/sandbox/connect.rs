//! Finds the container engine and puts a deadline on every call to it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;

use super::SandboxError;

/// A call that only asks or tells the daemon something small.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// Start and removal wait for the runtime, which a busy machine may keep waiting for long.
pub(super) const SLOW_CALL: Duration = Duration::from_secs(120);
/// Uploads, commits and builds: their own watch for progress ends them long before.
const TRANSFER_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Finding out whether anybody listens at a socket.
const PROBE: Duration = Duration::from_secs(10);

/// A container engine that answered.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    /// The same engine through a client that does not give up after two minutes.
    pub(super) transfers: Docker,
    pub facts: EngineFacts,
}

/// What the engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EngineFacts {
    /// Where it was found.
    pub address: String,
    pub version: String,
    /// Podman behind Docker's API.
    pub is_podman: bool,
    pub api_version: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub cgroup_version: String,
    pub storage_driver: String,
    pub security_options: Vec<String>,
    pub runtimes: Vec<String>,
    pub kernel: String,
    pub operating_system: String,
    /// What the engine itself warns of, such as limits its kernel cannot enforce.
    pub warnings: Vec<String>,
}

impl Engine {
    /// The first engine that answers: `DOCKER_HOST` alone where it is set; else the current Docker context, Docker's
    /// sockets (system, rootless), Podman's (rootless, system).
    pub async fn find() -> Result<Engine, SandboxError> {
        let mut tried = Vec::new();
        for candidate in candidates(&|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
            match Engine::at(&candidate.address).await {
                Ok(engine) => return Ok(engine),
                Err(reason) => tried.push(format!("{} ({}): {reason}", candidate.address, candidate.origin)),
            }
        }
        Err(SandboxError::NoEngine { detail: format!("tried {}", tried.join("; ")) })
    }

    /// The engine at one address: `unix://…`, `tcp://…`, `https://…` or `ssh://…`.
    pub async fn at(address: &str) -> Result<Engine, String> {
        let docker = Docker::connect_with_host(address).map_err(|error| describe(&error))?;
        let probe = async {
            let docker = docker.negotiate_version().await?;
            let (version, info) = tokio::try_join!(docker.version(), docker.info())?;
            Ok::<_, bollard::errors::Error>((docker, version, info))
        };
        let (docker, version, info) = match tokio::time::timeout(PROBE, probe).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(describe(&error)),
            Err(_) => return Err(format!("no answer within {} s", PROBE.as_secs())),
        };
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        let mut components = version.components.iter().flatten();
        let facts = EngineFacts {
            is_podman: components.any(|component| component.name.starts_with("Podman")),
            address: address.to_owned(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            cpus: u32::try_from(info.ncpu.unwrap_or(1)).unwrap_or(1).max(1),
            memory_bytes: u64::try_from(info.mem_total.unwrap_or(0)).unwrap_or(0),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            runtimes,
            kernel: info.kernel_version.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
        };
        let transfers = docker.clone().with_timeout(TRANSFER_MAX);
        Ok(Engine { docker, transfers, facts })
    }
}

/// Runs a call to the daemon that must answer within `deadline`; `failed` makes the typed error of its failure.
pub(super) async fn within<T>(
    what: &str,
    deadline: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
    failed: impl FnOnce(String) -> SandboxError,
) -> Result<T, SandboxError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // The client's own limit: the same news in other words.
        Ok(Err(bollard::errors::Error::RequestTimeoutError)) | Err(_) => {
            Err(SandboxError::Deadline { what: what.to_owned(), seconds: deadline.as_secs() })
        }
        Ok(Err(error)) => Err(failed(format!("{what}: {}", describe(&error)))),
    }
}

/// The engine's own words, without the client's wrapping.
pub(super) fn describe(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        bollard::errors::Error::DockerStreamError { error } => error.trim().to_owned(),
        bollard::errors::Error::SocketNotFoundError(_) => "no such socket".to_owned(),
        other => {
            // What lies beneath is what helps: "permission denied" rather than "client error (Connect)".
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// Whether the engine says that it knows no such container, image or path.
pub(super) fn is_not_found(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })
}

#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    address: String,
    origin: &'static str,
}

fn candidates(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Candidate> {
    // Who names an engine means that one: falling back to another would run code where nobody expects it.
    if let Some(address) = variable("DOCKER_HOST") {
        return vec![Candidate { address, origin: "DOCKER_HOST" }];
    }
    let mut found = Vec::new();
    if let Some(address) = context_address(variable) {
        found.push(Candidate { address, origin: "the current Docker context" });
    }
    let socket = |path: PathBuf| format!("unix://{}", path.display());
    let runtime_dir = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    found.push(Candidate { address: socket("/var/run/docker.sock".into()), origin: "Docker" });
    if let Some(dir) = &runtime_dir {
        found.push(Candidate { address: socket(dir.join("docker.sock")), origin: "rootless Docker" });
        found.push(Candidate { address: socket(dir.join("podman/podman.sock")), origin: "rootless Podman" });
    }
    found.push(Candidate { address: socket("/run/podman/podman.sock".into()), origin: "Podman" });
    found
}

/// The endpoint of `DOCKER_CONTEXT` or of the context that `docker context use` chose, from the files the Docker CLI
/// keeps. `None` for the default context and for anything unreadable.
fn context_address(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let folder = match variable("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&variable("HOME")?).join(".docker"),
    };
    let json = |path: PathBuf| -> Option<serde_json::Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    let name = variable("DOCKER_CONTEXT")
        .or_else(|| Some(json(folder.join("config.json"))?.get("currentContext")?.as_str()?.to_owned()))
        .filter(|name| name != "default")?;
    std::fs::read_dir(folder.join("contexts/meta")).ok()?.flatten().find_map(|entry| {
        let meta = json(entry.path().join("meta.json"))?;
        (meta.get("Name")?.as_str()? == name)
            .then(|| meta.pointer("/Endpoints/docker/Host").and_then(|host| host.as_str()).map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_engine_that_was_named_is_the_only_one_tried() {
        let addresses = candidates(&|name| (name == "DOCKER_HOST").then(|| "tcp://10.0.0.7:2375".into()));
        assert_eq!(addresses, [Candidate { address: "tcp://10.0.0.7:2375".into(), origin: "DOCKER_HOST" }]);
    }

    #[test]
    fn the_current_context_comes_before_the_usual_sockets() {
        let home = tempfile::tempdir().unwrap();
        let meta = home.path().join(".docker/contexts/meta/0123abcd");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext": "remote"}"#).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name": "remote", "Endpoints": {"docker": {"Host": "ssh://me@build"}}}"#,
        )
        .unwrap();
        let home = home.path().display().to_string();
        let found = candidates(&|name| match name {
            "HOME" => Some(home.clone()),
            "XDG_RUNTIME_DIR" => Some("/run/user/7".into()),
            _ => None,
        });
        let addresses: Vec<_> = found.iter().map(|candidate| candidate.address.as_str()).collect();
        assert_eq!(
            addresses,
            [
                "ssh://me@build",
                "unix:///var/run/docker.sock",
                "unix:///run/user/7/docker.sock",
                "unix:///run/user/7/podman/podman.sock",
                "unix:///run/podman/podman.sock"
            ]
        );
    }

    #[tokio::test]
    async fn a_missing_socket_is_said_in_plain_words() {
        let reason = Engine::at("unix:///nonexistent/engine.sock").await.unwrap_err();
        assert_eq!(reason, "no such socket");
    }
}
