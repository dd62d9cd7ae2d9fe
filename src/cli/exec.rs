//! `greenroom exec`: one command of a repository nobody trusts, in a sandbox of its own; its output and what it means.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use greenroom_parsers::Parser;

use super::interrupt::Interrupt;
use super::remote::Remote;
use super::run::SandboxArgs;
use super::task_folder::TaskFolder;
use super::{Context, Format, FormatArgs, engine, prepare, set_up, toolchain, values};
use crate::config::{FileConfig, RunConfig, Typed};
use crate::error::{Error, ExitCode, Result};
use crate::id::{CallToken, RunId};
use crate::output::human::style::{DIM, RESET, YELLOW};
use crate::output::jsonl::{ExecResult, Kept, RunResult};
use crate::output::{self, Channel, Printer, report};
use crate::sandbox::{
    AGENT_UID, ExecOutput, ExecRequest, OutputSink, SandboxFacts, SandboxSpec, Stdio, Stream, WORKSPACE,
};
use crate::snapshot::pack::tar_stream;
use crate::store::Blobs;
use crate::task::Outcome;

/// Run one command on a copy of a repository, in a container without network
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom exec -- python3 -m pytest -q
  greenroom exec --repo ../unknown --timeout 30s --json -- make

Exit code 0 when the command succeeded, 3 when it failed, 4 when it met a limit; its own code is in the report.")]
pub struct ExecArgs {
    /// The repository, or a git host's `https://HOST/PATH[@REF]`
    #[arg(long, value_name = "DIR|URL", default_value = ".")]
    repo: PathBuf,
    /// Time it may take, like 60s or 5m
    #[arg(long, value_name = "T", default_value = "60s", value_parser = values::duration)]
    timeout: Duration,
    /// Give it a terminal of 24 rows and 120 columns inside, on which nobody types
    #[arg(long)]
    tty: bool,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    format: FormatArgs,
    /// The command and its arguments, run as they are; for a shell say `sh -c '…'`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

const OUTPUT_BYTES_MAX: u64 = 1 << 30;

pub async fn run(args: ExecArgs, context: &mut Context) -> Result<ExitCode> {
    let format = args.format.format();
    let interrupt = Interrupt::listen()?;
    let done = interrupt.or_now(carry_out(args, context, &interrupt)).await;
    if let (Format::Json, Err(error)) = (format, &done)
        && !output::is_broken_pipe(error)
    {
        context.printer.json(&RunResult::failed(error))?;
    }
    done
}

async fn carry_out(args: ExecArgs, context: &mut Context, interrupt: &Interrupt) -> Result<ExitCode> {
    let format = args.format.format();
    let paths = context.paths()?;
    let typed = Typed { image: args.sandbox.image.clone(), env: args.sandbox.env.clone(), ..Typed::default() };
    let clone = match Remote::parse(&args.repo)? {
        Some(remote) => Some(remote.fetch(context, interrupt).await?),
        None => None,
    };
    let repo = match &clone {
        Some(clone) => clone.folder().to_owned(),
        None => TaskFolder::open(&args.repo)?.map_or(args.repo, |task| task.repo()),
    };
    let config = RunConfig::resolve(&repo, typed, FileConfig::load(&paths.config_file)?)?;
    let config = RunConfig { origin: clone.as_ref().map(|clone| clone.name.clone()), ..config };
    let chosen = toolchain::choose(&config.repo, config.image.as_deref())?;
    prepare::tell_image(&chosen, &mut context.printer)?;
    let data = args.sandbox.data.as_deref().map(prepare::data_folder).transpose()?;
    let engine = args.sandbox.confine.apply(interrupt.or_stop(engine::connect()).await?)?;
    let prepared = interrupt.or_stop(engine.prepare(&chosen.image, &mut context.printer)).await?;
    let blobs = prepare::shared_blobs(&paths.state)?;
    let run = RunId::generate();
    let put = {
        let blobs = blobs.clone();
        move |bytes: &[u8]| blobs.put(bytes)
    };
    let copied = interrupt.or_stop(prepare::copy(&config.repo, args.sandbox.include, put)).await?;
    prepare::tell_skipped(&copied, &mut context.printer)?;
    let read = {
        let blobs = blobs.clone();
        move |id: &crate::id::BlobId| blobs.get(id)
    };
    let setup = set_up::plan(&paths, &config, &args.sandbox.setup, &prepared, &copied.manifest);
    let made = interrupt.or_stop(set_up::image(&engine, &paths, &setup, Arc::new(read), context)).await?;
    let image = made.image;
    let env = prepare::environment(prepared.env, &config.env);
    let spec = SandboxSpec { run: run.clone(), image: image.clone(), limits: config.resources, env, data };
    let tree = tree(copied.manifest, blobs);
    // From here there is a container: an interrupt ends the command, and the container is removed all the same.
    let sandbox = engine.launcher(&paths.state).await.start(&spec, tree).await?;
    let request = ExecRequest {
        token: CallToken(0),
        part: 0,
        argv: args.command.clone(),
        cwd: WORKSPACE.into(),
        // Programs ask what it can do; other terminals than this one nobody knows.
        env: if args.tty { vec![("TERM".to_owned(), "xterm-256color".to_owned())] } else { Vec::new() },
        timeout: args.timeout,
        output_bytes_max: OUTPUT_BYTES_MAX,
        stdio: if args.tty { Stdio::Terminal } else { Stdio::Pipes },
    };
    let mut sink = Sink::new(&mut context.printer, format, &args.command.join(" "));
    let ran = tokio::select! {
        biased;
        () = interrupt.stop.cancelled() => Err(Error::new(ExitCode::Interrupted, "interrupted")),
        ran = sandbox.exec(&request, &mut sink) => ran.map_err(Error::from),
    };
    let finished = sink.finish(ran.as_ref().ok());
    sandbox.stop().await?;
    let (output, finished) = (ran?, finished?);
    let exit = exit_code(output.outcome);
    context.printer.github_report("Greenroom: exec", &finished.report, &config.repo);
    match format {
        Format::Json => {
            let milliseconds = u64::try_from(output.duration.as_millis()).unwrap_or(u64::MAX);
            let Finished { report, stdout, stderr } = &finished;
            context.printer.json(&ExecResult::new(
                &run,
                output.outcome,
                report,
                exit,
                milliseconds,
                stdout,
                stderr,
                &image.name,
                sandbox.facts(),
            ))?;
        }
        Format::Human => tell(&output, &finished, sandbox.facts(), &mut context.printer)?,
    }
    Ok(exit)
}

fn tree(manifest: crate::snapshot::Manifest, blobs: Blobs) -> crate::sandbox::TarStream {
    tar_stream(Arc::new(manifest), Arc::new(move |id| blobs.get(id)), AGENT_UID, AGENT_UID)
}

/// The report goes to stderr: stdout holds what the command itself printed there.
fn tell(output: &ExecOutput, finished: &Finished, facts: &SandboxFacts, printer: &mut Printer) -> Result<()> {
    if !facts.weaker.is_empty() {
        let names: Vec<_> = facts.weaker.iter().map(|name| name.name()).collect();
        printer.note(&format!("{YELLOW}without{RESET} {}, as you accepted", names.join(", ")))?;
    }
    let milliseconds = u64::try_from(output.duration.as_millis()).unwrap_or(u64::MAX);
    printer.note(&format!("{DIM}── {} after {}{RESET}", output.outcome, values::show_duration(milliseconds)))?;
    printer.note(&report::render(&finished.report))?;
    match output.stragglers_killed {
        0 => Ok(()),
        1 => printer.note("1 process outlived the command and was killed"),
        count => printer.note(&format!("{count} processes outlived the command and were killed")),
    }
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Exited { code: 0 } => ExitCode::Success,
        Outcome::Exited { .. } | Outcome::Signalled { .. } => ExitCode::Unverified,
        Outcome::TimedOut | Outcome::OutOfMemory | Outcome::OutputLimit | Outcome::DiskLimit => ExitCode::Limit,
        Outcome::SandboxLost => ExitCode::NoSandbox,
    }
}

struct Finished {
    report: greenroom_parsers::Report,
    stdout: Kept,
    stderr: Kept,
}

/// Output as it comes: parsed, kept at both ends, and shown where a person watches.
struct Sink<'a> {
    printer: &'a mut Printer,
    format: Format,
    parser: Parser,
    kept: [Kept; 2],
    shown: [output::Stream; 2],
    failure: Option<Error>,
}

impl<'a> Sink<'a> {
    fn new(printer: &'a mut Printer, format: Format, command: &str) -> Self {
        let shown = [printer.stream(Channel::Out), printer.stream(Channel::Err)];
        let parser = Parser::new(None, Some(command), None);
        Sink { printer, format, parser, kept: Default::default(), shown, failure: None }
    }

    fn finish(mut self, output: Option<&ExecOutput>) -> Result<Finished> {
        if self.format == Format::Human && self.failure.is_none() {
            for stream in &mut self.shown {
                self.printer.end(stream)?;
            }
            if self.shown.iter().any(|stream| !stream.at_line_start()) {
                self.printer.note("")?;
            }
        }
        if let Some(exit) = output.and_then(|output| output.outcome.as_exit()) {
            self.parser.set_exit(exit);
        }
        let [stdout, stderr] = self.kept;
        match self.failure {
            Some(error) => Err(error),
            None => Ok(Finished { report: self.parser.finish(), stdout, stderr }),
        }
    }
}

impl OutputSink for Sink<'_> {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        let index = match stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        };
        self.parser.feed(bytes);
        self.kept[index].push(bytes);
        if self.format == Format::Human && self.failure.is_none() {
            self.failure = self.printer.chunk(&mut self.shown[index], bytes).err();
        }
    }
}
