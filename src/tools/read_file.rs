//! `read_file`: numbered lines of one text file.

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure, absolute, shown};
use crate::event::ToolOutcome;
use crate::message::ToolSpec;

pub(super) const NAME: &str = "read_file";
const FILE_BYTES_MAX: u64 = 10 << 20;
const LINES_MAX: usize = 2_000;
const TEXT_BYTES_MAX: usize = 48_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub path: String,
    pub start_line: Option<usize>,
    pub end_line: Option<usize>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Read a text file, with line numbers. Lines are 1-based and both ends are included.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Relative to the workspace, or absolute"},
                "start_line": {"type": "integer", "minimum": 1},
                "end_line": {"type": "integer", "minimum": 1},
            },
            "required": ["path"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let path = absolute(&args.path);
    let bytes = match context.sandbox.read(&path, FILE_BYTES_MAX).await? {
        Ok(bytes) => bytes,
        Err(error) => return Ok(ToolOutcome::refused(error.to_string())),
    };
    if bytes.contains(&0) {
        return Ok(ToolOutcome::refused(format!("`{}` is binary ({} bytes)", shown(&path), bytes.len())));
    }
    Ok(match number(shown(&path), &String::from_utf8_lossy(&bytes), args.start_line, args.end_line) {
        Ok(text) => ToolOutcome::told(text),
        Err(refusal) => ToolOutcome::refused(refusal),
    })
}

/// `path (lines 3-40 of 120)`, then each line behind its number.
fn number(path: &str, text: &str, start: Option<usize>, end: Option<usize>) -> Result<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return Ok(format!("{path} is empty\n"));
    }
    let first = start.unwrap_or(1).max(1);
    if first > lines.len() {
        return Err(format!("`{path}` has {} lines; line {first} does not exist", lines.len()));
    }
    let wanted = end.unwrap_or(lines.len()).clamp(first, lines.len()).min(first + LINES_MAX - 1);
    let mut body = String::new();
    let mut last = first;
    for number in first..=wanted {
        let line = format!("{number:>6}\t{}\n", lines[number - 1]);
        if number > first && body.len() + line.len() > TEXT_BYTES_MAX {
            break;
        }
        body.push_str(&line);
        last = number;
    }
    let more = if last < end.unwrap_or(lines.len()).min(lines.len()) {
        format!("… cut here; go on with start_line {}\n", last + 1)
    } else {
        String::new()
    };
    Ok(format!("{path} (lines {first}-{last} of {})\n{body}{more}", lines.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_with_their_numbers() {
        let text = number("a.py", "x = 1\ny = 2\nz = 3\n", Some(2), Some(9)).expect("in range");
        assert_eq!(text, "a.py (lines 2-3 of 3)\n     2\ty = 2\n     3\tz = 3\n");
    }

    #[test]
    fn a_line_that_is_not_there_is_named() {
        assert_eq!(number("a.py", "x\n", Some(7), None), Err("`a.py` has 1 lines; line 7 does not exist".into()));
    }

    #[test]
    fn a_long_file_says_where_to_go_on() {
        let text = number("big", &"line\n".repeat(3000), None, None).expect("in range");
        assert!(text.ends_with("… cut here; go on with start_line 2001\n"));
    }
}
