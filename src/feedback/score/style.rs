//! Style: what the repository's own linters say that they did not say before, rules that were switched off, and the
//! user's rules.

use std::collections::BTreeMap;

use globset::Glob;
use greenroom_parsers::{Diagnostic, Severity};
use regex::RegexBuilder;

use super::lines::lines;
use super::{ChangedFile, Measured, counted, fact, falling, not_measured, reports};
use crate::score::{Fact, Part, PartName, StyleRules};

/// Points at which the part is worth 50.
const HALF: f64 = 10.0;
const LINTER_ERROR: u64 = 3;
const LINTER_WARNING: u64 = 1;
const SWITCHED_OFF: u64 = 3;
const RULE_BROKEN: u64 = 2;
/// Of a compiled pattern: a repository may bring its own.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Comments and attributes that tell a tool to look away.
const SWITCHES: [&str; 19] = [
    "# noqa",
    "#noqa",
    "# type: ignore",
    "# pyright: ignore",
    "# pylint: disable",
    "# nosec",
    "# pragma: no cover",
    "eslint-disable",
    "@ts-ignore",
    "@ts-nocheck",
    "@ts-expect-error",
    "biome-ignore",
    "istanbul ignore",
    "c8 ignore",
    "[allow(",
    "//nolint",
    "@SuppressWarnings",
    "NOLINT",
    "diagnostic ignored",
];

/// What prints findings about style rather than about what does not compile or pass.
const LINTERS: [&str; 25] = [
    "ruff",
    "flake8",
    "pylint",
    "mypy",
    "pyright",
    "bandit",
    "eslint",
    "biome",
    "oxlint",
    "stylelint",
    "clippy",
    "golangci-lint",
    "staticcheck",
    "go-vet",
    "checkstyle",
    "pmd",
    "spotbugs",
    "clang-tidy",
    "cppcheck",
    "cpplint",
    "shellcheck",
    "hadolint",
    "rubocop",
    "phpstan",
    "yamllint",
];

pub(super) fn part(measured: &Measured<'_>) -> Part {
    let mut facts: Vec<(u64, Fact)> = Vec::new();
    let linters = linters(measured);
    let new = new_findings(measured, &mut facts);
    let off = switched_off(measured, &mut facts);
    let broken = broken_rules(measured, &mut facts);
    if linters.is_empty() && measured.rules.is_empty() && off == 0 {
        return not_measured(PartName::Style, "no check runs a linter, and there are no rules of your own");
    }
    let mut why = match linters.is_empty() {
        true => "no linter ran".to_owned(),
        false => format!("{} by {}", counted(new.0, "new finding"), linters.join(", ")),
    };
    if off > 0 {
        why.push_str(&format!(", {} switched off in comments", counted(off, "rule")));
    }
    if !measured.rules.is_empty() {
        why.push_str(&format!(
            ", {} of your rules",
            if broken == 1 { "1 breach".into() } else { format!("{broken} breaches") }
        ));
    }
    facts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let value = Some(falling((new.1 + off * SWITCHED_OFF + broken * RULE_BROKEN) as f64, HALF));
    Part { name: PartName::Style, value, why, facts: facts.into_iter().map(|(_, fact)| fact).collect() }
}

fn linters<'a>(measured: &Measured<'a>) -> Vec<&'a str> {
    let tools = reports(measured.baseline).chain(reports(measured.checks)).flat_map(|report| &report.tools);
    let mut found: Vec<&str> = tools.map(String::as_str).filter(|tool| is_linter(tool)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_linter(source: &str) -> bool {
    LINTERS.iter().any(|linter| source == *linter || source.starts_with(linter) && source.len() < linter.len() + 8)
}

/// Count and weight of what linters say now and did not say at the baseline.
fn new_findings(measured: &Measured<'_>, facts: &mut Vec<(u64, Fact)>) -> (u64, u64) {
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    let style = |diagnostic: &&Diagnostic| is_linter(&diagnostic.source);
    for diagnostic in reports(measured.baseline).flat_map(|report| &report.diagnostics).filter(style) {
        *before.entry(&diagnostic.fingerprint).or_default() += 1;
    }
    let (mut count, mut points) = (0, 0);
    for diagnostic in reports(measured.checks).flat_map(|report| &report.diagnostics).filter(style) {
        if let Some(left) = before.get_mut(diagnostic.fingerprint.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            continue;
        }
        let weight = match diagnostic.severity {
            Some(Severity::Error) => LINTER_ERROR,
            Some(Severity::Warning) | None => LINTER_WARNING,
            Some(Severity::Note | Severity::Info | Severity::Hint) => continue,
        };
        count += 1;
        points += weight;
        let code = diagnostic.code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
        let text = format!("{}{code}: {}", diagnostic.source, diagnostic.message);
        facts.push((weight, Fact { file: diagnostic.file.clone(), line: diagnostic.line, text }));
    }
    (count, points)
}

/// More switches than before, over all files: moving one is no news.
fn switched_off(measured: &Measured<'_>, facts: &mut Vec<(u64, Fact)>) -> u64 {
    let switch = |line: &str| SWITCHES.iter().find(|switch| line.contains(**switch)).copied();
    let (mut added, mut removed) = (0u64, 0u64);
    for file in measured.files {
        let lines = lines(file);
        removed += lines.removed.iter().filter(|line| switch(line).is_some()).count() as u64;
        for (number, line) in lines.added {
            if let Some(switch) = switch(line) {
                added += 1;
                let text = format!("`{switch}` switches a rule off");
                facts.push((SWITCHED_OFF, fact(&file.path, Some(number), text)));
            }
        }
    }
    let more = added.saturating_sub(removed);
    if more == 0 {
        facts.retain(|(_, fact)| !fact.text.ends_with("switches a rule off"));
    }
    more
}

fn broken_rules(measured: &Measured<'_>, facts: &mut Vec<(u64, Fact)>) -> u64 {
    let rules = measured.rules;
    let mut found = Vec::new();
    for file in measured.files.iter().filter(|file| file.after.is_some()) {
        let lines = lines(file);
        if let Some(max) = rules.line_length_max {
            for (number, line) in &lines.added {
                let length = line.chars().count();
                if length > max as usize {
                    found.push(fact(
                        &file.path,
                        Some(*number),
                        format!("{length} characters in a line, {max} are allowed"),
                    ));
                }
            }
        }
        for rule in &rules.forbid {
            let (Some(pattern), true) = (pattern(&rule.pattern), applies(rule.files.as_deref(), &file.path)) else {
                continue;
            };
            for (number, _) in lines.added.iter().filter(|(_, line)| pattern.is_match(line)) {
                let text = rule.message.clone().unwrap_or_else(|| format!("`{}` is forbidden here", rule.pattern));
                found.push(fact(&file.path, Some(*number), text));
            }
        }
        found.extend(functions(measured, file));
    }
    let count = found.len() as u64;
    facts.extend(found.into_iter().map(|fact| (RULE_BROKEN, fact)));
    count
}

fn functions(measured: &Measured<'_>, file: &ChangedFile) -> Vec<Fact> {
    let (rules, before) = (measured.rules, file.functions_before.as_deref().unwrap_or_default());
    let mut found = Vec::new();
    let names = rules.function_names.as_deref().and_then(pattern);
    let new = file.functions_after.iter().flatten().filter(|function| !function.name.starts_with('('));
    for function in new.filter(|function| before.iter().all(|old| old.hash != function.hash)) {
        let length = function.end_line - function.line + 1;
        if let Some(max) = rules.function_lines_max.filter(|max| length > *max) {
            let text = format!("`{}` has {length} lines, {max} are allowed", function.name);
            found.push(fact(&file.path, Some(function.line), text));
        }
        let own = function.name.rsplit('.').next().unwrap_or(&function.name);
        let is_new = before.iter().all(|old| old.name != function.name);
        if names.as_ref().is_some_and(|names| is_new && !names.is_match(own)) {
            let wanted = rules.function_names.as_deref().unwrap_or_default();
            found.push(fact(&file.path, Some(function.line), format!("`{own}` is not named like `{wanted}`")));
        }
    }
    found
}

/// Says which rule cannot be understood.
pub fn check_rules(rules: &StyleRules) -> Result<(), String> {
    let patterns = rules.forbid.iter().map(|rule| &rule.pattern).chain(&rules.function_names);
    if let Some(bad) = patterns.into_iter().find(|text| pattern(text).is_none()) {
        return Err(format!("`style`: `{bad}` is no regular expression, or too large a one"));
    }
    match rules.forbid.iter().filter_map(|rule| rule.files.as_ref()).find(|files| Glob::new(files).is_err()) {
        Some(bad) => Err(format!("`style.forbid`: `{bad}` is no glob")),
        None => Ok(()),
    }
}

/// Linear in what it reads, bounded in what it takes. One that does not compile was refused where it was read.
fn pattern(text: &str) -> Option<regex::Regex> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().ok()
}

fn applies(files: Option<&str>, path: &str) -> bool {
    files.is_none_or(|files| Glob::new(files).is_ok_and(|glob| glob.compile_matcher().is_match(path)))
}
