//! Complexity: how much harder the changed files have become to follow.

use super::{ChangedFile, Measured, counted, fact, falling, not_measured};
use crate::score::{Fact, Function, Part, PartName};

/// McCabe's own limit, and the one of SonarSource's rule.
const CYCLOMATIC_MAX: u32 = 10;
const COGNITIVE_MAX: u32 = 15;
/// What lies beyond the limits counts twice.
const EXCESS_WEIGHT: u32 = 2;
/// Growth at which the part is worth 50.
const HALF: f64 = 50.0;

pub(super) fn part(measured: &Measured<'_>) -> Part {
    let (mut penalty, mut changed, mut unread) = (0u64, 0u64, 0u64);
    let mut facts: Vec<(u64, Fact)> = Vec::new();
    let mut any = false;
    // All together: what is taken out of one file and put into another has not gone.
    let (mut before_all, mut after_all) = (0u64, 0u64);
    for file in measured.files {
        let before = if file.before.is_none() { Some(&[][..]) } else { file.functions_before.as_deref() };
        let after = if file.after.is_none() { Some(&[][..]) } else { file.functions_after.as_deref() };
        let was_asked = file.functions_before.is_some() || file.functions_after.is_some();
        match (before, after) {
            (Some(before), Some(after)) if was_asked => {
                any = true;
                before_all += before.iter().map(|function| u64::from(function.cognitive)).sum::<u64>();
                after_all += after.iter().map(|function| u64::from(function.cognitive)).sum::<u64>();
                let (count, excess) = compare(file, before, after, &mut facts);
                changed += count;
                penalty += excess;
            }
            (_, _) => unread += u64::from(file.is_text() && was_asked),
        }
    }
    if !any {
        let why = match (unread, measured.files.is_empty()) {
            (1.., _) => "a changed file does not parse",
            (0, true) => "nothing was changed",
            (0, false) => "no changed file is in a language whose functions can be counted",
        };
        return not_measured(PartName::Complexity, why);
    }
    penalty += after_all.saturating_sub(before_all);
    facts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let mut why = format!(
        "{} changed or new, cognitive complexity of the changed files {before_all} → {after_all}",
        counted(changed, "function")
    );
    if unread > 0 {
        why.push_str(&format!("; {} could not be read", counted(unread, "file")));
    }
    let value = Some(falling(penalty as f64, HALF));
    Part { name: PartName::Complexity, value, why, facts: facts.into_iter().map(|(_, fact)| fact).collect() }
}

/// Functions that are not as they were, and by how much they go further beyond the limits than before.
fn compare(file: &ChangedFile, before: &[Function], after: &[Function], facts: &mut Vec<(u64, Fact)>) -> (u64, u64) {
    let (mut changed, mut penalty) = (0, 0);
    for (at, function) in after.iter().enumerate() {
        // The nth of a name is the nth of that name before.
        let nth = after[..at].iter().filter(|other| other.name == function.name).count();
        let old = before.iter().filter(|other| other.name == function.name).nth(nth);
        if old.is_some_and(|old| old.hash == function.hash) {
            continue;
        }
        changed += 1;
        let more = u64::from(excess(function).saturating_sub(old.map_or(0, excess))) * u64::from(EXCESS_WEIGHT);
        penalty += more;
        let was = |value: fn(&Function) -> u32| old.map_or(String::new(), |old| format!("{} → ", value(old)));
        let over = if excess(function) > 0 { ", beyond the limits" } else { "" };
        let text = format!(
            "`{}` cyclomatic {}{}, cognitive {}{}{over}",
            function.name,
            was(|f| f.cyclomatic),
            function.cyclomatic,
            was(|f| f.cognitive),
            function.cognitive
        );
        let grown = function.cognitive.saturating_sub(old.map_or(0, |old| old.cognitive));
        if more > 0 || grown > 0 {
            facts.push((more * 1_000 + u64::from(grown), fact(&file.path, Some(function.line), text)));
        }
    }
    (changed, penalty)
}

fn excess(function: &Function) -> u32 {
    function.cyclomatic.saturating_sub(CYCLOMATIC_MAX) + function.cognitive.saturating_sub(COGNITIVE_MAX)
}
