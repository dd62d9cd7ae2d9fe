//! A run under GitHub Actions: what stands against it is told at its line, and the step's summary says how it ended.

use serde_json::json;

use super::House;

#[test]
fn what_a_run_ends_with_stands_at_its_lines_and_in_the_steps_summary() {
    let Some(house) = House::open() else { return };
    let summary = house.environment.root().join("summary.md");
    let workspace = house.environment.root().to_str().expect("a plain name").to_owned();
    let house = house
        .with("GITHUB_ACTIONS", "true")
        .with("GITHUB_WORKSPACE", &workspace)
        .with("GITHUB_STEP_SUMMARY", summary.to_str().expect("a plain name"));
    let model = house.script(&[&[
        ("edit_file", json!({"path": "calc.py", "old_string": "a - b", "new_string": "a * b"})),
        ("submit", json!({"summary": "::error::not a command"})),
    ]]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("unverified", 3), "{}", run.finished);
    let after = run.finished.stderr.rfind("::greenroom-").expect("commands are heard again");
    let (text, commands) = run.finished.stderr.split_at(after);
    assert!(text.contains("submit ::error::not a command"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("::error")), "{text}");
    let found: Vec<&str> = commands.lines().filter(|line| line.starts_with("::error")).collect();
    assert!(found.iter().any(|line| line.starts_with("::error file=repo/check.py,line=3")), "{commands}");
    let written = std::fs::read_to_string(&summary).expect("the summary");
    assert!(written.starts_with("### Greenroom: unverified\n\n```text\n"), "{written}");
    assert!(written.contains(super::CHECK) && written.contains("check.py:3"), "{written}");
}
