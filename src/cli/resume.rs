//! `greenroom resume RUN`: goes on where an earlier process stopped, however it stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::helpers::refuse_helper;
use super::interrupt::Interrupt;
use super::plan::Plan;
use super::remake::{self, Origin};
use super::review::{ReviewAt, reviewer};
use super::run::{Begin, Done, Seen, close, drive, show_done};
use super::{Context, Format, FormatArgs, engine, found, set_up, values};
use crate::agent::{Parts, RunState, Settings};
use crate::config::{FileConfig, Paths, RunConfig};
use crate::error::ExitCode;
use crate::error::{Error, Result};
use crate::event::{Event, Limits};
use crate::output::human::style::{DIM, RESET};
use crate::sandbox::{Installer, Setup};
use crate::snapshot::Manifest;
use crate::store::{Record, RunDir, RunStore, Store};

/// Go on with a run that was parked, killed or stopped at a limit
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom resume last
  greenroom resume --last --json
  greenroom resume 01k --steps 400      with more steps than it was begun with

Everything else is as it was begun: image, checks, model, limits, environment, confinement. What was spent stays spent.")]
pub struct ResumeArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN", required_unless_present = "last")]
    run: Option<String>,
    /// The newest run
    #[arg(long, conflicts_with = "run")]
    last: bool,
    /// Tool calls at most, all in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Tokens at most, all in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_max: Option<u64>,
    /// US dollars at most, all in all
    #[arg(long, value_name = "N", value_parser = values::dollars)]
    cost_usd_max: Option<f64>,
    /// Time at most, all in all, like 90s, 30m or 2h
    #[arg(long, value_name = "T", value_parser = values::duration)]
    time_max: Option<Duration>,
    /// Whether a person must say yes at each checkpoint. Without it: as it was begun
    #[arg(long, value_name = "WHEN", value_enum)]
    review: Option<ReviewAt>,
    #[command(flatten)]
    format: FormatArgs,
}

pub async fn run(args: ResumeArgs, context: &mut Context) -> Result<ExitCode> {
    let format = args.format.format();
    let done = match Interrupt::listen() {
        Ok(interrupt) => {
            let mut seen = Seen::default();
            let outcome = attempt(&args, format, context, &interrupt, &mut seen).await;
            close(outcome, seen, &interrupt)
        }
        Err(error) => Done::without_run(error),
    };
    show_done(&done, format, context)?;
    done.into_exit()
}

async fn attempt(
    args: &ResumeArgs,
    format: Format,
    context: &mut Context,
    interrupt: &Interrupt,
    seen: &mut Seen,
) -> Result<()> {
    let paths = context.paths()?;
    let name = args.run.as_deref().unwrap_or("last");
    let (store, journal) = RunDir::find(&paths.state, name).and_then(RunStore::open).map_err(found)?;
    if journal.torn_bytes > 0 {
        let told = format!("{DIM}journal{RESET} its torn last line ({} bytes) was set aside", journal.torn_bytes);
        context.printer.note(&told)?;
    }
    let state = open(name, &journal.records)?;
    let limits = args.limits(&state.limits);
    let reviewer = reviewer(limits.as_ref().unwrap_or(&state.limits).review)?;
    let plan = plan_of(&state, &journal.records)?;
    if let Some(data) = plan.data.as_ref().filter(|data| !data.is_dir()) {
        let gone = format!("`{}`, which run {} has at /data, is no folder any more", data.display(), state.run);
        return Err(Error::new(ExitCode::Parked, gone).hint("put it back as it was, then `greenroom resume` again"));
    }
    let pristine = pristine(&store, &state)?;
    let installs = remake::installs(&journal.records);
    // A long run's records are large, and nobody asks for them any more.
    drop(journal);
    let model = engine::model(Some(&plan.model))?;
    let writer = engine::writer(plan.writer_model.as_deref(), &model)?;
    let engine = interrupt.or_stop(engine::connect()).await?;
    // Confined as it began: another runtime would be another sandbox.
    let engine = engine.confined(plan.runtime.clone(), plan.weaker.clone())?;
    let setup = interrupt.or_stop(set_up_of(&plan, &state, &pristine, &paths, &engine, context)).await?;
    let again = setup.clone().map(|setup| Installer::new(engine.docker_launcher(&paths.state), setup));
    let origin = Origin { plan: &plan, state: &state, installs, setup, blobs: store.dir().blobs() };
    let (image, traffic) = interrupt.or_stop(remake::image(&origin, &paths, &engine, context)).await?;
    let store = Arc::new(store);
    let mut spec = plan.spec(&state.run);
    spec.image = image;
    let parts = Parts {
        store: store.clone(),
        launcher: engine.launcher(&paths.state).await,
        model,
        helper_model: plan.helper_model.as_deref().map(|id| engine::model(Some(id))).transpose()?,
        writer,
        reviewer,
        judge: plan.judge.as_deref().map(|judge| engine::model(Some(judge))).transpose()?,
        spec,
        epoch: store.epoch(),
        pristine: Arc::new(pristine),
        settings: Settings {
            run: state.run.clone(),
            repo: state.repo.clone(),
            task: state.task.clone(),
            limits: state.limits.clone(),
            plan: plan.to_value(),
            rules: plan.style.clone(),
        },
        traffic,
        background: Vec::new(),
        installer: again.clone().filter(|_| plan.install),
        set_up_again: again,
        helper: None,
    };
    context.printer.note(&format!("{DIM}resume{RESET} {} after {} steps", state.run, state.steps))?;
    drive(parts, Begin::Again { state: Box::new(state), limits }, &store, format, context, interrupt, seen).await
}

impl ResumeArgs {
    /// `None` where nothing was asked for.
    fn limits(&self, before: &Limits) -> Option<Limits> {
        let limits = Limits {
            steps_max: self.steps.unwrap_or(before.steps_max),
            tokens_max: self.tokens_max.or(before.tokens_max),
            cost_usd_max: self.cost_usd_max.or(before.cost_usd_max),
            review: self.review.map_or(before.review, |review| review == ReviewAt::Checkpoint),
            wall_time_max_ms: self.time_max.map(|time| time.as_millis() as u64).or(before.wall_time_max_ms),
            ..before.clone()
        };
        (limits != *before).then_some(limits)
    }
}

/// The state to go on from, if there is anything to go on with.
fn open(name: &str, records: &[Record]) -> Result<RunState> {
    let state = RunState::replay(records.iter().map(|record| &record.event)).ok_or_else(|| {
        Error::usage(format!("run `{name}` has an empty journal"))
            .hint("it was killed before its first event; start the task anew with `greenroom run`")
    })?;
    refuse_helper(&state)?;
    if state.can_resume() {
        return Ok(state);
    }
    let reason = state.outcome.as_ref().map_or("", |outcome| &outcome.reason);
    Err(Error::usage(format!("run {} has ended: {reason}", state.run))
        .hint("`greenroom rewind` takes it back to a step, `greenroom fork` begins a second run there"))
}

fn plan_of(state: &RunState, records: &[Record]) -> Result<Plan> {
    let plan = records.iter().find_map(|record| match &record.event {
        Event::RunStarted { plan, .. } => Some(plan),
        _ => None,
    });
    Plan::of_journal(&state.run, plan.unwrap_or(&serde_json::Value::Null))
}

fn pristine(store: &RunStore, state: &RunState) -> Result<Manifest> {
    let unreadable = || {
        let what = format!("cannot read the tree that run {} began with", state.run);
        Error::internal(what).hint(format!("`greenroom audit {}` names what is damaged", state.run))
    };
    let id = state.pristine.as_ref().ok_or_else(unreadable)?;
    let bytes = store.blob(id).map_err(|error| unreadable().because(error))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable().because(error))
}

/// What a set-up of this run is, with the operator's allow-list as it is now; `None` where it has none.
async fn set_up_of(
    plan: &Plan,
    state: &RunState,
    pristine: &Manifest,
    paths: &Paths,
    engine: &engine::Connected,
    context: &mut Context,
) -> Result<Option<Setup>> {
    if !plan.install && plan.setup.is_empty() {
        return Ok(None);
    }
    let file = FileConfig::load(&paths.config_file)?;
    let config = RunConfig {
        repo: PathBuf::from(&state.repo),
        origin: state.repo.contains("://").then(|| state.repo.clone()),
        model: None,
        writer_model: None,
        image: None,
        limits: state.limits.clone(),
        resources: plan.resources,
        env: file.env.into_iter().collect(),
        setup: file.setup,
        style: plan.style.clone(),
    };
    let prepared = engine.prepare(&plan.image_name, &mut context.printer).await?;
    Ok(Some(set_up::plan(paths, &config, &plan.setup, &prepared, pristine)))
}
