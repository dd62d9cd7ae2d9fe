//! `greenroom run`: a repository, a task and its checks in; a verified patch, or the reason why not, out.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::confine::ConfineArgs;
use super::helpers::HelperArgs;
use super::interrupt::Interrupt;
use super::judge::JudgeArgs;
use super::memory;
use super::plan::Plan;
use super::remote::{Fetched, Remote};
use super::review::{ReviewAt, reviewer};
use super::task_folder::TaskFolder;
use super::watch::Watch;
use super::{Context, Format, FormatArgs, engine, found, prepare, set_up, style_rules, values};
use crate::agent::{self, Parts, RunState, Settings};
use crate::config::{FileConfig, RunConfig, Typed};
use crate::error::{Error, ExitCode, Result};
use crate::event::{Limits, Mark, RunStatus};
use crate::id::{BlobId, RunId};
use crate::judgement::Rules;
use crate::model::Model;
use crate::network::Traffic;
use crate::output::human::style::{DIM, RESET};
use crate::output::jsonl::{ErrorLine, RunResult};
use crate::output::summary;
use crate::sandbox::{Installer, supervisor_hash};
use crate::store::{RunStore, Store};
use crate::task::Task;

/// clap takes a list for a flag that repeats; this one is written in one word.
type MarkList = Vec<Mark>;

/// Run an agent on a copy of a repository, in a container, until its checks pass in a clean one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom run                                     make the checks of this repository pass
  greenroom run --repo ../shop --check 'make test'  the same elsewhere, with your own check
  greenroom run --task 'add a --dry-run flag' --model anthropic/claude-sonnet-5 --cost-usd-max 2
  echo 'mend the parser' | greenroom run --task - --json

The repository itself is never changed: look at the patch with `greenroom diff last`, take it with `greenroom apply last`.")]
pub struct RunArgs {
    /// The repository, or a task folder (`task.toml` beside `repo/`), or a git host's `https://HOST/PATH[@REF]`
    #[arg(long, value_name = "DIR|URL", default_value = ".")]
    repo: PathBuf,
    /// What to do; `-` reads it from stdin. Without it: make the checks pass
    #[arg(long, short = 'p', value_name = "TEXT|-")]
    task: Option<String>,
    /// A command that must pass; may be given several times. Without it: the repository's own tests
    #[arg(long = "check", value_name = "CMD")]
    checks: Vec<String>,
    /// PROVIDER/MODEL, `autofix`, or `scripted:FILE`. Without it: what the keys in the environment suggest, else autofix
    #[arg(long, value_name = "ID", env = "GREENROOM_MODEL", hide_env_values = true)]
    model: Option<String>,
    /// The model that keeps the notes of checkpoints, or `none`. Without it: the run's own, where that has words
    #[arg(long, value_name = "ID", env = "GREENROOM_WRITER_MODEL", hide_env_values = true)]
    writer_model: Option<String>,
    /// Tool calls at most
    #[arg(long, value_name = "N", env = "GREENROOM_STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Tokens at most, input and output together
    #[arg(long, value_name = "N", env = "GREENROOM_TOKENS_MAX", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_max: Option<u64>,
    /// US dollars at most
    #[arg(long, value_name = "N", env = "GREENROOM_COST_USD_MAX", value_parser = values::dollars)]
    cost_usd_max: Option<f64>,
    /// Time at most, like 90s, 30m or 2h
    #[arg(long, value_name = "T", env = "GREENROOM_TIME_MAX", value_parser = values::duration)]
    time_max: Option<Duration>,
    /// Go on though steps show nothing new, as a run that waits or measures does; others are told and then ended
    #[arg(long)]
    may_idle: bool,
    /// Wait for a person's yes at each checkpoint, on the terminal; any other words steer the run, a no parks it
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ReviewAt::None)]
    review: ReviewAt,
    /// Time one check may take
    #[arg(long, value_name = "T", env = "GREENROOM_CHECK_TIMEOUT", value_parser = values::duration)]
    check_timeout: Option<Duration>,
    /// Tokens that a request and its answer may take together. Without it: 100,000, or less for a small model
    #[arg(long, value_name = "N", env = "GREENROOM_CONTEXT_TOKENS", value_parser = clap::value_parser!(u64).range(values::CONTEXT_TOKENS_MIN..))]
    context_tokens: Option<u64>,
    /// Where checkpoints are written: percent of what a request may hold, or tokens, as in 20,45,70 or 10k,30k
    #[arg(long, value_name = "LIST", env = "GREENROOM_CHECKPOINT_AT", value_parser = values::marks)]
    checkpoint_at: Option<MarkList>,
    /// Let the agent have packages installed in mid-run, from where package managers fetch and nowhere else
    #[arg(long, env = "GREENROOM_INSTALL")]
    install: bool,
    #[command(flatten)]
    helpers: HelperArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// What goes into the sandbox. All of it comes from the operator.
#[derive(Debug, Clone, Default, Args)]
pub struct SandboxArgs {
    /// A toolchain's name, or any image. Without it: what the repository's manifest files suggest
    #[arg(long, value_name = "NAME", env = "GREENROOM_IMAGE")]
    pub image: Option<String>,
    /// A folder to copy in, readable at /data
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// An environment variable for every command in the sandbox
    #[arg(long = "env", value_name = "K=V", value_parser = values::variable)]
    pub env: Vec<(String, String)>,
    /// A path to copy in although git ignores it
    #[arg(long = "include", value_name = "PATH")]
    pub include: Vec<String>,
    /// A command to run first, as root, with the network reduced to where package managers fetch from; may be given
    /// several times
    #[arg(long = "setup", value_name = "CMD")]
    pub setup: Vec<String>,
    #[command(flatten)]
    pub confine: ConfineArgs,
}

/// One run to be made, everything resolved but what the engine must say.
pub(super) struct Job {
    pub(super) config: RunConfig,
    pub(super) sandbox: SandboxArgs,
    /// Whether the agent may have packages installed.
    pub(super) install: bool,
    /// What cloning it asked of the network.
    pub(super) traffic: Traffic,
    pub(super) instruction: Option<String>,
    /// Empty: the repository's own.
    pub(super) checks: Vec<String>,
    pub(super) rules: Rules,
    pub(super) model: Arc<dyn Model>,
    pub(super) judge: Option<Arc<dyn Model>>,
    /// `None`: helpers, if there are any, have the run's own.
    pub(super) helper_model: Option<Arc<dyn Model>>,
    /// Of events; a run inside `demo` shows only its progress.
    pub(super) format: Format,
}

/// How a run went, for the caller to print.
pub(super) struct Done {
    pub(super) result: RunResult,
    pub(super) patch: Option<Vec<u8>>,
    /// Why there was no run, or why it broke.
    pub(super) error: Option<Error>,
}

pub async fn run(args: RunArgs, context: &mut Context) -> Result<ExitCode> {
    let format = args.format.format();
    let done = match Interrupt::listen() {
        Ok(interrupt) => match with_clone(args, context, &interrupt).await {
            Ok((job, _clone)) => carry_out(job, context, &interrupt).await,
            Err(error) => Done::without_run(error),
        },
        Err(error) => Done::without_run(error),
    };
    show_done(&done, format, context)?;
    done.into_exit()
}

/// The last line of a run, or its summary.
pub(super) fn show_done(done: &Done, format: Format, context: &mut Context) -> Result<()> {
    match format {
        Format::Json => context.printer.json(&done.result)?,
        Format::Human => match (&done.error, &done.result.run) {
            (None, _) => {
                context.printer.result(&format!("\n{}", summary::render(&done.result, done.patch.as_deref())))?
            }
            // The error says it all; the summary would only repeat it.
            (Some(_), Some(run)) => context.printer.note(&format!("{DIM}recorded as{RESET} {run}"))?,
            (Some(_), None) => {}
        },
    }
    Ok(())
}

/// A script is found from any folder.
fn absolute(model: &str) -> String {
    match model.strip_prefix("scripted:").map(std::path::absolute) {
        Some(Ok(path)) => format!("scripted:{}", path.display()),
        Some(Err(_)) | None => model.to_owned(),
    }
}

/// A repository from elsewhere is cloned first; the clone stays until the run is over.
async fn with_clone(args: RunArgs, context: &mut Context, interrupt: &Interrupt) -> Result<(Job, Option<Fetched>)> {
    // Before anything is fetched.
    reviewer(args.review == ReviewAt::Checkpoint)?;
    let fetched = match Remote::parse(&args.repo)? {
        Some(remote) => Some(remote.fetch(context, interrupt).await?),
        None => None,
    };
    Ok((resolve(args, fetched.as_ref(), context)?, fetched))
}

fn resolve(args: RunArgs, clone: Option<&Fetched>, context: &Context) -> Result<Job> {
    let mut file = FileConfig::load(&context.paths()?.config_file)?;
    if let Some(timeout) = args.check_timeout {
        file.check_timeout = Some(crate::config::TypedDuration(timeout));
    }
    // Somebody else's `task.toml` says nothing to us.
    let task = if clone.is_some() { None } else { TaskFolder::open(&args.repo)? };
    let typed = Typed {
        model: args.model,
        image: args.sandbox.image.clone().or_else(|| task.as_ref().map(|task| task.toolchain.clone())),
        steps: args.steps,
        tokens_max: args.tokens_max,
        cost_usd_max: args.cost_usd_max,
        time_max: args.time_max,
        writer_model: args.writer_model,
        context_tokens: args.context_tokens,
        checkpoint_at: args.checkpoint_at,
        may_idle: args.may_idle,
        review: args.review == ReviewAt::Checkpoint,
        helpers: args.helpers.count(),
        env: args.sandbox.env.clone(),
    };
    let named = clone.map_or(args.repo, |clone| clone.folder().to_owned());
    let repo = task.as_ref().map_or(named, TaskFolder::repo);
    let config = RunConfig { origin: clone.map(|clone| clone.name.clone()), ..RunConfig::resolve(&repo, typed, file)? };
    let instruction = args.task.map(instruction).transpose()?;
    let instruction = instruction.or_else(|| task.as_ref()?.instruction.clone());
    let checks = match task {
        Some(task) if args.checks.is_empty() => task.checks,
        Some(_) | None => args.checks,
    };
    let model = engine::model(config.model.as_deref())?;
    let format = args.format.format();
    let traffic = clone.map_or_else(Traffic::default, |clone| clone.traffic.clone());
    let (rules, judge) = (args.judge.rules()?, args.judge.model()?);
    let helper_model = args.helpers.model()?;
    let (sandbox, install) = (args.sandbox, args.install);
    Ok(Job { config, sandbox, install, traffic, instruction, checks, rules, model, judge, helper_model, format })
}

/// The user's words; from stdin only where `-` asks for it.
fn instruction(task: String) -> Result<String> {
    const BYTES_MAX: u64 = 1 << 20;
    let text = if task == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| Error::usage("cannot read the task from stdin").because(error))?;
        text
    } else {
        task
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage("the task is empty").hint("leave `--task` out to make the checks pass"));
    }
    if text.len() as u64 > BYTES_MAX {
        return Err(Error::usage("the task is longer than 1 MiB")
            .hint("put the material in the repository, and its name in the task"));
    }
    Ok(text.to_owned())
}

pub(super) async fn carry_out(job: Job, context: &mut Context, interrupt: &Interrupt) -> Done {
    let mut seen = Seen::default();
    let outcome = attempt(job, context, interrupt, &mut seen).await;
    close(outcome, seen, interrupt)
}

/// What is printed of it, and returned.
pub(super) fn close(outcome: Result<()>, seen: Seen, interrupt: &Interrupt) -> Done {
    let interrupted = interrupt.stop.is_cancelled();
    match (outcome, seen.result) {
        (Ok(()), Some(mut result)) => {
            if interrupted {
                result.exit_code = ExitCode::Interrupted.code();
            }
            Done { result, patch: seen.patch, error: None }
        }
        (Ok(()), None) => Done::without_run(Error::internal("the run ended without a single event")),
        (Err(error), Some(mut result)) => {
            result.exit_code = error.exit.code();
            let unended = match error.exit {
                ExitCode::Interrupted | ExitCode::Parked => RunStatus::Parked,
                _ => RunStatus::Failed,
            };
            result.status.get_or_insert(unended);
            result.error = Some(ErrorLine::of(&error));
            Done { result, patch: seen.patch, error: Some(error) }
        }
        (Err(error), None) => Done::without_run(error),
    }
}

/// What the observer saw, kept also where the run broke.
#[derive(Default)]
pub(super) struct Seen {
    result: Option<RunResult>,
    patch: Option<Vec<u8>>,
}

async fn attempt(job: Job, context: &mut Context, interrupt: &Interrupt, seen: &mut Seen) -> Result<()> {
    let Job { config, sandbox, install, mut traffic, instruction, checks, rules, model, judge, helper_model, format } =
        job;
    let paths = context.paths()?;
    let reviewer = reviewer(config.limits.review)?;
    let (image_name, checks) = prepare::choose(&config, &checks, &mut context.printer)?;
    context.printer.note(&format!("{DIM}model{RESET}  {}", model.id()))?;
    let data = sandbox.data.as_deref().map(prepare::data_folder).transpose()?;
    let writer = engine::writer(config.writer_model.as_deref(), &model)?;
    let engine = sandbox.confine.apply(interrupt.or_stop(engine::connect()).await?)?;
    let prepared = interrupt.or_stop(engine.prepare(&image_name, &mut context.printer)).await?;
    let blobs = prepare::shared_blobs(&paths.state)?;
    // Held until the journal names what is copied now.
    let _stored = blobs.clone();
    let put = {
        let blobs = blobs.clone();
        move |bytes: &[u8]| blobs.put(bytes)
    };
    let copied = interrupt.or_stop(prepare::copy(&config.repo, sandbox.include, put)).await?;
    prepare::tell_skipped(&copied, &mut context.printer)?;
    prepare::keep(&blobs)?;
    let rules_from = blobs.clone();
    let read_rules = move |id: &BlobId| rules_from.get(id);
    let read = move |id: &BlobId| blobs.get(id);
    let setup = set_up::plan(&paths, &config, &sandbox.setup, &prepared, &copied.manifest);
    let made = interrupt.or_stop(set_up::image(&engine, &paths, &setup, Arc::new(read), context)).await?;
    traffic.requests.extend(made.traffic.requests);
    traffic.left_out += made.traffic.left_out;
    let style = style_rules::resolve(config.style.clone(), &copied.manifest, &read_rules, &mut context.printer)?;
    // Last, so that what cannot begin leaves no run behind.
    let run = RunId::generate();
    let store = Arc::new(RunStore::create(&paths.state, &run).map_err(found)?);
    let plan = Plan {
        image_name,
        image: made.image,
        supervisor: supervisor_hash(),
        resources: config.resources,
        env: prepare::environment(prepared.env, &config.env),
        data,
        model: absolute(model.id()),
        writer_model: config.writer_model.as_deref().map(absolute),
        judge: judge.as_ref().map(|judge| absolute(judge.id())),
        helper_model: helper_model.as_ref().map(|model| absolute(model.id())),
        setup: sandbox.setup.clone(),
        packages: made.packages,
        runtime: sandbox.confine.runtime.clone(),
        weaker: sandbox.confine.weaker(),
        install,
        style: style.clone(),
    };
    let spec = plan.spec(&run);
    let settings = Settings {
        run,
        repo: config.repository(),
        task: Task { instruction, checks, rules },
        limits: agent::within_window(config.limits, model.as_ref()),
        plan: plan.to_value(),
        rules: style,
    };
    let background = memory::background(&paths.state, &copied.manifest, store.as_ref())?;
    let again =
        (install || !setup.commands.is_empty()).then(|| Installer::new(engine.docker_launcher(&paths.state), setup));
    let parts = Parts {
        store: store.clone(),
        launcher: engine.launcher(&paths.state).await,
        model,
        helper_model,
        writer,
        judge,
        reviewer,
        spec,
        epoch: store.epoch(),
        pristine: Arc::new(copied.manifest),
        settings,
        traffic,
        background,
        installer: again.clone().filter(|_| install),
        set_up_again: again,
        helper: None,
    };
    drive(parts, Begin::New, &store, format, context, interrupt, seen).await
}

/// From the start, or where an earlier process stopped.
pub(super) enum Begin {
    New,
    Again { state: Box<RunState>, limits: Option<Limits> },
}

/// The run itself, shown while it works.
pub(super) async fn drive(
    parts: Parts,
    begin: Begin,
    store: &Arc<RunStore>,
    format: Format,
    context: &mut Context,
    interrupt: &Interrupt,
    seen: &mut Seen,
) -> Result<()> {
    let pristine = parts.pristine.clone();
    let mut watch = Watch::new(&mut context.printer, format, interrupt.stop.clone());
    let driven = match begin {
        Begin::New => interrupt.or_now(agent::drive(parts, &mut watch, interrupt.stop.clone())).await,
        Begin::Again { state, limits } => {
            interrupt.or_now(agent::resume(parts, *state, limits, &mut watch, interrupt.stop.clone())).await
        }
    };
    let (result, patch, failure) = watch.close();
    seen.result = result.map(|result| result.with_head(store.head()));
    let read = |id: &BlobId| store.blob(id).map_err(|error| Error::internal("cannot read the patch").because(error));
    seen.patch = patch.as_ref().map(read).transpose()?;
    let state = driven?;
    if let Some(result) = &seen.result {
        context.printer.github_run(&state, result, seen.patch.as_deref());
    }
    memory::remember(&context.paths()?.state, &pristine, &state, store, &mut context.printer)?;
    // Only after the run's own end was recorded: a reader that has gone stops the run, it does not fail it.
    failure.map_or(Ok(()), Err)
}

impl Done {
    pub(super) fn without_run(error: Error) -> Self {
        Done { result: RunResult::failed(&error), patch: None, error: Some(error) }
    }

    pub(super) fn into_exit(self) -> Result<ExitCode> {
        match (self.error, self.result.status) {
            (Some(error), _) => Err(error),
            (None, _) if self.result.exit_code == ExitCode::Interrupted.code() => Ok(ExitCode::Interrupted),
            (None, Some(status)) => Ok(status.exit_code()),
            (None, None) => Ok(ExitCode::Internal),
        }
    }
}
