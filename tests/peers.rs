//! Our backends through a LiteLLM proxy, which translates between the wire formats on its own understanding of them.
//! Runs where `GREENROOM_PEER_TESTS=1`, after `tests/peers/setup.sh`.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "support/litellm.rs"]
mod litellm;
#[path = "support/upstream.rs"]
mod upstream;

use greenroom::message::{Block, Message, ModelRequest, Role, StopReason, ToolSpec};
use greenroom::model::resolve::{ModelOptions, resolve};
use greenroom::model::{Model, ModelError};
use litellm::LiteLlm;
use serde_json::{Value, json};
use upstream::{Reply, Server, Turn};

fn edit() -> Value {
    json!({"path": "src/lib.rs", "old_string": "a - b", "new_string": "a + b // größer ✓"})
}

fn script() -> Vec<Turn> {
    vec![
        Turn::text("I correct the sign.")
            .reasoning("the sign is wrong")
            .call("edit_file", edit())
            .call("run_checks", json!({})),
        Turn::text("").call("submit", json!({"summary": "fixed"})),
    ]
}

fn request() -> ModelRequest {
    let tool = |name, properties: Value| ToolSpec {
        name,
        description: "a tool",
        input_schema: json!({"type": "object", "properties": properties}),
    };
    let text = json!({"type": "string"});
    ModelRequest {
        system: "Repair the project.".into(),
        messages: vec![Message::user("Make the checks pass.")],
        tools: vec![
            tool("edit_file", json!({"path": text, "old_string": text, "new_string": text})),
            tool("run_checks", json!({})),
            tool("submit", json!({"summary": text})),
        ],
        output_tokens_max: 2000,
        candidate: 0,
        temperature: None,
        answers_before: None,
        findings: None,
    }
}

fn model(id: &str, proxy: &LiteLlm) -> Box<dyn Model> {
    let (openai, anthropic) = (proxy.url("/v1"), proxy.url(""));
    let env = move |name: &str| match name {
        "OPENAI_BASE_URL" => Some(openai.clone()),
        "ANTHROPIC_BASE_URL" => Some(anthropic.clone()),
        "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" => Some(LiteLlm::KEY.to_string()),
        _ => None,
    };
    resolve(Some(id), &env, &ModelOptions::default(), || panic!("nobody asked for autofix"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Two turns of the script; what the upstream got of the second.
async fn plays_the_script(id: &str, proxy: &LiteLlm, upstream: &Server) -> Value {
    let model = model(id, proxy);
    let mut request = request();
    let first = model.respond(&request).await.unwrap();
    let calls: Vec<_> = first.tool_uses().map(|call| (call.name.clone(), call.input.clone())).collect();
    assert_eq!(calls, [("edit_file".to_string(), edit()), ("run_checks".to_string(), json!({}))], "{id}");
    assert_eq!(first.text(), "I correct the sign.", "{id}");
    assert_eq!(first.stop_reason, StopReason::ToolUse, "{id}");
    assert!(
        first
            .content
            .iter()
            .any(|block| matches!(block, Block::Thinking { thinking, .. } if thinking == "the sign is wrong")),
        "{id}: {:?}",
        first.content
    );
    assert_eq!(first.usage.input_tokens, Some(1000), "{id}: {:?}", first.usage);
    assert_eq!(first.usage.output_tokens, Some(50), "{id}");
    assert_eq!(first.usage.cache_read_tokens, Some(800), "{id}");

    let results = first.tool_uses().map(|call| Block::ToolResult {
        tool_use_id: call.id.clone(),
        content: format!("done {}", call.name),
        is_error: false,
    });
    let results = Message { role: Role::User, content: results.collect() };
    request.messages.push(Message { role: Role::Assistant, content: first.content });
    request.messages.push(results);
    let second = model.respond(&request).await.unwrap();
    let call = second.tool_uses().next().unwrap();
    assert_eq!((call.name.as_str(), &call.input), ("submit", &json!({"summary": "fixed"})), "{id}");
    upstream.requests().last().unwrap().json()
}

/// What any client must have said by the second turn, however it was translated.
fn tells_the_whole_story(id: &str, body: &Value) {
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool"], "{id}: {body}");
    let calls = messages[2]["tool_calls"].as_array().unwrap();
    let arguments: Value = serde_json::from_str(calls[0]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, edit(), "{id}");
    for (call, result) in calls.iter().zip(&messages[3..]) {
        assert_eq!(call["id"], result["tool_call_id"], "{id}");
    }
    assert_eq!(body["tools"].as_array().unwrap().len(), 3, "{id}");
    assert!(!body.to_string().contains(LiteLlm::KEY), "{id}");
}

#[tokio::test]
async fn edits_and_usage_come_through_litellm_in_both_wire_formats() {
    if !litellm::is_asked_for() {
        return;
    }
    let upstream = Server::scripted(script()).await;
    let proxy = LiteLlm::start(&upstream.url("/v1")).await;
    for id in ["openai/scripted", "anthropic/scripted"] {
        let body = plays_the_script(id, &proxy, &upstream).await;
        tells_the_whole_story(id, &body);
    }
    // The proxy asks for the list of models by itself.
    let asked = upstream.requests().iter().filter(|request| request.path.ends_with("/chat/completions")).count();
    assert_eq!(asked, 4, "no turn was asked for twice");
    proxy.stop().await;
}

/// Only over Chat Completions: translating to Messages, LiteLLM 1.106 adds every piece to the block opened last, so that
/// interleaved arguments reach us mixed up.
#[tokio::test]
async fn interleaved_calls_come_through_litellm_over_chat_completions() {
    if !litellm::is_asked_for() {
        return;
    }
    let turn = script().remove(0).interleaved();
    let upstream = Server::scripted(vec![turn]).await;
    let proxy = LiteLlm::start(&upstream.url("/v1")).await;
    let answer = model("openai/scripted", &proxy).respond(&request()).await.unwrap();
    let inputs: Vec<_> = answer.tool_uses().map(|call| call.input.clone()).collect();
    assert_eq!(inputs, [edit(), json!({})]);
    proxy.stop().await;
}

#[tokio::test]
async fn litellms_own_errors_are_classified() {
    if !litellm::is_asked_for() {
        return;
    }
    let too_long = json!({"error": {"message": "This model's maximum context length is 8192 tokens.",
        "type": "invalid_request_error", "code": "context_length_exceeded"}});
    let upstream = Server::replying(vec![Reply::json(400, &too_long)]).await;
    let proxy = LiteLlm::start(&upstream.url("/v1")).await;
    for id in ["openai/scripted", "anthropic/scripted"] {
        let error = model(id, &proxy).respond(&request()).await.unwrap_err();
        assert!(matches!(error, ModelError::ContextOverflow { .. }), "{id}: {error}");
    }
    for id in ["openai/no-such-model", "anthropic/no-such-model"] {
        let error = model(id, &proxy).respond(&request()).await.unwrap_err();
        assert!(matches!(error, ModelError::BadRequest { .. }), "{id}: {error}");
    }
    proxy.stop().await;
}
