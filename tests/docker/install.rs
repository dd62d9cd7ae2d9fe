//! Packages in mid-run, from the real indexes: what the agent asks for is in its next sandbox and in the clean container.

use bollard::query_parameters::RemoveImageOptions;
use greenroom::event::{Event, ToolOutcome};
use greenroom::network::{InstalledPackage, Manager, Verdict};
use serde_json::{Value, json};

use super::{House, Run, text};

/// A repository, the model's turns, and what `run` is told beside them.
fn run(house: &House, files: &[(&str, &str)], image: &str, check: &str, model: &str, more: &[&str]) -> Run {
    for (path, content) in files {
        house.environment.write(&format!("repo/{path}"), content);
    }
    let repo = house.environment.root().join("repo");
    let args = ["--repo", text(&repo), "--image", image, "--check", check, "--model", model];
    house.run(&[&args[..], more].concat())
}

/// What was installed in the newest run. The images go.
fn installed(house: &House) -> Vec<(Manager, Vec<InstalledPackage>)> {
    let (mut found, mut images) = (Vec::new(), Vec::new());
    for answer in house.answers() {
        if let Some(install) = answer.installed {
            found.push((install.manager, install.packages));
            images.push(install.image_digest);
        }
    }
    // What a verification of changed manifests was set up in is made from the last of them.
    images.extend(house.events("last").into_iter().filter_map(|event| match event {
        Event::VerificationFinished { judgement, .. } => {
            judgement?.image_digest.filter(|image| is_set_up(house, image))
        }
        _ => None,
    }));
    let mut seen = std::collections::BTreeSet::new();
    // The last first: each is made from the one before it.
    for image in images.iter().rev().filter(|image| seen.insert((*image).clone())) {
        let force = RemoveImageOptions { force: true, ..Default::default() };
        house.block(house.docker.remove_image(image, Some(force), None)).expect("the image of the run");
    }
    found
}

fn is_set_up(house: &House, image: &str) -> bool {
    let labels = house.block(house.docker.inspect_image(image)).ok().and_then(|image| image.config?.labels);
    labels.is_some_and(|labels| labels.contains_key("greenroom.setup"))
}

fn one_install(manager: &str, packages: Value) -> [Vec<(&'static str, Value)>; 2] {
    let install = ("install", json!({"manager": manager, "packages": packages}));
    [vec![install, ("run_checks", json!({}))], vec![("submit", json!({"summary": "done"}))]]
}

fn played(house: &House, turns: &[Vec<(&'static str, Value)>]) -> String {
    let turns: Vec<&[_]> = turns.iter().map(Vec::as_slice).collect();
    house.script(&turns)
}

#[test]
fn a_python_package_is_there_afterwards_and_the_runs_files_still_are() {
    let Some(house) = House::open() else { return };
    let turns = [
        vec![
            ("bash", json!({"command": "mkdir sub && cd sub && echo made >file && export KEPT=yes; echo x >~/home"})),
            ("install", json!({"manager": "pip", "packages": ["six==1.16.0"]})),
            ("bash", json!({"command": "pwd; cat file; echo $KEPT; ls ~ | wc -l; id -u"})),
        ],
        vec![("submit", json!({"summary": "done"}))],
    ];
    let model = played(&house, &turns);
    let check = "python3 -c 'import six; print(six.__version__); open(\"sub/file\")'";
    let run = run(&house, &[("a.py", "import six\n")], "python", check, &model, &["--install"]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let reason = run.result["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("with six 1.16.0 (pip) installed"), "{reason}");
    assert_eq!(run.result["files_changed"], json!(["sub/file"]));
    let answers = house.answers();
    assert!(answers[2].content.contains("/workspace/sub\nmade\nyes\n0\n1000\n"), "{answers:#?}");
    let asked: Vec<_> = house
        .events("last")
        .into_iter()
        .filter_map(|event| match event {
            Event::NetworkUsed { token: Some(token), requests, .. } => Some((token.0, requests)),
            _ => None,
        })
        .collect();
    assert_eq!(asked[0].0, 1, "the second step asked the network");
    assert!(asked[0].1.iter().any(|request| request.verdict == Verdict::Allowed && request.bytes_down > 1000));
    let shown = house.greenroom(&["show", "last"]).stdout;
    assert!(shown.contains("installed with pip: six 1.16.0") && shown.contains("through the proxy"), "{shown}");
    let found = installed(&house);
    assert_eq!(found.len(), 1);
    let hash = found[0].1[0].hash.clone().expect("pip keeps it");
    assert!(hash.len() == 71 && hash.starts_with("sha256:"), "{hash}");
}

/// Fault: everything that was made for a run is pruned while it is parked.
#[test]
fn a_run_whose_images_are_gone_has_them_made_again() {
    let Some(house) = House::open() else { return };
    let turns = [
        vec![
            ("bash", json!({"command": "echo made >file"})),
            ("install", json!({"manager": "pip", "packages": ["idna==3.7"]})),
        ],
        vec![("submit", json!({"summary": "done"}))],
    ];
    let model = played(&house, &turns);
    let check = "python3 -c 'import six, idna; assert (six.__version__, idna.__version__) == (\"1.16.0\", \"3.7\"); open(\"file\")'";
    let more = ["--install", "--setup", "pip install six==1.16.0 # and prune it"];
    let run = run(&house, &[("a.py", "")], "python", check, &model, &more);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(house.environment.greenroom(&["rewind", "last", "--to", "2"]).code, 0);
    let Some(Event::RunStarted { plan, .. }) = house.events("last").into_iter().next() else { panic!("no beginning") };
    let set_up = plan["image"]["digest"].as_str().expect("a digest").to_owned();
    let tags = house.block(house.docker.inspect_image(&set_up)).expect("the set-up's image").repo_tags;
    let tag = tags.and_then(|tags| tags.into_iter().next()).expect("a tag");
    let remove = |image: &str| {
        let force = RemoveImageOptions { force: true, ..Default::default() };
        house.block(house.docker.remove_image(image, Some(force), None)).expect("an image");
    };
    installed(&house);
    remove(&set_up);
    let resumed = house.greenroom(&["resume", "last"]);
    assert!(resumed.code == 0 && resumed.stderr.contains("was made again"), "{resumed}");
    let mut events = house.events("last").into_iter().skip_while(|event| !matches!(event, Event::Resumed { .. }));
    let asked = events.by_ref().find_map(|event| match event {
        Event::NetworkUsed { token: None, requests, .. } => Some(requests),
        _ => None,
    });
    assert!(asked.is_some_and(|requests| requests.len() >= 2), "what that asked of the network is told");
    let fresh = events.find_map(|event| match event {
        Event::SandboxReplaced { image_digest, .. } => Some(image_digest),
        _ => None,
    });
    [fresh.expect("another sandbox").as_str(), tag.as_str()].into_iter().for_each(remove);
}

#[test]
fn without_the_operators_word_nothing_is_installed_and_the_answer_says_how() {
    let Some(house) = House::open() else { return };
    let model = played(&house, &one_install("pip", json!(["six"])));
    let run = run(&house, &[("a.py", "")], "python", "python3 -c 'import six'", &model, &[]);
    assert_eq!(run.ended().0, "unverified", "{}", run.finished);
    let answers: Vec<ToolOutcome> = house.answers();
    assert!(answers[0].is_error && answers[0].content.contains("greenroom run --install"), "{answers:#?}");
    assert!(installed(&house).is_empty());
}

#[test]
fn what_cannot_be_had_is_said_and_the_run_goes_on_where_it_was() {
    let Some(house) = House::open() else { return };
    let turns = [vec![
        ("bash", json!({"command": "echo x >/tmp/still-here"})),
        ("install", json!({"manager": "pip", "packages": ["no-such-package-of-greenroom-tests==0.0.1"]})),
        ("install", json!({"manager": "pip", "packages": ["--index-url=https://evil.example/"]})),
        ("bash", json!({"command": "cat /tmp/still-here"})),
    ]];
    let model = played(&house, &turns);
    run(&house, &[("a.py", "")], "python", "false", &model, &["--install"]);
    let answers = house.answers();
    assert!(answers[1].content.contains("No matching distribution"), "{answers:#?}");
    assert!(answers[1].content.contains("nothing was installed") && !answers[1].is_error, "{answers:#?}");
    assert!(answers[2].is_error && answers[2].content.contains("not the name of a pip package"), "{answers:#?}");
    assert!(answers[3].content.contains("x\n"), "{answers:#?}");
}

#[test]
fn autofix_installs_what_a_traceback_lacks() {
    let Some(house) = House::open() else { return };
    let files = [("a.py", "import six\nimport idna\n\nprint(six.__version__, idna.__version__)\n")];
    let done = run(&house, &files, "python", "python3 a.py", "autofix", &["--install"]);
    assert_eq!(done.ended(), ("verified", 0), "{}", done.finished);
    assert_eq!(installed(&house).len(), 2, "one after the other, as Python finds them missing");
    let refused = run(&house, &files, "python", "python3 a.py", "autofix", &[]);
    assert_eq!(refused.ended().0, "unverified");
    assert!(refused.result["summary"].as_str().is_some_and(|text| text.contains("--install")), "{}", refused.finished);
}

#[test]
fn npm_writes_its_manifest_and_the_patch_has_it_without_the_packages() {
    let Some(house) = House::open() else { return };
    let model = played(&house, &one_install("npm", json!(["is-number@7.0.0"])));
    let files = [("package.json", "{\"name\": \"x\", \"version\": \"1.0.0\"}\n"), ("a.js", "require('is-number');\n")];
    let run = run(&house, &files, "node", "node a.js", &model, &["--install"]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["files_changed"], json!(["package-lock.json", "package.json"]));
    let found = installed(&house);
    assert_eq!(
        (found[0].0, found[0].1[0].name.as_str(), found[0].1[0].version.as_str()),
        (Manager::Npm, "is-number", "7.0.0")
    );
    assert!(found[0].1[0].hash.as_deref().is_some_and(|hash| hash.starts_with("sha512-")), "{found:?}");
}

#[test]
fn cargo_writes_its_manifest_and_the_clean_container_builds_with_it() {
    let Some(house) = House::open() else { return };
    let model = played(&house, &one_install("cargo", json!(["itoa@=1.0.11"])));
    let manifest = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let source = "fn main() { println!(\"{}\", itoa::Buffer::new().format(42)); }\n";
    let files = [("Cargo.toml", manifest), ("src/main.rs", source)];
    let run = run(&house, &files, "rust", "cargo run --offline", &model, &["--install"]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert!(run.result["files_changed"].as_array().is_some_and(|files| files.contains(&json!("Cargo.toml"))));
    let found = installed(&house);
    let itoa = found[0].1.iter().find(|package| package.name == "itoa").expect("in the lock file");
    assert!(itoa.version == "1.0.11" && itoa.hash.is_some(), "{found:?}");
}

#[test]
fn a_debian_package_is_there_afterwards() {
    let Some(house) = House::open() else { return };
    let model = played(&house, &one_install("apt", json!(["tree"])));
    let run = run(&house, &[("a", "")], "python", "tree --version", &model, &["--install"]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let found = installed(&house);
    assert!(found[0].1.iter().any(|package| package.name == "tree" && package.hash.is_some()), "{found:?}");
}
