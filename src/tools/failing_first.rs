//! The tests that failed before all the others: they run alone, and the whole checks only once they pass. What fails for
//! the first time is run once more by itself, to tell what is broken from what is unsteady.

use std::collections::BTreeSet;
use std::time::Duration;

use greenroom_parsers::TestStatus;
use serde::Deserialize;

use super::run_checks::{CheckRun, run_checks_in_full};
use super::{ToolContext, ToolFailure};
use crate::feedback::{Rerun, failing_tests, rerun};
use crate::task::{Check, CheckResult};
use crate::thrift::FailingFirst;

/// Below this a whole check is as quick as a part of it.
const WORTH_MS: u64 = 3_000;
/// New failures that are run again by themselves.
const AGAIN_MAX: usize = 20;
/// Of unsteady tests in one answer.
const NAMED_MAX: usize = 10;

/// What of the checks is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Failing tests first, where that is known to be quicker.
    #[default]
    Auto,
    /// Failing tests first, whatever it takes.
    Failing,
    /// All of them at once.
    All,
}

/// What came before the whole checks.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) told: FailingFirst,
    /// Where that was all: the results, one a check.
    pub(super) alone: Option<Vec<CheckResult>>,
    /// Commands so far.
    pub(super) parts: u32,
}

/// What is done with a check first.
enum Plan<'a> {
    Rerun(&'a CheckResult, Rerun),
    /// Red, and nobody knows how to run a part of it.
    Whole(&'a CheckResult),
    Keep(&'a CheckResult),
}

pub(super) async fn failing_first(
    context: &ToolContext<'_>,
    only: Only,
    timeout: Duration,
) -> Result<First, ToolFailure> {
    let known = context.yardstick;
    let mut first = First::default();
    let matches = |(check, last): (&Check, &CheckResult)| *check == last.check;
    if only == Only::All || !context.checks.iter().zip(known.last_checks).all(matches) {
        return Ok(first);
    }
    let plans: Vec<Plan<'_>> = known.last_checks.iter().map(plan).collect();
    let takes = |index: usize| known.baseline.get(index).map_or(0, |check| check.duration_ms);
    let spared = |(index, plan): (usize, &Plan<'_>)| if matches!(plan, Plan::Whole(_)) { 0 } else { takes(index) };
    let whole_ms: u64 = plans.iter().enumerate().map(spared).sum();
    let worth = only == Only::Failing || whole_ms >= WORTH_MS;
    if !worth || !plans.iter().any(|plan| matches!(plan, Plan::Rerun(..))) {
        return Ok(first);
    }
    let mut results: Vec<CheckResult> = Vec::new();
    let mut spent_ms = 0;
    for plan in &plans {
        results.push(match plan {
            Plan::Rerun(last, again) => {
                let ran = one(context, &again.command, first.parts, timeout).await?;
                first.parts += 1;
                spent_ms += ran.result.duration_ms;
                let still: BTreeSet<&str> = failing_tests(&ran.result.report).into_iter().collect();
                first.told.asked += again.ids.len() as u64;
                first.told.failing += still.len() as u64;
                CheckResult { check: last.check.clone(), ..ran.result }
            }
            Plan::Whole(last) | Plan::Keep(last) => (*last).clone(),
        });
    }
    // Only failures that were seen are a reason to stop here: a command that was not understood shows none.
    if first.told.failing > 0 {
        for (result, plan) in results.iter_mut().zip(&plans) {
            if let Plan::Whole(last) = plan {
                let ran = one(context, &last.check.command, first.parts, timeout).await?;
                first.parts += 1;
                *result = ran.result;
            }
        }
        first.told.alone = true;
        first.told.saved_ms = whole_ms as i64;
        first.alone = Some(results);
    }
    first.told.saved_ms -= spent_ms as i64;
    Ok(first)
}

fn plan(last: &CheckResult) -> Plan<'_> {
    if last.passed() {
        return Plan::Keep(last);
    }
    match rerun(&last.check.command, &last.report, &failing_tests(&last.report)) {
        Some(again) => Plan::Rerun(last, again),
        None => Plan::Whole(last),
    }
}

/// Tests that failed for the first time and pass by themselves.
pub(super) async fn unsteady(
    context: &ToolContext<'_>,
    results: &[CheckResult],
    first: &mut First,
    timeout: Duration,
) -> Result<(), ToolFailure> {
    let known = context.yardstick;
    let failed_before: BTreeSet<&str> =
        known.baseline.iter().chain(known.last_checks).flat_map(|check| failing_tests(&check.report)).collect();
    for result in results.iter().filter(|result| !result.passed()) {
        let new: Vec<&str> =
            failing_tests(&result.report).into_iter().filter(|id| !failed_before.contains(id)).collect();
        let Some(again) =
            rerun(&result.check.command, &result.report, &new).filter(|again| again.ids.len() <= AGAIN_MAX)
        else {
            continue;
        };
        let ran = one(context, &again.command, first.parts, timeout).await?;
        first.parts += 1;
        first.told.saved_ms -= ran.result.duration_ms as i64;
        first.told.unsteady.extend(again.ids.iter().filter(|id| passes(&ran, id, again.ids.len())).cloned());
    }
    Ok(())
}

/// Said of the test itself, or of as many tests as were asked for.
fn passes(ran: &CheckRun, id: &str, asked: usize) -> bool {
    let all = ran.result.passed() && ran.seen.executed >= asked as u64;
    match ran.seen.listed.get(id) {
        Some(status) => *status == TestStatus::Passed,
        None => all,
    }
}

async fn one(context: &ToolContext<'_>, command: &str, part: u32, timeout: Duration) -> Result<CheckRun, ToolFailure> {
    let check = [Check { command: command.to_owned() }];
    let mut runs = run_checks_in_full(context.sandbox, context.store, &check, (context.token, part), timeout).await?;
    Ok(runs.remove(0))
}

/// For the model, a line each; `None` where nothing was out of the ordinary.
pub(super) fn words(told: &FailingFirst) -> Option<String> {
    let mut lines = Vec::new();
    if told.alone {
        lines.push(format!(
            "Only the {} tests that failed before were run, and checks of which no part can be run: {} of them still \
             fail. All checks run once they pass, or with `only: \"all\"`.",
            told.asked, told.failing
        ));
    }
    if !told.unsteady.is_empty() {
        let shown: Vec<&str> = told.unsteady.iter().take(NAMED_MAX).map(String::as_str).collect();
        lines.push(format!(
            "Run once more by themselves, with nothing changed, these pass: they are unsteady, or depend on the tests \
             before them: {}",
            shown.join(", ")
        ));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}
