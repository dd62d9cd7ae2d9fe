//! From what the server saw and the run left behind to figures.

use std::time::Duration;

use serde::Serialize;

use super::chain::Chain;
use super::observer::Seen;
use super::server::Exchange;
use super::simllm::Why;
use super::walk::{Amount, Walked};
use crate::bench::{Samples, round};

/// Facts by how long ago they were told.
const DISTANCES: [usize; 5] = [10, 100, 1_000, 10_000, usize::MAX];
/// Points of a plot.
const POINTS_MAX: usize = 300;

/// One run, one seed.
#[derive(Debug, Clone, Serialize)]
pub struct SeedResult {
    pub seed: u64,
    pub status: String,
    pub reason: String,
    /// M1: the digest is the one that was known beforehand, and the run was verified.
    pub thread_held: bool,
    pub first_divergent_step: Option<usize>,
    pub chain_steps: usize,
    pub run_steps: u64,
    pub turns: u64,
    pub requests: usize,
    pub rebuilds: usize,
    pub checkpoints: usize,
    pub writer_wrote: usize,
    pub writer_failed: usize,
    pub wrong_inputs: usize,
    /// M2
    pub facts: Vec<Facts>,
    /// M3
    pub rules_broken: usize,
    pub superseded_obeyed: usize,
    pub poison_obeyed: usize,
    /// M4: prompt as the server counts it plus the room for the answer, over the window.
    pub request_to_window_max: f64,
    pub requests_refused: usize,
    /// M5
    pub tokens: Tenths,
    pub harness_ms: Tenths,
    /// A step that calls `recall`.
    pub recall_ms: Tenths,
    /// Milliseconds of the second and of the last tenth of the steps, to be compared with those of other seeds.
    #[serde(skip)]
    pub samples: [Vec<f64>; 2],
    /// M6
    pub kills: usize,
    pub effects_lost: usize,
    pub effects_twice: usize,
    pub reissued_per_kill_max: usize,
    pub sandboxes_replaced: usize,
    /// M7
    pub recovery_ms_p50: Option<f64>,
    pub recovery_ms_p99: Option<f64>,
    /// Of the last tenth of the kills over the first.
    pub recovery_growth: Option<f64>,
    /// M8, as far as the oracle tells: stored snapshots that are exactly a moment of the chain, and the journal's own check.
    pub snapshots_looked_at: usize,
    pub snapshots_right: usize,
    pub audit_passed: bool,
    /// M10
    pub provider: Provider,
    pub parks: usize,
    /// M12
    pub early_submissions: usize,
    pub early_accepted: usize,
    pub sabotage: usize,
    /// M13
    pub rss_kib_per_1000_steps: f64,
    pub files_per_1000_steps: f64,
    pub state_bytes_per_step: f64,
    /// M14
    pub canaries: usize,
    pub seconds: f64,
    /// Step, tokens of its request, milliseconds of the harness.
    pub plot: Vec<(usize, u64, f64)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Told at most so many steps before; `None`: longer ago.
    pub distance_max: Option<usize>,
    pub in_prompt: usize,
    pub recalled: usize,
    pub lost: usize,
}

/// Tokens: means of the second and of the last tenth. Milliseconds: medians, for a busy machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tenths {
    pub second: f64,
    pub last: f64,
    pub ratio: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Provider {
    pub faults: usize,
    /// Of those the answer could be used all the same.
    pub harmless: usize,
    pub kinds: usize,
    /// Requests beyond one for each turn, for each fault that was not harmless.
    pub requests_per_fault: f64,
    pub retry_after_breaches: usize,
    pub wasted_tokens: u64,
}

pub(super) fn measure(chain: &Chain, amount: &Amount, walked: &Walked, seen: &Seen, state_bytes: u64) -> SeedResult {
    let agent: Vec<&Exchange> = walked.exchanges.iter().filter(|exchange| exchange.why != Why::Notes).collect();
    let answered: Vec<&Exchange> = agent.iter().copied().filter(|exchange| is_answered(exchange)).collect();
    let gaps = gaps(&agent, walked, |why| matches!(why, Why::Step { .. }));
    let recalls = self::gaps(&agent, walked, |why| why == Why::Recall);
    let tokens: Vec<f64> = answered.iter().map(|exchange| exchange.prompt_tokens as f64).collect();
    let ms = |gaps: &[(usize, f64)]| gaps.iter().map(|gap| gap.1).collect::<Vec<f64>>();
    let gap_ms = ms(&gaps);
    let tenth = gap_ms.len() / 10;
    let samples = [gap_ms[tenth..2 * tenth].to_vec(), gap_ms[gap_ms.len() - tenth..].to_vec()];
    let early = |exchange: &&&Exchange| matches!(exchange.why, Why::Submit { early: true });
    let mut recovery = Samples::default();
    walked.kills.iter().filter_map(|kill| kill.recovery).for_each(|took| recovery.push(took));
    let recovery = recovery.spread();
    let window = amount.window_tokens as f64;
    let request_max =
        walked.exchanges.iter().map(|exchange| exchange.prompt_tokens + exchange.output_tokens_max).max().unwrap_or(0);
    let early_accepted = usize::from(seen.verified && seen.chain_steps < chain.steps());
    SeedResult {
        seed: chain.seed,
        status: walked.status.clone(),
        reason: walked.reason.clone(),
        thread_held: seen.digest_right && seen.verified,
        first_divergent_step: seen.lost.first().copied(),
        chain_steps: seen.chain_steps,
        run_steps: seen.run_steps,
        turns: seen.turns,
        requests: walked.exchanges.len(),
        rebuilds: seen.rebuilds,
        checkpoints: seen.checkpoints,
        writer_wrote: seen.writer_wrote,
        writer_failed: seen.writer_failed,
        wrong_inputs: seen.wrong,
        facts: facts(chain, &answered),
        rules_broken: seen.rules_broken,
        superseded_obeyed: seen.superseded_obeyed,
        poison_obeyed: seen.poison_obeyed,
        request_to_window_max: round(request_max as f64 / window, 4),
        requests_refused: walked.exchanges.iter().filter(|exchange| exchange.refused).count(),
        tokens: tenths(&tokens, mean),
        harness_ms: tenths(&gap_ms, median),
        recall_ms: tenths(&ms(&recalls), median),
        samples,
        kills: walked.kills.len(),
        effects_lost: seen.effects_lost,
        effects_twice: seen.effects_twice,
        reissued_per_kill_max: seen.reissued_max,
        sandboxes_replaced: seen.replaced,
        recovery_ms_p50: recovery.map(|spread| spread.median_ms),
        recovery_ms_p99: recovery.map(|spread| spread.p99_ms),
        recovery_growth: growth(walked),
        snapshots_looked_at: seen.snapshots_looked_at,
        snapshots_right: seen.snapshots_right,
        audit_passed: walked.audit_passed,
        provider: provider(walked, seen),
        parks: walked.parks,
        early_submissions: answered.iter().filter(early).count(),
        early_accepted,
        sabotage: answered.iter().filter(|exchange| matches!(exchange.why, Why::Sabotage(_))).count(),
        rss_kib_per_1000_steps: slope(walked, |soak| soak.rss_kib as f64),
        files_per_1000_steps: slope(walked, |soak| soak.files as f64),
        state_bytes_per_step: round(state_bytes as f64 / (seen.run_steps.max(1)) as f64, 0),
        canaries: walked.exchanges.iter().filter(|exchange| exchange.canary).count()
            + usize::from(seen.journal_has_canary),
        seconds: round(walked.took.as_secs_f64(), 1),
        plot: plot(&answered, &gaps),
    }
}

fn is_answered(exchange: &Exchange) -> bool {
    !exchange.refused && exchange.fault.is_none_or(|(fault, phase)| fault.is_harmless(phase))
}

/// A fact counts once for its step, as it was found at last.
fn facts(chain: &Chain, answered: &[&Exchange]) -> Vec<Facts> {
    let mut found: Vec<Option<Why>> = vec![None; chain.steps() + 1];
    for exchange in answered {
        if let Why::Step { step, .. } | Why::Guess { step } = exchange.why {
            // A guess stays one, whatever a second try came to.
            if !matches!(found[step], Some(Why::Guess { .. })) {
                found[step] = Some(exchange.why);
            }
        }
    }
    let mut facts: Vec<Facts> = DISTANCES
        .iter()
        .map(|max| Facts { distance_max: Some(*max).filter(|max| *max < usize::MAX), ..Facts::default() })
        .collect();
    for (step, why) in found.iter().enumerate() {
        let distance = chain.distance(step);
        let at = DISTANCES.iter().position(|max| distance <= *max).unwrap_or(DISTANCES.len() - 1);
        match why {
            Some(Why::Step { recalled: true, .. }) => facts[at].recalled += 1,
            Some(Why::Step { recalled: false, .. }) => facts[at].in_prompt += 1,
            Some(Why::Guess { .. }) => facts[at].lost += 1,
            Some(Why::Look | Why::Recall | Why::Submit { .. } | Why::Sabotage(_) | Why::Notes) | None => {}
        }
    }
    facts.retain(|facts| facts.in_prompt + facts.recalled + facts.lost > 0);
    facts
}

/// From the end of an answer that was given for such a reason to the next request: harness and container, nothing of the
/// model. Where a kill or a fault came between, nobody knows.
fn gaps(agent: &[&Exchange], walked: &Walked, counts: impl Fn(Why) -> bool) -> Vec<(usize, f64)> {
    agent
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair.iter().all(|exchange| exchange.fault.is_none()))
        .filter(|(_, pair)| !pair[0].refused && counts(pair[0].why))
        .filter(|(_, pair)| {
            let struck = |kill: &super::walk::Kill| kill.at >= pair[0].began && kill.at <= pair[1].began;
            !walked.kills.iter().any(struck)
        })
        .map(|(at, pair)| (at, pair[1].began.duration_since(pair[0].ended).as_secs_f64() * 1000.0))
        .collect()
}

fn mean(part: &[f64]) -> f64 {
    part.iter().sum::<f64>() / part.len() as f64
}

/// 0 of nothing.
pub(super) fn median(part: &[f64]) -> f64 {
    let mut part = part.to_vec();
    part.sort_by(f64::total_cmp);
    part.get(part.len() / 2).copied().unwrap_or_default()
}

fn tenths(samples: &[f64], middle: fn(&[f64]) -> f64) -> Tenths {
    let tenth = samples.len() / 10;
    if tenth == 0 {
        return Tenths::default();
    }
    let (second, last) = (middle(&samples[tenth..2 * tenth]), middle(&samples[samples.len() - tenth..]));
    Tenths { second: round(second, 3), last: round(last, 3), ratio: round(last / second.max(f64::EPSILON), 3) }
}

fn growth(walked: &Walked) -> Option<f64> {
    let took: Vec<f64> = walked.kills.iter().filter_map(|kill| Some(kill.recovery?.as_secs_f64())).collect();
    let tenth = took.len() / 10;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (tenth > 0).then(|| round(mean(&took[took.len() - tenth..]) / mean(&took[..tenth]), 2))
}

fn provider(walked: &Walked, seen: &Seen) -> Provider {
    let mut provider = Provider::default();
    let mut kinds = std::collections::BTreeSet::new();
    for (at, exchange) in walked.exchanges.iter().enumerate() {
        let Some((fault, phase)) = exchange.fault else { continue };
        provider.faults += 1;
        kinds.insert((fault, phase));
        if fault.is_harmless(phase) {
            provider.harmless += 1;
            continue;
        }
        provider.wasted_tokens += exchange.prompt_tokens;
        if let Some(wait) = fault.retry_after_ms()
            && let Some(next) = walked.exchanges[at + 1..].iter().find(|next| next.hash == exchange.hash)
        {
            let waited = next.began.duration_since(exchange.ended);
            provider.retry_after_breaches += usize::from(waited < Duration::from_millis(wait));
        }
    }
    provider.kinds = kinds.len();
    let agent = walked.exchanges.iter().filter(|exchange| exchange.why != Why::Notes).count();
    let faults =
        walked.exchanges.iter().filter(|exchange| exchange.why != Why::Notes && !is_answered(exchange)).count();
    // A turn that was under way when the runner was killed is asked for again; that is no fault of the provider's.
    let extra = agent.saturating_sub(seen.turns as usize + seen.reissued);
    provider.requests_per_fault = if faults == 0 { 0.0 } else { round(extra as f64 / faults as f64, 3) };
    provider
}

/// Least squares, for each thousand steps.
fn slope(walked: &Walked, of: impl Fn(&super::walk::Soak) -> f64) -> f64 {
    let soaks = &walked.soaks;
    let count = soaks.len() as f64;
    let (mean_x, mean_y) =
        (soaks.iter().map(|soak| soak.step as f64).sum::<f64>() / count, soaks.iter().map(&of).sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for soak in soaks {
        let x = soak.step as f64 - mean_x;
        above += x * (of(soak) - mean_y);
        below += x * x;
    }
    if below > 0.0 { round(1000.0 * above / below, 2) } else { 0.0 }
}

fn plot(answered: &[&Exchange], gaps: &[(usize, f64)]) -> Vec<(usize, u64, f64)> {
    let every = answered.len().div_ceil(POINTS_MAX).max(1);
    let gap_every = gaps.len().div_ceil(POINTS_MAX).max(1);
    let gap_at: Vec<f64> =
        gaps.chunks(gap_every).map(|part| part.iter().map(|gap| gap.1).sum::<f64>() / part.len() as f64).collect();
    let points: Vec<&[&Exchange]> = answered.chunks(every).collect();
    let count = points.len();
    let mean = |part: &[&Exchange]| part.iter().map(|exchange| exchange.prompt_tokens).sum::<u64>() / part.len() as u64;
    let ms = |at: usize| gap_at.get(at * gap_at.len() / count.max(1)).copied().unwrap_or(0.0);
    points.iter().enumerate().map(|(at, part)| (at * every, mean(part), round(ms(at), 2))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_compare_the_second_with_the_last() {
        let samples: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(tenths(&samples, mean), Tenths { second: 14.5, last: 94.5, ratio: 6.517 });
        let mut spiked = vec![10.0; 100];
        spiked[95] = 1e6;
        assert_eq!(tenths(&spiked, median).ratio, 1.0);
        assert_eq!(tenths(&[1.0; 5], mean), Tenths::default());
    }
}
