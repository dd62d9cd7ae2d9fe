use std::process::Command;

use super::record_a_run;
use crate::support::TestEnvironment;

#[test]
fn what_the_agent_wrote_stands_in_a_fence() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let finished = environment.greenroom(&["pr", "last"]);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let text = finished.stdout;
    for part in ["# mend it\n", "## What", "## Why", "```text\nImported os.\n```", "## Evidence", "## Risks"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn git_takes_the_patch_with_its_message() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let finished = environment.greenroom(&["pr", "last", "-o", out.to_str().expect("text")]);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(args).current_dir(folder.path());
        let done = git.output().expect("git");
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    git(&["init", "-q"]);
    std::fs::write(folder.path().join("a.py"), "print(1)\n").expect("a file");
    git(&["add", "a.py"]);
    git(&["commit", "-qm", "first"]);
    git(&["am", "-q", "out/0001.patch"]);
    assert_eq!(git(&["log", "-1", "--format=%s"]), "mend it\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("a.py")).expect("a file"), "import os\nprint(os.name)\n");
}
