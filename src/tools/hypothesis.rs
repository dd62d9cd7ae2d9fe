//! `hypothesis`: the ledger of guesses at the cause, with what speaks for or against each and what became of it.

use serde::Deserialize;
use serde_json::json;

use crate::agent::notebook::Notebook;
use crate::event::ToolOutcome;
use crate::ledger::{HypothesisNote, Verdict};
use crate::message::ToolSpec;

pub(super) const NAME: &str = "hypothesis";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub statement: String,
    #[serde(default)]
    pub evidence: String,
    pub verdict: Verdict,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Note a guess at the cause before you act on it, and its verdict once you know. A refuted guess \
                      opens again only with new evidence.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "statement": {"type": "string", "description": "One sentence: what you think the cause is"},
                "evidence": {"type": "string", "description": "What you saw that speaks for or against it"},
                "verdict": {"enum": ["open", "confirmed", "refuted"]},
            },
            "required": ["statement", "verdict"],
            "additionalProperties": false,
        }),
    }
}

/// Tried on a copy: what is kept is folded from the event.
pub(super) fn carry_out(args: &Args, notebook: &Notebook) -> ToolOutcome {
    let mut copy = notebook.clone();
    match copy.hypothesis(0, &args.statement, &args.evidence, args.verdict) {
        Ok(known) => {
            let told = format!("hypothesis {} is noted", known.id);
            let note = HypothesisNote {
                statement: args.statement.clone(),
                evidence: args.evidence.clone(),
                verdict: args.verdict,
            };
            ToolOutcome { hypothesis: Some(note), ..ToolOutcome::told(told) }
        }
        Err(refusal) => ToolOutcome::refused(refusal),
    }
}
