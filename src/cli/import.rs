//! `greenroom import FILE`: a run that `export` wrote, into this state folder. Nothing of it is believed before its hashes
//! are right.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::audit::verify;
use super::{Context, found, past, prepare};
use crate::agent::RunState;
use crate::error::{Error, ExitCode, Result};
use crate::event::Event;
use crate::id::{BlobId, RunId};
use crate::output::human::style::{DIM, RESET};
use crate::snapshot::archive::{Member, members};
use crate::store::{RunStore, Store, StoreError, helper_path};

/// Take in a run that `greenroom export` wrote, on this machine or another
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom import run.tar && greenroom resume last")]
pub struct ImportArgs {
    /// The archive
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Of one file in the archive.
const FILE_BYTES_MAX: u64 = 1 << 30;

pub async fn run(args: ImportArgs, context: &mut Context) -> Result<ExitCode> {
    let state_folder = context.paths()?.state;
    let shown = args.file.display().to_string();
    let blobs = prepare::shared_blobs(&state_folder)?;
    let (journal, helpers) = unpack(&args.file, |id, bytes| match blobs.put(bytes)? == *id {
        true => Ok(()),
        false => Err(bad(format!("blob {id} does not match its name"))),
    })
    .map_err(|error| {
        Error::usage(format!("cannot import `{shown}`")).because(error).hint("it takes what `greenroom export` writes")
    })?;
    // Before a journal is there that names them.
    blobs.sync().map_err(past::not_written)?;
    let refused = |cause: StoreError| match cause {
        StoreError::Journal(_) => Error::usage(format!("cannot import `{shown}`"))
            .because(cause)
            .hint("it takes what `greenroom export` writes"),
        other => found(other),
    };
    let (store, read) = RunStore::import(&state_folder, &journal, &helpers).map_err(refused)?;
    let state = RunState::replay(read.records.iter().map(|record| &record.event))
        .ok_or_else(|| Error::usage(format!("the journal in `{shown}` is empty")))?;
    store.append(&Event::Imported { head: read.head().to_owned() }).map_err(past::not_written)?;
    context.printer.note(&format!("{DIM}imported{RESET} {} with {} steps", state.run, state.steps))?;
    let (mut verified, _) = verify::verify(store.dir(), None)?;
    for helper in store.dir().helpers().map_err(found)? {
        verified.add_helper(&helper)?;
    }
    if !verified.problems.is_empty() {
        // Some archives are made of damaged runs, so this is no reason to refuse one.
        let told = format!("{DIM}missing{RESET}  {} contents are not in the archive", verified.problems.len());
        context.printer.note(&told)?;
    }
    context.printer.note(&format!("{DIM}next{RESET}    greenroom audit {}", state.run))?;
    Ok(ExitCode::Success)
}

fn bad(detail: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.into())
}

/// The journal, and those of helpers by their place below it.
type Journals = (Vec<u8>, Vec<(Vec<RunId>, Vec<u8>)>);

/// The journals; each blob goes to `put` with the name it claims. No path of the archive reaches the disk.
fn unpack(path: &Path, put: impl Fn(&BlobId, &[u8]) -> io::Result<()>) -> io::Result<Journals> {
    // Of a FIFO the end may never come.
    if !std::fs::metadata(path)?.is_file() {
        return Err(bad("it is no regular file"));
    }
    let mut archive = tar::Archive::new(File::open(path)?);
    let (mut journal, mut helpers) = (None, Vec::new());
    for member in members(&mut archive)? {
        let Member { name, entry, .. } = member?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let mut bytes = Vec::new();
        entry.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        if name == "journal.jsonl" {
            if journal.replace(bytes).is_some() {
                return Err(bad("it holds two journals"));
            }
            continue;
        }
        if let Some(path) = helper_path(&name) {
            helpers.push((path, bytes));
            continue;
        }
        let id = name.strip_prefix("blobs/").and_then(BlobId::from_hex);
        let id = id.ok_or_else(|| bad(format!("it holds `{name}`, which is no part of a run")))?;
        put(&id, &bytes)?;
    }
    Ok((journal.ok_or_else(|| bad("it holds no journal"))?, helpers))
}
