//! `greenroom bench`: measures on this machine what the project promises, beside the alternatives found here.

use std::sync::Mutex;

use clap::{Args, Subcommand};

use super::confine::ConfineArgs;
use super::interrupt::Interrupt;
use super::{Context, Format, FormatArgs, engine, values};
use crate::bench::sandbox::Amounts;
use crate::bench::{parsers, sandbox, table};
use crate::error::{Error, ExitCode, Result};
use crate::output;
use crate::output::human::Progress;
use crate::output::jsonl::RunResult;

/// Measure on this machine, beside the alternatives found here
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom bench sandbox --quick
  greenroom bench parsers --json")]
pub struct BenchArgs {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    /// Calls, starts, a flood and many sandboxes at once, beside `docker exec` and `docker run`
    Sandbox(SandboxArgs),
    /// How fast the parsers read a noisy log and a dense one
    Parsers(ParsersArgs),
}

#[derive(Debug, Args)]
struct SandboxArgs {
    /// Image that sandboxes and alternatives start from
    #[arg(long, value_name = "NAME", default_value = "python")]
    image: String,
    /// Calls of `true` [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: Option<u32>,
    /// Sandboxes started one after another [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    starts: Option<u32>,
    /// Bytes of the flood, like 500m [default: 10 GB]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    flood: Option<u64>,
    /// Sandboxes at once [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    sandboxes: Option<u32>,
    /// Files in the workspace that is forked five times [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    files: Option<u32>,
    #[command(flatten)]
    confine: ConfineArgs,
    /// A tenth of everything
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Args)]
struct ParsersArgs {
    /// Bytes of the noisy log; a quarter of it of the dense one
    #[arg(long, value_name = "SIZE", default_value = "256m", value_parser = values::size)]
    bytes: u64,
    #[command(flatten)]
    format: FormatArgs,
}

pub async fn run(args: BenchArgs, context: &mut Context) -> Result<ExitCode> {
    match args.target {
        Target::Sandbox(args) => {
            let format = args.format.format();
            let done = measure_sandbox(args, context).await;
            if let (Format::Json, Err(error)) = (format, &done)
                && !output::is_broken_pipe(error)
            {
                context.printer.json(&RunResult::failed(error))?;
            }
            done
        }
        Target::Parsers(args) => measure_parsers(&args, context),
    }
}

async fn measure_sandbox(args: SandboxArgs, context: &mut Context) -> Result<ExitCode> {
    let usual = if args.quick { Amounts::QUICK } else { Amounts::FULL };
    let or = |typed: Option<u32>, usual: usize| typed.map_or(usual, |number| number as usize);
    let amounts = Amounts {
        calls: or(args.calls, usual.calls),
        starts: or(args.starts, usual.starts),
        flood_bytes: args.flood.unwrap_or(usual.flood_bytes),
        sandboxes: or(args.sandboxes, usual.sandboxes),
        files: or(args.files, usual.files),
    };
    let state = context.paths()?.state;
    let interrupt = Interrupt::listen()?;
    let connected = args.confine.apply(interrupt.or_stop(engine::connect()).await?)?;
    let image = interrupt.or_stop(connected.prepare(&args.image, &mut context.printer)).await?;
    let launcher = connected.launcher(&state).await;
    let bench = {
        let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
        let tell = |line: &str| engine::tell(&progress, line);
        let work = sandbox::measure(launcher.as_ref(), connected.facts(), image, amounts, &tell);
        interrupt.or_stop(work).await?
    };
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&table::sandbox(&bench))?,
    }
    Ok(ExitCode::Success)
}

fn measure_parsers(args: &ParsersArgs, context: &mut Context) -> Result<ExitCode> {
    if args.bytes == 0 {
        return Err(Error::usage("there is nothing to read in 0 bytes").hint("say `--bytes 256m`"));
    }
    let bench = {
        let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
        parsers::measure(args.bytes, &|line| engine::tell(&progress, line))
    };
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&table::parsers(&bench))?,
    }
    Ok(ExitCode::Success)
}
