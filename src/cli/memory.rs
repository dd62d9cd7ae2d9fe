//! `greenroom memory`: what is remembered of a repository from run to run, and what of it may be told to the next one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Context, Format, FormatArgs, prepare};
use crate::agent::RunState;
use crate::checkpoint::NoteKind;
use crate::error::{Error, ExitCode, Result};
use crate::event::{Background, Event, RunStatus};
use crate::id::BlobId;
use crate::output::Printer;
use crate::output::human::style::{DIM, GREEN, RESET, YELLOW};
use crate::snapshot::{Entry, Manifest, TreePath};
use crate::store::{Memory, MemoryLine, RunStore, Standing, Store, root_commit};

/// Show what is remembered of a repository, accept lines or forget them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom memory                      what is remembered of this repository
  greenroom memory accept m3            tell line m3 to the next run
  greenroom memory --repo ../shop forget m1 m2

Lines come from the notes of verified runs. Those that tools may have put there wait until you accept them.")]
pub struct MemoryArgs {
    /// The repository; it is known by its root commit or its content, not by its path
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    repo: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all lines
    Show,
    /// Tell lines to the next run
    Accept {
        #[arg(value_name = "LINE", required = true)]
        lines: Vec<String>,
    },
    /// Remove lines
    Forget {
        #[arg(value_name = "LINE", required = true)]
        lines: Vec<String>,
    },
}

/// Of a repository's own file that is shown to the model.
const GUIDE_BYTES_MAX: usize = 8 << 10;
const GUIDES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

pub(super) async fn run(args: MemoryArgs, context: &mut Context) -> Result<ExitCode> {
    let state = context.paths()?.state;
    let blobs = prepare::shared_blobs(&state)?;
    let put = {
        let blobs = blobs.clone();
        move |bytes: &[u8]| blobs.put(bytes)
    };
    let tree = prepare::copy(&args.repo, Vec::new(), put).await?.manifest;
    let mut memory = open(&state, &tree, &|id| blobs.get(id).ok())?;
    match &args.action {
        None | Some(Action::Show) => {}
        Some(Action::Accept { lines }) => {
            for line in chosen(&memory, lines)? {
                memory.lines[line].standing = Standing::Accepted;
            }
            memory.save().map_err(|error| failed(&memory, error))?;
        }
        Some(Action::Forget { lines }) => {
            let mut chosen = chosen(&memory, lines)?;
            chosen.sort_unstable_by(|a, b| b.cmp(a));
            chosen.dedup();
            for line in chosen {
                memory.lines.remove(line);
            }
            memory.save().map_err(|error| failed(&memory, error))?;
        }
    }
    match args.format.format() {
        Format::Json => {
            for line in &memory.lines {
                context.printer.json(&serde_json::json!({
                    "type": "memory", "line": format!("m{}", line.number), "text": line.text, "run": line.run,
                    "step": line.step, "seen": line.seen, "accepted": line.standing == Standing::Accepted,
                }))?;
            }
        }
        Format::Human if memory.lines.is_empty() => context.printer.note("nothing is remembered of this repository")?,
        Format::Human => {
            for line in &memory.lines {
                context.printer.result(&shown(line))?;
            }
        }
    }
    Ok(ExitCode::Success)
}

/// What a run is told at its start beside its task: the repository's own words and what was accepted of earlier runs.
pub(super) fn background(state: &Path, tree: &Manifest, store: &dyn Store) -> Result<Vec<Background>> {
    let read = |id: &BlobId| store.blob(id).ok();
    let mut told = Vec::new();
    for name in GUIDES {
        if let Some(bytes) = file(tree, name).and_then(&read) {
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            text.truncate(text.floor_char_boundary(GUIDE_BYTES_MAX));
            told.push(Background { source: format!("the repository's {name}"), text });
        }
    }
    let memory = open(state, tree, &read)?;
    let accepted = memory.lines.iter().filter(|line| line.standing == Standing::Accepted);
    let text: String = accepted.map(|line| format!("{} (last seen true {})\n", line.text, line.seen)).collect();
    if !text.is_empty() {
        told.push(Background { source: "earlier runs on this repository".into(), text });
    }
    Ok(told.into_iter().filter(|told| !told.text.trim().is_empty()).collect())
}

/// After a verified run: the decisions and lessons that its writer noted become lines.
pub(super) fn remember(
    folder: &Path,
    tree: &Manifest,
    state: &RunState,
    store: &RunStore,
    printer: &mut Printer,
) -> Result<()> {
    let is_verified = state.outcome.as_ref().is_some_and(|outcome| outcome.status == RunStatus::Verified);
    let Some(newest) = state.window.newest.as_ref().filter(|_| is_verified) else { return Ok(()) };
    let notes = newest.notes.items.iter().filter(|note| matches!(note.kind, NoteKind::Decision | NoteKind::Lesson));
    let mut notes = notes.peekable();
    if notes.peek().is_none() {
        return Ok(());
    }
    let events = store.dir().journal().map_err(super::found)?.records;
    let step_of = |version: u32| {
        let checkpoints = events.iter().filter_map(|record| match &record.event {
            Event::CheckpointWritten { checkpoint } => Some(checkpoint),
            Event::WriterFinished { checkpoint, .. } => checkpoint.as_ref(),
            _ => None,
        });
        checkpoints.filter(|checkpoint| checkpoint.version == version).map(|checkpoint| checkpoint.step).next()
    };
    let mut memory = open(folder, tree, &|id| store.blob(id).ok())?;
    let mut news = Vec::new();
    for note in notes {
        // The user's own words need nobody to vouch for them; anything else a tool may have put there.
        let words = state.task.instruction.iter().chain(&state.notebook.said);
        let is_users = words.into_iter().any(|said| said.contains(&note.text));
        let line = MemoryLine {
            number: 0,
            standing: if is_users { Standing::Accepted } else { Standing::Quarantined },
            seen: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
            run: state.run.to_string(),
            step: step_of(note.version).unwrap_or(newest.step),
            text: note.text.clone(),
        };
        if memory.remember(line) {
            news.extend(memory.lines.last().cloned());
        }
    }
    memory.save().map_err(|error| failed(&memory, error))?;
    if !news.is_empty() {
        printer.note(&format!("{DIM}memory{RESET}  {}", memory.path().display()))?;
    }
    for line in &news {
        printer.note(&format!("{GREEN}+{RESET} {}", shown(line)))?;
    }
    if news.iter().any(|line| line.standing == Standing::Quarantined) {
        printer.note("  `greenroom memory accept LINE` tells a quarantined line to the next run")?;
    }
    Ok(())
}

fn open(state: &Path, tree: &Manifest, read: &dyn Fn(&BlobId) -> Option<Vec<u8>>) -> Result<Memory> {
    let root = root_commit(&|path| file(tree, path).and_then(read));
    Memory::open(state, tree, root).map_err(|error| {
        Error::internal("cannot use what is remembered of this repository")
            .because(error)
            .hint("correct the file, or remove its folder")
    })
}

fn file<'a>(tree: &'a Manifest, name: &str) -> Option<&'a BlobId> {
    match tree.entries.get(&TreePath::new(name)?)? {
        Entry::File { content, .. } => Some(content),
        Entry::Directory { .. } | Entry::Symlink { .. } => None,
    }
}

/// Where the named lines stand.
fn chosen(memory: &Memory, names: &[String]) -> Result<Vec<usize>> {
    if names.iter().any(|name| name == "all") {
        return Ok((0..memory.lines.len()).collect());
    }
    let find = |name: &String| {
        let number: Option<u32> = name.strip_prefix('m').unwrap_or(name).parse().ok();
        let at = memory.lines.iter().position(|line| Some(line.number) == number);
        at.ok_or_else(|| Error::usage(format!("there is no line `{name}`")).hint("`greenroom memory` shows them"))
    };
    names.iter().map(find).collect()
}

fn shown(line: &MemoryLine) -> String {
    let standing = match line.standing {
        Standing::Accepted => format!("{GREEN}accepted{RESET}"),
        Standing::Quarantined => format!("{YELLOW}quarantined{RESET}"),
    };
    let MemoryLine { number, seen, run, step, text, .. } = line;
    format!("m{number} {standing} {text} {DIM}(run {run}, step {step}, last seen true {seen}){RESET}")
}

fn failed(memory: &Memory, error: std::io::Error) -> Error {
    Error::internal(format!("cannot write `{}`", memory.path().display())).because(error)
}
