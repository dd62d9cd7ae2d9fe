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
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Say that the work is done. The checks then run in a clean container on the original tree plus \
                      your patch; if they fail you are told and can go on.",
        input_schema: json!({
            "type": "object",
            "properties": {"summary": {"type": "string", "description": "What was wrong and what you changed"}},
            "additionalProperties": false,
        }),
    }
}

pub(super) fn carry_out(args: &Args) -> ToolOutcome {
    ToolOutcome {
        submitted: Some(args.summary.clone()),
        ..ToolOutcome::told("submitted; the checks run in a clean container now")
    }
}
