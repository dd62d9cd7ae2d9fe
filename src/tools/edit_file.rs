//! `edit_file`: replace one exact piece of text, or refuse and leave the file as it was.

use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolFailure, absolute, shown};
use crate::event::ToolOutcome;
use crate::id::BlobId;
use crate::message::ToolSpec;

pub(super) const NAME: &str = "edit_file";
const FILE_BYTES_MAX: u64 = 10 << 20;
const LINES_AROUND: usize = 2;
const SHOWN_LINES_MAX: usize = 12;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub path: String,
    pub old_string: String,
    pub new_string: String,
    #[serde(default)]
    pub replace_all: bool,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Replace text in a file. `old_string` must match exactly, white space included, and occur once; \
                      with `replace_all` every occurrence is replaced.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Relative to the workspace, or absolute"},
                "old_string": {"type": "string"},
                "new_string": {"type": "string"},
                "replace_all": {"type": "boolean"},
            },
            "required": ["path", "old_string", "new_string"],
            "additionalProperties": false,
        }),
    }
}

pub(super) async fn carry_out(args: &Args, context: &ToolContext<'_>) -> Result<ToolOutcome, ToolFailure> {
    let path = absolute(&args.path);
    let before = match context.sandbox.read(&path, FILE_BYTES_MAX).await? {
        Ok(bytes) => bytes,
        Err(error) => return Ok(ToolOutcome::refused(error.to_string())),
    };
    let hash = BlobId::of(&before);
    let Ok(text) = String::from_utf8(before) else {
        return Ok(ToolOutcome::refused(format!("`{}` is not UTF-8 text; change it with bash", shown(&path))));
    };
    let (after, count) = match replace(shown(&path), &text, args) {
        Ok(replaced) => replaced,
        Err(refusal) => return Ok(ToolOutcome::refused(refusal)),
    };
    Ok(match context.sandbox.write(&path, after.as_bytes(), Some(&hash)).await? {
        Ok(()) => ToolOutcome { may_write: true, ..ToolOutcome::told(told(shown(&path), &text, &after, count)) },
        Err(error) => ToolOutcome::refused(error.to_string()),
    })
}

fn replace(path: &str, text: &str, args: &Args) -> Result<(String, usize), String> {
    if args.old_string.is_empty() {
        return Err("`old_string` is empty; use write_file for a new file".into());
    }
    if args.old_string == args.new_string {
        return Err("`old_string` and `new_string` are the same".into());
    }
    match text.matches(&args.old_string).count() {
        0 => Err(format!("`old_string` does not occur in `{path}`{}", near_miss(text, &args.old_string))),
        1 => Ok((text.replacen(&args.old_string, &args.new_string, 1), 1)),
        count if args.replace_all => Ok((text.replace(&args.old_string, &args.new_string), count)),
        count => Err(format!(
            "`old_string` occurs {count} times in `{path}`; give more of the lines around it, or set replace_all"
        )),
    }
}

/// The commonest mistake is white space: say so rather than leave the model guessing.
fn near_miss(text: &str, wanted: &str) -> String {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(first) = wanted.lines().map(squeeze).find(|line| !line.is_empty()) else { return String::new() };
    match text.lines().position(|line| squeeze(line) == first) {
        Some(at) => format!("; line {} has the same words with other white space", at + 1),
        None => String::new(),
    }
}

/// The first changed place, so that no second call is needed to see it.
fn told(path: &str, before: &str, after: &str, count: usize) -> String {
    let same = before.lines().zip(after.lines()).take_while(|(old, new)| old == new).count();
    let lines: Vec<&str> = after.lines().collect();
    let first = same.saturating_sub(LINES_AROUND);
    let mut text = match count {
        1 => format!("edited {path}\n"),
        _ => format!("edited {path} ({count} places)\n"),
    };
    for (at, line) in lines.iter().enumerate().skip(first).take(SHOWN_LINES_MAX.min(lines.len())) {
        text.push_str(&format!("{:>6}\t{line}\n", at + 1));
        if at >= same + LINES_AROUND {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, old: &str, new: &str, replace_all: bool) -> Result<(String, usize), String> {
        let args = Args { path: "a".into(), old_string: old.into(), new_string: new.into(), replace_all };
        replace("a", text, &args)
    }

    #[test]
    fn one_exact_match_is_replaced() {
        assert_eq!(edit("a b c", "b", "x", false), Ok(("a x c".into(), 1)));
    }

    #[test]
    fn a_match_that_is_not_unique_is_refused_unless_all_are_meant() {
        let told = edit("b b", "b", "x", false).expect_err("two places");
        insta::assert_snapshot!(told, @"`old_string` occurs 2 times in `a`; give more of the lines around it, or set replace_all");
        assert_eq!(edit("b b", "b", "x", true), Ok(("x x".into(), 2)));
    }

    #[test]
    fn a_match_but_for_white_space_is_pointed_out() {
        let told = edit("if x:\n\treturn 1\n", "    return 1", "    return 2", false).expect_err("tabs");
        insta::assert_snapshot!(told, @"`old_string` does not occur in `a`; line 2 has the same words with other white space");
    }

    #[test]
    fn the_answer_shows_the_place() {
        let before = "1\n2\n3\n4\n5\n6\n";
        let after = "1\n2\n3\nfour\n5\n6\n";
        assert_eq!(told("a", before, after, 1), "edited a\n     2\t2\n     3\t3\n     4\tfour\n     5\t5\n     6\t6\n");
    }
}
