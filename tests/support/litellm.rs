//! A LiteLLM proxy in front of an upstream of ours: it speaks both wire formats to us and Chat Completions to the
//! upstream, and nobody here wrote it. `tests/peers/setup.sh` installs it.

#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file and uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Whether the peer tests were asked for; says so where they were not.
pub fn is_asked_for() -> bool {
    let asked = std::env::var("GREENROOM_PEER_TESTS").is_ok_and(|value| value == "1");
    if !asked {
        // Past the test runner, which keeps the output of tests that pass to itself.
        let told = writeln!(std::io::stderr(), "skipped: run tests/peers/setup.sh and set GREENROOM_PEER_TESTS=1");
        told.expect("stderr is open");
    }
    asked
}

/// A running proxy; it ends when this is dropped.
pub struct LiteLlm {
    port: u16,
    process: Child,
    _folder: tempfile::TempDir,
}

impl LiteLlm {
    /// The proxy lets nobody in without it.
    pub const KEY: &'static str = "sk-greenroom-peer-2f6d0c1b9a8e47538c0d5e1f7a9b3c64";
    /// The one model it serves.
    pub const MODEL: &'static str = "scripted";

    /// `upstream_url` with `/v1`.
    pub async fn start(upstream_url: &str) -> Self {
        let program = peers_folder().join("venv/bin/litellm");
        assert!(program.is_file(), "{} is missing: run tests/peers/setup.sh", program.display());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("config.yaml");
        // `hosted_vllm/` is translated for both wire formats; other routes pass Messages through to the upstream.
        let model = format!("{{model: hosted_vllm/scripted, api_base: \"{upstream_url}\", api_key: none}}");
        let text = format!("model_list:\n  - model_name: {}\n    litellm_params: {model}\n", Self::MODEL);
        // One failure must not close the only upstream for those that follow.
        let text = format!("{text}router_settings: {{disable_cooldowns: true, num_retries: 0}}\n");
        std::fs::write(&config, text).expect("a writable folder");
        let port = free_port();
        let mut process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--config"])
            .arg(&config)
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_MASTER_KEY", Self::KEY)
            .env("NO_PROXY", "127.0.0.1")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy starts");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let ready = async {
            let mut said = Vec::new();
            while let Some(line) = lines.next_line().await.expect("the proxy writes text") {
                if line.contains("Uvicorn running on") {
                    return;
                }
                said.push(line);
            }
            panic!("the proxy ended:\n{}", said.join("\n"));
        };
        tokio::time::timeout(Duration::from_secs(180), ready).await.expect("the proxy is up within three minutes");
        // A full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        LiteLlm { port, process, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends it and waits for its end.
    pub async fn stop(mut self) {
        self.process.kill().await.expect("the proxy can be ended");
    }
}

/// Tests run in the package's root, whatever the target directory is.
fn peers_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("peers")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
    listener.local_addr().expect("a bound listener has an address").port()
}
