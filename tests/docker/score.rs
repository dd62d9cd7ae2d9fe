//! The quality score of a real run, in its last line and in its summary: every part measured, each from its own source.

use serde_json::{Value, json};

use super::{House, text};

const TEST: &str = "package calc\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(2, 3) != 5 {\n\t\tt.Error(\"sum\")\n\t}\n}\n";
const CURE: &str = "package calc\n\n// Add is the sum.\nfunc Add(a, b int) int {\n\tif a < 0 {\n\t\tprintln(\"debug\")\n\t}\n\treturn a + b\n}\n";
const RULES: &str = "[style]\nforbid = [{ pattern = \"println\", message = \"log instead\" }]\n";

fn part<'a>(result: &'a Value, name: &str) -> &'a Value {
    let parts = result["score_parts"].as_array().map_or(&[][..], Vec::as_slice);
    parts.iter().find(|part| part["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn a_runs_score_is_shown_part_by_part() {
    let Some(house) = House::open() else { return };
    for (path, content) in [
        ("go.mod", "module example.com/calc\n\ngo 1.21\n"),
        ("calc.go", "package calc\n\n// Add is the sum.\nfunc Add(a, b int) int {\n\treturn a - b\n}\n"),
        ("calc_test.go", TEST),
        ("greenroom.toml", RULES),
    ] {
        house.environment.write(&format!("repo/{path}"), content);
    }
    let repo = house.environment.root().join("repo");
    let model = house.script(&[&[
        ("write_file", json!({"path": "calc.go", "content": CURE})),
        ("run_checks", json!({})),
        ("submit", json!({"summary": "adds"})),
    ]]);
    let check = "go test -coverprofile=cover.out ./...";
    let run = house.run(&["--repo", text(&repo), "--image", "go", "--check", check, "--model", &model]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let value = |name: &str| part(&run.result, name)["value"].as_f64();
    // One statement of three is in a branch that no test takes; the same is so of the changed lines.
    let coverage = value("coverage").unwrap_or_else(|| panic!("{}", run.finished));
    assert!((50.0..100.0).contains(&coverage), "{coverage}");
    // One branch: a growth of 1.
    assert_eq!(value("complexity").map(|value| (value * 10.0).round()), Some(980.0), "{}", run.finished);
    // One breach of a rule of the repository's own: 2 points.
    assert_eq!(value("style").map(|value| (value * 10.0).round()), Some(833.0), "{}", run.finished);
    let fact = &part(&run.result, "style")["facts"][0];
    assert_eq!((&fact["file"], &fact["line"]), (&json!("calc.go"), &json!(6)), "{fact}");
    assert_eq!(value("tests"), Some(100.0), "{}", run.finished);
    assert!(run.result["score"].as_f64().is_some_and(|score| (80.0..100.0).contains(&score)), "{}", run.finished);
    let shown = house.environment.greenroom(&["show", "last"]).stdout;
    let line = shown
        .lines()
        .find(|line| line.trim_start().starts_with("score ") && line.contains("tests"))
        .unwrap_or_else(|| panic!("{shown}"));
    for name in ["tests 100.0", "coverage", "complexity 98.0", "style 83.3", "size"] {
        assert!(line.contains(name), "{name}: {line}");
    }
}
