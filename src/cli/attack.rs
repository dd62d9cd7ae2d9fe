//! `greenroom doctor --attack`: the attack suite, one line a case.

use clap::Args;
use serde::Serialize;

use super::confine::known_runtime;
use super::{Context, Format, engine};
use crate::attack::{self, Case, Extent, HELD_MIN, IMAGE, Lab, Setting, Status, Verdict};
use crate::error::{Error, ExitCode, Result};
use crate::output::Printer;
use crate::output::human::Progress;
use crate::output::human::style::{BOLD, DIM, GREEN, RED, RESET, YELLOW};
use crate::sandbox::{Confinement, Weaker};

#[derive(Debug, Args)]
pub(super) struct AttackArgs {
    /// Try what untrusted code would, against this machine's own engine
    #[arg(long)]
    attack: bool,
    /// The runtime to attack, by the name the engine knows it by
    #[arg(long, value_name = "NAME", requires = "attack")]
    runtime: Option<String>,
    /// Leave a confinement out, to see which cases break without it
    #[arg(long = "allow-weaker", value_name = "NAME", requires = "attack")]
    weaker: Vec<Confinement>,
    /// Only these cases, by id
    #[arg(long, value_name = "ID,…", value_delimiter = ',', requires = "attack")]
    only: Vec<String>,
    /// With the full numbers: 10 GiB of output, 1,000 cycles, 64 sandboxes at once
    #[arg(long, requires = "attack")]
    full: bool,
    /// Also what endangers other people's containers, such as restarting the engine; implies --full
    #[arg(long, requires = "attack")]
    destructive: bool,
    /// How the engine under attack is restarted, for the shell; without it, as the system's own service
    #[arg(long, value_name = "COMMAND", requires = "destructive")]
    restart_with: Option<String>,
}

impl AttackArgs {
    pub(super) fn is_asked_for(&self) -> bool {
        self.attack
    }

    fn extent(&self) -> Extent {
        match (self.destructive, self.full) {
            (true, _) => Extent::Destructive,
            (false, true) => Extent::Full,
            (false, false) => Extent::Quick,
        }
    }
}

/// What a runtime that was named cannot do; sandboxes of a run are refused for it.
#[derive(Debug, Serialize)]
struct Unenforced {
    #[serde(rename = "type")]
    kind: &'static str,
    runtime: Option<String>,
    unenforced: Weaker,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    held: usize,
    broken: usize,
    not_run: usize,
    runtime: Option<String>,
    weaker: Weaker,
    unenforced: Weaker,
    exit_code: u8,
}

pub(super) async fn run(args: &AttackArgs, format: Format, context: &mut Context) -> Result<ExitCode> {
    let chosen = choose(&args.only)?;
    let engine = engine::connect().await?;
    known_runtime(&engine.engine().facts.runtimes, args.runtime.as_deref())?;
    let image = engine.prepare(IMAGE, &mut context.printer).await?;
    let weaker: Weaker = args.weaker.iter().copied().collect();
    let (runtime, restart) = (args.runtime.clone(), args.restart_with.clone());
    let setting = Setting { runtime, weaker: weaker.clone(), extent: args.extent(), restart };
    let mut lab = Lab::new(engine.engine(), image, setting)
        .map_err(|detail| Error::internal("cannot set up the attack suite").because(detail))?;
    let refusal = lab.look_at_runtime().await;
    if std::env::var_os(attack::DOOMED).is_some() {
        let printer = &mut context.printer;
        let told = attack::play_doomed(&lab, |container| drop(printer.result(container))).await;
        return told
            .map(|()| ExitCode::Success)
            .map_err(|detail| Error::no_sandbox("no sandbox to lose").because(detail));
    }
    if let Some(detail) = refusal {
        let unenforced = lab.unenforced().clone();
        let line = Unenforced { kind: "unenforced", runtime: args.runtime.clone(), unenforced, detail };
        match format {
            Format::Json => context.printer.json(&line)?,
            Format::Human => context.printer.result(&format!(
                "{YELLOW}not enforced{RESET} as seen from inside: {} {DIM}({}){RESET}\n        {DIM}`run` refuses this runtime unless each is accepted with --allow-weaker; cases about them are not run{RESET}\n",
                names(&line.unenforced),
                line.detail
            ))?,
        }
    }
    let mut verdicts = Vec::new();
    for case in &chosen {
        let mut progress = Progress::new(&context.printer);
        if format == Format::Human {
            progress.status(&mut context.printer, &format!("{}: {}", case.id, case.title))?;
        }
        let verdict = attack::carry_out(case, &lab).await;
        progress.finish();
        match format {
            Format::Json => context.printer.json(&verdict)?,
            Format::Human => context.printer.result(&render(&verdict))?,
        }
        verdicts.push(verdict);
    }
    let count = |status| verdicts.iter().filter(|verdict| verdict.status == status).count();
    let (held, broken, not_run) = (count(Status::Held), count(Status::Broken), count(Status::NotRun));
    let exit = match broken == 0 && held >= HELD_MIN.min(chosen.len()) {
        true => ExitCode::Success,
        false => ExitCode::Unverified,
    };
    let (runtime, unenforced) = (args.runtime.clone(), lab.unenforced().clone());
    let summary =
        Summary { kind: "result", held, broken, not_run, runtime, weaker, unenforced, exit_code: exit.code() };
    match format {
        Format::Json => context.printer.json(&summary)?,
        Format::Human => tell(&summary, chosen.len(), &mut context.printer)?,
    }
    Ok(exit)
}

fn choose(only: &[String]) -> Result<Vec<Case>> {
    let cases = attack::cases();
    if let Some(unknown) = only.iter().find(|id| cases.iter().all(|case| case.id != **id)) {
        let known = cases.iter().map(|case| case.id).collect::<Vec<_>>().join(", ");
        return Err(Error::usage(format!("no case is called `{unknown}`")).hint(format!("there are {known}")));
    }
    Ok(cases.into_iter().filter(|case| only.is_empty() || only.iter().any(|id| case.id == id)).collect())
}

fn render(verdict: &Verdict) -> String {
    let mark = match verdict.status {
        Status::Held => format!("{GREEN}held{RESET}   "),
        Status::Broken => format!("{RED}broken{RESET} "),
        Status::NotRun => format!("{YELLOW}not run{RESET}"),
    };
    format!("{mark} {BOLD}{:<18}{RESET} {}\n        {DIM}{}{RESET}\n", verdict.id, verdict.title, verdict.note)
}

fn names(confinements: &Weaker) -> String {
    confinements.iter().map(|confinement| confinement.name()).collect::<Vec<_>>().join(", ")
}

fn tell(summary: &Summary, chosen: usize, printer: &mut Printer) -> Result<()> {
    let Summary { held, broken, not_run, .. } = summary;
    let without: Weaker = summary.weaker.union(&summary.unenforced).copied().collect();
    let without = if without.is_empty() { String::new() } else { format!(", without {}", names(&without)) };
    printer.result(&format!(
        "{BOLD}{held} held, {broken} broken, {not_run} not run{RESET}{without} (needed: none broken, {} held)",
        HELD_MIN.min(chosen)
    ))
}
