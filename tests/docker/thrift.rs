//! What a run goes without: whole checks while what failed still fails, questions to a model where a tool said it all.

use greenroom::event::{Event, ToolOutcome};
use serde_json::{Value, json};

use super::{House, Run, text};

/// Slow only as a whole: a file of slow tests beside the one that fails.
const SLOW: &str = "import time\n\n\ndef test_slow():\n    time.sleep(8)\n";
const CALC: &str = "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n";

fn edit(old: &str, new: &str) -> (&'static str, Value) {
    ("edit_file", json!({"path": "calc.py", "old_string": old, "new_string": new}))
}

fn run(house: &House, files: &[(&str, &str)], check: &str, model: &str, more: &[&str]) -> Run {
    for (path, content) in files {
        house.environment.write(&format!("repo/{path}"), content);
    }
    let repo = house.environment.root().join("repo");
    let args = ["--repo", text(&repo), "--image", "python", "--check", check, "--model", model, "--baseline-runs", "1"];
    house.run(&[&args[..], more].concat())
}

fn checked(house: &House) -> Vec<ToolOutcome> {
    house.answers().into_iter().filter(|answer| answer.checks.is_some()).collect()
}

#[test]
fn what_failed_runs_first_and_alone_and_everything_once_it_passes() {
    let Some(house) = House::open() else { return };
    let files = [
        ("calc.py", "def add(a, b):\n    return a - b\n"),
        ("tests/test_calc.py", CALC),
        ("tests/test_slow.py", SLOW),
        ("conftest.py", ""),
    ];
    let model = house.script(&[
        &[edit("a - b", "a * b"), ("run_checks", json!({}))],
        // Of another length: Python takes a file of the same second and size for the one it has compiled.
        &[edit("a * b", "(a + b)"), ("run_checks", json!({})), ("submit", json!({}))],
    ]);
    let run = run(&house, &files, "python3 -m pytest -q", &model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let checks = checked(&house);
    let (red, green) = (&checks[0], &checks[1]);
    let first = red.failing_first.as_ref().expect("what failed ran first");
    assert!(first.alone && (first.asked, first.failing) == (1, 1) && first.saved_ms > 0, "{first:?}");
    assert!(red.content.starts_with("checks: FAIL") && red.score.is_none(), "{}", red.content);
    let first = green.failing_first.as_ref().expect("here too");
    assert!(!first.alone && first.failing == 0 && first.saved_ms < 0, "{first:?}");
    let summary = &green.checks.as_ref().expect("all of them")[0].report.summary;
    assert_eq!((summary.passed, green.score.is_some()), (2, true), "then all of them ran");
    assert_eq!(run.result["failing_first"]["alone"], 1, "{}", run.finished);
    assert!(run.result["failing_first"]["saved_ms"].as_i64().is_some_and(|saved| saved > 0), "{}", run.finished);
    let shown = house.environment.greenroom(&["show", "last"]).stdout;
    assert!(shown.contains("1 of 2 check runs ended with the failing tests alone"), "{shown}");
}

#[test]
fn what_passes_alone_right_after_it_failed_is_called_unsteady() {
    let Some(house) = House::open() else { return };
    let files = [
        ("calc.py", "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a + b\n"),
        ("tests/test_calc.py", "from calc import sub\n\n\ndef test_sub():\n    assert sub(2, 3) == -1\n"),
        (
            "tests/test_moody.py",
            "import os\n\nimport calc\n\n\ndef test_moody():\n    moody = hasattr(calc, 'moody') and not os.path.exists('/tmp/calm')\n    \
             open('/tmp/calm', 'w').close()\n    assert not moody\n",
        ),
        ("conftest.py", ""),
    ];
    let model = house.script(&[&[
        ("bash", json!({"command": "echo 'moody = 1' >>calc.py; rm -f /tmp/calm"})),
        ("run_checks", json!({"only": "all"})),
    ]]);
    let run = run(&house, &files, "python3 -m pytest -q", &model, &[]);
    assert_ne!(run.ended().0, "verified", "{}", run.finished);
    let checks = checked(&house);
    assert!(checks[0].content.contains("they are unsteady"), "{}", checks[0].content);
    assert_eq!(run.result["failing_first"]["unsteady"], json!(["tests/test_moody.py::test_moody"]), "{}", run.finished);
}

/// Ids go back to other runners, too: each repository fails one test of two, and only that one is run again.
#[test]
fn each_runner_takes_its_ids_back() {
    let Some(house) = House::open() else { return };
    let go = (
        "calc_test.go",
        "package calc\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n\nfunc TestB(t *testing.T) { t.Error(\"no\") }\n",
    );
    let rust = (
        "src/lib.rs",
        "#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {}\n    #[test]\n    fn b() {\n        panic!(\"no\")\n    }\n}\n",
    );
    let unittest = (
        "test_calc.py",
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n\n    def test_b(self):\n        self.fail('no')\n",
    );
    let manifest = ("Cargo.toml", "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    let module = ("go.mod", "module example.com/calc\n\ngo 1.21\n");
    for (name, image, check, files) in [
        ("go", "go", "go test ./...", vec![go, module]),
        ("rust", "rust", "cargo test", vec![rust, manifest]),
        ("unittest", "python", "python3 -m unittest -v", vec![unittest]),
    ] {
        for (path, content) in files {
            house.environment.write(&format!("{name}/{path}"), content);
        }
        let repo = house.environment.root().join(name);
        let model = house.script(&[&[("run_checks", json!({"only": "failing"}))]]);
        let args =
            ["--repo", text(&repo), "--image", image, "--check", check, "--model", &model, "--baseline-runs", "1"];
        let run = house.run(&args);
        let checks = checked(&house);
        let first = checks[0].failing_first.as_ref().unwrap_or_else(|| panic!("{name}: {}", run.finished));
        assert!(first.alone && (first.asked, first.failing) == (1, 1), "{name}: {first:?} {}", checks[0].content);
        let summary = &checks[0].checks.as_ref().expect("results")[0].report.summary;
        assert_eq!((summary.passed, summary.failed), (0, 1), "{name}: only that one ran");
    }
}

#[test]
fn what_python_suggests_is_done_before_a_model_is_asked() {
    let Some(house) = House::open() else { return };
    let files = [("a.py", "import json\n\nprint(json.lods('[1]'))\n")];
    let model = house.script(&[&[("submit", json!({}))]]);
    let by_reflex = run(&house, &files, "python3 a.py", &model, &["--reflex"]);
    assert_eq!(by_reflex.ended(), ("verified", 0), "{}", by_reflex.finished);
    let told = &by_reflex.result["reflex"];
    assert_eq!((&told["kept"], &told["undone"]), (&json!(1), &json!(0)), "{}", by_reflex.finished);
    assert!(told["tokens_saved"].as_u64().is_some_and(|tokens| tokens > 1_000), "{told}");
    assert_eq!(by_reflex.result["turns"], 1, "the model was asked once, to submit");
    let diff = house.environment.greenroom(&["diff", "last"]);
    assert!(diff.stdout.contains("+print(json.loads('[1]'))"), "{diff}");
    let asked = run(&house, &files, "python3 a.py", &model, &[]);
    assert_eq!(asked.ended().0, "unverified", "without it the same model gets nowhere: {}", asked.finished);
}

#[test]
fn a_suggestion_that_does_not_help_is_taken_back_byte_for_byte() {
    let Some(house) = House::open() else { return };
    // Python proposes the nearest name, and that is another function, which fails in the same way.
    let source = "class Basket:\n    def totals(self):\n        raise AttributeError('nothing is in it')\n\n\nprint(Basket().total())";
    let files = [("a.py", source)];
    let model = house.script(&[&[("bash", json!({"command": "true"}))]]);
    let run = run(&house, &files, "python3 a.py", &model, &["--reflex"]);
    assert_eq!(run.ended().0, "unverified", "{}", run.finished);
    let told = &run.result["reflex"];
    assert_eq!((&told["kept"], &told["undone"]), (&json!(0), &json!(1)), "{}", run.finished);
    assert_eq!((&told["tokens_saved"], &run.result["files_changed"]), (&json!(0), &json!([])), "{}", run.finished);
    let undone = house
        .events("last")
        .into_iter()
        .any(|event| matches!(event, Event::ModelResponded { reflex: Some(reflex), .. } if reflex.undoes));
    assert!(undone, "{}", run.finished);
}
