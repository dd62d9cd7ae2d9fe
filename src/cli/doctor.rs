//! `greenroom doctor`: what is there, what is missing, and what to type.

use clap::Args;
use serde::Serialize;

use super::{Context, Format, FormatArgs, engine};
use crate::config::FileConfig;
use crate::error::{Error, ExitCode, Result};
use crate::model::catalog::PROVIDERS;
use crate::output::human::style::{DIM, GREEN, RED, RESET, YELLOW};
use crate::sandbox::doctor::examine;
use crate::sandbox::{EngineFacts, ImageKind, ListedImage, SandboxError};

/// Say what Greenroom finds on this machine, what is missing, and what to type
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom doctor --json")]
pub struct DoctorArgs {
    #[command(flatten)]
    format: FormatArgs,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Finding {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    status: Status,
    detail: String,
    /// What to type next.
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    /// It works without, or with less.
    Warning,
    /// Nothing can run before this is mended.
    Missing,
}

#[derive(Debug, Serialize)]
struct Verdict {
    #[serde(rename = "type")]
    kind: &'static str,
    status: Status,
    exit_code: u8,
}

pub async fn run(args: DoctorArgs, context: &mut Context) -> Result<ExitCode> {
    let mut findings = vec![state(context), configuration(context)];
    let exit_of_host =
        if findings.iter().any(|f| f.status == Status::Missing) { ExitCode::Usage } else { ExitCode::Success };
    let found = examine().await;
    let exit = match &found.engine {
        Ok(facts) => {
            findings.extend(engine_findings(facts));
            findings.push(images(&found.images));
            exit_of_host
        }
        Err(detail) => {
            let detail = detail.strip_prefix("no container engine: ").unwrap_or(detail).to_owned();
            let error = Error::from(SandboxError::NoEngine { detail });
            findings.push(Finding::missing("container engine", &error));
            error.exit
        }
    };
    for concern in &found.concerns {
        findings.push(Finding::new("concern", Status::Warning, concern.what.as_str()).hint(concern.hint.as_str()));
    }
    findings.push(models());
    let status = findings.iter().map(|finding| finding.status).max_by_key(|status| *status as u8).unwrap_or(Status::Ok);
    for finding in &findings {
        match args.format.format() {
            Format::Json => context.printer.json(finding)?,
            Format::Human => context.printer.result(&render(finding))?,
        }
    }
    if args.format.format() == Format::Json {
        context.printer.json(&Verdict { kind: "result", status, exit_code: exit.code() })?;
    }
    Ok(exit)
}

impl Finding {
    fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Finding { kind: "finding", name, status, detail: detail.into(), hint: None }
    }

    fn missing(name: &'static str, error: &Error) -> Self {
        Finding { hint: error.hints.first().cloned(), ..Finding::new(name, Status::Missing, error.to_string()) }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whether the state folder can be written; it is made if need be, as a run would.
fn state(context: &Context) -> Finding {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(error) => return Finding::missing("state folder", &error),
    };
    match super::prepare::shared_blobs(&paths.state) {
        Ok(blobs) => match rustix::fs::access(blobs.root(), rustix::fs::Access::WRITE_OK) {
            Ok(()) => Finding::new("state folder", Status::Ok, paths.state.display().to_string()),
            Err(error) => Finding::new("state folder", Status::Missing, format!("{}: {error}", paths.state.display()))
                .hint("GREENROOM_HOME chooses another folder"),
        },
        Err(error) => Finding::missing("state folder", &error),
    }
}

fn configuration(context: &Context) -> Finding {
    let loaded = context.paths().and_then(|paths| FileConfig::load(&paths.config_file).map(|_| paths.config_file));
    match loaded {
        Ok(file) if file.exists() => Finding::new("configuration", Status::Ok, file.display().to_string()),
        Ok(file) => Finding::new("configuration", Status::Ok, format!("none at {} (none is needed)", file.display())),
        Err(error) => Finding::missing("configuration", &error),
    }
}

fn engine_findings(facts: &EngineFacts) -> Vec<Finding> {
    let gib = facts.memory_bytes as f64 / f64::from(1 << 30);
    vec![
        Finding::new(
            "container engine",
            Status::Ok,
            format!(
                "{} at {} (API {}), {} CPUs, {gib:.1} GiB, cgroup {}, {}, kernel {}",
                facts.version,
                facts.address,
                facts.api_version,
                facts.cpus,
                facts.cgroup_version,
                facts.storage_driver,
                facts.kernel
            ),
        ),
        Finding::new("runtimes", Status::Ok, facts.runtimes.join(", ")),
    ]
}

fn images(images: &[ListedImage]) -> Finding {
    let toolchains = images.iter().filter(|image| image.kind == ImageKind::Toolchain);
    let (built, missing): (Vec<&ListedImage>, Vec<&ListedImage>) = toolchains.partition(|image| image.digest.is_some());
    let names = |images: &[&ListedImage]| images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        return Finding::new("images", Status::Ok, format!("built: {}", names(&built)));
    }
    let already = if built.is_empty() { "none".into() } else { names(&built) };
    let detail = format!("built: {already}; on first use: {}", names(&missing));
    Finding::new("images", Status::Warning, detail).hint("`greenroom images build` builds all of them now")
}

/// Names of keys only; their values are nobody's business.
fn models() -> Finding {
    let is_set = |name: &&&str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let keys: Vec<&str> =
        PROVIDERS.iter().flat_map(|provider| provider.key_names.iter().filter(is_set)).copied().collect();
    if keys.is_empty() {
        return Finding::new("models", Status::Warning, "no key is set: the default is autofix, which needs none")
            .hint("export ANTHROPIC_API_KEY=… or OPENAI_API_KEY=…, or name a local server: `--model ollama/…`");
    }
    match engine::model(None) {
        Ok(model) => Finding::new("models", Status::Ok, format!("{} set; default {}", keys.join(", "), model.id())),
        Err(error) => Finding::missing("models", &error),
    }
}

fn render(finding: &Finding) -> String {
    let mark = match finding.status {
        Status::Ok => format!("{GREEN}✓{RESET}"),
        Status::Warning => format!("{YELLOW}!{RESET}"),
        Status::Missing => format!("{RED}✗{RESET}"),
    };
    let mut text = format!("{mark} {:<17} {}\n", finding.name, finding.detail);
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("  {DIM}hint{RESET}: {hint}\n"));
    }
    text
}
