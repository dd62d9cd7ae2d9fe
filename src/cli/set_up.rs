//! `--setup CMD`: from the operator's commands to the image that the sandbox starts from.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Context, engine};
use crate::config::{FileConfig, Paths, RunConfig, SetupConfig};
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::network::{Packages, Traffic};
use crate::output::human::Progress;
use crate::sandbox::{
    AGENT_UID, ImageRef, OutputSink, PreparedImage, SetUp, Setup, SetupError, Stream, certificate_bundle, mirrors,
    operator_list,
};
use crate::snapshot::Manifest;
use crate::snapshot::pack::{SharedReadBlob, tar_stream};

/// Of what a command that failed printed last.
const LINES_SHOWN: usize = 8;
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// What a set-up of this repository is, whether or not there is anything to set up yet.
pub(super) fn plan(
    paths: &Paths,
    config: &RunConfig,
    commands: &[String],
    prepared: &PreparedImage,
    manifest: &Manifest,
) -> Setup {
    let mirrors = mirrors(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );
    Setup {
        commands: commands.to_vec(),
        repository: config.repository(),
        manifest: Arc::new(manifest.clone()),
        allow: operator_list(&config.setup.allow, &config.setup.deny, &mirrors),
        env: mirrors.into_iter().chain(config.env.iter().cloned()).collect(),
        limits: config.resources,
        ..blank(paths, &config.setup, prepared)
    }
}

/// For a container in which git clones: nothing of the operator's but the lists.
pub(super) fn for_clone(paths: &Paths, file: &FileConfig, prepared: &PreparedImage) -> Setup {
    Setup { allow: operator_list(&file.setup.allow, &file.setup.deny, &[]), ..blank(paths, &file.setup, prepared) }
}

fn blank(paths: &Paths, config: &SetupConfig, prepared: &PreparedImage) -> Setup {
    Setup {
        run: RunId::generate(),
        image: prepared.clone(),
        commands: Vec::new(),
        repository: String::new(),
        manifest: Arc::default(),
        env: Vec::new(),
        allow: operator_list(&[], &[], &[]),
        ca_bundle: certificate_bundle(),
        limits: crate::config::resources(&crate::config::SandboxConfig::default()),
        command_timeout: config.timeout.map_or(COMMAND_TIMEOUT, |timeout| timeout.0),
        cache: paths.cache.clone(),
    }
}

/// What a set-up made, and what that asked of the network.
pub(super) struct Made {
    pub(super) image: ImageRef,
    pub(super) packages: Vec<Packages>,
    pub(super) traffic: Traffic,
}

/// The image with everything set up; the prepared image itself where nothing is to be set up.
pub(super) async fn image(
    engine: &engine::Connected,
    paths: &Paths,
    setup: &Setup,
    read: SharedReadBlob,
    context: &mut Context,
) -> Result<Made> {
    if setup.commands.is_empty() {
        let image = setup.image.image.clone();
        return Ok(Made { image, packages: Vec::new(), traffic: Traffic::default() });
    }
    let tree = tar_stream(setup.manifest.clone(), read, AGENT_UID, AGENT_UID);
    let launcher = engine.docker_launcher(&paths.state);
    let printer = &mut context.printer;
    let progress = Mutex::new((Progress::new(printer), printer));
    let tell = |line: &str| engine::tell(&progress, line);
    let mut lines = Lines { tell: &tell, pending: Vec::new() };
    match launcher.set_up(setup, tree, &tell, &mut lines).await {
        Ok(SetUp { image, requests, left_out, packages, reused: _ }) => {
            Ok(Made { image, packages, traffic: Traffic { requests, left_out } })
        }
        Err(SetupError::Sandbox(error)) => Err(error.into()),
        Err(SetupError::Failed { command, outcome, tail, .. }) => {
            let lines: Vec<&str> = tail.trim().lines().collect();
            let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            Err(Error::no_sandbox(format!("the set-up command `{command}` failed: {outcome}"))
                .because(last)
                .hint("what the proxy refused can be allowed with `[setup] allow` in config.toml"))
        }
    }
}

/// For what is told where it fails.
pub(super) struct Unseen;

impl OutputSink for Unseen {
    fn chunk(&mut self, _: Stream, _: &[u8]) {}
}

/// Output of set-up commands as progress, line by line.
struct Lines<'a> {
    tell: &'a (dyn Fn(&str) + Send + Sync),
    pending: Vec<u8>,
}

impl OutputSink for Lines<'_> {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        const LINE_BYTES_MAX: usize = 4 << 10;
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    (self.tell)(&String::from_utf8_lossy(&self.pending));
                    self.pending.clear();
                }
                byte if self.pending.len() < LINE_BYTES_MAX => self.pending.push(byte),
                _ => {}
            }
        }
    }
}
