//! The score as facts for the model: in a budget of its own, worst first.

use std::fmt::Write;

use crate::score::{Fact, Part, Score};

/// About 500 tokens, of the 1,500 that code and score have together.
const BYTES_MAX: usize = 2_000;
const FACTS_SHOWN: usize = 3;
const FACT_CHARS_MAX: usize = 200;

/// `last` is the score before, for the change.
pub fn render(score: &Score, last: Option<&Score>) -> String {
    let Some(total) = score.total else { return "score: not measured\n".to_owned() };
    let red = if score.red { "; below 49 as long as a check is red" } else { "" };
    let mut text = format!("score: {total:.1} of 100{}{red}\n", change(Some(total), last.and_then(|last| last.total)));
    for part in &score.parts {
        let before = last.and_then(|last| last.part(part.name)).and_then(|part| part.value);
        let line = line(part, before);
        if text.len() + line.len() > BYTES_MAX {
            break;
        }
        text.push_str(&line);
    }
    text
}

fn line(part: &Part, before: Option<f64>) -> String {
    let Some(value) = part.value else { return format!("  {} not measured: {}\n", part.name.word(), part.why) };
    let mut text = format!("  {} {value:.1}{}: {}\n", part.name.word(), change(Some(value), before), part.why);
    for fact in part.facts.iter().take(FACTS_SHOWN) {
        let _ = writeln!(text, "    {}", shown(fact));
    }
    text
}

fn shown(fact: &Fact) -> String {
    let text: String = fact.text.lines().next().unwrap_or_default().chars().take(FACT_CHARS_MAX).collect();
    match (&fact.file, fact.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {text}"),
        (Some(file), None) => format!("{file}: {text}"),
        (None, _) => text,
    }
}

/// ` (+4.2)`, or nothing.
fn change(now: Option<f64>, before: Option<f64>) -> String {
    match (now, before) {
        (Some(now), Some(before)) if (now - before).abs() >= 0.05 => format!(" ({:+.1})", now - before),
        (Some(_) | None, Some(_) | None) => String::new(),
    }
}
