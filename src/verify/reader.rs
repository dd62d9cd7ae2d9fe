//! An optional second reader: a model that sees task, patch and evidence, and may only object. What it says of an
//! acceptance criterion counts if it can quote for it.

use std::fmt::Write;

use serde::Deserialize;

use crate::judgement::{Finding, Read, Rule};
use crate::message::{Message, ModelRequest};
use crate::model::Model;
use crate::task::{CheckResult, Task};

const SYSTEM: &str = include_str!("../context/prompts/judge.md");
const PATCH_BYTES_MAX: usize = 100 << 10;
const TAIL_BYTES_MAX: usize = 2 << 10;
const OUTPUT_TOKENS_MAX: u32 = 4_096;
const ASKED_MAX: u32 = 2;
const OBJECTIONS_MAX: usize = 10;
/// Shorter quotations are found anywhere.
const QUOTED_CHARS_MIN: usize = 8;

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    objections: Vec<Objection>,
    #[serde(default)]
    criteria: Vec<Criterion>,
}

#[derive(Debug, Deserialize)]
struct Objection {
    file: Option<String>,
    line: Option<u32>,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Criterion {
    number: usize,
    met: bool,
    #[serde(default)]
    evidence: String,
}

/// Asks once, and once more where the answer cannot be read. A reader that cannot be had objects: the operator wanted
/// one.
pub async fn read(model: &dyn Model, task: &Task, patch: &str, checks: &[CheckResult]) -> (Vec<Finding>, Read) {
    let seen = shown(task, patch, checks);
    let request = ModelRequest {
        system: SYSTEM.into(),
        messages: vec![Message::user(seen.as_str())],
        output_tokens_max: OUTPUT_TOKENS_MAX,
        ..ModelRequest::default()
    };
    let mut spent = Read { model: model.id().to_owned(), ..Read::default() };
    let mut trouble = String::new();
    for asked in 0..ASKED_MAX {
        let request = ModelRequest { answers_before: Some(u64::from(asked)), ..request.clone() };
        match model.respond(&request).await {
            Ok(response) => {
                spent.add(&response.usage, model.cost_usd(&response.usage));
                match parse(&response.text()) {
                    Some(answer) => return (findings(&answer, task, &seen), spent),
                    None => trouble = "its answer is not what was asked for".into(),
                }
            }
            Err(error) => trouble = error.to_string(),
        }
    }
    let message = format!("the second reader could not be heard: {trouble}");
    (vec![Finding::objection(Rule::Judge, message)], spent)
}

fn shown(task: &Task, patch: &str, checks: &[CheckResult]) -> String {
    let mut text = format!("# Task\n\n{}\n", task.instruction.as_deref().unwrap_or("Make the checks pass."));
    if !task.rules.goals.is_empty() {
        text.push_str("\n# Criteria\n\n");
        for (number, goal) in task.rules.goals.iter().enumerate() {
            let _ = writeln!(text, "{}. {goal}", number + 1);
        }
    }
    let _ = write!(text, "\n# Patch\n\n{}\n", cut(patch, PATCH_BYTES_MAX));
    text.push_str("\n# Evidence from the clean container\n");
    for check in checks {
        let tail = &check.tail[check.tail.len() - cut_back(&check.tail, TAIL_BYTES_MAX)..];
        let _ = write!(text, "\n`{}`: {}\n{tail}\n", check.check.command, check.outcome);
    }
    text
}

/// The object in an answer, whatever stands around it.
fn parse(text: &str) -> Option<Answer> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    serde_json::from_str(text.get(start..=end)?).ok()
}

fn findings(answer: &Answer, task: &Task, seen: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = answer
        .objections
        .iter()
        .take(OBJECTIONS_MAX)
        .map(|objection| {
            let finding = Finding::objection(Rule::Judge, format!("the second reader objects: {}", objection.why));
            match &objection.file {
                Some(file) => finding.at(file.clone(), objection.line),
                None => finding,
            }
        })
        .collect();
    for (index, goal) in task.rules.goals.iter().enumerate() {
        let said = answer.criteria.iter().find(|criterion| criterion.number == index + 1);
        let unproven = |why: &str| Finding::objection(Rule::CriterionUnproven, format!("`{goal}`: {why}"));
        match said {
            None => found.push(unproven("the second reader does not speak of it")),
            Some(criterion) if !criterion.met => {
                found.push(unproven("the second reader does not see it met").quoting(&criterion.evidence));
            }
            Some(criterion) if !quotes(&criterion.evidence, seen) => {
                found.push(unproven("what is quoted for it stands nowhere").quoting(&criterion.evidence));
            }
            Some(_) => {}
        }
    }
    found
}

/// Letter by letter, but for blanks and a diff's signs. Words of the criteria and the task are no evidence.
fn quotes(evidence: &str, seen: &str) -> bool {
    let plain = |text: &str| -> String {
        let lines = text.lines().map(|line| line.strip_prefix(['+', '-']).unwrap_or(line));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    let evidence = plain(evidence);
    let behind = seen.find("\n# Patch\n").map_or("", |at| &seen[at..]);
    evidence.chars().count() >= QUOTED_CHARS_MIN && plain(behind).contains(&evidence)
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How many of the last bytes there are room for.
fn cut_back(text: &str, bytes_max: usize) -> usize {
    let mut start = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.len() - start
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judgement::Rules;

    const PATCH: &str =
        "--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";

    fn judged(answer: &str) -> Vec<Rule> {
        let rules = Rules { goals: vec!["add adds".into()], ..Rules::default() };
        let task = Task { instruction: Some("mend add: return a + b".into()), checks: Vec::new(), rules };
        let answer = parse(answer).unwrap();
        findings(&answer, &task, &shown(&task, PATCH, &[])).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_criterion_is_met_where_the_patch_can_be_quoted_for_it() {
        assert_eq!(judged(r#"{"criteria": [{"number": 1, "met": true, "evidence": "+    return a + b"}]}"#), []);
        for unproven in [
            r#"{"criteria": [{"number": 1, "met": true, "evidence": "it adds now, all tests prove it"}]}"#,
            r#"{"criteria": [{"number": 1, "met": true, "evidence": "mend add:"}]}"#,
            r#"{"criteria": [{"number": 1, "met": true, "evidence": "+"}]}"#,
            r#"{"criteria": [{"number": 1, "met": false}]}"#,
            r#"{"criteria": []}"#,
        ] {
            assert_eq!(judged(unproven), [Rule::CriterionUnproven], "{unproven}");
        }
    }

    #[test]
    fn an_objection_stands_with_its_place() {
        let answer = "Here:\n```json\n{\"objections\": [{\"file\": \"calc.py\", \"line\": 2, \"why\": \"no\"}], \
                      \"criteria\": [{\"number\": 1, \"met\": true, \"evidence\": \"return a + b\"}]}\n```";
        assert_eq!(judged(answer), [Rule::Judge]);
        assert!(parse("I would say yes.").is_none());
    }

    #[tokio::test]
    async fn a_reader_that_cannot_be_heard_objects() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("s.jsonl");
        std::fs::write(&script, "{\"content\":[{\"type\":\"text\",\"text\":\"fine by me\"}]}\n").unwrap();
        let model = crate::model::scripted::Scripted::open(&script).unwrap();
        let task = Task { instruction: None, checks: Vec::new(), rules: Rules::default() };
        let (found, read) = super::read(&model, &task, PATCH, &[]).await;
        assert!(found[0].is_objection() && found[0].message.contains("could not be heard"), "{found:?}");
        assert!(read.model.starts_with("scripted:"));
    }
}
