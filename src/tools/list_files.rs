//! `list_files`: what is in a folder, or which files a pattern matches.

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure, absolute, shown};
use crate::event::ToolOutcome;
use crate::message::ToolSpec;
use crate::sandbox::ListRequest;

pub(super) const NAME: &str = "list_files";
const ENTRIES_MAX: u32 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub path: Option<String>,
    pub pattern: Option<String>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "List a folder, or with `pattern` every file below it that matches the glob (`**/*.py`).",
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "A folder; the workspace by default"},
                "pattern": {"type": "string", "description": "A glob on paths relative to that folder"},
            },
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let path = absolute(args.path.as_deref().unwrap_or("."));
    let path = path.trim_end_matches("/.").to_owned();
    let request = ListRequest { path: path.clone(), pattern: args.pattern.clone(), entries_max: ENTRIES_MAX };
    Ok(match context.sandbox.list(&request).await? {
        Ok(listing) if listing.entries.is_empty() => ToolOutcome::told(match &args.pattern {
            Some(pattern) => format!("nothing below `{}` matches `{pattern}`\n", shown(&path)),
            None => format!("`{}` is empty\n", shown(&path)),
        }),
        Ok(listing) => {
            let mut text = listing.entries.join("\n");
            text.push('\n');
            if listing.truncated {
                text.push_str(&format!("… more than {ENTRIES_MAX} entries; use a narrower path or pattern\n"));
            }
            ToolOutcome::told(text)
        }
        Err(error) => ToolOutcome::refused(error.to_string()),
    })
}
