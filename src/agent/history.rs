//! A journal as a story with branches: which of its events still count, and the state they fold to.

use super::RunState;
use crate::event::Event;

/// The events that lead to where the run is now: what was rewound is left out, and so are the rewinds.
pub fn branch<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<&'a Event> {
    let mut branch: Vec<&Event> = Vec::new();
    for event in events {
        match event {
            Event::Rewound { to_step } => {
                let end = end_of_step(&branch, *to_step).unwrap_or(branch.len());
                branch.truncate(end);
            }
            _ => branch.push(event),
        }
    }
    branch
}

/// How many events of a branch lead to the end of a step; 0 is the baseline. `None` where the step is not on it.
pub fn end_of_step(branch: &[&Event], step: u64) -> Option<usize> {
    branch.iter().position(|event| step_ended(event) == Some(step)).map(|at| at + 1)
}

/// The step that this event ends; 0 is the baseline.
pub fn step_ended(event: &Event) -> Option<u64> {
    match event {
        Event::BaselineFinished { .. } => Some(0),
        Event::ToolCallFinished { token, .. } => Some(token.0 + 1),
        _ => None,
    }
}

impl RunState {
    /// The whole fold. `None` where the journal does not begin with `RunStarted`.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Self> {
        let mut events = events.into_iter();
        let first = events.next()?;
        let mut state = RunState::start(first)?;
        let mut branch = vec![first];
        for event in events {
            if let Event::Rewound { to_step } = event {
                if let Some(end) = end_of_step(&branch, *to_step) {
                    branch.truncate(end);
                    let mut back = RunState::fold(&branch)?;
                    back.rewound_from(&state);
                    state = back;
                }
            } else {
                branch.push(event);
                state.apply(event);
            }
        }
        Some(state)
    }

    fn fold(branch: &[&Event]) -> Option<Self> {
        let (first, rest) = branch.split_first()?;
        let mut state = RunState::start(first)?;
        rest.iter().for_each(|event| state.apply(event));
        Some(state)
    }
}
