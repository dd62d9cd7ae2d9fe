//! `--setup CMD`: from the operator's commands to the image that the sandbox starts from.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Context, engine};
use crate::config::{Paths, RunConfig};
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::output::human::Progress;
use crate::sandbox::{
    AGENT_UID, ImageRef, OutputSink, PreparedImage, Setup, SetupError, Stream, certificate_bundle, mirrors,
    operator_list,
};
use crate::snapshot::Manifest;
use crate::snapshot::pack::{SharedReadBlob, tar_stream};

/// Of what a command that failed printed last.
const LINES_SHOWN: usize = 8;
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The prepared image itself where nothing is to be set up.
#[expect(clippy::too_many_arguments, reason = "what a set-up takes has one name in each of its two callers")]
pub(super) async fn image(
    engine: &engine::Connected,
    paths: &Paths,
    config: &RunConfig,
    commands: &[String],
    prepared: &PreparedImage,
    manifest: &Manifest,
    read: SharedReadBlob,
    context: &mut Context,
) -> Result<ImageRef> {
    if commands.is_empty() {
        return Ok(prepared.image.clone());
    }
    let mirrors = mirrors(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );
    let manifest = Arc::new(manifest.clone());
    let setup = Setup {
        run: RunId::generate(),
        image: prepared.clone(),
        commands: commands.to_vec(),
        repository: config.repo.display().to_string(),
        manifest: manifest.clone(),
        allow: operator_list(&config.setup.allow, &config.setup.deny, &mirrors),
        env: mirrors.into_iter().chain(config.env.iter().cloned()).collect(),
        ca_bundle: certificate_bundle(),
        limits: config.resources,
        command_timeout: config.setup.timeout.map_or(COMMAND_TIMEOUT, |timeout| timeout.0),
        cache: paths.cache.clone(),
    };
    let tree = tar_stream(manifest, read, AGENT_UID, AGENT_UID);
    let launcher = engine.docker_launcher(&paths.state);
    let printer = &mut context.printer;
    let progress = Mutex::new((Progress::new(printer), printer));
    let tell = |line: &str| engine::tell(&progress, line);
    let mut lines = Lines { tell: &tell, pending: Vec::new() };
    match launcher.set_up(&setup, tree, &tell, &mut lines).await {
        Ok(done) => Ok(done.image),
        Err(SetupError::Sandbox(error)) => Err(error.into()),
        Err(SetupError::Failed { command, outcome, tail, complaints: _, requests: _ }) => {
            let lines: Vec<&str> = tail.trim().lines().collect();
            let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            Err(Error::no_sandbox(format!("the set-up command `{command}` failed: {outcome}"))
                .because(last)
                .hint("what the proxy refused can be allowed with `[setup] allow` in config.toml"))
        }
    }
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
