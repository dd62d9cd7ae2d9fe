//! `scripted:<file>`: plays recorded answers, one JSON object a line, in the shape of `ModelResponse`.
//!
//! ```text
//! # comments and empty lines are left out
//! {"content":[{"type":"text","text":"I add the import."},{"type":"tool_use","name":"edit_file","input":{…}}]}
//! {"content":[{"type":"tool_use","name":"submit","input":{}}]}
//! ```
//!
//! Which answer is due is read from the request alone: how many answers were given before, which it says, or else the
//! assistant messages it holds. A resumed run goes on with the right line, and asking twice gives the same answer. After the last one the
//! backend gives up.

use std::path::Path;

use async_trait::async_trait;

use super::{Model, ModelError, ids};
use crate::message::{Block, ModelRequest, ModelResponse, StopReason, Usage};

const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct Scripted {
    id: String,
    answers: Vec<ModelResponse>,
}

impl Scripted {
    /// Reads the whole script at once, so that a mistake in its last line shows before the first is played.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let id = format!("scripted:{}", path.display());
        let invalid = |detail: String| ModelError::Invalid { model: id.clone(), detail };
        let unreadable = |error: std::io::Error| invalid(format!("cannot read {}: {error}", path.display()));
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(invalid(format!("{} has {bytes} bytes, more than {FILE_BYTES_MAX}", path.display())));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let answers = parse(&text)
            .map_err(|(line, error)| invalid(format!("{} line {line} is no answer: {error}", path.display())))?;
        Ok(Scripted { id, answers })
    }
}

#[async_trait]
impl Model for Scripted {
    fn id(&self) -> &str {
        &self.id
    }

    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError> {
        let Some(answer) = self.answers.get(ids::turn(request) + request.candidate as usize) else {
            let text = format!("The script has ended: it held {} answers.", self.answers.len());
            return Ok(ModelResponse {
                content: vec![Block::Text { text }],
                stop_reason: StopReason::GaveUp,
                usage: Usage::default(),
            });
        };
        let mut answer = answer.clone();
        ids::complete(request, &mut answer);
        Ok(answer)
    }

    fn writes(&self) -> bool {
        false
    }

    fn cost_usd(&self, _usage: &Usage) -> Option<f64> {
        Some(0.0)
    }
}

fn parse(text: &str) -> Result<Vec<ModelResponse>, (usize, serde_json::Error)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let mut answer: ModelResponse = serde_json::from_str(line).map_err(|error| (number, error))?;
            if answer.stop_reason == StopReason::EndTurn && answer.tool_uses().next().is_some() {
                answer.stop_reason = StopReason::ToolUse;
            }
            Ok(answer)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::{Message, Role};

    const SCRIPT: &str = r#"
# the cure
{"content":[{"type":"text","text":"one"},{"type":"tool_use","name":"bash","input":{"command":"ls"}}]}

{"content":[{"type":"text","text":"two"}]}
"#;

    fn open(text: &str) -> Result<Scripted, ModelError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("cure.jsonl");
        std::fs::write(&path, text).expect("a writable folder");
        Scripted::open(&path)
    }

    #[tokio::test]
    async fn the_request_says_which_answer_is_due() {
        let model = open(SCRIPT).unwrap();
        let mut request = ModelRequest { messages: vec![Message::user("go")], ..ModelRequest::default() };
        let first = model.respond(&request).await.unwrap();
        assert_eq!(first, model.respond(&request).await.unwrap());
        assert_eq!((first.text().as_str(), first.stop_reason), ("one", StopReason::ToolUse));
        assert_eq!(first.tool_uses().next().unwrap().id, "call_0_0");

        request.messages.push(Message { role: Role::Assistant, content: first.content });
        let second = model.respond(&request).await.unwrap();
        assert_eq!((second.text().as_str(), second.stop_reason), ("two", StopReason::EndTurn));

        request.messages.push(Message { role: Role::Assistant, content: second.content });
        let end = model.respond(&request).await.unwrap();
        assert_eq!(
            (end.text().as_str(), end.stop_reason),
            ("The script has ended: it held 2 answers.", StopReason::GaveUp)
        );
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let error = open("{\"content\":[]}\n# fine\n{\"content\":[{}]}\n").unwrap_err().to_string();
        assert!(error.contains("cure.jsonl line 3"), "{error}");
        let error = Scripted::open(Path::new("no/such.jsonl")).unwrap_err().to_string();
        assert!(error.contains("no/such.jsonl"), "{error}");
    }
}
