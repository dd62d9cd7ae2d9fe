//! A broken pipeline becomes a verified patch, which git takes and `apply` applies.

use std::process::Command;

use super::{House, copy_folder, text, tree};

const CHECK: &str = "python3 -m pipeline data/levels.csv out/levels.svg && python3 -m pytest -q";

#[test]
fn a_pipeline_goes_from_red_to_a_verified_patch_that_git_and_apply_agree_on() {
    let Some(house) = House::open() else { return };
    let repo = house.fixture("csv_pipeline");
    let before = tree(&repo);
    let run = house.run(&["--repo", text(&repo), "--check", CHECK, "--model", "autofix"]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let check = &run.result["checks"][0];
    assert_eq!((&check["command"], &check["final"]), (&CHECK.into(), &"passed".into()), "{check}");
    assert!(check["baseline"] == "failed" || check["baseline"] == "error", "{check}");
    assert!(check["red_runs"].as_u64() >= Some(2) && check["runs"].as_u64() > check["red_runs"].as_u64(), "{check}");
    assert_eq!(tree(&repo), before, "a run does not touch the repository");

    let name = run.result["run"].as_str().expect("a run id");
    let patch = house.environment.write("run.patch", &house.greenroom(&["diff", name]).stdout);
    let by_git = house.environment.root().join("by_git");
    copy_folder(&repo, &by_git);
    let git = Command::new("git").arg("apply").arg(&patch).current_dir(&by_git).output().expect("git starts");
    assert!(git.status.success(), "{}", String::from_utf8_lossy(&git.stderr));

    let applied = house.greenroom(&["apply", name]);
    assert_eq!(applied.code, 0, "{applied}");
    let contents = |root| {
        let relative = |(path, mode, content): (std::path::PathBuf, u32, Vec<u8>)| {
            (path.strip_prefix(root).expect("below the root").to_owned(), mode, content)
        };
        tree(root).into_iter().map(relative).collect::<Vec<_>>()
    };
    assert_eq!(contents(&repo), contents(&by_git), "apply and git make the same of the patch");

    let draws = format!("{CHECK} && cat out/levels.svg");
    let checked = house.greenroom(&["exec", "--json", "--repo", text(&repo), "--", "sh", "-c", &draws]);
    assert_eq!(checked.code, 0, "{checked}");
    let drawn = checked.lines().pop().expect("a result")["stdout"]["head"].to_string();
    assert!(drawn.contains("<svg") && drawn.contains("</svg>"), "{drawn}");
}
