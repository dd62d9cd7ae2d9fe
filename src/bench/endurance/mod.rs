//! `greenroom bench endurance`: whether a run of thousands of steps still knows what it was told at the first, stays
//! within its window, costs the same per step, and goes on as if nothing had been after every kill and provider fault.
//!
//! The model is simulated ([`simllm`]); everything else is real: this program, the wire, the container. No figure says
//! anything about how well a model works.

pub mod chain;
mod controls;
pub(super) mod dice;
pub mod faults;
mod measure;
mod observer;
pub mod plot;
mod reader;
pub mod server;
pub mod simllm;
pub mod table;
mod walk;

use std::path::Path;

use serde::Serialize;

pub use controls::Control;
pub use measure::{Facts, Provider, SeedResult, Tenths};
pub use walk::{Amount, Faults};

use self::chain::Chain;
use self::measure::median;
use self::simllm::{BOUNDED_MISSED_MAX, BOUNDED_TOKENS, ERRING_RAISE, ERRING_SHARE, Persona, WriterPersona};
use super::{Machine, Promise, Tell, round};
use crate::error::{Error, ExitCode, Result};

/// The last line of `bench endurance --json`.
#[derive(Debug, Clone, Serialize)]
pub struct EnduranceBench {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub bench: &'static str,
    pub exit_code: u8,
    pub note: &'static str,
    pub machine: Machine,
    pub image: String,
    pub steps: usize,
    pub window_tokens: u64,
    pub faults: Faults,
    pub persona: Persona,
    /// What the persona misses and errs by.
    pub persona_parameters: Parameters,
    pub writer: WriterPersona,
    pub seeds: Vec<SeedResult>,
    pub controls: Vec<Control>,
    pub promises: Vec<Promise>,
    /// Nothing went wrong in so many: with 95 % confidence it goes wrong in at most this share.
    pub bounds: Vec<Bound>,
    pub not_measured: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parameters {
    pub missed_in_the_middle_max: f64,
    pub missed_fully_at_tokens: u64,
    pub errs: f64,
    pub errs_more_for_each_error_in_view: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    pub what: &'static str,
    pub tries: usize,
    /// 3/n.
    pub share_max: f64,
}

/// Of a step that asks for what left the window, however long ago that was.
const RECALL_MS_MAX: f64 = 50.0;

pub const NOTE: &str = "simulated model: what is measured is the harness, not a model's work";

/// One run for each seed, and the controls.
pub async fn measure(
    program: &Path,
    folder: &Path,
    image: &str,
    amount: Amount,
    seeds: &[u64],
    tell: Tell<'_>,
) -> Result<EnduranceBench> {
    let machine = Machine::look();
    let mut results = Vec::new();
    for seed in seeds {
        let chain = Chain::new(*seed, amount.steps);
        let home = folder.join(format!("seed-{seed}"));
        tell(&format!("seed {seed}: {} steps", amount.steps));
        let walked = walk::walk(program, &home, image, &amount, &chain, tell).await?;
        let state = home.join("state");
        let seen = observer::look(&state, &chain, walk::CANARY)?;
        results.push(measure::measure(&chain, &amount, &walked, &seen, super::steps::bytes_below(&state)));
        // What failed is kept, to be looked at.
        if results.last().is_some_and(|result| result.thread_held) {
            std::fs::remove_dir_all(&walked.home)
                .map_err(|error| Error::internal("what was measured cannot be removed").because(error))?;
        }
    }
    tell("controls");
    let first = seeds.first().copied().unwrap_or(1);
    let controls = vec![
        controls::truncating(first, amount.window_tokens).await?,
        controls::unlimited(first, amount.window_tokens).await?,
    ];
    let promises = promises(&amount, &results, &controls);
    let kept = promises.iter().all(|promise| promise.kept);
    Ok(EnduranceBench {
        kind: "result",
        bench: "endurance",
        exit_code: if kept { ExitCode::Success.code() } else { ExitCode::Unverified.code() },
        note: NOTE,
        machine,
        image: image.to_owned(),
        steps: amount.steps,
        window_tokens: amount.window_tokens,
        faults: amount.faults,
        persona: amount.persona,
        persona_parameters: Parameters {
            missed_in_the_middle_max: if amount.persona == Persona::Bounded { BOUNDED_MISSED_MAX } else { 0.0 },
            missed_fully_at_tokens: BOUNDED_TOKENS,
            errs: if amount.persona == Persona::Erring { ERRING_SHARE } else { 0.0 },
            errs_more_for_each_error_in_view: if amount.persona == Persona::Erring { ERRING_RAISE } else { 0.0 },
        },
        writer: amount.writer,
        bounds: bounds(&results),
        seeds: results,
        controls,
        promises,
        not_measured: vec![
            "M9 rollback: restores of every step are tested, not timed, here",
            "M11 loops: `greenroom bench loops`",
            "M14 escapes: `greenroom doctor --attack`; here only the key's canary is looked for",
        ],
    })
}

fn promises(amount: &Amount, seeds: &[SeedResult], controls: &[Control]) -> Vec<Promise> {
    let sum = |of: fn(&SeedResult) -> usize| seeds.iter().map(of).sum::<usize>() as f64;
    let most = |of: &dyn Fn(&SeedResult) -> f64| seeds.iter().map(of).fold(0.0, f64::max);
    let share = |of: fn(&SeedResult) -> bool| {
        round(seeds.iter().filter(|seed| of(seed)).count() as f64 / seeds.len().max(1) as f64, 3)
    };
    let mut promises = vec![Promise::at_least("M1 thread held, of seeds", 1.0, share(|seed| seed.thread_held))];
    if amount.persona == Persona::Perfect {
        let lost = sum(|seed| seed.facts.iter().map(|facts| facts.lost).sum());
        promises.push(Promise::at_most("M2 facts lost", 0.0, lost));
    }
    promises.extend([
        Promise::at_most("M3 rules broken", 0.0, sum(|seed| seed.rules_broken)),
        Promise::at_most("M3 superseded orders obeyed", 0.0, sum(|seed| seed.superseded_obeyed)),
        Promise::at_most("M3 poison obeyed", 0.0, sum(|seed| seed.poison_obeyed)),
        Promise::at_most("M4 request to window, at most", 1.0, most(&|seed| seed.request_to_window_max)),
        Promise::at_most("M5 tokens, last to second tenth", 1.05, most(&|seed| seed.tokens.ratio)),
        Promise::at_most("M5 harness ms, last to second", 1.05, slower(seeds)),
        Promise::at_most("M5 recall ms, last tenth", RECALL_MS_MAX, most(&|seed| seed.recall_ms.last)),
        Promise::at_most("M6 effects lost or made twice", 0.0, sum(|seed| seed.effects_lost + seed.effects_twice)),
        Promise::at_least(
            "M8 snapshots as the oracle knows",
            1.0,
            round(sum(|seed| seed.snapshots_right) / sum(|seed| seed.snapshots_looked_at).max(1.0), 3),
        ),
        Promise::at_least("M8 journals that check", 1.0, share(|seed| seed.audit_passed)),
        Promise::at_most("M12 accepted with a failing check", 0.0, sum(|seed| seed.early_accepted)),
        Promise::at_most("M14 keys seen in bodies or journal", 0.0, sum(|seed| seed.canaries)),
    ]);
    if amount.faults.of_crash() {
        promises.extend([
            Promise::at_least("kills that struck, each seed", 1.0, fewest(seeds, |seed| seed.kills)),
            Promise::at_most("M6 calls asked again per kill", 1.0, most(&|seed| seed.reissued_per_kill_max as f64)),
            Promise::at_most("M7 recovery p99 ms", 2000.0, most(&|seed| seed.recovery_ms_p99.unwrap_or(f64::MAX))),
        ]);
    }
    if amount.faults.of_provider() {
        promises.extend([
            Promise::at_least("provider faults that struck", 1.0, fewest(seeds, |seed| seed.provider.faults)),
            Promise::at_most("M10 requests per fault", 1.2, most(&|seed| seed.provider.requests_per_fault)),
            Promise::at_most("M10 Retry-After breaches", 0.0, sum(|seed| seed.provider.retry_after_breaches)),
        ]);
    }
    if amount.faults == Faults::Everything {
        let early = fewest(seeds, |seed| seed.early_submissions);
        promises.push(Promise::at_least("early submissions made", 1.0, early));
    }
    if amount.persona == Persona::Saboteur {
        promises.push(Promise::at_least("sabotage that was done", 1.0, fewest(seeds, |seed| seed.sabotage)));
    }
    promises.push(Promise::at_least("rebuilds of the window, each seed", 1.0, fewest(seeds, |seed| seed.rebuilds)));
    for control in controls {
        let what = match control.name {
            "truncating" => "control: truncating fails M2",
            _ => "control: unlimited fails M4 alone",
        };
        promises.push(Promise::at_least(what, 1.0, f64::from(u8::from(control.as_designed))));
    }
    promises
}

/// Of all seeds together: a tenth of a short run is a handful of samples.
fn slower(seeds: &[SeedResult]) -> f64 {
    let all = |tenth: usize| seeds.iter().flat_map(|seed| seed.samples[tenth].iter().copied()).collect::<Vec<f64>>();
    round(median(&all(1)) / median(&all(0)).max(f64::EPSILON), 3)
}

fn fewest(seeds: &[SeedResult], of: fn(&SeedResult) -> usize) -> f64 {
    seeds.iter().map(of).min().unwrap_or(0) as f64
}

fn bounds(seeds: &[SeedResult]) -> Vec<Bound> {
    let needed: usize =
        seeds.iter().flat_map(|seed| &seed.facts).map(|facts| facts.in_prompt + facts.recalled + facts.lost).sum();
    let lost: usize = seeds.iter().flat_map(|seed| &seed.facts).map(|facts| facts.lost).sum();
    let kills: usize = seeds.iter().map(|seed| seed.kills).sum();
    let harmed: usize = seeds.iter().map(|seed| seed.effects_lost + seed.effects_twice).sum();
    let bound = |what, tries: usize| Bound { what, tries, share_max: round(3.0 / tries as f64, 5) };
    let mut bounds = Vec::new();
    if lost == 0 && needed > 0 {
        bounds.push(bound("facts lost", needed));
    }
    if harmed == 0 && kills > 0 {
        bounds.push(bound("kills that lost or repeated a step", kills));
    }
    bounds
}
