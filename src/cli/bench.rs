//! `greenroom bench`: measures on this machine what the project promises, beside the alternatives found here.

use std::path::PathBuf;
use std::sync::Mutex;

use clap::{Args, Subcommand};

use super::confine::ConfineArgs;
use super::interrupt::Interrupt;
use super::{Context, Format, FormatArgs, engine, values};
use crate::bench::endurance::simllm::{Persona, WriterPersona};
use crate::bench::endurance::{self, Amount as Endurance, Faults};
use crate::bench::sandbox::{Amounts, Under};
use crate::bench::steps::Amount;
use crate::bench::{Machine, loops, mini_swe_agent, parsers, sandbox, steps, table};
use crate::error::{Error, ExitCode, Result};
use crate::id::RunId;
use crate::output;
use crate::output::human::Progress;
use crate::output::human::style::{DIM, RESET};
use crate::output::jsonl::RunResult;
use crate::sandbox::{Confinement, SandboxSpec};

/// Measure on this machine, beside the alternatives found here
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom bench sandbox --quick
  greenroom bench steps --steps 200,1000 --files 1000
  greenroom bench endurance --steps 200 --window 8k --faults everything
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
    /// Whether thousands of steps by a simulated model keep the thread, whatever fails meanwhile
    Endurance(EnduranceArgs),
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
    /// A Python that has mini-swe-agent, which is then measured beside ours
    #[arg(long, value_name = "FILE", default_value = "python3")]
    peer_python: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Args)]
struct ParsersArgs {
    /// Bytes of the longest noisy log; a quarter of it of the dense one
    #[arg(long, value_name = "SIZE", default_value = "1g", value_parser = values::size)]
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

#[derive(Debug, Args)]
struct EnduranceArgs {
    /// Image that the runs start from
    #[arg(long, value_name = "NAME", default_value = "python")]
    image: String,
    /// Steps of the chain that each run walks
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    steps: u32,
    /// Tokens of the model's window
    #[arg(long, value_name = "8k|32k|128k", default_value = "8k", value_parser = window)]
    window: u64,
    /// Runs, each with a seed of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What each run is put through: faults of the provider, `kill -9` of the runner, or all of it and early submissions
    #[arg(long, value_enum, default_value = "none")]
    faults: FaultsArg,
    /// Steps from one kill to the next, about [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    kill_every: Option<u64>,
    /// How the simulated model reads and errs
    #[arg(long, value_enum, default_value = "perfect")]
    persona: PersonaArg,
    /// The checkpoint writer: `drops=SHARE` of the facts, `fails`, or `poison`
    #[arg(long, value_name = "WRITER", default_value = "drops=0", value_parser = writer)]
    writer: WriterPersona,
    /// Writes tokens and milliseconds a step as a page with two plots
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FaultsArg {
    None,
    Provider,
    Crash,
    Everything,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PersonaArg {
    Perfect,
    Bounded,
    Erring,
    Saboteur,
}

/// `8k` is 8,192 tokens.
fn window(text: &str) -> Result<u64, String> {
    let (number, unit) = text.strip_suffix('k').map_or((text, 1), |number| (number, 1024));
    let tokens = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    tokens.filter(|tokens| (4_096..=4_194_304).contains(tokens)).ok_or_else(|| "not a window from 4k to 4096k".into())
}

fn writer(text: &str) -> Result<WriterPersona, String> {
    let share = |text: &str| text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    match (text, text.strip_prefix("drops=").and_then(share)) {
        ("fails", _) => Ok(WriterPersona::Fails),
        ("poison", _) => Ok(WriterPersona::Poison),
        (_, Some(share)) => Ok(WriterPersona::Drops { share }),
        (_, None) => Err("neither `drops=SHARE` (0 to 1) nor `fails` nor `poison`".into()),
    }
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
        Target::Endurance(args) => {
            let format = args.format.format();
            let done = measure_endurance(args, context).await;
            if let (Format::Json, Err(error)) = (format, &done)
                && !output::is_broken_pipe(error)
            {
                context.printer.json(&RunResult::failed(error))?;
            }
            done
        }
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
    let runtime = args.confine.runtime.as_deref();
    // What it cannot enforce matters to nobody who runs `true`.
    let beside = match runtime.is_none() && connected.facts().runtimes.iter().any(|known| known == sandbox::BESIDE) {
        true => {
            let runsc = engine::connect().await?.confined(Some(sandbox::BESIDE.into()), Confinement::ALL.into())?;
            Some(runsc.docker_launcher(&state))
        }
        false => None,
    };
    let bench = {
        let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
        let tell = |line: &str| engine::tell(&progress, line);
        let under = Under { launcher: launcher.as_ref(), runtime };
        let beside = beside.as_ref().map(|launcher| Under { launcher, runtime: Some(sandbox::BESIDE) });
        let work = sandbox::measure(under, beside, connected.facts(), image, amounts, &tell);
        interrupt.or_stop(work).await?
    };
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&table::sandbox(&bench))?,
    }
    Ok(ExitCode::Success)
}

/// A peer whose steps take long enough already.
const PEER_STEPS_MAX: u32 = 1_000;
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
    let peer_image = image.image.digest.clone();
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
            let mut peers = Vec::new();
            if mini_swe_agent::is_installed(&args.peer_python).await {
                for steps in args.steps.iter().filter(|steps| **steps <= PEER_STEPS_MAX) {
                    let (python, steps) = (&args.peer_python, *steps as usize);
                    peers.push(mini_swe_agent::run(python, &folder, &peer_image, steps, &tell).await?);
                }
            }
            Ok((runs, walks, peers))
        };
        interrupt.or_stop(work).await
    };
    // Whatever became of it; what cannot be removed is the system's temporary folder's to lose.
    let _ = std::fs::remove_dir_all(&folder);
    let (runs, walks, peers) = measured?;
    let bench = steps::bench(args.image, machine, runs, walks, peers);
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

async fn measure_endurance(args: EnduranceArgs, context: &mut Context) -> Result<ExitCode> {
    let program = std::env::current_exe().map_err(|error| Error::internal("where is this program?").because(error))?;
    let folder = std::env::temp_dir().join(format!("greenroom-bench-{}", RunId::generate()));
    let interrupt = Interrupt::listen()?;
    let connected = interrupt.or_stop(engine::connect()).await?;
    interrupt.or_stop(connected.prepare(&args.image, &mut context.printer)).await?;
    let amount = Endurance {
        steps: args.steps as usize,
        window_tokens: args.window,
        faults: match args.faults {
            FaultsArg::None => Faults::None,
            FaultsArg::Provider => Faults::Provider,
            FaultsArg::Crash => Faults::Crash,
            FaultsArg::Everything => Faults::Everything,
        },
        persona: match args.persona {
            PersonaArg::Perfect => Persona::Perfect,
            PersonaArg::Bounded => Persona::Bounded,
            PersonaArg::Erring => Persona::Erring,
            PersonaArg::Saboteur => Persona::Saboteur,
        },
        writer: args.writer,
        kill_every: args.kill_every,
    };
    let seeds: Vec<u64> = (0..args.seeds).map(|n| args.seed.wrapping_add(n)).collect();
    let measured = {
        let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
        let tell = |line: &str| engine::tell(&progress, line);
        let work = endurance::measure(&program, &folder, &args.image, amount, &seeds, &tell);
        interrupt.or_stop(work).await
    };
    // A run that lost its thread is kept, and said where.
    if std::fs::remove_dir(&folder).is_err() && folder.exists() {
        context.printer.note(&format!("{DIM}kept{RESET} {}", folder.display()))?;
    }
    let bench = measured?;
    if let Some(file) = &args.html {
        std::fs::write(file, endurance::plot::page(&bench))
            .map_err(|error| Error::usage(format!("cannot write `{}`", file.display())).because(error))?;
    }
    match args.format.format() {
        Format::Json => context.printer.json(&bench)?,
        Format::Human => context.printer.result(&endurance::table::endurance(&bench))?,
    }
    Ok(if bench.exit_code == 0 { ExitCode::Success } else { ExitCode::Unverified })
}
