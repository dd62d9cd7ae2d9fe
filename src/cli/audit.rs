//! `greenroom audit RUN`: whether journal and blobs are what was written, and what the run did by them.

mod account;
mod deeds;
pub(super) mod verify;

use clap::Args;
use serde::Serialize;

use super::{Context, Format, FormatArgs, found};
use crate::error::{Error, ExitCode, Result};
use crate::output::Printer;
use crate::output::escape::name_in_line;
use crate::output::human::style::{BOLD, DIM, GREEN, RED, RESET, YELLOW};
use crate::store::RunDir;

use account::{Account, CommandLine};
use deeds::{Change, Deed};
use verify::{Place, Verified};

/// Verify a run's journal and blobs, and list what it did
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom audit last
  greenroom audit 01k --head 5f0c…   and that nothing was rewritten since that summary was printed
  greenroom audit last --json | jq '.commands[] | select(.network)'

Exits with 3 where anything is not as it was written.")]
pub struct AuditArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The head hash that a summary of this run printed; the journal must still lead there
    #[arg(long, value_name = "HASH", value_parser = head_hash)]
    head: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct AuditLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    ok: bool,
    #[serde(flatten)]
    verified: &'a Verified,
    #[serde(flatten)]
    account: &'a Account,
    exit_code: u8,
}

fn head_hash(text: &str) -> Result<String, String> {
    let fine = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if fine { Ok(text.to_owned()) } else { Err("a head hash has 64 hex digits; summaries print it whole".into()) }
}

pub async fn run(args: AuditArgs, context: &mut Context) -> Result<ExitCode> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let (mut verified, records) = verify::verify(&dir, args.head.as_deref())?;
    for helper in dir.helpers().map_err(found)? {
        verified.add_helper(&helper)?;
    }
    if records.is_empty() && verified.problems.is_empty() {
        // "Intact" would be said of a journal that somebody emptied, too.
        return Err(Error::usage(format!("run {} has an empty journal: nothing can be said of it", dir.run()))
            .hint("it was killed before its first event, or its records were taken away; `--head HASH` tells which"));
    }
    let account = Account::of(&records, dir.blobs());
    let exit = if verified.problems.is_empty() { ExitCode::Success } else { ExitCode::Unverified };
    match args.format.format() {
        Format::Json => context.printer.json(&AuditLine {
            kind: "audit",
            ok: exit == ExitCode::Success,
            verified: &verified,
            account: &account,
            exit_code: exit.code(),
        })?,
        Format::Human => print(&verified, &account, &mut context.printer)?,
    }
    Ok(exit)
}

fn print(verified: &Verified, account: &Account, printer: &mut Printer) -> Result<()> {
    let row = |name: &str, value: &str| format!("  {DIM}{name:<10}{RESET} {value}");
    for line in account.lines() {
        printer.result(&row(line.0, &line.1))?;
    }
    for command in &account.commands {
        printer.result(&command_text(command))?;
        for line in files_text(command.files.as_deref().unwrap_or_default()) {
            printer.result(&format!("    {line}"))?;
        }
    }
    let count = |number: u64, name: &str| format!("{number} {name}{}", if number == 1 { "" } else { "s" });
    printer.result(&format!(
        "{DIM}verified{RESET} {}, {} ({} KiB)",
        count(verified.records, "record"),
        count(verified.blobs, "blob"),
        verified.blob_bytes.div_ceil(1024)
    ))?;
    printer.result(&row("head", &verified.head))?;
    for problem in &verified.problems {
        let place = match &problem.place {
            Place::Journal { offset, line } => format!("journal, byte {offset} (line {line})"),
            Place::Blob { blob, step: Some(step) } => format!("blob {blob} of step {step}"),
            Place::Blob { blob, step: None } => format!("blob {blob}"),
            Place::Head { head } => format!("head {head}"),
            Place::Helper { run } => format!("helper {run}"),
        };
        printer.result(&format!("{RED}{BOLD}not as written{RESET} {place}: {}", problem.detail))?;
    }
    if verified.problems.is_empty() {
        printer.result(&format!("{GREEN}{BOLD}intact{RESET}"))?;
    }
    Ok(())
}

fn command_text(command: &CommandLine) -> String {
    let colour = if command.outcome.is_none_or(crate::task::Outcome::succeeded) { GREEN } else { RED };
    let outcome = match (command.unknown, command.outcome) {
        (true, _) => format!("{YELLOW}unknown{RESET}"),
        (false, Some(outcome)) => format!("{colour}{outcome}{RESET}"),
        (false, None) if command.unfinished => format!("{YELLOW}begun, not ended{RESET}"),
        (false, None) => format!("{DIM}done{RESET}"),
    };
    let branch = if command.rewound { format!(" {DIM}(rewound){RESET}") } else { String::new() };
    let what = command.command.lines().next().unwrap_or_default();
    format!("{DIM}{}{RESET} {BOLD}{}{RESET} {what}: {outcome}{branch}", command.place, command.tool)
}

/// Of one kind of change to files; `--json` has them all.
const NAMED_MAX: usize = 20;

fn files_text(files: &[Deed]) -> Vec<String> {
    let kinds = [(Change::Added, "added"), (Change::Changed, "changed"), (Change::Removed, "removed")];
    let line = |(change, name): (Change, &str)| {
        let paths: Vec<&Deed> = files.iter().filter(|deed| deed.change == change).collect();
        let named: Vec<String> = paths.iter().take(NAMED_MAX).map(|deed| name_in_line(&deed.path)).collect();
        let more = match paths.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!paths.is_empty()).then(|| format!("{DIM}{name}{RESET} {}{more}", named.join(", ")))
    };
    kinds.into_iter().filter_map(line).collect()
}
