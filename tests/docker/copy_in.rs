//! What a repository holds that must not come in: tokens of remotes, hooks, what links point to.

use std::process::Command;

use serde_json::json;

use super::House;
use super::canary::{self, Canary};

#[test]
fn remotes_hooks_links_and_pipes_stay_outside_and_the_run_works() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let (remote, hook, linked, seen) = (Canary::new(), Canary::new(), Canary::new(), Canary::new());
    let sh = |script: &str| {
        let status =
            Command::new("sh").args(["-ec", script]).current_dir(&repo).env("HOME", house.environment.root()).status();
        assert!(status.expect("sh starts").success(), "{script}");
    };
    sh(
        "git init --quiet . && git -c user.name=a -c user.email=a@b add . && git -c user.name=a -c user.email=a@b commit --quiet -m first",
    );
    sh(&format!("git remote add origin https://user:{}@example.invalid/repo.git", remote.0));
    house.environment.write("repo/.git/hooks/pre-commit", &format!("#!/bin/sh\necho {}\n", hook.0));
    house.environment.write("outside/secret.txt", &linked.0);
    house.environment.write("repo/seen.txt", &seen.0);
    sh("ln -s ../outside/secret.txt link && ln -s ../outside folder && ln -s /etc/passwd passwd && mkfifo pipe");

    let cure = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let look = "git status --short; git log --oneline | cat; ls -la . .git; cat link folder/secret.txt";
    let model = house.script(&[
        &[("bash", json!({"command": canary::SEARCH})), ("bash", json!({"command": look}))],
        &[("edit_file", cure), ("submit", json!({}))],
    ]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let (inside, kept) = (canary::printed_by(&house, 0), canary::kept(&house));
    for (what, canary) in [("remote", &remote), ("hook", &hook), ("link", &linked)] {
        assert!(!inside.contains(&canary.0), "{what} is inside");
        assert!(!kept.contains(&canary.0), "{what} is in the journal or a blob");
    }
    assert!(inside.contains(&seen.0) && kept.contains(&seen.0), "the search sees what is there");
    assert!(run.finished.stderr.contains("folder (a link to outside the repository)"), "{}", run.finished);
    let looked = canary::printed_by(&house, 1);
    assert!(looked.contains("passwd -> /etc/passwd") && !looked.contains("pipe"), "{looked}");
    assert_eq!(run.result["files_changed"], json!(["calc.py"]));
}

#[test]
fn a_link_that_the_agent_makes_to_the_outside_stays_out_of_the_patch() {
    let Some(house) = House::open() else { return };
    let cure = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let links = json!({"command": "ln -s ../outside out && ln -s calc.py in"});
    let model = house.script(&[&[("bash", links), ("edit_file", cure), ("submit", json!({}))]]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["files_changed"], json!(["calc.py", "in"]));
}
