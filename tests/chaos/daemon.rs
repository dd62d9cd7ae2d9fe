//! The container engine is killed under a run and started again, with and without live restore: the resumed run ends as
//! an undisturbed one.

use std::time::Duration;

use crate::Extent;
use crate::engine::{self, PrivateEngine};
use crate::house::{Dice, House, undisturbed_in, wait};
use crate::support::{TestEnvironment, containers_are_asked_for};

const RUN_KILLS_MAX: usize = 6;
/// Parked, or no sandbox to be had.
const STOPPED: [i32; 2] = [6, 7];

#[test]
fn under_an_engine_that_is_killed_the_run_ends_as_if_nothing_had_been() {
    if !containers_are_asked_for() {
        return;
    }
    let extent = Extent::of_environment();
    if let Some(why) = engine::impossible() {
        assert!(!extent.is_full, "{why}");
        eprintln!("skipped: {why}");
        return;
    }
    let mut engine = PrivateEngine::start(&engine::images());
    let at = engine.address();
    let house = || House::within(TestEnvironment::new().with("DOCKER_HOST", &at), extent.engine_steps);
    let (reference, took) = undisturbed_in(house());
    let seed = extent.seed();
    let mut dice = Dice(seed | 1);
    for live_restore in [false, true] {
        assert_eq!(engine.kill(), Some(9));
        engine.up(live_restore);
        let (mut injected, mut fired, mut runs) = (0, 0, 0);
        while fired < extent.engine_kills {
            let house = house();
            runs += 1;
            for _ in 0..RUN_KILLS_MAX {
                let mut child = house.go_on(None);
                std::thread::sleep(Duration::from_millis(dice.below(took.as_millis() as u64 + 1)));
                if child.try_wait().unwrap().is_some() {
                    wait(child);
                    break;
                }
                injected += 1;
                assert_eq!(engine.kill(), Some(9), "{}", engine.log());
                fired += 1;
                // The runner has to find out by itself, and to leave a run that can be gone on with.
                let (code, signal, stderr) = wait(child);
                engine.up(live_restore);
                let ended = code.is_some_and(|code| STOPPED.contains(&code));
                assert!(ended || house.is_done(), "exit {code:?}, signal {signal:?}: {stderr}");
                if house.is_done() || fired == extent.engine_kills {
                    break;
                }
            }
            house.finish("after its engine was killed");
            house.assert_ends_as(&reference, &format!("seed {seed}, live restore {live_restore}, kill {fired}"));
        }
        eprintln!(
            "chaos: seed {seed}: engine kills, live restore {live_restore}: injected {injected}, fired {fired}, in {runs} runs of {} steps",
            extent.engine_steps
        );
        assert_eq!(injected, fired);
    }
}
