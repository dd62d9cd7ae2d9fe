//! One streamed Chat Completions answer, folded from its chunks with tolerance for what servers really send.

use serde_json::Value;

use crate::message::{Block, ModelResponse, StopReason, ToolUse, Usage};
use crate::model::EXTRA_CONTENT;
use crate::model::failure::Failure;
use crate::model::http::{Decode, Flow};

#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
    usage: Usage,
    stop_reason: Option<StopReason>,
}

/// A call in the making.
#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// Arguments sent as an object rather than as text that holds one.
    object: Option<Value>,
    /// What the server wants back with the call, unread.
    extra: Option<Value>,
}

impl Decode for Answer {
    fn event(&mut self, data: &str) -> Result<Flow, Failure> {
        if data.trim() == "[DONE]" {
            return Ok(Flow::Last);
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|error| Failure::transient(format!("a chunk of the stream is not JSON: {error}")))?;
        self.chunk(&chunk, "delta")?;
        Ok(Flow::More)
    }

    fn whole(&mut self, body: Value) -> Result<(), Failure> {
        self.chunk(&body, "message")
    }

    fn is_complete(&self) -> bool {
        self.stop_reason.is_some()
    }

    fn finish(self) -> ModelResponse {
        let mut content = Vec::new();
        if !self.reasoning.is_empty() {
            content.push(Block::Thinking { thinking: self.reasoning, signature: None });
        }
        if !self.text.is_empty() {
            content.push(Block::Text { text: self.text });
        }
        let mut stop_reason = self.stop_reason.unwrap_or_default();
        match stop_reason {
            // Cut off by the length limit: nothing of it may be carried out.
            StopReason::MaxTokens => {}
            StopReason::EndTurn | StopReason::ToolUse | StopReason::Refusal | StopReason::GaveUp => {
                let has_calls = !self.calls.is_empty();
                content.extend(self.calls.into_iter().flat_map(Call::finish));
                if stop_reason != StopReason::Refusal {
                    stop_reason = if has_calls { StopReason::ToolUse } else { StopReason::EndTurn };
                }
            }
        }
        ModelResponse { content, stop_reason, usage: self.usage }
    }
}

impl Answer {
    /// `body` is where the message stands: `delta` in a stream, `message` in a whole answer.
    fn chunk(&mut self, chunk: &Value, body: &str) -> Result<(), Failure> {
        if chunk.get("error").is_some_and(|error| !error.is_null()) || chunk.get("object") == Some(&"error".into()) {
            return Err(Failure::from_error_value(chunk));
        }
        self.read_usage(chunk);
        let Some(choice) = chunk.pointer("/choices/0") else { return Ok(()) };
        self.read_usage(choice);
        if let Some(message) = choice.get(body).or_else(|| choice.get("message")) {
            self.message(message);
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str).filter(|reason| !reason.is_empty()) {
            self.stop_reason = Some(match reason {
                "length" | "max_tokens" | "repetition_truncation" => StopReason::MaxTokens,
                "content_filter" | "refusal" => StopReason::Refusal,
                "error" | "insufficient_system_resource" => {
                    return Err(Failure::transient(format!("the server broke off: finish_reason `{reason}`")));
                }
                // `stop`, `tool_calls` and whatever a server calls its end: the calls themselves decide.
                _ => self.stop_reason.unwrap_or(StopReason::EndTurn),
            });
        }
        Ok(())
    }

    fn message(&mut self, message: &Value) {
        append_text(&mut self.text, message.get("content"));
        // Some servers send both names with the same text.
        let reasoning = ["reasoning_content", "reasoning"].into_iter().filter_map(|key| message.get(key));
        if let Some(Value::String(thought)) = reasoning.into_iter().find(|value| value.is_string()) {
            self.reasoning.push_str(thought);
        }
        if let Some(Value::String(refusal)) = message.get("refusal") {
            self.text.push_str(refusal);
            self.stop_reason = Some(StopReason::Refusal);
        }
        for delta in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            self.call(delta);
        }
    }

    /// Pieces belong together by index; without one by id; without either to the call before. A new id with a name
    /// under an old index is a new call: some servers number every call 0.
    fn call(&mut self, delta: &Value) {
        let index = delta.get("index").and_then(Value::as_u64);
        let id = delta.get("id").and_then(Value::as_str).unwrap_or_default();
        let name = delta.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        let arguments = delta.pointer("/function/arguments");
        let found = match (index, id) {
            (Some(_), _) => self.calls.iter().rposition(|call| call.index == index),
            (None, "") if !name.is_empty() => None,
            (None, "") => self.calls.len().checked_sub(1),
            (None, id) => self.calls.iter().rposition(|call| call.id == id),
        };
        let is_another = |call: &Call| !id.is_empty() && !call.id.is_empty() && call.id != id && !name.is_empty();
        let position = match found {
            Some(position) if !is_another(&self.calls[position]) => position,
            Some(_) | None => {
                self.calls.push(Call { index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[position];
        if call.id.is_empty() {
            call.id = id.into();
        }
        if call.name != name {
            call.name.push_str(name);
        }
        if let Some(extra) = delta.get("extra_content").filter(|extra| extra.is_object()) {
            call.extra = Some(extra.clone());
        }
        match arguments {
            Some(Value::String(piece)) => call.arguments.push_str(piece),
            Some(object @ (Value::Object(_) | Value::Array(_))) => call.object = Some(object.clone()),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
        }
    }

    /// Any chunk may carry it, each time for the whole answer so far; all zeros (Gemini behind a proxy) say nothing.
    fn read_usage(&mut self, holder: &Value) {
        let Some(usage) = holder.get("usage").filter(|usage| usage.is_object()) else { return };
        let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
        let (input, output) = (count("/prompt_tokens"), count("/completion_tokens"));
        if input.unwrap_or(0) == 0 && output.unwrap_or(0) == 0 {
            return;
        }
        self.usage = Usage {
            input_tokens: input,
            output_tokens: output,
            cache_read_tokens: count("/prompt_tokens_details/cached_tokens")
                .or_else(|| count("/prompt_cache_hit_tokens")),
            cache_write_tokens: None,
        };
    }
}

impl Call {
    /// Arguments that are no JSON stay as the text they are: tools answer that as data.
    fn finish(self) -> impl Iterator<Item = Block> {
        let extra = self.extra.map(|extra| Block::RedactedThinking { data: format!("{EXTRA_CONTENT}{extra}") });
        let input = match self.object {
            Some(object) => object,
            None if self.arguments.trim().is_empty() => Value::Object(Default::default()),
            None => serde_json::from_str(&self.arguments).unwrap_or(Value::String(self.arguments)),
        };
        extra.into_iter().chain([Block::ToolUse(ToolUse { id: self.id, name: self.name, input })])
    }
}

/// Content is a string, or (some servers) a list of parts.
fn append_text(text: &mut String, content: Option<&Value>) {
    match content {
        Some(Value::String(piece)) => text.push_str(piece),
        Some(Value::Array(parts)) => {
            for part in parts {
                if let Some(Value::String(piece)) = part.get("text") {
                    text.push_str(piece);
                }
            }
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fold(chunks: &[Value]) -> ModelResponse {
        let mut answer = Answer::default();
        for chunk in chunks {
            answer.event(&chunk.to_string()).expect("a good chunk");
        }
        assert!(answer.is_complete());
        answer.finish()
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn end(reason: &str) -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn calls(answer: &ModelResponse) -> Vec<(&str, &str, String)> {
        answer.tool_uses().map(|call| (call.id.as_str(), call.name.as_str(), call.input.to_string())).collect()
    }

    #[test]
    fn interleaved_calls_are_summed_by_index() {
        let answer = fold(&[
            delta(json!({"reasoning_content": "hm"})),
            delta(json!({"content": "I will "})),
            delta(json!({"content": "look."})),
            delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "bash", "arguments": ""}}]})),
            delta(
                json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "read_file", "arguments": "{\"pa"}}]}),
            ),
            delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"command\":\"ls\"}"}}]})),
            delta(json!({"tool_calls": [{"index": 1, "function": {"arguments": "th\":\"x\"}"}}]})),
            end("tool_calls"),
        ]);
        assert_eq!(answer.stop_reason, StopReason::ToolUse);
        assert_eq!(answer.content[0], Block::Thinking { thinking: "hm".into(), signature: None });
        assert_eq!(answer.text(), "I will look.");
        assert_eq!(
            calls(&answer),
            [("a", "bash", r#"{"command":"ls"}"#.into()), ("b", "read_file", r#"{"path":"x"}"#.into())]
        );
    }

    #[test]
    fn calls_without_index_or_with_one_index_for_all_stay_apart() {
        let by_id = fold(&[
            delta(json!({"tool_calls": [{"id": "a", "function": {"name": "bash", "arguments": "{"}}]})),
            delta(json!({"tool_calls": [{"id": "a", "function": {"arguments": "}"}}]})),
            delta(json!({"tool_calls": [{"id": "b", "function": {"name": "submit", "arguments": {}}}]})),
            end("stop"),
        ]);
        assert_eq!(calls(&by_id), [("a", "bash", "{}".into()), ("b", "submit", "{}".into())]);
        assert_eq!(by_id.stop_reason, StopReason::ToolUse);

        let all_zero = fold(&[
            delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "bash", "arguments": "{}"}}]})),
            delta(json!({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "bash", "arguments": "{}"}}]})),
            end("tool_calls"),
        ]);
        assert_eq!(calls(&all_zero).len(), 2);

        let bare = fold(&[
            delta(json!({"tool_calls": [{"function": {"name": "bash", "arguments": "{\"command\":"}}]})),
            delta(json!({"tool_calls": [{"function": {"arguments": "\"ls\"}"}}]})),
            delta(json!({"tool_calls": [{"function": {"name": "submit"}}]})),
            end("tool_calls"),
        ]);
        assert_eq!(calls(&bare), [("", "bash", r#"{"command":"ls"}"#.into()), ("", "submit", "{}".into())]);
    }

    #[test]
    fn arguments_as_an_object_and_arguments_that_are_no_json() {
        let answer = fold(&[
            delta(
                json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "bash", "arguments": {"command": "ls"}}}]}),
            ),
            delta(json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "bash", "arguments": "{oops"}}]})),
            end("tool_calls"),
        ]);
        let inputs: Vec<_> = answer.tool_uses().map(|call| call.input.clone()).collect();
        assert_eq!(inputs, [json!({"command": "ls"}), json!("{oops")]);
    }

    #[test]
    fn usage_counts_from_any_chunk_and_zeros_say_nothing() {
        let mut with_choice = delta(json!({"content": ""}));
        with_choice["usage"] =
            json!({"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}});
        let zeros = json!({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}});
        let answer = fold(&[delta(json!({"content": "hi"})), end("stop"), with_choice, zeros]);
        assert_eq!(answer.usage.input_tokens, Some(11));
        assert_eq!(answer.usage.output_tokens, Some(7));
        assert_eq!(answer.usage.cache_read_tokens, Some(3));
    }

    #[test]
    fn what_a_server_attaches_to_a_call_is_kept_before_it() {
        let extra = json!({"google": {"thought_signature": "Eo+/=="}});
        let answer = fold(&[
            delta(
                json!({"tool_calls": [{"index": 0, "id": "a", "extra_content": extra, "function": {"name": "bash", "arguments": "{}"}}]}),
            ),
            end("tool_calls"),
        ]);
        let expected = format!("{EXTRA_CONTENT}{extra}");
        assert_eq!(answer.content[0], Block::RedactedThinking { data: expected });
        assert!(matches!(answer.content[1], Block::ToolUse(_)));
    }

    #[test]
    fn an_answer_cut_by_length_offers_nothing_to_carry_out() {
        let answer = fold(&[
            delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "bash", "arguments": "{}"}}]})),
            end("length"),
        ]);
        assert_eq!(answer.stop_reason, StopReason::MaxTokens);
        assert_eq!(answer.tool_uses().count(), 0);
    }

    #[test]
    fn an_error_where_a_chunk_belongs_is_an_error() {
        let mut answer = Answer::default();
        let failure = answer.event(r#"{"error":{"message":"Overloaded","code":503}}"#).expect_err("an error chunk");
        assert!(failure.is_retryable());
    }
}
