//! `greenroom demo`: small broken projects, repaired in real containers; each by `autofix` or by a recorded cure.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::interrupt::Interrupt;
use super::run::{Done, Job, SandboxArgs, carry_out};
use super::task_folder::{Cure, TaskFolder};
use super::{Context, Format, FormatArgs, engine, values};
use crate::config::{FileConfig, RunConfig, Typed};
use crate::error::{Error, ExitCode, Result};
use crate::event::RunStatus;
use crate::judgement::Rules;
use crate::model::Model;
use crate::network::Traffic;
use crate::output::human::style::{BOLD, DIM, RESET};
use crate::output::jsonl::RunResult;
use crate::output::summary;

/// Repair the broken example projects of this repository in real containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  greenroom demo\n  greenroom demo csv_pipeline --json")]
pub struct DemoArgs {
    /// Only these projects
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The folder with the projects. Without it: `fixtures/tasks`, here or in a folder above
    #[arg(long, value_name = "DIR")]
    tasks: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

pub async fn run(args: DemoArgs, context: &mut Context) -> Result<ExitCode> {
    let format = args.format.format();
    let tasks = load(args.tasks, &args.names)?;
    let interrupt = Interrupt::listen()?;
    let mut results = Vec::new();
    for task in &tasks {
        context.printer.note(&format!("\n{BOLD}{}{RESET}: {}", task.name, task.description))?;
        let done = one(task, context, &interrupt).await?;
        let mut result = done.result;
        result.task = Some(task.name.clone());
        match format {
            Format::Json => context.printer.json(&result)?,
            Format::Human if result.run.is_some() => {
                context.printer.result(&summary::render(&result, done.patch.as_deref()))?;
            }
            Format::Human => {}
        }
        // Without an engine the next project would say the same again.
        if let Some(error) = done.error {
            return Err(error);
        }
        if interrupt.stop.is_cancelled() {
            return Ok(ExitCode::Interrupted);
        }
        results.push(result);
    }
    if format == Format::Human {
        context.printer.result(&table(&tasks, &results))?;
    }
    let verified = results.iter().all(|result| result.status == Some(RunStatus::Verified));
    Ok(if verified { ExitCode::Success } else { ExitCode::Unverified })
}

async fn one(task: &TaskFolder, context: &mut Context, interrupt: &Interrupt) -> Result<Done> {
    let typed = Typed { image: Some(task.toolchain.clone()), ..Typed::default() };
    let config = RunConfig::resolve(&task.repo(), typed, FileConfig::default())?;
    let job = Job {
        config,
        sandbox: SandboxArgs::default(),
        install: false,
        traffic: Traffic::default(),
        instruction: task.instruction.clone(),
        checks: task.checks.clone(),
        rules: Rules::default(),
        model: cure(task)?,
        judge: None,
        helper_model: None,
        // The events of many runs would drown what they came to.
        format: Format::Human,
    };
    Ok(carry_out(job, context, interrupt).await)
}

fn cure(task: &TaskFolder) -> Result<Arc<dyn Model>> {
    match task.cure {
        Cure::Scripted => engine::scripted(&task.script()),
        Cure::Autofix => engine::model(Some("autofix")),
    }
}

/// Which is which: what autofix repaired by what the tools said, and what a recorded cure had to do.
fn table(tasks: &[TaskFolder], results: &[RunResult]) -> String {
    let mut text = String::from("\n");
    for (task, result) in tasks.iter().zip(results) {
        let (colour, status) = summary::status_word(result.status);
        let by = match task.cure {
            Cure::Autofix => "autofix",
            Cure::Scripted => "recorded cure",
        };
        let time = values::show_duration(result.wall_ms);
        text.push_str(&format!(
            "{colour}{status:<10}{RESET} {:<20} {by:<14} {DIM}{} steps, {time}{RESET}\n",
            task.name, result.steps
        ));
    }
    text
}

fn load(folder: Option<PathBuf>, names: &[String]) -> Result<Vec<TaskFolder>> {
    let folder = folder.map_or_else(find, Ok)?;
    let unreadable = |error| Error::usage(format!("cannot list the projects in `{}`", folder.display())).because(error);
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&folder).map_err(unreadable)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let tasks = folders.iter().filter_map(|path| TaskFolder::open(path).transpose());
    let tasks = tasks.collect::<Result<Vec<TaskFolder>>>()?;
    if let Some(unknown) = names.iter().find(|name| tasks.iter().all(|task| task.name != **name)) {
        let known: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        return Err(Error::usage(format!("no project `{unknown}`")).hint(format!("there are {}", known.join(", "))));
    }
    if tasks.is_empty() {
        return Err(Error::usage(format!("there are no projects in `{}`", folder.display()))
            .hint("name their folder with `--tasks DIR`"));
    }
    Ok(tasks.into_iter().filter(|task| names.is_empty() || names.contains(&task.name)).collect())
}

fn find() -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(|error| Error::usage("there is no current folder").because(error))?;
    here.ancestors().map(|folder| folder.join("fixtures/tasks")).find(|folder| folder.is_dir()).ok_or_else(|| {
        Error::usage("the example projects are not here")
            .hint("run it from a clone of Greenroom, or name their folder with `--tasks DIR`")
    })
}
