//! A patch that changes a manifest is verified with the packages that the manifest names, from the real index.

use bollard::query_parameters::RemoveImageOptions;
use greenroom::event::Event;
use serde_json::{Value, json};

use super::{House, Run, text};

const SET_UP: &str = "python3 -m pip install -q -r requirements.txt";

fn run(house: &House, requirements: &str, more: &[&str]) -> Run {
    house.environment.write("repo/requirements.txt", "# nothing yet\n");
    house.environment.write("repo/a.py", "print(1)\n");
    let repo = house.environment.root().join("repo");
    let model = house.script(&[&[
        ("write_file", json!({"path": "requirements.txt", "content": requirements})),
        ("write_file", json!({"path": "a.py", "content": "import idna\n\nprint(idna.__version__)\n"})),
        ("submit", json!({"summary": "asks idna"})),
    ]]);
    let args = ["--repo", text(&repo), "--image", "python", "--check", "python3 a.py", "--model", &model];
    house.run(&[&args[..], &["--task", "ask idna", "--baseline-runs", "1"], more].concat())
}

fn findings(run: &Run, rule: &str) -> Vec<Value> {
    let all = run.result["findings"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|finding| finding["rule"] == rule).cloned().collect()
}

/// The images that were set up for this house's runs go.
fn clean(house: &House) {
    let digests = house.events("last").into_iter().filter_map(|event| match event {
        Event::SandboxStarted { image_digest, .. } => Some(image_digest),
        Event::VerificationFinished { judgement, .. } => judgement?.image_digest,
        _ => None,
    });
    for digest in digests.collect::<std::collections::BTreeSet<_>>() {
        let labels = house.block(house.docker.inspect_image(&digest)).ok().and_then(|image| image.config?.labels);
        if labels.is_some_and(|labels| labels.contains_key("greenroom.setup")) {
            let force = RemoveImageOptions { force: true, ..Default::default() };
            house.block(house.docker.remove_image(&digest, Some(force), None)).expect("the image goes");
        }
    }
}

#[test]
fn what_a_manifest_asks_for_is_set_up_for_the_verification_and_named() {
    let Some(house) = House::open() else { return };
    let done = run(&house, "idna==3.10\n", &["--setup", SET_UP]);
    assert_eq!(done.ended(), ("verified", 0), "{}", done.finished);
    let added = findings(&done, "package_added");
    assert_eq!(added.len(), 1, "{}", done.finished);
    assert!(added[0]["message"].as_str().is_some_and(|text| text.contains("idna 3.10 (pip)")), "{added:?}");
    let changed = findings(&done, "manifest_changed");
    assert_eq!((changed.len(), &changed[0]["file"]), (1, &json!("requirements.txt")), "{changed:?}");
    let asked = house.events("last").into_iter().any(
        |event| matches!(event, Event::NetworkUsed { token: None, requests, .. } if requests.iter().any(|r| r.bytes_down > 1000)),
    );
    assert!(asked, "what went over the network for it is on record");
    clean(&house);
}

#[test]
fn where_the_operator_allows_no_set_up_the_same_patch_is_refused_by_its_check() {
    let Some(house) = House::open() else { return };
    let done = run(&house, "idna==3.10\n", &[]);
    assert_eq!(done.ended().0, "unverified", "{}", done.finished);
    assert!(findings(&done, "package_added").is_empty(), "{}", done.finished);
    assert!(done.finished.stdout.contains("No module named"), "{}", done.finished);
}

#[test]
fn a_manifest_that_cannot_be_set_up_stands_against_the_patch() {
    let Some(house) = House::open() else { return };
    let done = run(&house, "no-such-package-of-greenroom-tests==0.0.1\n", &["--install"]);
    assert_eq!(done.ended().0, "unverified", "{}", done.finished);
    let changed = findings(&done, "manifest_changed");
    assert_eq!((&changed[0]["weight"], &changed[0]["file"]), (&json!("objection"), &json!("requirements.txt")));
    clean(&house);
}
