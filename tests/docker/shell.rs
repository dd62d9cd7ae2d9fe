//! Folder and exported variables go from one `bash` call to the next, in the shell of every toolchain.

use greenroom::event::Event;
use greenroom::shell::ShellState;
use serde_json::json;

use super::House;

/// What each command of a run printed or was told, in order.
fn said(house: &House, image: &str, commands: &[&str]) -> Vec<String> {
    let turns: Vec<_> = commands.iter().map(|command| vec![("bash", json!({"command": command}))]).collect();
    let turns: Vec<&[_]> = turns.iter().map(Vec::as_slice).collect();
    let model = house.script(&turns);
    let repo = house.small_repository();
    house.run(&["--repo", super::text(&repo), "--image", image, "--check", "false", "--model", &model]);
    house.answers().into_iter().map(|answer| answer.content).collect()
}

#[test]
fn folder_and_exports_are_carried_and_nothing_else() {
    let Some(house) = House::open() else { return };
    let answers = said(
        &house,
        "python",
        &[
            "mkdir -p 'a b/c' && cd 'a b/c' && export X=\"it's\nhere\" Y=2 && z=3; unset LANG",
            "echo \"<$PWD|$X|$Y|$z|${LANG-none}>\"; cd ..; unset Y",
            "echo \"<$PWD|${Y-none}>\"; exit 5",
            "cd /; exec true",
            "pwd; cd / && export Y=7; trap - EXIT; printf '4\\0stayed\\0/forged\\0Q=1\\0' >/tmp/.greenroom-shell",
            "pwd; set -euxC; cd ..; false",
            "pwd; cd /nowhere; echo \"<${Q-none}>\"",
            "pwd; rm -rf \"$OLDPWD/a b\"; mkdir gone && cd gone && rmdir ../gone",
            "pwd; ./absent",
        ],
    );
    assert!(
        answers[0].contains("begins in /workspace/a b/c, with X=it's\\nhere, with Y=2, without LANG"),
        "{answers:#?}"
    );
    assert!(answers[1].contains("</workspace/a b/c|it's\nhere|2||none>"), "{answers:#?}");
    assert!(answers[1].contains("begins in /workspace/a b, without Y"), "{answers:#?}");
    assert!(answers[2].contains("</workspace/a b|none>") && answers[2].contains('5'), "{answers:#?}");
    assert!(!answers[3].contains("begins"), "a shell that was replaced tells nothing: {answers:#?}");
    assert!(answers[4].contains("/workspace/a b\n") && !answers[4].contains("begins"), "{answers:#?}");
    assert!(answers[5].contains("/workspace/a b\n") && answers[5].contains("begins in /workspace)"), "{answers:#?}");
    assert!(!answers[5].contains("printf"), "what tells is not traced: {answers:#?}");
    assert!(answers[6].contains("<none>") && answers[6].contains("/workspace\n"), "{answers:#?}");
    assert!(answers[7].contains("the next one begins in /workspace"), "{answers:#?}");
    assert!(answers[8].contains("/workspace\n") && answers[8].contains("127"), "{answers:#?}");
    // What the next command begins with is in the journal, to be found by whoever reads it.
    let folded = greenroom::agent::RunState::replay(&house.events("last")).expect("a run");
    let exported = [("X".to_owned(), "it's\nhere".to_owned())].into();
    assert_eq!(folded.shell, ShellState { cwd: None, exported, unset: ["LANG".to_owned()].into() });
    assert!(house.events("last").iter().any(|event| matches!(event, Event::ToolCallFinished { .. })));
}

#[test]
fn a_folder_that_went_is_said_and_the_workspace_takes_its_place() {
    let Some(house) = House::open() else { return };
    let answers = said(&house, "python", &["mkdir /tmp/x; cd /tmp/x", "rmdir /tmp/x; exec true", "pwd"]);
    assert!(answers[0].contains("begins in /tmp/x"), "{answers:#?}");
    assert!(answers[2].contains("/workspace\n"), "{answers:#?}");
    assert!(answers[2].contains("/tmp/x no longer exists: this command began in /workspace"), "{answers:#?}");
}

#[test]
fn the_shells_of_the_other_toolchains_tell_too() {
    let Some(house) = House::open() else { return };
    for image in ["node", "rust"] {
        let bash = "cd /tmp && export B=1; bash -c 'export C=2'";
        let answers = said(&house, image, &[bash, "echo \"<$PWD|$B|${C-none}>\""]);
        assert!(answers[1].contains("</tmp|1|none>"), "{image}: {answers:#?}");
    }
}
