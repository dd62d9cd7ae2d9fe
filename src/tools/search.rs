//! `search`: lines that match a regular expression.

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure, absolute, shown};
use crate::event::ToolOutcome;
use crate::message::ToolSpec;
use crate::sandbox::SearchRequest;

pub(super) const NAME: &str = "search";
const MATCHES_MAX: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub pattern: String,
    pub path: Option<String>,
    pub glob: Option<String>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Find lines that match a regular expression. Answers `path:line: text`, at most 100.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "description": "A regular expression, matched line by line"},
                "path": {"type": "string", "description": "A folder or file; the workspace by default"},
                "glob": {"type": "string", "description": "Only files that match, such as `*.rs`"},
            },
            "required": ["pattern"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let path = absolute(args.path.as_deref().unwrap_or("."));
    let request = SearchRequest {
        pattern: args.pattern.clone(),
        path: path.trim_end_matches("/.").to_owned(),
        glob: args.glob.clone(),
        matches_max: MATCHES_MAX,
    };
    Ok(match context.sandbox.search(&request).await? {
        Ok(found) if found.matches.is_empty() => ToolOutcome::told(format!("nothing matches `{}`\n", args.pattern)),
        Ok(found) => {
            let mut text = String::new();
            for hit in &found.matches {
                text.push_str(&format!("{}:{}: {}\n", shown(&hit.path), hit.line, hit.text));
            }
            if found.truncated {
                text.push_str(&format!("… more than {MATCHES_MAX} matches; narrow the pattern, path or glob\n"));
            }
            ToolOutcome::told(text)
        }
        Err(error) => ToolOutcome::refused(error.to_string()),
    })
}
