//! A second reader of a patch that passes: it may object, and what it says of a criterion counts if it can quote for it.

use serde_json::{Value, json};

use super::House;

fn run(house: &House, answers: &[Value]) -> super::Run {
    let cure = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let model = house.script(&[&[("edit_file", cure), ("submit", json!({}))]]);
    let lines: Vec<String> = answers
        .iter()
        .map(|answer| json!({"content": [{"type": "text", "text": answer.to_string()}]}).to_string())
        .collect();
    let judge = format!("scripted:{}", house.environment.write("judge.jsonl", &lines.join("\n")).display());
    house.run_small(&model, &["--judge-model", &judge, "--goal", "add returns the sum"])
}

fn criterion(evidence: &str) -> Value {
    json!({"criteria": [{"number": 1, "met": true, "evidence": evidence}]})
}

#[test]
fn a_criterion_is_met_with_evidence_and_not_without() {
    let Some(house) = House::open() else { return };
    let met = run(&house, &[criterion("+    return a + b")]);
    assert_eq!(met.ended(), ("verified", 0), "{}", met.finished);
    let invented = run(&house, &[criterion("the sum is returned as it should be")]);
    assert_eq!(invented.ended(), ("unverified", 3), "{}", invented.finished);
    assert_eq!(invented.result["findings"][0]["rule"], "criterion_unproven", "{}", invented.finished);
}

#[test]
fn it_may_object_and_is_not_asked_about_what_is_red() {
    let Some(house) = House::open() else { return };
    let objection = json!({"objections": [{"file": "calc.py", "line": 2, "why": "no docstring says so"}],
        "criteria": [{"number": 1, "met": true, "evidence": "return a + b"}]});
    let objected = run(&house, &[objection]);
    assert_eq!(objected.ended(), ("unverified", 3), "{}", objected.finished);
    assert_eq!(objected.result["findings"][0]["file"], "calc.py", "{}", objected.finished);
    let model = house.script(&[&[("submit", json!({}))]]);
    let judge = format!("scripted:{}", house.environment.root().join("judge.jsonl").display());
    let red = house.run_small(&model, &["--judge-model", &judge]);
    assert_eq!(red.ended(), ("unverified", 3), "{}", red.finished);
    assert_eq!(red.result["findings"][0]["rule"], "check_red", "{}", red.finished);
}
