//! `greenroom show RUN`: what happened in a run, step by step, from its journal alone.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use greenroom_parsers::Report;

use super::{Context, Format, FormatArgs, Past, found};
use crate::checkpoint::WriterOutcome;
use crate::error::{Error, ExitCode, Result};
use crate::event::{Event, ToolOutcome};
use crate::feedback::{self, findings};
use crate::helper::{HelperReport, Merge};
use crate::network::{InstalledPackage, Manager, ProxyRecord};
use crate::output::human::style::{BOLD, DIM, GREEN, RED, RESET};
use crate::output::jsonl::EventLine;
use crate::output::report::verdict_line;
use crate::output::summary;
use crate::score::Score;
use crate::snapshot::SnapshotRef;
use crate::store::{RunDir, Tail};
use crate::task::CheckResult;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Show what happened in a run
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  greenroom show last\n  greenroom show last --follow\n  greenroom show 01k --json")]
pub struct ShowArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on showing while somebody works on it, until it ends
    #[arg(long, short = 'f')]
    follow: bool,
    #[command(flatten)]
    format: FormatArgs,
}

pub async fn run(args: ShowArgs, context: &mut Context) -> Result<ExitCode> {
    if args.follow {
        follow(&args, context).await?;
    }
    let past = Past::find(context, &args.run)?;
    let result = past.result();
    match args.format.format() {
        Format::Json => {
            for record in past.records.iter().filter(|_| !args.follow) {
                context.printer.json(&EventLine::of(&record.event))?;
            }
            context.printer.json(&result)?;
        }
        Format::Human => {
            for record in past.records.iter().filter(|_| !args.follow) {
                if let Some(text) = event(&record.event) {
                    context.printer.result(&text)?;
                }
            }
            let patch = past.patch()?;
            context.printer.result(&format!("\n{}", summary::render(&result, patch.as_deref())))?;
        }
    }
    Ok(ExitCode::Success)
}

/// Every event as it is committed, until nobody works on the run any more.
async fn follow(args: &ShowArgs, context: &mut Context) -> Result<()> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let unreadable = |error| Error::internal("cannot read the journal").because(error);
    let mut tail = Tail::open(&dir.journal_path()).map_err(unreadable)?;
    loop {
        // Asked before reading: what its owner wrote last is read after it has gone.
        let is_worked_on = dir.owner().map_err(found)?.is_some();
        for record in tail.read().map_err(unreadable)? {
            match args.format.format() {
                Format::Json => context.printer.json(&EventLine::of(&record.event))?,
                Format::Human => match event(&record.event) {
                    Some(text) => context.printer.result(&text)?,
                    None => {}
                },
            }
        }
        if !is_worked_on {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One event as a line or a few; `None` for what says nothing to a person.
pub fn event(event: &Event) -> Option<String> {
    match event {
        Event::RunStarted { repo, task, model, .. } => {
            let task = task.instruction.as_deref().unwrap_or("make the checks pass");
            Some(format!("{BOLD}{task}{RESET}\n{DIM}in{RESET} {repo} {DIM}by{RESET} {model}"))
        }
        Event::NetworkUsed { requests, left_out, .. } => Some(network(requests, *left_out)),
        Event::SandboxStarted { image, files, bytes, .. } => {
            Some(format!("{DIM}sandbox{RESET} from {image}, {files} files ({} KiB) copied in", bytes.div_ceil(1024)))
        }
        Event::BaselineFinished { checks, .. } => Some(checks_text("baseline", checks)),
        Event::ModelRequested { .. } => None,
        Event::ModelResponded { turn, response, reflex, .. } => {
            let text = response.text();
            let line = text.trim().lines().next().filter(|line| !line.is_empty())?;
            let who = if reflex.is_some() { "reflex".to_owned() } else { format!("turn {turn}") };
            Some(format!("{DIM}{who}{RESET} {}", shorten(line)))
        }
        Event::ModelFailed { turn, detail, .. } => {
            Some(format!("{DIM}turn {turn}{RESET} {RED}no answer{RESET}: {detail}"))
        }
        Event::CandidatesRan { candidates, winner, .. } => {
            let mut text = format!("{DIM}{} proposals{RESET}", candidates.len());
            for (index, candidate) in candidates.iter().enumerate() {
                let mark = if index == *winner as usize { format!("{GREEN}✓{RESET}") } else { " ".into() };
                let line = format!("{} {DIM}{}{RESET}", candidate.summary, candidate.verdict);
                text.push_str(&format!("\n    {mark} {}: {}", index + 1, shorten(&line)));
            }
            Some(text)
        }
        Event::ToolCallStarted { token, call } => {
            let argument =
                ["command", "path", "pattern", "manager", "task"].iter().find_map(|key| call.input.get(key)?.as_str());
            let argument = argument.unwrap_or_default().lines().next().unwrap_or_default();
            let line = format!("{DIM}step {}{RESET} {BOLD}{}{RESET} {}", token.0 + 1, call.name, shorten(argument));
            Some(line.trim_end().to_owned())
        }
        Event::CheckpointWritten { checkpoint } => {
            let (version, sections) = (checkpoint.version, checkpoint.sections.len());
            Some(format!("{DIM}checkpoint {version}{RESET} {sections} sections"))
        }
        Event::WriterAsked { .. } => None,
        Event::BackgroundRead { items } => {
            let sources: Vec<&str> = items.iter().map(|item| item.source.as_str()).collect();
            Some(format!("{DIM}read{RESET} {}, as data", sources.join(", ")))
        }
        Event::WriterFinished { outcome, checkpoint, .. } => Some(match (outcome, checkpoint) {
            (WriterOutcome::Wrote { added, superseded, dropped }, Some(checkpoint)) => format!(
                "{DIM}checkpoint {}{RESET} {added} notes added, {superseded} superseded, {dropped} thrown away",
                checkpoint.version
            ),
            (WriterOutcome::Failed { detail }, _) => format!("{DIM}no notes{RESET}: {}", shorten(detail)),
            (WriterOutcome::Wrote { .. } | WriterOutcome::Absent, _) => return None,
        }),
        Event::Said { text, .. } => Some(format!("{BOLD}you said{RESET} {}", shorten(text.lines().next()?))),
        Event::Reviewed { version, review } => {
            Some(format!("{DIM}checkpoint {version}{RESET} you {}", shorten(&review.to_string())))
        }
        Event::WindowRebuilt { version, reason, dropped_messages } => Some(format!(
            "{DIM}window rebuilt{RESET} from checkpoint {version}, {dropped_messages} messages left it: {}",
            shorten(reason)
        )),
        Event::ToolCallFinished { result, snapshot, .. } => {
            let files = snapshot.as_ref().filter(|snapshot| snapshot.changed > 0).map(files_text);
            let lines: Vec<String> = tool_result(result).into_iter().chain(files).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Event::TreeCaptured { files_changed, .. } => {
            Some(format!("{DIM}captured{RESET} {} changed", files(files_changed.len())))
        }
        Event::VerificationFinished { checks, judgement, score, .. } => {
            let mut text = checks_text("verification in a clean container", checks);
            for finding in judgement.iter().flat_map(|judgement| &judgement.findings).filter(|f| f.is_objection()) {
                text.push_str(&format!("\n    {RED}✗{RESET} {}", shorten(&finding.to_string())));
            }
            text.push_str(&score.as_deref().map(score_text).unwrap_or_default());
            Some(text)
        }
        Event::Finished { .. } => None,
        Event::Resumed { .. } => Some(format!("{DIM}resumed{RESET}")),
        Event::SandboxReplaced { reason, .. } => Some(format!("{DIM}fresh sandbox{RESET}: {reason}")),
        Event::Rewound { to_step: 0 } => Some(format!("{DIM}rewound{RESET} to before the first step")),
        Event::Rewound { to_step } => Some(format!("{DIM}rewound{RESET} to step {to_step}")),
        Event::Imported { .. } => Some(format!("{DIM}imported{RESET}")),
    }
}

fn tool_result(result: &ToolOutcome) -> Option<String> {
    if let Some(checks) = &result.checks {
        let score = result.score.as_deref().map(score_text).unwrap_or_default();
        let alone = result.failing_first.as_ref().is_some_and(|first| first.alone);
        let name = if alone { "checks, failing tests alone" } else { "checks" };
        return Some(format!("{}{score}", checks_text(name, checks)));
    }
    if let Some(install) = &result.installed {
        return Some(installed(install.manager, &install.packages));
    }
    if let Some(report) = &result.helper {
        return Some(helper(report));
    }
    if result.is_error {
        return Some(format!(
            "    {RED}refused{RESET}: {}",
            shorten(result.content.lines().next().unwrap_or_default())
        ));
    }
    let outcome = result.outcome.filter(|outcome| !outcome.succeeded())?;
    Some(format!("    {RED}{outcome}{RESET}"))
}

/// How it ended, what became of its changes, and where the rest is told.
fn helper(report: &HelperReport) -> String {
    let (colour, status) = summary::status_word(Some(report.status));
    let changed = files(report.files_changed.len());
    let merge = match &report.merge {
        Merge::Nothing => "nothing changed".to_owned(),
        Merge::Merged => format!("{changed} merged"),
        Merge::ThrownAway => format!("{changed} thrown away"),
        Merge::Refused { conflicts } => format!("{RED}not merged{RESET}: {}", shorten(&conflicts.join(", "))),
    };
    let answer = report.answer.trim().lines().next().map(|line| format!("\n    {}", shorten(line)));
    let steps = plural(report.steps as usize, "step");
    format!("    {colour}{status}{RESET} {DIM}{} {steps}{RESET}, {merge}{}", report.run, answer.unwrap_or_default())
}

/// What went out and came in, host by host, and everything that was not served.
fn network(requests: &[ProxyRecord], left_out: u64) -> String {
    const COMPLAINTS_MAX: usize = 8;
    let mut hosts: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    let mut complaints = Vec::new();
    for request in requests {
        match request.complaint() {
            Some(complaint) if !complaints.contains(&complaint) => complaints.push(complaint),
            Some(_) => {}
            None => {
                let (count, up, down) = hosts.entry(format!("{}:{}", request.host, request.port)).or_default();
                (*count, *up, *down) = (*count + 1, *up + request.bytes_up, *down + request.bytes_down);
            }
        }
    }
    let kib = |bytes: &u64| bytes.div_ceil(1024);
    let mut text = format!("{DIM}network{RESET} {} through the proxy", plural(requests.len(), "request"));
    for (host, (count, up, down)) in &hosts {
        let count = plural(*count as usize, "request");
        text.push_str(&format!("\n    {host} {DIM}{count}, {} KiB out, {} KiB in{RESET}", kib(up), kib(down)));
    }
    for complaint in complaints.iter().take(COMPLAINTS_MAX) {
        text.push_str(&format!("\n    {RED}not served{RESET}: {}", shorten(complaint)));
    }
    let more = left_out + complaints.len().saturating_sub(COMPLAINTS_MAX) as u64;
    if more > 0 {
        text.push_str(&format!("\n    {DIM}and {more} more{RESET}"));
    }
    text
}

fn installed(manager: Manager, packages: &[InstalledPackage]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown: Vec<String> =
        packages.iter().take(SHOWN_MAX).map(|package| format!("{} {}", package.name, package.version)).collect();
    let more = match packages.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("    {GREEN}installed{RESET} with {manager}: {}{more}", shown.join(", "))
}

fn plural(count: usize, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

fn files_text(snapshot: &SnapshotRef) -> String {
    let unstable = if snapshot.unstable { ", while something ran" } else { "" };
    let changed = files(usize::try_from(snapshot.changed).unwrap_or(usize::MAX));
    let left_out = match snapshot.left_out {
        0 => String::new(),
        // FIFOs, sockets, devices, and what nobody could read or unpack again.
        count => format!(", {count} left out"),
    };
    let kibibytes = snapshot.stored_bytes.div_ceil(1024);
    format!("    {DIM}{changed} changed, {kibibytes} KiB stored{left_out}{unstable}{RESET}")
}

fn checks_text(name: &str, checks: &[CheckResult]) -> String {
    let mut text = format!("{DIM}{name}{RESET}");
    for check in checks {
        let mark = if check.passed() { format!("{GREEN}✓{RESET}") } else { format!("{RED}✗{RESET}") };
        // How the command ended decides where its output proves nothing.
        let verdict = verdict_line(&Report { verdict: check.verdict(), ..check.report.clone() });
        text.push_str(&format!("\n    {mark} `{}` {}: {}", check.check.command, check.outcome, verdict.trim_end()));
        if !check.passed() {
            text.push_str(&first_findings(&check.report));
        }
    }
    text
}

fn score_text(score: &Score) -> String {
    let text = feedback::score::render(score, None);
    text.trim_end().lines().map(|line| format!("\n    {DIM}{}{RESET}", shorten(line))).collect()
}

/// What is wrong, first cause first: enough to follow along, not all of it.
fn first_findings(report: &Report) -> String {
    const SHOWN_MAX: usize = 3;
    let found = findings(report);
    let mut text = String::new();
    for finding in found.iter().take(SHOWN_MAX) {
        let place = match (&finding.file, finding.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let message = finding.message.lines().next().unwrap_or_default();
        let line = shorten(&format!("{}: {message}", finding.title));
        text.push_str(&format!("\n      {place}{RED}{line}{RESET}"));
    }
    if found.len() > SHOWN_MAX {
        text.push_str(&format!("\n      {DIM}and {} more{RESET}", found.len() - SHOWN_MAX));
    }
    text
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

fn shorten(line: &str) -> String {
    const CHARS_MAX: usize = 160;
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
