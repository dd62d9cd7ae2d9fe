//! "Did it pass?", in one place: from counts, evidence and the exit status. Never `passed` because nothing was found.

use crate::command::Command;
use crate::sink::EvidenceSeen;
use crate::tools::{Kind, TOOLS};
use crate::{Diagnostic, Exit, Report, Verdict};

/// Sets the report's verdict and its reasons.
pub(crate) fn decide(report: &mut Report, seen: &EvidenceSeen, command: Option<&Command>, exit: Option<Exit>) {
    let mut reasons = Vec::new();
    report.verdict = against(report, seen, exit, &mut reasons)
        .unwrap_or_else(|| in_favour(report, seen, command, exit, &mut reasons));
    if report.verdict == Verdict::Passed && exit.is_none() {
        reasons.push("no exit status is known".into());
    }
    report.reasons = reasons;
    take_printed_counts(report);
}

/// Quiet runners list no passing test, and lists have caps: where the runner printed more than was listed, its number
/// is the count.
fn take_printed_counts(report: &mut Report) {
    let summary = &mut report.summary;
    let Some(printed) = summary.printed.clone() else { return };
    for (count, printed) in [
        (&mut summary.passed, printed.passed),
        (&mut summary.failed, printed.failed),
        (&mut summary.errors, printed.errors),
        (&mut summary.skipped, printed.skipped),
        (&mut summary.xfailed, printed.xfailed),
        (&mut summary.xpassed, printed.xpassed),
    ] {
        *count = (*count).max(printed.unwrap_or(0));
    }
}

/// Anything that went wrong decides, whatever else went well.
fn against(report: &Report, seen: &EvidenceSeen, exit: Option<Exit>, reasons: &mut Vec<String>) -> Option<Verdict> {
    let failed = seen.failed_tests(&report.summary);
    let errored = seen.errored_tests(&report.summary);
    let mut verdict = None;
    let mut found = |reason: String, kind: Verdict| {
        reasons.push(reason);
        verdict = verdict.or(Some(kind));
    };
    if failed > 0 {
        found(format!("{failed} {} failed", plural(failed, "test")), Verdict::Failed);
    } else if seen.says_failed {
        found("the runner says that tests failed".into(), Verdict::Failed);
    }
    if errored > 0 {
        found(format!("{errored} {} could not be run", plural(errored, "test")), Verdict::Error);
    }
    if seen.build_errors > 0 {
        found(format!("{} compile {}", seen.build_errors, plural(seen.build_errors, "error")), Verdict::Error);
    }
    if seen.says_error {
        found("the tool says that it could not finish".into(), Verdict::Error);
    }
    if seen.check_errors > 0 {
        found(format!("{} {} reported", seen.check_errors, plural(seen.check_errors, "error")), Verdict::Failed);
    }
    // A runner that passed, and whose exit status says so, knows better than a line that looks like an error.
    let outweighed = seen.runs_ended > 0 && exit == Some(Exit::Code(0));
    if seen.unknown_errors > 0 && !outweighed {
        found(format!("{} {} printed", seen.unknown_errors, plural(seen.unknown_errors, "error")), Verdict::Failed);
    }
    if seen.crashed {
        found("a process crashed".into(), Verdict::Error);
    }
    if seen.traces > 0 && seen.runs_ended == 0 && exit != Some(Exit::Code(0)) {
        found("an uncaught exception or panic".into(), Verdict::Error);
    }
    match exit {
        Some(Exit::Signal(signal)) => found(format!("killed by signal {signal}"), Verdict::Error),
        Some(Exit::TimedOut) => found("timed out".into(), Verdict::Error),
        Some(Exit::Code(0)) if verdict.is_some() => {
            reasons.push("conflict: exit status 0, though failures were printed".into());
        }
        Some(Exit::Code(0)) | None => {}
        Some(Exit::Code(code)) => {
            let nothing_found = verdict.is_none();
            if nothing_found && says_no_tests(report, seen) {
                verdict = Some(Verdict::NoTests);
                reasons.push(format!("the runner found no test and ended with exit status {code}"));
            } else if nothing_found {
                // Linters end with 1 for warnings too; a runner that ends so without a failure could not finish.
                let unrated = report.diagnostics.iter().filter(|found| is_unrated(found)).count() as u64;
                let warned = report.summary.diagnostic_warnings > 0 || seen.checker_ran || unrated > 0;
                verdict = Some(if warned && seen.runs_ended == 0 { Verdict::Failed } else { Verdict::Error });
                reasons.push(match unrated {
                    0 => format!("exit status {code}, though no failure was read"),
                    _ => format!("exit status {code}, and {unrated} {} of no severity", plural(unrated, "finding")),
                });
            } else {
                reasons.push(format!("exit status {code}"));
            }
        }
    }
    verdict
}

/// A finding of a linter that prints no severity, not what a shell or a program said.
fn is_unrated(found: &Diagnostic) -> bool {
    let kind = crate::tools::named(&found.source).map_or(Kind::Generic, |tool| tool.kind);
    found.severity.is_none() && matches!(kind, Kind::Linter | Kind::Generic)
}

fn says_no_tests(report: &Report, seen: &EvidenceSeen) -> bool {
    seen.says_no_tests && ran(report) == 0
}

/// Nothing speaks against it: does anything speak for it?
fn in_favour(
    report: &Report,
    seen: &EvidenceSeen,
    command: Option<&Command>,
    exit: Option<Exit>,
    reasons: &mut Vec<String>,
) -> Verdict {
    let mut say = |reason: &str, verdict: Verdict| {
        reasons.push(reason.to_owned());
        verdict
    };
    let ended_well = exit == Some(Exit::Code(0));
    if seen.runs_started > seen.runs_ended {
        return say("a test run began and its summary was not printed", Verdict::Unknown);
    }
    if seen.breaks_off && exit.is_none() {
        return say("the output breaks off before the run is over, and there is no exit status", Verdict::Unknown);
    }
    if seen.runs_ended > 0 || seen.says_no_tests {
        if ran(report) == 0 {
            return say("the runner ran and found no test", Verdict::NoTests);
        }
        let printed = report.summary.printed.as_ref().and_then(|printed| printed.passed);
        // A quiet runner lists no passing test; one that lists them must list as many as it counts.
        if let Some(printed) = printed
            && report.summary.passed > printed
        {
            return say("more tests passed than the runner counted", Verdict::Unknown);
        }
        if printed.unwrap_or(report.summary.passed) == 0 && !seen.says_passed {
            return say("tests were found, but none passed", Verdict::Unknown);
        }
        return say("the runner's summary counts no failure", Verdict::Passed);
    }
    if seen.says_passed {
        return say("the tool says that it found nothing", Verdict::Passed);
    }
    let known_checker = command.is_some_and(|command| {
        TOOLS
            .iter()
            .filter(|tool| matches!(tool.kind, Kind::Compiler | Kind::Linter))
            .any(|tool| tool.commands.iter().any(|program| command.ends_with(program)))
    });
    if ended_well && known_checker {
        return say("a compiler or linter ended with exit status 0", Verdict::Passed);
    }
    let unmasked = command.is_none_or(Command::exit_speaks_for_all);
    if ended_well && seen.checker_ran && unmasked && report.tests.is_empty() {
        return say("warnings only, and exit status 0", Verdict::Passed);
    }
    say("nothing printed proves that it ran to its end", Verdict::Unknown)
}

/// Tests that had a result, counted here or by the runner.
fn ran(report: &Report) -> u64 {
    let summary = &report.summary;
    let counted =
        summary.passed + summary.failed + summary.errors + summary.skipped + summary.xfailed + summary.xpassed;
    let printed = summary
        .printed
        .as_ref()
        .map_or(0, |p| [p.passed, p.failed, p.errors, p.skipped, p.xfailed, p.xpassed].into_iter().flatten().sum());
    counted.max(printed)
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
