//! Tests: what passes of what there is, where "there is" includes what has gone since the baseline.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_parsers::{Report, Summary, TestStatus};

use super::{Measured, counted, not_measured};
use crate::judgement::stands_for;
use crate::score::{Fact, Part, PartName};

/// A passing test that was red at the baseline counts this often, and so does one that is still red.
const RED_AT_BASELINE: u64 = 2;
/// A test that passed at the baseline and does not now, or that is gone.
const BROKEN: u64 = 3;

/// What one check says of its tests.
struct Seen<'a> {
    ran: u64,
    passing: u64,
    status: BTreeMap<&'a str, TestStatus>,
    /// Whether each test that ran has a name in the report.
    lists_all: bool,
}

#[derive(Default)]
struct Tally {
    passing: u64,
    for_it: u64,
    against: u64,
    fixed: u64,
    still: u64,
    broken: u64,
    new: u64,
    gone: u64,
}

pub(super) fn part(measured: &Measured<'_>) -> Part {
    let mut tally = Tally::default();
    let mut facts = Vec::new();
    let mut any = false;
    for (at, check) in measured.checks.iter().enumerate() {
        let before = measured.baseline.get(at).map(|check| seen(&check.report));
        let now = seen(&check.report);
        if now.ran == 0 && before.as_ref().is_none_or(|before| before.ran == 0) {
            continue;
        }
        any = true;
        count(&now, before.as_ref(), &check.report, &mut tally, &mut facts);
    }
    if !any {
        return not_measured(PartName::Tests, "no check ran a test whose result could be read");
    }
    let all = tally.for_it + tally.against;
    let value = if all == 0 { 0.0 } else { 100.0 * tally.for_it as f64 / all as f64 };
    let failing = tally.still + tally.broken + tally.new;
    let mut why = format!("{} of {} pass", tally.passing, counted(tally.passing + failing, "test"));
    for (count, word) in [
        (tally.fixed, "fixed"),
        (tally.still, "still failing"),
        (tally.broken, "broken"),
        (tally.new, "new and failing"),
        (tally.gone, "gone or skipped since the baseline"),
    ] {
        if count > 0 {
            why.push_str(&format!(", {count} {word}"));
        }
    }
    facts.sort_by_key(|(rank, _)| *rank);
    Part { name: PartName::Tests, value: Some(value), why, facts: facts.into_iter().map(|(_, fact)| fact).collect() }
}

fn count(now: &Seen<'_>, before: Option<&Seen<'_>>, report: &Report, tally: &mut Tally, facts: &mut Vec<(u8, Fact)>) {
    let red_before: BTreeSet<&str> = before
        .iter()
        .flat_map(|before| &before.status)
        .filter(|(_, status)| is_red(**status))
        .map(|(id, _)| *id)
        .collect();
    let mut against = 0;
    let mut named_red = 0;
    for test in report.tests.iter().filter(|test| is_red(test.status)) {
        named_red += 1;
        let id = test.id.as_str();
        let known = before.is_some_and(|before| before.status.get(id) == Some(&TestStatus::Passed));
        // Where the baseline did not name what passed, nobody can prove that a red test is new.
        let proven_new = before.is_none_or(|before| before.lists_all && !before.status.contains_key(id));
        let (weight, rank, word) = if red_before.contains(id) {
            tally.still += 1;
            (RED_AT_BASELINE, 2, "still fails")
        } else if known || !proven_new {
            tally.broken += 1;
            (BROKEN, 0, "passed at the baseline and fails now")
        } else {
            tally.new += 1;
            (1, 3, "is new and fails")
        };
        against += weight;
        facts.push((rank, Fact { file: test.file.clone(), line: test.line, text: format!("{id} {word}") }));
    }
    // Red tests that are counted but not named.
    let unnamed = (now.ran - now.passing).saturating_sub(named_red);
    tally.still += unnamed;
    against += unnamed * RED_AT_BASELINE;
    let (gone, unnamed_gone) = gone(now, before, facts);
    tally.gone += gone;
    against += gone * BROKEN;
    let cured = red_before.iter().filter(|id| !now.status.get(**id).is_some_and(|status| is_red(*status)));
    let cured = cured.filter(|id| !is_gone(id, now)).count() as u64;
    // One that is gone without a name may be one that was red.
    let fixed = cured.saturating_sub(unnamed_gone).min(now.passing);
    tally.fixed += fixed;
    tally.passing += now.passing;
    tally.for_it += now.passing + fixed * (RED_AT_BASELINE - 1);
    tally.against += against;
}

/// Tests that ran at the baseline and do not now, and how many of them have no name.
fn gone(now: &Seen<'_>, before: Option<&Seen<'_>>, facts: &mut Vec<(u8, Fact)>) -> (u64, u64) {
    let Some(before) = before else { return (0, 0) };
    let mut named = 0;
    for id in before.status.iter().filter(|(_, status)| runs(**status)).map(|(id, _)| *id) {
        if is_gone(id, now) {
            named += 1;
            let how = if now.status.contains_key(id) { "is skipped now, or expected to fail" } else { "is gone" };
            facts.push((1, Fact { file: None, line: None, text: format!("{id} ran at the baseline and {how}") }));
        }
    }
    // Where all is named on both sides, new tests do not hide the ones that went.
    let counted = before.ran.saturating_sub(now.ran);
    let gone = if before.lists_all && now.lists_all { named } else { named.max(counted) };
    (gone, gone - named)
}

fn is_gone(id: &str, now: &Seen<'_>) -> bool {
    match now.status.get(id) {
        Some(status) => !runs(*status),
        None => {
            let passes = |(suite, status): (&&str, &TestStatus)| *status == TestStatus::Passed && stands_for(suite, id);
            now.lists_all && !now.status.iter().any(passes)
        }
    }
}

fn seen(report: &Report) -> Seen<'_> {
    let Summary { passed, failed, errors, xpassed, .. } = report.summary;
    let timeouts = report.tests.iter().filter(|test| test.status == TestStatus::Timeout).count() as u64;
    let ran = passed + failed + errors + xpassed;
    let named = report.tests.iter().filter(|test| runs(test.status)).count() as u64;
    let red = report.tests.iter().filter(|test| is_red(test.status)).count() as u64;
    // Some readers count a timeout among the failures and some do not.
    let ran = ran.max((passed + xpassed + red).min(ran + timeouts));
    Seen {
        ran,
        passing: passed + xpassed,
        status: report.tests.iter().map(|test| (test.id.as_str(), test.status)).collect(),
        lists_all: ran > 0 && named >= ran,
    }
}

fn is_red(status: TestStatus) -> bool {
    match status {
        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout => true,
        TestStatus::Passed | TestStatus::Xpassed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => {
            false
        }
    }
}

/// Whether its result says anything about the code.
fn runs(status: TestStatus) -> bool {
    is_red(status) || matches!(status, TestStatus::Passed | TestStatus::Xpassed)
}
