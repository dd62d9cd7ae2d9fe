//! `write_file`: create or replace one file.

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure, absolute, shown};
use crate::event::ToolOutcome;
use crate::message::ToolSpec;

pub(super) const NAME: &str = "write_file";
const CONTENT_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub path: String,
    pub content: String,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Create a file or replace its whole content. Folders are made as needed. \
                      To change part of a file use edit_file.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Relative to the workspace, or absolute"},
                "content": {"type": "string"},
            },
            "required": ["path", "content"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    if args.content.len() > CONTENT_BYTES_MAX {
        return Ok(ToolOutcome::refused(format!(
            "the content has {} bytes, more than {CONTENT_BYTES_MAX}",
            args.content.len()
        )));
    }
    let path = absolute(&args.path);
    Ok(match context.sandbox.write(&path, args.content.as_bytes(), None).await? {
        Ok(()) => ToolOutcome {
            may_write: true,
            ..ToolOutcome::told(format!("wrote {} ({} lines)\n", shown(&path), args.content.lines().count()))
        },
        Err(error) => ToolOutcome::refused(error.to_string()),
    })
}
