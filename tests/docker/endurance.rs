//! A short endurance run: a tiny window, several rebuilds, kills, provider faults and early submissions, in the suite.

use greenroom::bench::endurance::chain::{CHECK, Chain};
use greenroom::bench::endurance::faults::{Fault, Phase, Schedule};
use greenroom::bench::endurance::server::{Rules, Simllm};
use greenroom::bench::endurance::simllm::{Mind, Persona, WriterPersona};

use super::House;

#[test]
fn a_short_walk_keeps_the_thread_through_kills_faults_and_rebuilds() {
    let Some(house) = House::open() else { return };
    let args = ["bench", "endurance", "--steps", "60", "--window", "8k", "--faults", "everything"];
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

#[test]
fn a_provider_without_quota_parks_the_run_and_a_later_one_goes_on() {
    let Some(house) = House::open() else { return };
    let chain = Chain::new(5, 20);
    for (name, content) in chain.files() {
        house.environment.write(&format!("repo/{name}"), &content);
    }
    // Some steps, a stream that breaks off in the middle of a call, and then no money.
    let mut script = vec![None; 5];
    script.push(Some((Fault::Cut, Phase::MidToolJson)));
    script.extend([None, Some((Fault::QuotaGone, Phase::BeforeHeaders))]);
    let writer = WriterPersona::Drops { share: 0.0 };
    let mind = Mind { seed: 5, persona: Persona::Perfect, writer, submits_early: false, steps: 20 };
    let schedule = Schedule::Script(script);
    let rules = Rules { mind, window_tokens: 100_000, refuses: true, schedule, canary: String::new() };
    let server = house.block(Simllm::start(rules)).expect("a port on the loopback");
    let house = house.with("OPENAI_BASE_URL", &server.base_url());
    let args = ["--repo", "repo", "--image", "python", "--model", "openai/simllm", "--check", CHECK];
    let task = chain.task();
    let parked = house.run(&[&args[..], &["--task", &task]].concat());
    assert_eq!(parked.ended(), ("parked", 6), "{}", parked.finished);
    let struck: Vec<_> = server.log().iter().filter_map(|exchange| exchange.fault).collect();
    assert_eq!(struck, [(Fault::Cut, Phase::MidToolJson), (Fault::QuotaGone, Phase::BeforeHeaders)]);
    let finished = house.greenroom(&["resume", "last", "--json"]);
    assert_eq!(finished.code, 0, "{finished}");
    let steps = finished.lines().pop().map(|last| last["steps"].clone());
    // One call to look, one for each step, one to submit: what broke off was not carried out.
    assert!(steps.as_ref().and_then(serde_json::Value::as_u64).is_some_and(|steps| steps <= 22), "{steps:?}");
    let requests = server.log().len();
    // A writer of notes may have been asked beside the turns.
    assert!(requests <= 30, "{requests} requests for 22 turns and two faults");
}
