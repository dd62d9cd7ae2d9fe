//! Where a run stops by itself, decided from what was spent so far.

use super::RunState;

/// One sentence naming the limit that is used up, or `None` while there is room.
pub(super) fn reached(state: &RunState) -> Option<String> {
    let limits = &state.limits;
    let spent_tokens = state.input_tokens + state.output_tokens;
    let steps = state.steps + state.helpers.steps;
    if steps >= limits.steps_max {
        return Some(format!("{steps} steps were used (limit {})", limits.steps_max));
    }
    // Every step may be preceded by answers that call no tool; those must end too.
    if state.turns >= limits.steps_max.saturating_mul(2).saturating_add(10) {
        return Some(format!("{} model turns were used for at most {} steps", state.turns, limits.steps_max));
    }
    if let Some(tokens_max) = limits.tokens_max.filter(|&max| spent_tokens >= max) {
        return Some(format!("{spent_tokens} tokens were used (limit {tokens_max})"));
    }
    if let Some(cost_max) = limits.cost_usd_max.filter(|&max| state.cost_usd >= max) {
        return Some(format!("${:.2} was spent (limit ${cost_max:.2})", state.cost_usd));
    }
    if let Some(time_max) = limits.wall_time_max_ms.filter(|&max| state.elapsed_ms >= max) {
        return Some(format!("{} s passed (limit {} s)", state.elapsed_ms / 1000, time_max / 1000));
    }
    None
}
