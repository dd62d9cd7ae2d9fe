//! `greenroom export RUN`: the whole run as one file for another machine, or its story for other programs.

mod atif;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::audit::verify;
use super::{Context, found};
use crate::agent::RunState;
use crate::error::{Error, ExitCode, Result};
use crate::output::human::style::{DIM, RESET};
use crate::store::{Record, RunDir};

/// Write a run as one file: for `import` elsewhere, as JSON Lines, or as an ATIF trajectory
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom export last -o run.tar && scp run.tar elsewhere: && ssh elsewhere greenroom import run.tar
  greenroom export last --as atif > trajectory.json")]
pub struct ExportArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    #[arg(long = "as", value_name = "FORMAT", default_value = "archive")]
    format: Format,
    /// Where to; without it the archive is named by the run and the others go to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Of a damaged journal, the records before the damage
    #[arg(long)]
    valid_prefix: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Journal and blobs, as `import` takes them
    Archive,
    /// One record of the journal a line
    Jsonl,
    /// Agent Trajectory Interchange Format, version 1.4
    Atif,
}

pub async fn run(args: ExportArgs, context: &mut Context) -> Result<ExitCode> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let (journal, damage) = dir.valid_prefix().map_err(found)?;
    if let Some(damage) = damage.filter(|_| !args.valid_prefix) {
        return Err(found(damage.into()));
    }
    let state = RunState::replay(journal.records.iter().map(|record| &record.event))
        .ok_or_else(|| Error::usage(format!("run `{}` has an empty journal", args.run)))?;
    let not_written = |error: io::Error| Error::usage("cannot write the export").because(error);
    let text = match args.format {
        Format::Archive => {
            let output = args.output.unwrap_or_else(|| PathBuf::from(format!("{}.tar", state.run)));
            let blobs = archive(&dir, journal.valid_bytes, args.valid_prefix, &output)?;
            context.printer.note(&format!("{DIM}exported{RESET} {} blobs to {}", blobs, output.display()))?;
            return Ok(ExitCode::Success);
        }
        Format::Jsonl => lines(&journal.records),
        Format::Atif => format!("{:#}\n", atif::trajectory(&state, &journal.records)),
    };
    match args.output {
        Some(path) => std::fs::write(path, text).map_err(not_written)?,
        None => context.printer.verbatim(text.as_bytes())?,
    }
    Ok(ExitCode::Success)
}

fn lines(records: &[Record]) -> String {
    let line = |record: &Record| serde_json::to_string(record).expect("a record is plain data") + "\n";
    records.iter().map(line).collect()
}

/// A tar of `journal.jsonl`, `helpers/<run>/journal.jsonl` and so on downwards, and `blobs/<hash>`. Says how many blobs.
fn archive(dir: &RunDir, journal_bytes: u64, valid_prefix: bool, output: &Path) -> Result<usize> {
    let (mut verified, _) = verify::verify(dir, None)?;
    let helpers = dir.helpers().map_err(found)?;
    for helper in &helpers {
        verified.add_helper(helper)?;
    }
    let missing = verified.problems.iter().find_map(|problem| match &problem.place {
        verify::Place::Blob { blob, .. } => Some((blob, &problem.detail)),
        verify::Place::Journal { .. } | verify::Place::Head { .. } | verify::Place::Helper { .. } => None,
    });
    if let Some((blob, detail)) = missing.filter(|_| !valid_prefix) {
        return Err(Error::internal(format!("cannot export: blob {blob} is damaged"))
            .because(detail.clone())
            .hint("`--valid-prefix` leaves it out"));
    }
    let write = || -> io::Result<usize> {
        let file = File::options().write(true).create_new(true).open(output)?;
        let mut archive = tar::Builder::new(BufWriter::new(file));
        let journal = std::fs::read(dir.journal_path())?;
        add(&mut archive, "journal.jsonl", &journal[..journal_bytes as usize])?;
        for helper in &helpers {
            let (journal, _) = helper.valid_prefix().map_err(io::Error::other)?;
            let bytes = std::fs::read(helper.journal_path())?;
            let path = helper.journal_path();
            let path = path.strip_prefix(dir.path()).map_err(io::Error::other)?.to_string_lossy().into_owned();
            add(&mut archive, &path, &bytes[..journal.valid_bytes as usize])?;
        }
        let mut count = 0;
        for id in &verified.named {
            let Ok(bytes) = dir.blobs().get(id) else { continue };
            add(&mut archive, &format!("blobs/{id}"), &bytes)?;
            count += 1;
        }
        let file = archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(count)
    };
    write().map_err(|error| Error::usage(format!("cannot write `{}`", output.display())).because(error))
}

fn add<W: Write>(archive: &mut tar::Builder<W>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}
