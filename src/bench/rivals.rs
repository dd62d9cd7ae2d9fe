//! The other ways to run a command in a container: the engine's exec API, `docker exec`, a shell that stays.

use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::process::Command;

use crate::error::{Error, Result};

/// What every way runs.
pub(super) const TRUE: &str = "/bin/true";
/// Longer than any single measurement of a rival should take.
const PATIENCE: Duration = Duration::from_secs(120);

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// An ordinary container, without any confinement that could slow it down, whose PID 1 is a shell that reads commands
/// from our connection, as in `docker run -i`. When that connection ends it ends too, and the engine removes it.
pub(super) struct Rival {
    docker: Docker,
    id: String,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Output,
}

impl Rival {
    pub(super) async fn start(docker: &Docker, image: &str, runtime: Option<&str>) -> Result<Rival> {
        let host = HostConfig {
            runtime: runtime.map(str::to_owned),
            network_mode: Some("none".to_owned()),
            auto_remove: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/bin/sh".to_owned()]),
            cmd: Some(Vec::new()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(host),
            ..Default::default()
        };
        let id = in_time(docker.create_container(None::<CreateContainerOptions>, body)).await?.id;
        match Rival::open(docker, &id).await {
            Ok((input, output)) => Ok(Rival { docker: docker.clone(), id, input, output }),
            Err(error) => {
                remove(docker, &id).await?;
                Err(error)
            }
        }
    }

    async fn open(docker: &Docker, id: &str) -> Result<(Pin<Box<dyn AsyncWrite + Send>>, Output)> {
        let streams =
            AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() };
        let attached = in_time(docker.attach_container(id, Some(streams))).await?;
        in_time(docker.start_container(id, None::<StartContainerOptions>)).await?;
        Ok((attached.input, attached.output))
    }

    /// The shell forks and executes, and says when that is done.
    pub(super) async fn shell_true(&mut self) -> Result<()> {
        let line = format!("{TRUE}; echo $?\n");
        self.input.write_all(line.as_bytes()).await.map_err(|error| failed(&error))?;
        self.input.flush().await.map_err(|error| failed(&error))?;
        match tokio::time::timeout(PATIENCE, self.output.next()).await {
            Ok(Some(Ok(LogOutput::StdOut { message }))) if message.trim_ascii() == b"0" => Ok(()),
            Ok(answer) => Err(Error::internal(format!("the resident shell answered {answer:?}"))),
            Err(_) => Err(Error::internal("the resident shell does not answer")),
        }
    }

    /// As a client of the engine runs a command: create, start, read to the end, ask for the code.
    pub(super) async fn exec_api_true(&self) -> Result<()> {
        let config = ExecConfig {
            cmd: Some(vec![TRUE.to_owned()]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let run = async {
            let exec = self.docker.create_exec(&self.id, config).await?;
            if let StartExecResults::Attached { mut output, .. } = self.docker.start_exec(&exec.id, None).await? {
                while let Some(message) = output.next().await {
                    message?;
                }
            }
            self.docker.inspect_exec(&exec.id).await
        };
        match in_time(run).await?.exit_code {
            Some(0) => Ok(()),
            code => Err(Error::internal(format!("`{TRUE}` by the exec API ended with {code:?}"))),
        }
    }

    pub(super) async fn docker_exec_true(&self, cli: &DockerCli) -> Result<()> {
        cli.exec(&[&self.id, TRUE]).await
    }

    pub(super) async fn remove(self) -> Result<()> {
        remove(&self.docker, &self.id).await
    }
}

/// The `docker` command, spoken to the same engine.
#[derive(Debug, Clone)]
pub(super) struct DockerCli {
    address: String,
    /// That containers are run under; `None` is the engine's default.
    runtime: Option<String>,
}

impl DockerCli {
    /// `None` where there is no such command.
    pub(super) async fn find(address: &str, runtime: Option<&str>) -> Option<DockerCli> {
        let mut probe = Command::new("docker");
        probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let found = probe.status().await.is_ok_and(|status| status.success());
        found.then(|| DockerCli { address: address.to_owned(), runtime: runtime.map(str::to_owned) })
    }

    /// Its arguments, up to the subcommand's.
    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new("docker");
        command.args(["--host", &self.address]).args(args).stdin(Stdio::null());
        command
    }

    /// `docker run` without a network, of a container that goes when it ends.
    pub(super) fn run(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.command(&["run", "--rm", "--network", "none"]);
        command.args(self.runtime.iter().flat_map(|runtime| ["--runtime", runtime])).args(args);
        command
    }

    async fn exec(&self, args: &[&str]) -> Result<()> {
        in_full(self.command(&[&["exec"], args].concat())).await
    }
}

/// Until it has ended well.
pub(super) async fn in_full(command: std::process::Command) -> Result<()> {
    let words = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut command = Command::from(command);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(output) => output.map_err(|error| failed(&error))?,
        Err(_) => return Err(Error::internal(format!("`docker {words}` does not end"))),
    };
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::internal(format!("`docker {words}` failed: {said}")))
        }
    }
}

/// A call to the engine with a deadline.
pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| failed(&error)),
        Err(_) => Err(Error::no_sandbox(format!("the container engine did not answer within {PATIENCE:?}"))),
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::internal("an alternative could not be measured").because(error.to_string())
}

async fn remove(docker: &Docker, id: &str) -> Result<()> {
    let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
    in_time(docker.remove_container(id, Some(options))).await
}
