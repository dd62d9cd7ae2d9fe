//! `plan`: the model's own list of what is to do. The runner keeps it and shows it again in every rebuilt window.

use serde::Deserialize;
use serde_json::json;

use crate::event::ToolOutcome;
use crate::ledger::PlanItem;
use crate::message::ToolSpec;

pub(super) const NAME: &str = "plan";
const ITEMS_MAX: usize = 40;
const ITEM_CHARS_MAX: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub items: Vec<PlanItem>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Keep a list of what is to do for work of more than a few steps. Replaces the list before. It \
                      survives when older turns leave your window, so mark what is done as done.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "items": {
                    "type": "array",
                    "maxItems": ITEMS_MAX,
                    "items": {
                        "type": "object",
                        "properties": {
                            "text": {"type": "string", "maxLength": ITEM_CHARS_MAX},
                            "status": {"enum": ["open", "doing", "done", "dropped"]},
                        },
                        "required": ["text", "status"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["items"],
            "additionalProperties": false,
        }),
    }
}

pub(super) fn carry_out(args: &Args) -> ToolOutcome {
    if args.items.len() > ITEMS_MAX {
        return ToolOutcome::refused(format!("{} items; a plan has at most {ITEMS_MAX}", args.items.len()));
    }
    if let Some(long) = args.items.iter().find(|item| item.text.chars().count() > ITEM_CHARS_MAX) {
        let start: String = long.text.chars().take(40).collect();
        return ToolOutcome::refused(format!("the item `{start}…` has more than {ITEM_CHARS_MAX} characters"));
    }
    let open = args.items.iter().filter(|item| item.status.is_to_do()).count();
    ToolOutcome {
        plan: Some(args.items.clone()),
        ..ToolOutcome::told(format!("kept; {open} of {} to do", args.items.len()))
    }
}
