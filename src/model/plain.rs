//! For models without tool calling: the tools become prose, and one fenced `bash` block an answer becomes the call.
//!
//! `encode` and `decode` are pure; `Plain` wraps any backend in them when the operator asks for it, and `openai.rs` uses
//! them by itself once a server has refused `tools`.

use async_trait::async_trait;
use serde_json::json;

use super::{Limits, Model, ModelError, ids};
use crate::message::{Block, Message, ModelRequest, ModelResponse, Role, StopReason, ToolUse, Usage};

const PROTOCOL: &str = include_str!("plain_protocol.md");

/// Tools without required arguments, which a block may name as its only word.
const WORDS: &[(&str, &str)] = &[
    ("run_checks", "A block that holds only the word `run_checks` runs the checks and shows what they say."),
    ("submit", "When the task is done, answer with a block that holds only the word `submit`."),
];

pub struct Plain {
    inner: Box<dyn Model>,
}

impl Plain {
    pub fn new(inner: Box<dyn Model>) -> Self {
        Plain { inner }
    }
}

#[async_trait]
impl Model for Plain {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn respond(&self, request: &ModelRequest) -> Result<ModelResponse, ModelError> {
        let mut answer = decode(request, self.inner.respond(&encode(request)).await?);
        ids::complete(request, &mut answer);
        Ok(answer)
    }

    fn cost_usd(&self, usage: &Usage) -> Option<f64> {
        self.inner.cost_usd(usage)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

/// The same conversation without tools: calls as fenced blocks, results as text, roles in strict alternation (many chat
/// templates insist).
pub(crate) fn encode(request: &ModelRequest) -> ModelRequest {
    let mut system = format!("{}\n\n{PROTOCOL}", request.system.trim_end());
    for (word, meaning) in WORDS {
        if request.tools.iter().any(|tool| tool.name == *word) {
            system.push_str(&format!("\n{meaning}\n"));
        }
    }
    let mut turns: Vec<(Role, String)> = Vec::new();
    for message in &request.messages {
        let text = message.content.iter().filter_map(prose).collect::<Vec<_>>().join("\n\n");
        match turns.last_mut() {
            _ if text.is_empty() => {}
            Some((role, all)) if *role == message.role => *all = format!("{all}\n\n{text}"),
            Some(_) | None => turns.push((message.role, text)),
        }
    }
    let messages =
        turns.into_iter().map(|(role, text)| Message { role, content: vec![Block::Text { text }] }).collect();
    ModelRequest {
        system: system.trim_start().to_string(),
        messages,
        tools: Vec::new(),
        output_tokens_max: request.output_tokens_max,
        candidate: request.candidate,
        temperature: request.temperature,
        answers_before: request.answers_before,
        findings: request.findings.clone(),
    }
}

/// The first `bash` block as a call. Text after it is dropped: models like to imagine the output.
pub(crate) fn decode(request: &ModelRequest, answer: ModelResponse) -> ModelResponse {
    let text = answer.text();
    if answer.stop_reason != StopReason::EndTurn {
        return answer;
    }
    let Some((before, command)) = first_block(&text) else { return answer };
    let before = before.trim();
    let mut content: Vec<Block> =
        answer.content.into_iter().filter(|block| matches!(block, Block::Thinking { .. })).collect();
    if !before.is_empty() {
        content.push(Block::Text { text: before.to_string() });
    }
    let word = WORDS.iter().map(|(word, _)| *word).find(|word| *word == command.trim());
    let call = match word.filter(|word| request.tools.iter().any(|tool| tool.name == *word)) {
        Some("submit") if !before.is_empty() => ("submit", json!({"summary": before})),
        Some(word) => (word, json!({})),
        None => ("bash", json!({"command": command})),
    };
    content.push(Block::ToolUse(ToolUse { id: String::new(), name: call.0.to_string(), input: call.1 }));
    ModelResponse { content, stop_reason: StopReason::ToolUse, usage: answer.usage }
}

fn prose(block: &Block) -> Option<String> {
    match block {
        Block::Text { text } => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Block::ToolUse(call) => Some(match (call.name.as_str(), call.input.get("command").and_then(|c| c.as_str())) {
            ("bash", Some(command)) => fenced("bash", command),
            (name, _) if WORDS.iter().any(|(word, _)| *word == name) => fenced("bash", name),
            // From another model, before this one took over.
            (name, _) => format!("(called the tool {name} with {})", call.input),
        }),
        Block::ToolResult { content, is_error, tool_use_id: _ } => Some(match is_error {
            false => format!("Output:\n{}", fenced("", content)),
            true => format!("Failed:\n{}", fenced("", content)),
        }),
        Block::Thinking { .. } | Block::RedactedThinking { .. } => None,
    }
}

/// In a fence longer than any run of backticks within.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}", text.strip_suffix('\n').unwrap_or(text))
}

/// Text before the first `bash` block, and what the block holds. A block that never closes is none.
fn first_block(text: &str) -> Option<(&str, String)> {
    let mut lines = text.split_inclusive('\n');
    let mut offset = 0;
    let mut other_fence: Option<usize> = None;
    while let Some(line) = lines.next() {
        let start = offset;
        offset += line.len();
        let Some((ticks, info)) = fence(line) else { continue };
        match other_fence {
            Some(open) if info.is_empty() && ticks >= open => other_fence = None,
            Some(_) => {}
            None if ["bash", "sh", "shell"].contains(&info.to_ascii_lowercase().as_str()) => {
                let mut command = String::new();
                for line in lines.by_ref() {
                    match fence(line) {
                        Some((closing, "")) if closing >= ticks => return Some((&text[..start], command)),
                        Some(_) | None => command.push_str(line),
                    }
                }
                return None;
            }
            None => other_fence = Some(ticks),
        }
    }
    None
}

/// How many backticks open or close a fence on this line, and what follows them.
fn fence(line: &str) -> Option<(usize, &str)> {
    let line = line.trim();
    let info = line.trim_start_matches('`');
    let ticks = line.len() - info.len();
    (ticks >= 3).then(|| (ticks, info.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToolSpec;

    fn request() -> ModelRequest {
        let tool = |name| ToolSpec { name, description: "", input_schema: json!({}) };
        ModelRequest { tools: vec![tool("bash"), tool("submit")], ..ModelRequest::default() }
    }

    fn call(text: &str) -> Option<(String, serde_json::Value)> {
        let answer = ModelResponse { content: vec![Block::Text { text: text.into() }], ..ModelResponse::default() };
        decode(&request(), answer).tool_uses().next().map(|call| (call.name.clone(), call.input.clone()))
    }

    #[test]
    fn the_first_bash_block_is_the_call() {
        let text = "I look.\n```bash\nls -la\ncat x\n```\nOutput:\n```bash\nrm x\n```\n";
        assert_eq!(call(text), Some(("bash".into(), json!({"command": "ls -la\ncat x\n"}))));
        assert_eq!(call("```SH\nls\n```"), Some(("bash".into(), json!({"command": "ls\n"}))));
        assert_eq!(
            call("````bash\ncat <<E > R.md\n```bash\nmake\n```\nE\n````"),
            Some(("bash".into(), json!({"command": "cat <<E > R.md\n```bash\nmake\n```\nE\n"})))
        );
    }

    #[test]
    fn submit_alone_submits_with_the_words_before_it() {
        assert_eq!(call("Fixed it.\n```bash\nsubmit\n```"), Some(("submit".into(), json!({"summary": "Fixed it."}))));
        assert_eq!(call("```bash\nsubmit\n```"), Some(("submit".into(), json!({}))));
        assert_eq!(call("```bash\nsubmit --now\n```"), Some(("bash".into(), json!({"command": "submit --now\n"}))));
    }

    #[test]
    fn other_languages_unclosed_blocks_and_cut_answers_are_no_calls() {
        assert_eq!(call("```python\nprint()\n```"), None);
        assert_eq!(call("```\n```bash\nls\n```"), None, "within an open block of another kind");
        assert_eq!(call("```bash\nls\n"), None);
        let cut = ModelResponse {
            content: vec![Block::Text { text: "```bash\nls\n```".into() }],
            stop_reason: StopReason::MaxTokens,
            ..ModelResponse::default()
        };
        assert_eq!(decode(&request(), cut).tool_uses().count(), 0);
    }

    #[test]
    fn the_conversation_becomes_plain_text_in_alternation() {
        let mut request = request();
        request.system = "Be careful.".into();
        let tool_use = |name: &str, input| Block::ToolUse(ToolUse { id: "a".into(), name: name.into(), input });
        request.messages = vec![
            Message::user("go"),
            Message::user("now"),
            Message {
                role: Role::Assistant,
                content: vec![Block::Text { text: "Look.".into() }, tool_use("bash", json!({"command": "ls\n"}))],
            },
            Message {
                role: Role::User,
                content: vec![Block::ToolResult {
                    tool_use_id: "a".into(),
                    content: "a\n```\n".into(),
                    is_error: false,
                }],
            },
        ];
        let plain = encode(&request);
        assert!(plain.tools.is_empty());
        assert!(plain.system.starts_with("Be careful.\n\n# How you act here"));
        assert!(plain.system.contains("only the word `submit`") && !plain.system.contains("`run_checks`"));
        let texts: Vec<_> = plain
            .messages
            .iter()
            .map(|message| match &message.content[..] {
                [Block::Text { text }] => (message.role, text.as_str()),
                other => panic!("one text, not {other:?}"),
            })
            .collect();
        assert_eq!(
            texts,
            [
                (Role::User, "go\n\nnow"),
                (Role::Assistant, "Look.\n\n```bash\nls\n```"),
                (Role::User, "Output:\n````\na\n```\n````"),
            ]
        );
    }
}
