//! `submit`: the agent says it is done. Saying so proves nothing: verification follows.

use serde::Deserialize;
use serde_json::json;

use crate::event::ToolOutcome;
use crate::message::ToolSpec;

pub(super) const NAME: &str = "submit";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub infeasible: Option<String>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Say that the work is done. The checks then run in a clean container on the original tree plus \
                      your patch, with existing tests and check configuration as they were; if they fail or \
                      something stands against the patch you are told and can go on.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "summary": {"type": "string", "description": "What was wrong and what you changed"},
                "infeasible": {
                    "type": "string",
                    "description": "Only if it cannot be done at all: why, with the evidence. The run ends with that",
                },
            },
            "additionalProperties": false,
        }),
    }
}

pub(super) fn carry_out(args: &Args) -> ToolOutcome {
    if let Some(reasons) = args.infeasible.as_deref().map(str::trim).filter(|reasons| !reasons.is_empty()) {
        let summary = if args.summary.is_empty() { reasons } else { &args.summary };
        return ToolOutcome {
            submitted: Some(summary.to_owned()),
            infeasible: Some(reasons.to_owned()),
            ..ToolOutcome::told("the run ends: it cannot be done")
        };
    }
    ToolOutcome {
        submitted: Some(args.summary.clone()),
        ..ToolOutcome::told("submitted; the checks run in a clean container now")
    }
}
