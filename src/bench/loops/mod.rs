//! How well standing still is told from getting on: the detector of [`crate::agent::progress`] over labelled traces of
//! tool calls, made from a seed: an agent that works, and one that goes round in circles.
//!
//! Nothing here is a model: the traces say what a detector does with shapes of behaviour, not how often agents behave
//! so.

mod circles;
mod working;
mod world;

use std::collections::BTreeMap;

use serde::Serialize;

use self::circles::{LOOPS, circle};
use self::working::work;
use self::world::{Call, World};
use super::{Promise, round};
use crate::agent::progress::{Observed, Progress, Standing};

const WORK_STEPS: usize = 150;
/// Twice as many as the most patient end takes.
const LOOP_STEPS: usize = 120;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoopsBench {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub bench: &'static str,
    pub exit_code: u8,
    pub note: &'static str,
    pub seed: u64,
    pub working_traces: usize,
    pub working_steps: usize,
    /// Working traces that would have been ended, of all of them.
    pub false_stops: usize,
    /// Fresh windows that working traces would have been given, for each thousand steps.
    pub false_fresh_windows_per_1000_steps: f64,
    /// Remarks to a model that was getting on, per thousand steps.
    pub false_tells_per_1000_steps: f64,
    pub shapes: Vec<Shape>,
    pub promises: Vec<Promise>,
}

/// How loops of one shape fared.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Shape {
    pub name: &'static str,
    pub traces: usize,
    /// Told to the model at or after the first repeated step.
    pub found: usize,
    /// Ended, where the model went on regardless.
    pub stopped: usize,
    /// Steps from the first repeated one to the remark, at worst.
    pub delay_steps_max: usize,
}

/// Runs the detector over `traces` traces of each kind.
pub fn measure(traces: usize, seed: u64) -> LoopsBench {
    let mut steps = 0;
    let (mut false_stops, mut false_fresh, mut false_tells) = (0, 0, 0);
    for n in 0..traces {
        let standings = run(&working(seed.wrapping_add(n as u64)));
        steps += standings.len();
        false_stops += usize::from(standings.iter().any(|standing| matches!(standing, Standing::Stop(_))));
        let count = |is: fn(&Standing) -> bool| standings.iter().filter(|standing| is(standing)).count();
        false_fresh += count(|standing| matches!(standing, Standing::Fresh(_)));
        false_tells += count(|standing| matches!(standing, Standing::Tell(_)));
    }
    let mut shapes: BTreeMap<usize, Shape> = BTreeMap::new();
    for n in 0..traces {
        let number = n % LOOPS.len();
        let (calls, begins) = looping(seed.wrapping_add(1_000_000 + n as u64), number);
        let standings = run(&calls);
        let shape = shapes.entry(number).or_default();
        shape.name = LOOPS[number];
        shape.traces += 1;
        if let Some(delay) = standings[begins..].iter().position(|standing| *standing != Standing::Moving) {
            shape.found += 1;
            shape.delay_steps_max = shape.delay_steps_max.max(delay);
        }
        shape.stopped += usize::from(standings.iter().any(|standing| matches!(standing, Standing::Stop(_))));
    }
    let shapes: Vec<Shape> = shapes.into_values().collect();
    let found: usize = shapes.iter().map(|shape| shape.found).sum();
    let delay = shapes.iter().map(|shape| shape.delay_steps_max).max().unwrap_or_default();
    LoopsBench {
        kind: "result",
        bench: "loops",
        exit_code: 0,
        note: "made traces, no model",
        seed,
        working_traces: traces,
        working_steps: steps,
        false_stops,
        false_fresh_windows_per_1000_steps: round(1000.0 * false_fresh as f64 / steps.max(1) as f64, 2),
        false_tells_per_1000_steps: round(1000.0 * false_tells as f64 / steps.max(1) as f64, 2),
        promises: vec![
            Promise::at_least("share of loops that are found", 0.99, round(found as f64 / traces.max(1) as f64, 4)),
            Promise::at_most(
                "share of working runs that are ended",
                0.001,
                round(false_stops as f64 / traces.max(1) as f64, 4),
            ),
            Promise::at_most("steps until a loop is told", 5.0, delay as f64),
        ],
        shapes,
    }
}

/// An agent that works.
fn working(seed: u64) -> Vec<Call> {
    let mut world = World::new(seed);
    while world.calls.len() < WORK_STEPS {
        work(&mut world);
    }
    world.calls
}

/// One that works for a while and then goes round in circles of `LOOPS[shape]`, with the first step that repeats what
/// was there before.
fn looping(seed: u64, shape: usize) -> (Vec<Call>, usize) {
    let mut world = World::new(seed);
    let before = world.draw(40);
    while world.calls.len() < before {
        work(&mut world);
    }
    let first = world.calls.len();
    let round = circle(&mut world, shape);
    while world.calls.len() < first + LOOP_STEPS {
        circle(&mut world, shape);
    }
    (world.calls, first + round)
}

/// As a run does: whoever is given a fresh window has one.
fn run(calls: &[Call]) -> Vec<Standing> {
    let mut progress = Progress::default();
    let observe = |step: &Call| {
        let standing = progress.observe(Observed {
            call: &step.call,
            result: &step.result,
            wrote_by_name: step.wrote_by_name,
            wrote: step.wrote,
            failures: step.failures,
            refuted_again: false,
        });
        if let Standing::Fresh(_) = standing {
            progress.window_rebuilt();
        }
        standing
    };
    calls.iter().map(observe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_found_and_work_goes_on() {
        let bench = measure(300, 1);
        assert!(bench.promises.iter().all(|promise| promise.kept), "{bench:#?}");
        assert!(bench.false_tells_per_1000_steps > 0.0, "nothing in the work looks like a loop: {bench:#?}");
        assert!(bench.shapes.iter().all(|shape| shape.stopped == shape.traces), "{:#?}", bench.shapes);
    }
}
