//! The command line: one subcommand a file, each an `Args` and a `run`.

pub mod apply;
mod attack;
pub mod audit;
pub mod bench;
mod confine;
pub mod cp;
pub mod demo;
pub mod diff;
pub mod doctor;
mod engine;
pub mod exec;
pub mod export;
mod follow;
pub mod fork;
pub mod gc;
mod helpers;
pub mod images;
pub mod import;
mod interrupt;
mod judge;
mod memory;
pub mod parse;
mod past;
mod plan;
pub mod pr;
mod prepare;
mod remake;
mod remote;
pub mod report;
pub mod resume;
mod review;
pub mod rewind;
pub mod run;
pub mod runs;
pub mod say;
mod set_up;
pub mod show;
pub mod stop;
mod style_rules;
mod task_folder;
pub mod toolchain;
pub mod values;
mod watch;

use past::{Past, found};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Paths;
use crate::error::{ExitCode, Result};
use crate::output::Printer;

/// Runs a coding agent on a repository nobody has to trust, inside a container, until the checks are green
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  verified, or the command did what it was asked
  1  internal error
  2  usage or configuration error
  3  the checks do not pass; exec: the command failed
  4  a limit was reached
  5  the agent says it cannot be done
  6  parked: something outside is missing
  7  no sandbox: Docker, an image or the hardening is missing
  130  interrupted

State, cache and configuration follow XDG; GREENROOM_HOME puts all three in one folder.";

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<run::RunArgs>),
    Resume(resume::ResumeArgs),
    Rewind(rewind::RewindArgs),
    Fork(fork::ForkArgs),
    Stop(stop::StopArgs),
    Say(say::SayArgs),
    Exec(exec::ExecArgs),
    Parse(parse::ParseArgs),
    Runs(runs::RunsArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Report(report::ReportArgs),
    Pr(pr::PrArgs),
    Apply(apply::ApplyArgs),
    Cp(cp::CpArgs),
    Audit(audit::AuditArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Demo(demo::DemoArgs),
    Memory(memory::MemoryArgs),
    Images(images::ImagesArgs),
    Gc(gc::GcArgs),
    Doctor(doctor::DoctorArgs),
    Bench(bench::BenchArgs),
}

/// What every command gets.
pub struct Context {
    pub printer: Printer,
}

impl Context {
    /// Resolved when asked for, so that commands without state need no home.
    pub fn paths(&self) -> Result<Paths> {
        Paths::from_environment()
    }
}

pub async fn dispatch(command: Command, context: &mut Context) -> Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(*args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Rewind(args) => rewind::run(args, context).await,
        Command::Fork(args) => fork::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Say(args) => say::run(args, context).await,
        Command::Exec(args) => exec::run(args, context).await,
        Command::Parse(args) => parse::run(args, context).await,
        Command::Runs(args) => runs::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Diff(args) => diff::run(args, context).await,
        Command::Report(args) => report::run(args, context).await,
        Command::Pr(args) => pr::run(args, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Cp(args) => cp::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::Memory(args) => memory::run(args, context).await,
        Command::Images(args) => images::run(args, context).await,
        Command::Gc(args) => gc::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
    }
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct FormatArgs {
    /// Print JSON Lines for programs
    #[arg(long)]
    json: bool,
    /// The same choice under the name other agents use
    #[arg(long, value_name = "FORMAT", hide = true)]
    output_format: Option<OutputFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
    StreamJson,
}

impl FormatArgs {
    pub fn format(self) -> Format {
        match (self.json, self.output_format) {
            (true, _) | (false, Some(OutputFormat::Json | OutputFormat::StreamJson)) => Format::Json,
            (false, Some(OutputFormat::Text) | None) => Format::Human,
        }
    }
}
