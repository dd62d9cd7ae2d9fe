//! `run_checks`: the frozen checks, in the sandbox as it is now.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::command::run_in;
use super::failing_first::{self, Only, failing_first};
use super::measure::{Ran, measure};
use super::{ToolContext, ToolFailure, absolute};
use crate::event::ToolOutcome;
use crate::feedback::{self, SourceLines, SourceWanted};
use crate::id::CallToken;
use crate::judgement::TestsSeen;
use crate::message::ToolSpec;
use crate::sandbox::{ExecRequest, Sandbox, SandboxError};
use crate::snapshot::change::created;
use crate::store::Store;
use crate::task::{Check, CheckResult, Outcome};
use crate::thrift::FailingFirst;

pub(super) const NAME: &str = "run_checks";
const TAIL_BYTES_MAX: usize = 4 << 10;
/// The first Python of a check takes it away again and tells local variables below a traceback: see `images/python`.
const PYTHON_LOCALS: &str = "GREENROOM_PYTHON_LOCALS";
const SOURCE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    #[serde(default)]
    pub only: Only,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Run the checks that must pass, and read what they say: findings first, what is new, fixed or \
                      still failing, the code around them, and the quality score with its parts. Where the checks \
                      take long, the tests that failed last run first and alone, and all checks once those pass.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "only": {"type": "string", "enum": ["auto", "failing", "all"],
                    "description": "`failing`: those first however quick the checks are; `all`: everything at once"},
            },
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let before = context.sandbox.walk().await?;
    let timeout = Duration::from_millis(context.limits.check_timeout_ms);
    let timeout = context.time_left.map_or(timeout, |left| timeout.min(left));
    let mut first = failing_first(context, args.only, timeout).await?;
    let checks = match first.alone.take() {
        Some(alone) => alone,
        None => {
            let from = (context.token, first.parts);
            let checks = run_checks_in_full(context.sandbox, context.store, context.checks, from, timeout).await?;
            first.parts += checks.len() as u32;
            let checks: Vec<CheckResult> = checks.into_iter().map(|run| run.result).collect();
            failing_first::unsteady(context, &checks, &mut first, timeout).await?;
            checks
        }
    };
    let told = first.told;
    let after = context.sandbox.walk().await?;
    let reports: Vec<_> = checks.iter().filter(|check| !check.passed()).map(|check| &check.report).collect();
    let sources = read_sources(context.sandbox, &feedback::sources_wanted(&reports)).await?;
    let created = created(&before, &after);
    let mut content = feedback::render_checks(&checks, context.delta, &sources);
    if let (Some(words), Some((head, rest))) = (failing_first::words(&told), content.split_once('\n')) {
        content = format!("{head}\n{words}\n{rest}");
    }
    // A part of the tests has no score.
    let score = match told.alone {
        true => None,
        false => {
            let ran = Ran { before: &before, after: &after, checks: &checks, created: &created };
            let score = measure(Some(context.sandbox), context.store, context.yardstick, ran).await?;
            content.push('\n');
            content.push_str(&feedback::score::render(&score, context.yardstick.last));
            Some(Box::new(score))
        }
    };
    let out_of_the_ordinary = told != FailingFirst::default();
    Ok(ToolOutcome {
        content,
        checks: Some(checks),
        score,
        failing_first: out_of_the_ordinary.then(|| Box::new(told)),
        build_output: created.into_iter().collect(),
        may_write: true,
        ..ToolOutcome::default()
    })
}

/// One check's run: bounded for the journal, and all the tests that its runner told of.
#[derive(Debug, Clone)]
pub struct CheckRun {
    pub result: CheckResult,
    pub seen: TestsSeen,
}

/// Runs every check to its end, also after one has failed: the model should see all of it. `first` is the step and the
/// number of its first command.
pub async fn run_checks_in_full(
    sandbox: &dyn Sandbox,
    store: &dyn Store,
    checks: &[Check],
    first: (CallToken, u32),
    timeout: Duration,
) -> Result<Vec<CheckRun>, ToolFailure> {
    let (token, first) = first;
    let mut runs = Vec::with_capacity(checks.len());
    for (part, check) in (first..).zip(checks) {
        let env = vec![(PYTHON_LOCALS.to_owned(), "1".to_owned())];
        let request = ExecRequest { part, env, ..ExecRequest::shell(token, &check.command, timeout) };
        let ran = run_in(sandbox, &request, &check.command).await?;
        if ran.output.outcome == Outcome::SandboxLost {
            return Err(SandboxError::Lost { detail: format!("while `{}` ran", check.command) }.into());
        }
        let result = CheckResult {
            check: check.clone(),
            outcome: ran.output.outcome,
            duration_ms: ran.output.duration.as_millis() as u64,
            report: feedback::compact(&ran.report),
            output: store.put_blob(&ran.kept.bytes())?,
            tail: ran.kept.last(TAIL_BYTES_MAX),
        };
        runs.push(CheckRun { result, seen: TestsSeen::of(&ran.report) });
    }
    Ok(runs)
}

/// Lines that a report points at. A place that cannot be read is left out: it is a help, not evidence.
async fn read_sources(sandbox: &dyn Sandbox, wanted: &[SourceWanted]) -> Result<Vec<SourceLines>, SandboxError> {
    let mut sources = Vec::new();
    for place in wanted {
        let Ok(bytes) = sandbox.read(&absolute(&place.file), SOURCE_BYTES_MAX).await? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text
            .lines()
            .skip(place.first.saturating_sub(1) as usize)
            .take((place.last - place.first + 1) as usize)
            .map(str::to_owned)
            .collect();
        if !lines.is_empty() {
            sources.push(SourceLines { file: place.file.clone(), first: place.first, lines });
        }
    }
    Ok(sources)
}
