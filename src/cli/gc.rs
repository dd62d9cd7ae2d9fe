//! `greenroom gc`: what nothing needs any more. It only says so until `--yes`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;

use super::audit::verify;
use super::{Context, Format, FormatArgs, engine, found, prepare};
use crate::error::{Error, ExitCode, Result};
use crate::event::Event;
use crate::id::{BlobId, RunId};
use crate::output::human::style::{BOLD, DIM, RESET};
use crate::planted::{self, Planted};
use crate::sandbox::{DockerLauncher, Unused};
use crate::store::{Alone, RunDir, RunStore, UnusedContents, list_runs};

/// Say what nothing needs any more: images, containers, old runs, contents. `--yes` frees it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom gc
  greenroom gc --yes
  greenroom gc --runs-older-than 30 --yes

A run that is being written, and whatever a kept run's journal names, is never touched. Images are kept for a day. Contents are the files that\nno journal names any more; while a run is being written none of them is looked at.")]
pub struct GcArgs {
    /// Free it
    #[arg(long)]
    yes: bool,
    /// Also runs that began more days ago than this, with their journals
    #[arg(long, value_name = "DAYS")]
    runs_older_than: Option<u32>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Waste {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Why nothing needs it.
    because: String,
}

#[derive(Debug, Serialize)]
struct Total {
    #[serde(rename = "type")]
    kind: &'static str,
    runs: usize,
    containers: usize,
    images: usize,
    /// Stored contents that no journal names, and what they take on the disk.
    contents: usize,
    contents_bytes: u64,
    freed: bool,
    /// What was not looked at, and why.
    kept: Vec<String>,
    exit_code: u8,
}

/// The runs of a state folder, as far as they decide what is needed.
struct Runs {
    /// With the bytes of its journal, and why it may go.
    stale: Vec<(RunId, u64, String)>,
    /// Journals of the others.
    kept: Vec<RunDir>,
    /// Image digests that the others name.
    images: BTreeSet<String>,
    /// Why nothing can be said about what they need.
    unsure: Vec<String>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn run(args: GcArgs, context: &mut Context) -> Result<ExitCode> {
    let state = context.paths()?.state;
    let format = args.format.format();
    let runs = look_at_runs(&state, args.runs_older_than)?;
    let mut total = Total {
        kind: "result",
        runs: runs.stale.len(),
        containers: 0,
        images: 0,
        contents: 0,
        contents_bytes: 0,
        freed: args.yes,
        kept: runs.unsure.iter().map(|why| format!("images: {why}")).collect(),
        exit_code: 0,
    };
    let mut tell = |waste: Waste| match format {
        Format::Json => context.printer.json(&waste),
        Format::Human => context.printer.result(&render(&waste)),
    };
    for (run, bytes, because) in &runs.stale {
        tell(Waste { kind: "run", name: run.to_string(), bytes: Some(*bytes), because: because.clone() })?;
        if args.yes {
            remove_run(&state, run)?;
        }
    }
    match unused_contents(&state, &runs)? {
        Ok(contents) => {
            for waste in &contents.unused {
                total.contents += waste.unused;
                total.contents_bytes += waste.unused_bytes;
                let because = match waste.used {
                    0 => format!("no journal names any of its {} contents", waste.unused),
                    used => format!("no journal names {} of its {} contents", waste.unused, waste.unused + used),
                };
                tell(Waste { kind: "contents", name: waste.name(), bytes: Some(waste.unused_bytes), because })?;
                if args.yes {
                    contents.alone.free(waste, &contents.named).map_err(contents_failed)?;
                }
            }
        }
        Err(why) => total.kept.push(format!("contents: {why}")),
    }
    match engine::connect().await {
        Ok(engine) => {
            let owner = DockerLauncher::owner_of(&state);
            for unused in engine.images().unused(&owner, &runs.images, runs.unsure.is_empty()).await? {
                let (kind, name, bytes, because) = match &unused {
                    Unused::Container { id, because } => ("container", id.clone(), None, because),
                    Unused::Image { name, bytes, because, .. } => ("image", name.clone(), Some(*bytes), because),
                };
                match unused {
                    Unused::Container { .. } => total.containers += 1,
                    Unused::Image { .. } => total.images += 1,
                }
                tell(Waste { kind, name, bytes, because: because.clone() })?;
                if args.yes {
                    engine.images().free(&unused).await?;
                }
            }
        }
        Err(error) => total.kept.push(format!("containers and images: {error}")),
    }
    match format {
        Format::Json => context.printer.json(&total)?,
        Format::Human => context.printer.result(&summary(&total))?,
    }
    Ok(ExitCode::Success)
}

struct Contents {
    alone: Alone,
    named: BTreeSet<BlobId>,
    unused: Vec<UnusedContents>,
}

/// The inner error says why nothing can be said of them.
fn unused_contents(state: &Path, runs: &Runs) -> Result<std::result::Result<Contents, String>> {
    if let Some(why) = runs.unsure.first() {
        return Ok(Err(why.clone()));
    }
    let blobs = prepare::shared_blobs(state)?;
    let Some(alone) = blobs.alone().map_err(contents_failed)? else {
        return Ok(Err("something is being stored".into()));
    };
    // Once more: a run may have begun before everything was held.
    let now = list_runs(state).map_err(found)?;
    if now.iter().any(|run| !runs.knows(run)) {
        return Ok(Err("a run has just begun".into()));
    }
    let mut named = BTreeSet::new();
    for dir in &runs.kept {
        let (mut verified, _) = verify::verify(dir, None)?;
        for helper in dir.helpers().map_err(found)? {
            verified.add_helper(&helper)?;
        }
        if let Some(problem) = verified.problems.first() {
            // What a damaged folder named is not known.
            return Ok(Err(format!("run {} is damaged: {}", dir.run(), problem.detail)));
        }
        if planted::has(Planted::CollectForgetsRuns) {
            named.clear();
        }
        named.extend(verified.named);
    }
    let unused = alone.unused(&named).map_err(contents_failed)?;
    Ok(Ok(Contents { alone, named, unused }))
}

fn contents_failed(error: std::io::Error) -> Error {
    Error::internal("cannot free stored contents; nothing that a run needs was removed").because(error)
}

impl Runs {
    fn knows(&self, run: &RunId) -> bool {
        self.stale.iter().any(|(stale, ..)| stale == run) || self.kept.iter().any(|dir| dir.run() == *run)
    }
}

fn look_at_runs(state: &Path, days_max: Option<u32>) -> Result<Runs> {
    let mut runs = Runs { stale: Vec::new(), kept: Vec::new(), images: BTreeSet::new(), unsure: Vec::new() };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for run in list_runs(state).map_err(found)? {
        let dir = RunDir::find(state, run.as_str()).map_err(found)?;
        if dir.owner().map_err(found)?.is_some() {
            // What it has stored and not yet named is not to be told from waste.
            runs.unsure.push(format!("run {run} is being written"));
            continue;
        }
        let journal = match dir.journal() {
            Ok(journal) => journal,
            Err(error) => {
                runs.unsure.push(format!("the journal of run {run} cannot be read: {error}"));
                continue;
            }
        };
        let began = journal.records.first().map_or(0, |record| u64::try_from(record.at_ms).unwrap_or(0));
        let age = now.saturating_sub(Duration::from_millis(began));
        let because = match days_max {
            _ if journal.records.is_empty() => {
                is_older_than_a_day(&dir).then(|| "it was killed before its first event".to_owned())
            }
            Some(days) if age > DAY * days => Some(format!("it began more than {days} days ago")),
            Some(_) | None => None,
        };
        if let Some(because) = because {
            let bytes = std::fs::metadata(dir.journal_path()).map_or(0, |metadata| metadata.len());
            runs.stale.push((run, bytes, because));
            continue;
        }
        runs.images.extend(journal.records.iter().filter_map(|record| image_of(&record.event)));
        for helper in dir.helpers().map_err(found)? {
            let (journal, _) = helper.valid_prefix().map_err(found)?;
            runs.images.extend(journal.records.iter().filter_map(|record| image_of(&record.event)));
        }
        runs.kept.push(dir);
    }
    Ok(runs)
}

/// The digest of an image that a later runner would start a sandbox from.
fn image_of(event: &Event) -> Option<String> {
    match event {
        // Until there is a sandbox the plan alone names it.
        Event::RunStarted { plan, .. } => plan.pointer("/image/digest")?.as_str().map(str::to_owned),
        Event::SandboxStarted { image_digest, .. } | Event::SandboxReplaced { image_digest, .. } => {
            Some(image_digest.clone())
        }
        Event::ToolCallFinished { result, .. } => {
            result.installed.as_ref().map(|installed| installed.image_digest.clone())
        }
        _ => None,
    }
}

/// One that is just beginning has no event yet either.
fn is_older_than_a_day(dir: &RunDir) -> bool {
    let made = std::fs::metadata(dir.path()).and_then(|folder| folder.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > DAY))
}

fn remove_run(state: &Path, run: &RunId) -> Result<()> {
    let dir = RunDir::find(state, run.as_str()).map_err(found)?;
    let path = dir.path().to_owned();
    // Held meanwhile: nobody resumes it between two of its files.
    let _held = RunStore::open(dir).map_err(found)?;
    std::fs::remove_dir_all(path).map_err(|error| Error::internal(format!("cannot remove run {run}")).because(error))
}

fn render(waste: &Waste) -> String {
    let size = waste.bytes.map(|bytes| format!(", {} KiB", bytes.div_ceil(1024))).unwrap_or_default();
    format!("{:<10} {} {DIM}({}{size}){RESET}", waste.kind, waste.name, waste.because)
}

fn summary(total: &Total) -> String {
    let Total { runs, containers, images, contents, contents_bytes, .. } = total;
    let kibibytes = contents_bytes.div_ceil(1024);
    let verb = if total.freed { "freed" } else { "would free" };
    let mut text = format!(
        "{BOLD}{verb} {runs} runs, {containers} containers, {images} images, {contents} contents ({kibibytes} KiB){RESET}"
    );
    for kept in &total.kept {
        text.push_str(&format!("\n{DIM}not looked at: {kept}{RESET}"));
    }
    if !total.freed && runs + containers + images + contents > 0 {
        text.push_str(&format!("\n{DIM}`greenroom gc --yes` frees it{RESET}"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_image_that_an_install_made_is_needed_as_long_as_its_run_is_there() {
        let finished = serde_json::json!({
            "type": "tool_call_finished", "token": 0, "elapsed_ms": 0,
            "result": {"content": "", "is_error": false, "may_write": true, "installed": {
                "manager": "pip", "asked": ["idna"], "packages": [], "image": "greenroom/prepared:setup-1",
                "image_digest": "sha256:1", "container": "c",
            }},
        });
        assert_eq!(image_of(&serde_json::from_value(finished).unwrap()).as_deref(), Some("sha256:1"));
    }
}
