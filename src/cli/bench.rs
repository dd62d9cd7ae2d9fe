//! `greenroom bench`: measures on this machine what the project promises, beside the alternatives found here.

use std::sync::Mutex;

use clap::{Args, Subcommand};

use super::confine::ConfineArgs;
use super::interrupt::Interrupt;
use super::{Context, Format, FormatArgs, engine, values};
use crate::bench::sandbox::Amounts;
use crate::bench::steps::Amount;
use crate::bench::{Machine, loops, parsers, sandbox, steps, table};
use crate::error::{Error, ExitCode, Result};
use crate::id::RunId;
use crate::output;
use crate::output::human::Progress;
use crate::output::jsonl::RunResult;
use crate::sandbox::SandboxSpec;

/// Measure on this machine, beside the alternatives found here
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom bench sandbox --quick
  greenroom bench steps --steps 200,1000 --files 1000
  greenroom bench parsers --json")]
pub struct BenchArgs {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    /// Calls, starts, a flood and many sandboxes at once, beside `docker exec` and `docker run`
    Sandbox(SandboxArgs),
    /// Whole durable steps of `true` by a scripted model, and what looking at every file costs
    Steps(StepsArgs),
    /// How fast the parsers read a noisy log and a dense one
    Parsers(ParsersArgs),
    /// How well a run that goes round in circles is told from one that gets on
    Loops(LoopsArgs),
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
struct StepsArgs {
    /// Image that the runs start from
    #[arg(long, value_name = "NAME", default_value = "python")]
    image: String,
    /// Steps of each run, like 200,1000,10000
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [200, 1000],
        value_parser = clap::value_parser!(u32).range(2..=100_000))]
    steps: Vec<u32>,
    /// Files in the workspace of these runs
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    files: u32,
    /// A short run and walks in each of these larger workspaces too
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [10_000, 100_000],
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    large: Vec<u32>,
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

#[derive(Debug, Args)]
struct LoopsArgs {
    /// Made traces of each kind
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    traces: u32,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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
        Target::Steps(args) => {
            let format = args.format.format();
            let done = measure_steps(args, context).await;
            if let (Format::Json, Err(error)) = (format, &done)
                && !output::is_broken_pipe(error)
            {
                context.printer.json(&RunResult::failed(error))?;
            }
            done
        }
        Target::Parsers(args) => measure_parsers(&args, context),
        Target::Loops(args) => measure_loops(&args, context),
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

/// Of a run whose workspace is large.
const STEPS_IN_LARGE: usize = 60;

async fn measure_steps(args: StepsArgs, context: &mut Context) -> Result<ExitCode> {
    let machine = Machine::look();
    let state = context.paths()?.state;
    let program = std::env::current_exe().map_err(|error| Error::internal("where is this program?").because(error))?;
    let folder = std::env::temp_dir().join(format!("greenroom-bench-{}", RunId::generate()));
    let interrupt = Interrupt::listen()?;
    let connected = interrupt.or_stop(engine::connect()).await?;
    let image = interrupt.or_stop(connected.prepare(&args.image, &mut context.printer)).await?;
    let launcher = connected.launcher(&state).await;
    let spec =
        SandboxSpec { run: RunId::generate(), image: image.image, limits: sandbox::LIMITS, env: image.env, data: None };
    let files = args.files as usize;
    let large = || args.large.iter().map(|files| *files as usize);
    let amounts = args.steps.iter().map(|steps| Amount { steps: *steps as usize, files });
    let amounts: Vec<Amount> = amounts.chain(large().map(|files| Amount { steps: STEPS_IN_LARGE, files })).collect();
    let measured = {
        let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
        let tell = |line: &str| engine::tell(&progress, line);
        let work = async {
            let (mut runs, mut walks) = (Vec::new(), Vec::new());
            for amount in amounts {
                runs.push(steps::run(&program, &folder, &args.image, amount, &tell).await?);
            }
            for files in [files].into_iter().chain(large()) {
                walks.push(steps::walk(launcher.as_ref(), &spec, files, &tell).await?);
            }
            Ok((runs, walks))
        };
        interrupt.or_stop(work).await
    };
    // Whatever became of it; what cannot be removed is the system's temporary folder's to lose.
    let _ = std::fs::remove_dir_all(&folder);
    let (runs, walks) = measured?;
    let bench = steps::bench(args.image, machine, runs, walks);
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&table::steps(&bench))?,
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

fn measure_loops(args: &LoopsArgs, context: &mut Context) -> Result<ExitCode> {
    let bench = loops::measure(args.traces as usize, args.seed);
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&table::loops(&bench))?,
    }
    Ok(ExitCode::Success)
}
