//! Several proposals for one turn: when they are due, which of them is the best, and what the run knows afterwards.

use std::cmp::Reverse;

use super::RunState;
use crate::event::{Candidate, Event};
use crate::judgement::When;
use crate::task::CheckResult;

impl RunState {
    /// How many proposals the next turn should bring, if more than one: as many as the operator wants and the budget
    /// allows, while the checks are red.
    pub(super) fn candidates_due(&self) -> Option<u32> {
        let wanted = self.task.rules.candidates;
        let red = self.last_checks.as_ref().is_some_and(|checks| checks.iter().any(|check| !check.passed()));
        let due = match wanted.when {
            When::Always => true,
            When::Stuck => self.stuck,
        };
        if !red || !due || !self.harvest.is_empty() {
            return None;
        }
        let affordable = self.affordable().unwrap_or(u64::from(wanted.count));
        let count = u64::from(wanted.count).min(affordable) as u32;
        (count > 1).then_some(count)
    }

    /// Answers like the last one that the budget has left; `None` without one.
    fn affordable(&self) -> Option<u64> {
        let spent = self.input_tokens + self.output_tokens;
        let one = (spent / self.turns.max(1)).max(self.estimated).max(1);
        let tokens = self.limits.tokens_max.map(|max| max.saturating_sub(spent) / one);
        let each = self.cost_usd / self.turns.max(1) as f64;
        let money = self.limits.cost_usd_max.filter(|_| each > 0.0).map(|max| ((max - self.cost_usd) / each) as u64);
        tokens.into_iter().chain(money).min()
    }

    pub(super) fn take_candidates(&mut self, event: &Event) {
        let Event::CandidatesRan {
            response, results, candidates, winner, judge, container, snapshot, elapsed_ms, ..
        } = event
        else {
            return;
        };
        if let Some(read) = judge.as_deref() {
            self.charge_reader(read);
        }
        self.elapsed_ms += elapsed_ms;
        self.asked = None;
        self.stuck = false;
        self.answers += candidates.len() as u64;
        for candidate in candidates {
            self.input_tokens += candidate.usage.input_tokens.unwrap_or(0);
            self.output_tokens += candidate.usage.output_tokens.unwrap_or(0);
            match candidate.cost_usd {
                Some(cost) => self.cost_usd += cost,
                None => self.cost_known = false,
            }
        }
        self.container = Some(container.clone());
        self.note_snapshot(Some(snapshot));
        self.harvest = results.iter().cloned().collect();
        self.take_answer(response);
        self.remarks.push(told(candidates, *winner as usize));
    }
}

/// The best first: what passes, then what fails least, then what scores best, then what changes least, then who came
/// first.
pub(crate) fn ranked(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| {
        let candidate = &candidates[*index];
        // One that changed nothing has shown nothing.
        let idle = candidate.patch_bytes == 0;
        let tenths = candidate.score.map_or(0, |score| (score * 10.0).round() as u64);
        (Reverse(candidate.passed), candidate.failing, idle, Reverse(tenths), candidate.patch_bytes, *index)
    });
    order
}

/// Those that evidence does not tell apart from the first of `order`: as much passes and fails, less than a point of the
/// score lies between them, and less than a tenth of the patch.
pub(crate) fn tied(candidates: &[Candidate], order: &[usize]) -> Vec<usize> {
    let Some(best) = order.first().map(|index| &candidates[*index]) else { return Vec::new() };
    let close = |other: &Candidate| {
        let points = (best.score.unwrap_or(0.0) - other.score.unwrap_or(0.0)).abs();
        let bytes = best.patch_bytes.abs_diff(other.patch_bytes);
        points < 1.0 && bytes * 10 < best.patch_bytes.max(other.patch_bytes)
    };
    let same = |other: &Candidate| (other.passed, other.failing) == (best.passed, best.failing) && close(other);
    order.iter().copied().filter(|index| same(&candidates[*index])).collect()
}

/// One line on how it went, from its checks alone.
pub(crate) fn verdict(checks: &[CheckResult], failing: u64) -> String {
    let passed = checks.iter().filter(|check| check.passed()).count();
    match checks.len() - passed {
        0 => format!("all {} checks pass", checks.len()),
        red => format!("{red} of {} checks fail, with {failing} findings", checks.len()),
    }
}

/// For the model: which one it goes on from, and what is known of the others.
fn told(candidates: &[Candidate], winner: usize) -> String {
    let mut text = format!(
        "{} proposals for this turn were carried out, each in a copy of the workspace of its own. The one above is number \
         {}; its copy is the workspace now. The others are gone:",
        candidates.len(),
        winner + 1
    );
    for (index, candidate) in candidates.iter().enumerate().filter(|(index, _)| *index != winner) {
        let words = if candidate.summary.is_empty() { String::new() } else { format!(" ({})", candidate.summary) };
        text.push_str(&format!("\n- number {}{words}: {}", index + 1, candidate.verdict));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(passed: u32, failing: u64, patch_bytes: u64) -> Candidate {
        Candidate { passed, failing, patch_bytes, ..Candidate::default() }
    }

    #[test]
    fn evidence_ranks_before_size() {
        let tried =
            [candidate(0, 3, 10), candidate(1, 0, 900), candidate(1, 0, 80), candidate(0, 1, 500), candidate(0, 1, 0)];
        assert_eq!(ranked(&tried), [2, 1, 3, 4, 0]);
    }

    #[test]
    fn between_equals_the_score_decides_and_what_is_close_is_a_tie() {
        let scored = |score: f64, patch_bytes| Candidate { score: Some(score), ..candidate(1, 0, patch_bytes) };
        let tried = [scored(80.0, 10), scored(92.0, 100), scored(92.4, 105), scored(92.0, 300), candidate(0, 1, 100)];
        let order = ranked(&tried);
        assert_eq!(order, [2, 1, 3, 0, 4]);
        assert_eq!(tied(&tried, &order), [2, 1]);
        assert_eq!(tied(&tried[..1], &[0]), [0]);
    }

    #[test]
    fn the_losers_leave_a_line_each() {
        let loser =
            Candidate { summary: "swap them".into(), verdict: "1 of 1 checks fail".into(), ..candidate(0, 1, 9) };
        let text = told(&[candidate(1, 0, 3), loser], 0);
        assert!(text.contains("number 1;") && text.ends_with("- number 2 (swap them): 1 of 1 checks fail"), "{text}");
    }
}
