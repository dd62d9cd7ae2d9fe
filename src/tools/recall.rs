//! `recall`: everything that ever happened in the run, whatever of it the window still holds.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::json;

use super::ToolContext;
use crate::event::{Limits, ToolOutcome};
use crate::message::ToolSpec;
use crate::store::{Hit, Match, Question, Recalled};

pub(super) const NAME: &str = "recall";
const LIMIT: usize = 5;
const LIMIT_MAX: usize = 20;
const PAGE_MAX: usize = 10_000;
/// Of an answer.
const TOKENS_MAX: u64 = 1_500;
/// Of a small window: one part in so many.
const WINDOW_PART: u64 = 10;
const BYTES_PER_TOKEN: u64 = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    query: Option<String>,
    file: Option<String>,
    test: Option<String>,
    step: Option<u64>,
    limit: Option<usize>,
    page: Option<usize>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Search all that happened in this run, also what has left your window: commands, outputs, reports, \
                      what was said and decided. Each hit names its step and turn. `step` alone shows that step whole.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words or exact things (ports, ids, paths); \"several in a row\" in quotes"},
                "file": {"type": "string", "description": "Only records that name this file"},
                "test": {"type": "string", "description": "Only records that name this test"},
                "step": {"type": "integer", "description": "Only this step"},
                "limit": {"type": "integer", "description": "Hits on a page: 5 by default, at most 20"},
                "page": {"type": "integer", "description": "Counted from 1"},
            },
            "additionalProperties": false,
        }),
    }
}

pub(super) fn carry_out(args: &Args, context: &ToolContext<'_>) -> ToolOutcome {
    let question = match question(args, context.limits) {
        Ok(question) => question,
        Err(refusal) => return ToolOutcome::refused(refusal),
    };
    match context.store.recall(&question) {
        Ok(answer) => ToolOutcome::told(render(&question, &answer)),
        // What the index lacks is no reason to end a run.
        Err(error) => ToolOutcome::refused(format!("the run's records cannot be searched: {error}")),
    }
}

fn question(args: &Args, limits: &Limits) -> Result<Question, String> {
    let text =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let tokens = TOKENS_MAX.min(limits.context_tokens_max / WINDOW_PART);
    let question = Question {
        query: text(&args.query),
        file: text(&args.file),
        test: text(&args.test),
        step: args.step,
        limit: args.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
        page: args.page.unwrap_or(1).clamp(1, PAGE_MAX),
        text_bytes_max: (tokens * BYTES_PER_TOKEN) as usize,
    };
    if question.query.is_none() && question.file.is_none() && question.test.is_none() && question.step.is_none() {
        return Err("say what to look for: `query`, `file`, `test` or `step`".into());
    }
    Ok(question)
}

fn render(question: &Question, answer: &Recalled) -> String {
    if answer.total == 0 {
        return "nothing in this run's records fits\n".into();
    }
    let mut text = String::new();
    let how = match answer.how {
        Match::All => "",
        Match::Some => "; no record has all the words, these have some",
        Match::Characters => "; no record has these words, these have the characters",
    };
    let (page, pages) = (question.page, answer.pages);
    let records = if answer.total == 1 { "record" } else { "records" };
    let _ = write!(text, "{} {records}{how}", answer.total);
    if pages > 1 {
        let _ = write!(text, "; page {page} of {pages}");
    }
    text.push('\n');
    if answer.hits.is_empty() {
        let _ = writeln!(text, "there is no page {page}");
    }
    for hit in &answer.hits {
        let _ = write!(text, "\n## {}\n{}", heading(hit), hit.text);
        if !hit.text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// `step 12, turn 9: bash: make test (exit code 2) [output 3f9ac2d1]`.
fn heading(hit: &Hit) -> String {
    let mut text = match (hit.kind.as_str(), hit.step) {
        ("step", Some(step)) => format!("step {step}, turn {}", hit.turn),
        (kind, _) => format!("{kind}, turn {}", hit.turn),
    };
    if !hit.title.is_empty() {
        let _ = write!(text, ": {}", hit.title);
    }
    if let Some(blob) = &hit.blob {
        let _ = write!(text, " [output {}]", &blob.as_str()[..12]);
    }
    text
}
