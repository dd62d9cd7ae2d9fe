//! A short endurance run: a tiny window, several rebuilds, kills, provider faults and early submissions, in the suite.

use super::House;

#[test]
fn a_short_walk_keeps_the_thread_through_kills_faults_and_rebuilds() {
    let Some(house) = House::open() else { return };
    let args = ["bench", "endurance", "--steps", "40", "--window", "8k", "--faults", "everything"];
    let finished = house.environment.greenroom(&[&args[..], &["--kill-every", "30", "--json"]].concat());
    let last = finished.lines().pop().unwrap_or_else(|| panic!("{finished}"));
    assert_eq!(last["note"], "simulated model: what is measured is the harness, not a model's work", "{finished}");
    let seed = &last["seeds"][0];
    assert_eq!((&seed["status"], &seed["thread_held"]), (&"verified".into(), &true.into()), "{finished}");
    assert!(seed["rebuilds"].as_u64().is_some_and(|rebuilds| rebuilds >= 2), "{seed}");
    for promise in last["promises"].as_array().expect("promises") {
        // A debug build on a busy machine keeps no time.
        if promise["what"].as_str().is_some_and(|what| !what.contains(" ms")) {
            assert_eq!(promise["kept"], true, "{promise} of {last}");
        }
    }
    house.assert_nothing_left();
}
