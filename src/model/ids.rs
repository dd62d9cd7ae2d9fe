//! Tool call ids where a server sends none, or one that the conversation has already: results must find their call.

use std::collections::HashSet;

use crate::message::{Block, ModelRequest, ModelResponse, Role};

/// How many answers the conversation holds before the one that is asked for.
pub(crate) fn turn(request: &ModelRequest) -> usize {
    if let Some(answers) = request.answers_before {
        return usize::try_from(answers).unwrap_or(usize::MAX);
    }
    request.messages.iter().filter(|message| message.role == Role::Assistant).count()
}

/// Gives every call an id of its own. Made-up ids come from the position alone (`call_<turn>_<index>`), so the same
/// answer to the same request always gets the same ids.
pub(crate) fn complete(request: &ModelRequest, response: &mut ModelResponse) {
    let mut taken: HashSet<String> = request
        .messages
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match block {
            Block::ToolUse(call) => Some(call.id.clone()),
            Block::Text { .. } | Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolResult { .. } => {
                None
            }
        })
        .collect();
    let turn = turn(request);
    let mut index = 0;
    for block in &mut response.content {
        let Block::ToolUse(call) = block else { continue };
        while call.id.is_empty() || taken.contains(&call.id) {
            call.id = format!("call_{turn}_{index}");
            index += 1;
        }
        taken.insert(call.id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, ToolUse};

    fn call(id: &str) -> Block {
        Block::ToolUse(ToolUse { id: id.into(), name: "bash".into(), input: serde_json::json!({}) })
    }

    #[test]
    fn missing_and_repeated_ids_are_replaced_and_the_rest_kept() {
        let request = ModelRequest {
            messages: vec![
                Message::user("go"),
                Message { role: Role::Assistant, content: vec![call("call_0"), call("call_1_0")] },
            ],
            ..ModelRequest::default()
        };
        let answer =
            ModelResponse { content: vec![call("call_0"), call(""), call("x"), call("x")], ..ModelResponse::default() };
        let ids = |mut answer: ModelResponse| {
            complete(&request, &mut answer);
            answer.tool_uses().map(|call| call.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(answer.clone()), ["call_1_1", "call_1_2", "x", "call_1_3"]);
        assert_eq!(ids(answer.clone()), ids(answer));
    }
}
