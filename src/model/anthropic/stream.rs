//! One streamed Messages answer, folded from its events.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::message::{Block, ModelResponse, StopReason, ToolUse, Usage};
use crate::model::failure::Failure;
use crate::model::http::{Decode, Flow};

#[derive(Debug, Default)]
pub(super) struct Answer {
    blocks: BTreeMap<u64, Part>,
    counts: Counts,
    stop_reason: Option<StopReason>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Thinking { thinking: String, signature: String },
    Redacted(String),
    ToolUse { id: String, name: String, input: Value, json: String },
}

/// As the wire counts: input beside the cache, not with it.
#[derive(Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

impl Decode for Answer {
    fn event(&mut self, data: &str) -> Result<Flow, Failure> {
        if data.trim() == "[DONE]" {
            return Ok(Flow::Last);
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|error| Failure::transient(format!("an event of the stream is not JSON: {error}")))?;
        let index = event.get("index").and_then(Value::as_u64).unwrap_or_default();
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => self.counts.read(event.pointer("/message/usage")),
            "content_block_start" => {
                if let Some(part) = event.get("content_block").and_then(Part::new) {
                    self.blocks.insert(index, part);
                }
            }
            "content_block_delta" => {
                if let (Some(part), Some(delta)) = (self.blocks.get_mut(&index), event.get("delta")) {
                    part.extend(delta);
                }
            }
            "message_delta" => {
                self.counts.read(event.get("usage"));
                self.read_stop_reason(event.pointer("/delta/stop_reason"));
            }
            "message_stop" => return Ok(Flow::Last),
            "error" => return Err(Failure::from_error_value(&event)),
            _ if event.get("error").is_some_and(Value::is_object) => return Err(Failure::from_error_value(&event)),
            // `ping`, `content_block_stop`, and whatever the protocol grows.
            _ => {}
        }
        Ok(Flow::More)
    }

    fn whole(&mut self, body: Value) -> Result<(), Failure> {
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Failure::from_error_value(&body));
        }
        let content = body.get("content").and_then(Value::as_array).into_iter().flatten();
        self.blocks = (0..).zip(content.filter_map(Part::new)).collect();
        self.counts.read(body.get("usage"));
        self.read_stop_reason(body.get("stop_reason"));
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.stop_reason.is_some()
    }

    fn finish(self) -> ModelResponse {
        let stop_reason = self.stop_reason.unwrap_or_default();
        // Cut off by a limit: nothing of it may be carried out.
        let is_cut = stop_reason == StopReason::MaxTokens;
        let content: Vec<Block> = self
            .blocks
            .into_values()
            .filter(|part| !(is_cut && matches!(part, Part::ToolUse { .. })))
            .map(Part::finish)
            .collect();
        ModelResponse { content, stop_reason, usage: self.counts.finish() }
    }
}

impl Answer {
    fn read_stop_reason(&mut self, reason: Option<&Value>) {
        let Some(reason) = reason.and_then(Value::as_str) else { return };
        let has_calls = self.blocks.values().any(|part| matches!(part, Part::ToolUse { .. }));
        self.stop_reason = Some(match reason {
            "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
            "refusal" => StopReason::Refusal,
            _ if has_calls => StopReason::ToolUse,
            _ => StopReason::EndTurn,
        });
    }
}

impl Part {
    fn new(block: &Value) -> Option<Self> {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        Some(match block.get("type").and_then(Value::as_str)? {
            "text" => Part::Text(text("text")),
            "thinking" => Part::Thinking { thinking: text("thinking"), signature: text("signature") },
            "redacted_thinking" => Part::Redacted(text("data")),
            "tool_use" => Part::ToolUse {
                id: text("id"),
                name: text("name"),
                input: block.get("input").cloned().unwrap_or_default(),
                json: String::new(),
            },
            // Server-side tools and citations: never asked for.
            _ => return None,
        })
    }

    fn extend(&mut self, delta: &Value) {
        let text = |key: &str| delta.get(key).and_then(Value::as_str);
        match self {
            Part::Text(all) => all.push_str(text("text").unwrap_or_default()),
            Part::Thinking { thinking, signature } => {
                thinking.push_str(text("thinking").unwrap_or_default());
                // Comes whole, at the end of its block.
                if let Some(whole) = text("signature") {
                    *signature = whole.to_string();
                }
            }
            Part::ToolUse { json, .. } => json.push_str(text("partial_json").unwrap_or_default()),
            Part::Redacted(_) => {}
        }
    }

    fn finish(self) -> Block {
        match self {
            Part::Text(text) => Block::Text { text },
            Part::Thinking { thinking, signature } => {
                Block::Thinking { thinking, signature: (!signature.is_empty()).then_some(signature) }
            }
            Part::Redacted(data) => Block::RedactedThinking { data },
            Part::ToolUse { id, name, input, json } => {
                let input = match (json.trim().is_empty(), input) {
                    (true, Value::Null) => Value::Object(Default::default()),
                    (true, input) => input,
                    // What is no JSON stays as the text it is: tools answer that as data.
                    (false, _) => serde_json::from_str(&json).unwrap_or(Value::String(json)),
                };
                Block::ToolUse(ToolUse { id, name, input })
            }
        }
    }
}

impl Counts {
    /// Later counts replace earlier ones, but a zero does not: proxies fill in zeros for what they do not know.
    fn read(&mut self, usage: Option<&Value>) {
        let update = |known: &mut Option<u64>, key: &str| {
            if let Some(count) = usage.and_then(|usage| usage.get(key)).and_then(Value::as_u64)
                && (count > 0 || known.is_none())
            {
                *known = Some(count);
            }
        };
        update(&mut self.input, "input_tokens");
        update(&mut self.output, "output_tokens");
        update(&mut self.cache_read, "cache_read_input_tokens");
        update(&mut self.cache_write, "cache_creation_input_tokens");
    }

    fn finish(self) -> Usage {
        let cached = self.cache_read.unwrap_or(0) + self.cache_write.unwrap_or(0);
        let input = self.input.unwrap_or(0) + cached;
        if input == 0 && self.output.unwrap_or(0) == 0 {
            return Usage::default();
        }
        Usage {
            input_tokens: Some(input),
            output_tokens: self.output,
            cache_read_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fold(events: &[Value]) -> Answer {
        let mut answer = Answer::default();
        for event in events {
            answer.event(&event.to_string()).expect("a good event");
        }
        answer
    }

    fn start(index: u64, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn delta(index: u64, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    fn stop(reason: &str) -> Value {
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 42}})
    }

    #[test]
    fn a_whole_answer_with_thinking_text_and_parallel_calls() {
        let answer = fold(&[
            json!({"type": "message_start", "message": {"usage":
                {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5}}}),
            start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "let me "})),
            delta(0, json!({"type": "thinking_delta", "thinking": "see"})),
            delta(0, json!({"type": "signature_delta", "signature": "EqQB+/=="})),
            json!({"type": "content_block_stop", "index": 0}),
            start(1, json!({"type": "redacted_thinking", "data": "abc="})),
            json!({"type": "ping"}),
            start(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "Looking."})),
            start(3, json!({"type": "tool_use", "id": "t1", "name": "bash", "input": {}})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{\"command\": \"l"})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "s\"}"})),
            start(4, json!({"type": "tool_use", "id": "t2", "name": "submit", "input": {}})),
            stop("tool_use"),
        ]);
        assert!(answer.is_complete());
        let answer = answer.finish();
        let call =
            |id: &str, name: &str, input: Value| Block::ToolUse(ToolUse { id: id.into(), name: name.into(), input });
        assert_eq!(
            answer.content,
            [
                Block::Thinking { thinking: "let me see".into(), signature: Some("EqQB+/==".into()) },
                Block::RedactedThinking { data: "abc=".into() },
                Block::Text { text: "Looking.".into() },
                call("t1", "bash", json!({"command": "ls"})),
                call("t2", "submit", json!({})),
            ]
        );
        assert_eq!(answer.stop_reason, StopReason::ToolUse);
        assert_eq!(
            answer.usage,
            Usage {
                input_tokens: Some(105),
                output_tokens: Some(42),
                cache_read_tokens: Some(90),
                cache_write_tokens: Some(5),
            }
        );
    }

    #[test]
    fn nothing_is_complete_before_its_stop_reason_and_a_cut_answer_has_no_calls() {
        let begun = [start(0, json!({"type": "tool_use", "id": "t", "name": "bash", "input": {}}))];
        assert!(!fold(&begun).is_complete());
        let cut = fold(&[begun[0].clone(), stop("max_tokens")]).finish();
        assert_eq!((cut.stop_reason, cut.content.len()), (StopReason::MaxTokens, 0));
    }

    #[test]
    fn an_error_event_is_an_error() {
        let failure = Answer::default()
            .event(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
            .expect_err("an error event");
        assert!(failure.is_retryable());
    }
}
