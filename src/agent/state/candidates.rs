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
        let Event::CandidatesRan { response, results, candidates, winner, container, snapshot, elapsed_ms, .. } = event
        else {
            return;
        };
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

/// The best first: what passes, then what fails least, then what changes least, then who came first.
pub(crate) fn ranked(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| {
        let candidate = &candidates[*index];
        // One that changed nothing has shown nothing.
        let idle = candidate.patch_bytes == 0;
        (Reverse(candidate.passed), candidate.failing, idle, candidate.patch_bytes, *index)
    });
    order
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
    fn the_losers_leave_a_line_each() {
        let loser =
            Candidate { summary: "swap them".into(), verdict: "1 of 1 checks fail".into(), ..candidate(0, 1, 9) };
        let text = told(&[candidate(1, 0, 3), loser], 0);
        assert!(text.contains("number 1;") && text.ends_with("- number 2 (swap them): 1 of 1 checks fail"), "{text}");
    }
}
