//! The writer of notes as the fold knows it: what a request of its own may cost, and what came of it.

use super::{Asked, RunState};
use crate::checkpoint::Checkpoint;
use crate::message::Usage;

#[derive(Debug, Clone, Default)]
pub struct Writer {
    /// Requests so far.
    pub asked: u64,
    /// Its usage, which the run's own counts include.
    pub tokens: u64,
    /// One that has no answer yet, and how much of the window it was shown.
    pending: Option<(Asked, usize)>,
}

impl Writer {
    pub(super) fn ask(&mut self, asked: Asked, shown_messages: usize) {
        self.asked += 1;
        self.pending = Some((asked, shown_messages));
    }

    /// What a request that has no answer yet may come to, in tokens and money.
    pub(super) fn pending_worst(&self) -> (u64, f64) {
        self.pending
            .map_or((0, 0.0), |(asked, _)| (asked.input_tokens + asked.output_tokens, asked.cost_usd.unwrap_or(0.0)))
    }

    pub(super) fn window_rebuilt(&mut self, dropped: usize) {
        if let Some((_, shown)) = &mut self.pending {
            *shown = shown.saturating_sub(dropped);
        }
    }
}

impl RunState {
    /// Whether a helper's request, at its worst, stays within what the run has left.
    pub fn has_room_for(&self, tokens: u64, cost_usd: Option<f64>) -> bool {
        let spent = self.input_tokens + self.output_tokens;
        let of_tokens = self.limits.tokens_max.is_none_or(|max| spent + tokens <= max);
        // Without a price nobody can say; then it is not asked where money is limited.
        let of_money =
            self.limits.cost_usd_max.is_none_or(|max| cost_usd.is_some_and(|cost| self.cost_usd + cost <= max));
        of_tokens && of_money
    }

    pub(super) fn take_notes(&mut self, checkpoint: Option<&Checkpoint>, usage: Usage, cost_usd: Option<f64>) {
        let Some((asked, shown)) = self.writer.pending.take() else { return };
        // Where the provider does not say what it counted, the worst is charged.
        let input = usage.input_tokens.unwrap_or(asked.input_tokens);
        let output = usage.output_tokens.unwrap_or(asked.output_tokens);
        self.writer.tokens += input + output;
        self.charge_asked(Asked { input_tokens: input, output_tokens: output, cost_usd });
        self.cache_read_tokens += usage.cache_read_tokens.unwrap_or(0);
        self.cache_write_tokens += usage.cache_write_tokens.unwrap_or(0);
        if let Some(checkpoint) = checkpoint {
            self.window.amended(checkpoint.clone());
            self.window.noted_until(shown);
        }
    }

    /// Nobody will ever hear of it: charged at its worst.
    pub(super) fn lose_writer(&mut self) {
        if let Some((asked, _)) = self.writer.pending.take() {
            self.writer.tokens += asked.input_tokens + asked.output_tokens;
            self.charge_asked(asked);
        }
    }

    pub(super) fn charge_asked(&mut self, asked: Asked) {
        self.input_tokens += asked.input_tokens;
        self.output_tokens += asked.output_tokens;
        match asked.cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.cost_known = false,
        }
    }
}
