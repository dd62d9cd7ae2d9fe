//! A runner that is killed outright leaves nothing once its lease has run out, and its journal can still be read.

use greenroom::event::Event;
use greenroom::sandbox::LEASE;
use greenroom::store::RunDir;
use serde_json::json;

use super::{CHECK, House, text, volumes_of, wait_for};

#[test]
fn kill_9_leaves_no_container_and_no_volume_after_the_lease() {
    let Some(house) = House::open() else { return };
    let model = house.script(&[&[("bash", json!({"command": "sleep 600"}))]]);
    let repo = house.small_repository();
    let args = ["run", "--repo", text(&repo), "--image", "python", "--check", CHECK, "--model", &model, "--json"];
    let mut runner = house.environment.command(&args);
    let mut runner =
        runner.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    wait_for("the call in the journal", 60, || {
        let journal = RunDir::find(&house.environment.state(), "last").ok()?.journal().ok()?;
        let last = journal.records.into_iter().next_back()?;
        matches!(last.event, Event::ToolCallStarted { .. }).then_some(())
    });
    let containers = house.containers();
    assert_eq!(containers.len(), 1, "the label finds what runs");
    let volumes = volumes_of(&containers[0]);
    let there = house.volumes();
    assert!(!volumes.is_empty() && volumes.iter().all(|volume| there.contains(volume)), "{volumes:?}");

    runner.kill().expect("it is killed");
    runner.wait().expect("it is gone");
    wait_for("the container's end", LEASE.as_secs() + 30, || house.containers().is_empty().then_some(()));
    wait_for("the volumes' end", 10, || {
        let there = house.volumes();
        volumes.iter().all(|volume| !there.contains(volume)).then_some(())
    });
    let shown = house.environment.greenroom(&["show", "last"]);
    assert!(shown.stdout.contains("sleep 600"), "{shown}");
}

#[test]
fn ctrl_c_while_a_sandbox_starts_leaves_nothing() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let cure = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let model = house.script(&[&[("edit_file", cure), ("submit", json!({}))]]);
    // The first container of a run is the agent's, the second the clean one of the verification.
    for nth in [1, 2] {
        let args = ["run", "--repo", text(&repo), "--image", "python", "--check", CHECK, "--model", &model, "--json"];
        let mut runner = house.environment.command(&args);
        let mut runner =
            runner.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < nth && runner.try_wait().expect("it can be asked").is_none() {
            seen.extend(house.containers().into_iter().filter_map(|container| container.id));
        }
        let pid = rustix::process::Pid::from_child(&runner);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal is sent");
        let status = runner.wait().expect("it ends");
        assert_eq!(status.code(), Some(130), "container {nth}: {seen:?}");
        house.assert_nothing_left();
    }
}
