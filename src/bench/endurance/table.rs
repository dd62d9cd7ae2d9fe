//! The endurance bench as a person reads it.

use super::{EnduranceBench, SeedResult};
use crate::bench::table::{head, line, promises, title};
use crate::output::human::style::{DIM, RED, RESET};

pub fn endurance(bench: &EnduranceBench) -> String {
    let mut text = String::new();
    let EnduranceBench { steps, window_tokens, faults, persona, writer, .. } = bench;
    head(&mut text, &bench.machine, &format!("image {}", bench.image));
    line(&mut text, &format!("{DIM}{}{RESET}", bench.note));
    line(
        &mut text,
        &format!(
            "{steps} steps, window {window_tokens} tokens, faults {faults:?}, persona {persona:?}, writer {writer:?}"
        ),
    );
    let parameters = bench.persona_parameters;
    line(
        &mut text,
        &format!(
            "{DIM}reader misses up to {} of the middle (from {} tokens on), errs by {} and {} more for each error in \
             view{RESET}",
            parameters.missed_in_the_middle_max,
            parameters.missed_fully_at_tokens,
            parameters.errs,
            parameters.errs_more_for_each_error_in_view
        ),
    );
    title(
        &mut text,
        "run (simulated model)",
        "thread  steps  rebuilds  max/window  tokens ×  ms ×  kills  faults      s",
    );
    for seed in &bench.seeds {
        line(&mut text, &seed_line(seed));
        if !seed.thread_held {
            let at = seed.first_divergent_step.map_or("–".to_owned(), |step| step.to_string());
            line(&mut text, &format!("    {RED}{}: {}; first divergent step {at}{RESET}", seed.status, seed.reason));
        }
    }
    title(&mut text, "facts (simulated model)", "in prompt   recalled   lost");
    for distance in distances(&bench.seeds) {
        line(&mut text, &distance);
    }
    title(&mut text, "controls (simulated model)", "thread   lost  max/window");
    for control in &bench.controls {
        let held = if control.thread_held { "held" } else { "lost" };
        line(
            &mut text,
            &format!(
                "  {:<28} {held:>6} {:>6} {:>11}  {DIM}{} steps{RESET}",
                control.name, control.facts_lost, control.request_to_window_max, control.steps
            ),
        );
    }
    promises(&mut text, &bench.promises);
    for bound in &bench.bounds {
        line(
            &mut text,
            &format!("{DIM}{}: 0 of {}, so at most {} (95 %){RESET}", bound.what, bound.tries, bound.share_max),
        );
    }
    for what in &bench.not_measured {
        line(&mut text, &format!("{DIM}not measured: {what}{RESET}"));
    }
    text.trim_end().to_owned()
}

fn seed_line(seed: &SeedResult) -> String {
    let held = if seed.thread_held { "held" } else { "lost" };
    format!(
        "  seed {:<23} {held:>6} {:>6} {:>9} {:>11} {:>9} {:>5} {:>6} {:>7} {:>6}",
        seed.seed,
        seed.run_steps,
        seed.rebuilds,
        seed.request_to_window_max,
        seed.tokens.ratio,
        seed.harness_ms.ratio,
        seed.kills,
        seed.provider.faults,
        seed.seconds
    )
}

fn distances(seeds: &[SeedResult]) -> Vec<String> {
    let mut all: std::collections::BTreeMap<usize, [usize; 3]> = std::collections::BTreeMap::new();
    for facts in seeds.iter().flat_map(|seed| &seed.facts) {
        let sums = all.entry(facts.distance_max.unwrap_or(usize::MAX)).or_default();
        for (sum, more) in sums.iter_mut().zip([facts.in_prompt, facts.recalled, facts.lost]) {
            *sum += more;
        }
    }
    let row = |(max, [prompt, recalled, lost]): (usize, [usize; 3])| {
        let name = if max == usize::MAX { "longer ago".to_owned() } else { format!("up to {max} steps ago") };
        format!("  {name:<27} {prompt:>11} {recalled:>10} {lost:>6}")
    };
    all.into_iter().map(row).collect()
}
