//! The model backends against a server that breaks in every way a provider does. Loopback only.

#![allow(clippy::unwrap_used)]

#[path = "support/upstream.rs"]
mod upstream;

use std::time::{Duration, Instant};

use greenroom::message::{Block, Message, ModelRequest, Role, StopReason, ToolSpec, ToolUse};
use greenroom::model::http::HttpOptions;
use greenroom::model::openai::ToolMode;
use greenroom::model::resolve::{ModelOptions, resolve};
use greenroom::model::{Model, ModelError};
use serde_json::{Value, json};
use upstream::{Ending, Reply, Server, Turn};

const KEY: &str = "sk-canary-0123456789";

/// Short waits, so that no test has to be patient; long enough for a good answer on a busy machine.
fn options() -> ModelOptions {
    let mut http = HttpOptions::default();
    http.deadlines.headers = Duration::from_millis(1_500);
    http.deadlines.idle = Duration::from_millis(1_500);
    http.deadlines.tail = Duration::from_millis(200);
    http.deadlines.total = Duration::from_secs(20);
    http.retry.attempts_max = 3;
    http.retry.delay_base = Duration::from_millis(2);
    ModelOptions { http, ..ModelOptions::default() }
}

fn model_at(id: &str, base_url: String, options: &ModelOptions) -> Box<dyn Model> {
    let env = move |name: &str| match name {
        "OPENAI_BASE_URL" | "ANTHROPIC_BASE_URL" | "XIAOMI_BASE_URL" => Some(base_url.clone()),
        "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" | "XIAOMI_API_KEY" => Some(KEY.to_string()),
        _ => None,
    };
    resolve(Some(id), &env, options, || panic!("nobody asked for autofix")).unwrap_or_else(|error| panic!("{error}"))
}

fn openai(server: &Server) -> Box<dyn Model> {
    model_at("openai/test", server.url("/v1"), &options())
}

fn anthropic(server: &Server) -> Box<dyn Model> {
    model_at("anthropic/test", server.url(""), &options())
}

fn request() -> ModelRequest {
    ModelRequest {
        system: "be brief".into(),
        messages: vec![Message::user("go")],
        tools: vec![
            ToolSpec { name: "bash", description: "run", input_schema: json!({"type": "object"}) },
            ToolSpec { name: "submit", description: "end", input_schema: json!({"type": "object"}) },
        ],
        output_tokens_max: 1000,
        candidate: 0,
        temperature: None,
        answers_before: None,
        findings: None,
    }
}

fn good() -> Reply {
    Turn::text("fine").reply()
}

fn data(value: Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: Value) -> String {
    data(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn finish(reason: &str) -> String {
    data(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

/// The server's replies in turn; the text of the final answer, and how many requests it took.
async fn text_after(replies: Vec<Reply>) -> (String, usize) {
    let server = Server::replying(replies).await;
    let answer = openai(&server).respond(&request()).await.unwrap();
    (answer.text(), server.requests().len())
}

async fn error_after(replies: Vec<Reply>) -> (ModelError, usize) {
    let server = Server::replying(replies).await;
    let error = openai(&server).respond(&request()).await.unwrap_err();
    (error, server.requests().len())
}

#[tokio::test]
async fn parallel_calls_reasoning_and_usage_arrive_whole() {
    let turn = Turn::text("Two things.")
        .reasoning("hm, hm")
        .call("bash", json!({"command": "ls -la"}))
        .call("submit", json!({"summary": "ünïcode ✓"}))
        .interleaved();
    let server = Server::scripted(vec![turn]).await;
    let answer = openai(&server).respond(&request()).await.unwrap();
    let call = |id: &str, name: &str, input| Block::ToolUse(ToolUse { id: id.into(), name: name.into(), input });
    assert_eq!(
        answer.content,
        [
            Block::Thinking { thinking: "hm, hm".into(), signature: None },
            Block::Text { text: "Two things.".into() },
            call("upstream_bash_0", "bash", json!({"command": "ls -la"})),
            call("upstream_submit_1", "submit", json!({"summary": "ünïcode ✓"})),
        ]
    );
    assert_eq!(answer.stop_reason, StopReason::ToolUse);
    assert_eq!(
        (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cache_read_tokens),
        (Some(1000), Some(50), Some(800))
    );
    let sent = &server.requests()[0];
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert!(!String::from_utf8_lossy(&sent.body).contains(KEY));
    assert_eq!((&sent.json()["stream"], &sent.json()["max_tokens"]), (&json!(true), &json!(1000)));
}

#[tokio::test]
async fn the_upstreams_script_goes_by_the_answers_given() {
    let server = Server::scripted(vec![Turn::text("one"), Turn::text("two")]).await;
    let model = openai(&server);
    let mut request = request();
    for expected in ["one", "two", "The script has ended."] {
        let answer = model.respond(&request).await.unwrap();
        assert_eq!(answer.text(), expected);
        request.messages.push(Message { role: Role::Assistant, content: answer.content });
        request.messages.push(Message::user("on"));
    }
}

#[tokio::test]
async fn bytes_may_be_cut_anywhere() {
    let stream: Vec<u8> = [delta(json!({"content": "größer ✓ 🦀"})), finish("stop"), "data: [DONE]\n\n".into()]
        .concat()
        .replace('\n', "\r\n")
        .into_bytes();
    let (text, requests) = text_after(vec![Reply::events(stream.chunks(1).map(<[u8]>::to_vec))]).await;
    assert_eq!((text.as_str(), requests), ("größer ✓ 🦀", 1));
}

#[tokio::test]
async fn done_is_optional_after_the_finish_reason_and_so_is_the_last_empty_line() {
    let replies = vec![Reply::events([delta(json!({"content": "a"})), finish("stop").trim_end().into()])];
    assert_eq!(text_after(replies).await, ("a".into(), 1));
    for ending in [Ending::Cut, Ending::Stall, Ending::Drip(Duration::from_millis(10))] {
        let replies = vec![Reply::events([delta(json!({"content": "a"})), finish("stop")]).ending(ending)];
        assert_eq!(text_after(replies).await, ("a".into(), 1), "{ending:?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_its_finish_reason_is_asked_for_again() {
    let half = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "bash", "arguments": "{\"comm"}}]});
    for ending in [Ending::Complete, Ending::Cut, Ending::Stall] {
        let broken = Reply::events([delta(half.clone())]).ending(ending);
        assert_eq!(text_after(vec![broken, good()]).await, ("fine".into(), 2), "{ending:?}");
    }
    let even_with_done = Reply::events([delta(half), "data: [DONE]\n\n".into()]);
    assert_eq!(text_after(vec![even_with_done, good()]).await, ("fine".into(), 2));
}

#[tokio::test]
async fn passing_trouble_is_asked_again_within_one_budget() {
    let html = || Reply::body(200, "text/html", "<html>maintenance</html>");
    let silent = || good().ending(Ending::Silence);
    let inside = || Reply::json(200, &json!({"error": {"message": "Overloaded", "code": 529}}));
    let in_stream = || Reply::events([data(json!({"error": {"message": "oops", "type": "server_error"}}))]);
    let garbage = || Reply::events(["data: {half\n\n"]);
    for trouble in [Reply::json(500, &json!({})), html(), silent(), inside(), in_stream(), garbage()] {
        assert_eq!(text_after(vec![trouble.clone(), good()]).await, ("fine".into(), 2), "{trouble:?}");
    }
    let (error, requests) = error_after(vec![Reply::json(503, &json!({"error": {"message": "later"}}))]).await;
    assert_eq!(requests, 3);
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
    assert_eq!(error.to_string(), "openai/test cannot be reached: HTTP 503: later (tried 3 times)");
}

#[tokio::test]
async fn what_asking_again_cannot_cure_is_asked_once() {
    let message = |status: u16, text: &str| Reply::json(status, &json!({"error": {"message": text}}));
    let quota = Reply::json(429, &json!({"error": {"message": "no money", "code": "insufficient_quota"}}));
    let in_stream = Reply::events([data(json!({"error": {"message": "prompt is too long", "code": 400}}))]);
    for (reply, is_expected) in [
        (quota, (|e| matches!(e, ModelError::Quota { .. })) as fn(&ModelError) -> bool),
        (message(401, "who are you"), |e| matches!(e, ModelError::Authentication { .. })),
        (message(400, "maximum context length is 10"), |e| matches!(e, ModelError::ContextOverflow { .. })),
        (in_stream, |e| matches!(e, ModelError::ContextOverflow { .. })),
        (message(404, "no such model"), |e| matches!(e, ModelError::BadRequest { .. })),
    ] {
        let (error, requests) = error_after(vec![reply, good()]).await;
        assert!(is_expected(&error), "{error:?}");
        assert_eq!(requests, 1, "{error}");
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_and_an_absurd_one_clipped() {
    let limited = |wait: &str| Reply::json(429, &json!({"error": {"message": "slow"}})).header("retry-after-ms", wait);
    let begun = Instant::now();
    assert_eq!(text_after(vec![limited("150"), good()]).await, ("fine".into(), 2));
    assert!(begun.elapsed() >= Duration::from_millis(150));

    let server = Server::replying(vec![limited("99999999999"), good()]).await;
    let mut options = options();
    options.http.retry.retry_after_max = Duration::from_millis(50);
    let begun = Instant::now();
    let answer = model_at("openai/test", server.url("/v1"), &options).respond(&request()).await.unwrap();
    assert_eq!(answer.text(), "fine");
    assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < Duration::from_secs(10));

    let (error, requests) = error_after(vec![limited("60000")]).await;
    assert_eq!(requests, 1, "the wait would pass the total deadline");
    assert!(error.to_string().contains("asks to wait 60s"), "{error}");
    assert!(matches!(error, ModelError::Quota { .. }), "{error}");
}

#[tokio::test]
async fn a_drip_that_never_stalls_ends_at_the_total_deadline() {
    let drip = Reply::events([delta(json!({"content": "a"}))]).ending(Ending::Drip(Duration::from_millis(20)));
    let server = Server::replying(vec![drip]).await;
    let mut options = options();
    options.http.deadlines.total = Duration::from_secs(2);
    let error = model_at("openai/test", server.url("/v1"), &options).respond(&request()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert!(error.to_string().contains("no complete answer within 2s"), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_its_limit_is_refused_at_once() {
    let server = Server::replying(vec![Reply::events(vec![delta(json!({"content": "x".repeat(100)})); 100])]).await;
    let mut options = options();
    options.http.response_bytes_max = 5000;
    let error = model_at("openai/test", server.url("/v1"), &options).respond(&request()).await.unwrap_err();
    assert!(matches!(error, ModelError::Invalid { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_key_follows_no_redirect_to_another_host_and_is_in_no_error() {
    let thief = Server::replying(vec![good()]).await;
    let target = thief.url("/v1/chat/completions");
    for status in [301, 302, 307, 308] {
        let redirect = Reply::body(status, "text/plain", "").header("location", target.clone());
        let (error, requests) = error_after(vec![redirect]).await;
        assert!(matches!(error, ModelError::BadRequest { .. }), "{error}");
        assert!(error.to_string().contains("the key was not sent there"), "{error}");
        assert_eq!((requests, thief.requests().len()), (1, 0));
    }
    let moved = Reply::body(307, "text/plain", "").header("location", "/v2/chat/completions");
    assert_eq!(text_after(vec![moved, good()]).await, ("fine".into(), 2), "the same host may move it");

    let echo = Reply::json(401, &json!({"error": {"message": format!("bad key {KEY}, yes {KEY}")}}));
    let (error, _) = error_after(vec![echo]).await;
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary") && shown.contains("bad key [redacted]"), "{shown}");
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let server = Server::replying(vec![good()]).await;
    let model = openai(&server);
    drop(server);
    // The listener is gone when its task is; until then a connection is merely never answered.
    let error = model.respond(&request()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_tools_is_spoken_to_in_the_plain_protocol_from_then_on() {
    let refused = Reply::json(400, &json!({"error": {"message": "gemma:2b does not support tools"}}));
    let plain = Turn::text("I look.\n```bash\nls\n```\n").reply();
    let server = Server::replying(vec![refused, plain]).await;
    let model = openai(&server);
    for expected_requests in [2, 3] {
        let answer = model.respond(&request()).await.unwrap();
        let call = answer.tool_uses().next().unwrap();
        assert_eq!(
            (call.name.as_str(), &call.input, call.id.as_str()),
            ("bash", &json!({"command": "ls\n"}), "call_0_0")
        );
        assert_eq!(answer.usage.input_tokens, Some(1000));
        assert_eq!(server.requests().len(), expected_requests);
    }
    assert!(server.requests()[0].json().get("tools").is_some());
    assert!(server.requests()[1].json().get("tools").is_none());
}

#[tokio::test]
async fn the_operator_may_choose_the_plain_protocol() {
    let server = Server::scripted(vec![Turn::text("Done.\n```bash\nsubmit\n```")]).await;
    let model = model_at("openai/test", server.url("/v1"), &ModelOptions { tools: ToolMode::Plain, ..options() });
    let answer = model.respond(&request()).await.unwrap();
    assert_eq!(answer.tool_uses().next().unwrap().input, json!({"summary": "Done."}));
    assert!(server.requests()[0].json().get("tools").is_none());
}

#[tokio::test]
async fn refused_parameters_are_renamed_or_left_out() {
    let refuse = |text: &str| Reply::json(400, &json!({"error": {"message": text}}));
    let server = Server::replying(vec![
        refuse("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        refuse("Unknown parameter: stream_options"),
        good(),
    ])
    .await;
    assert_eq!(openai(&server).respond(&request()).await.unwrap().text(), "fine");
    let last = server.requests()[2].json();
    assert_eq!(last["max_completion_tokens"], 1000);
    assert!(last.get("max_tokens").is_none() && last.get("stream_options").is_none());
}

#[tokio::test]
async fn reasoning_goes_back_to_mimo() {
    let turns = vec![Turn::text("").reasoning("think").call("bash", json!({})), Turn::text("ok")];
    let server = Server::scripted(turns).await;
    let model = model_at("xiaomi/mimo-v2.5-pro", server.url("/v1"), &options());
    let mut request = request();
    let answer = model.respond(&request).await.unwrap();
    let id = answer.tool_uses().next().unwrap().id.clone();
    request.messages.push(Message { role: Role::Assistant, content: answer.content });
    let result = Block::ToolResult { tool_use_id: id, content: "x".into(), is_error: false };
    request.messages.push(Message { role: Role::User, content: vec![result] });
    assert_eq!(model.respond(&request).await.unwrap().text(), "ok");
    assert_eq!(server.requests()[1].json()["messages"][2]["reasoning_content"], "think");
    let expected = (0.200 * 0.435 + 0.800 * 0.0036 + 0.050 * 0.87) / 1000.0;
    let cost = model.cost_usd(&answer.usage).unwrap();
    assert!((cost - expected).abs() < 1e-9, "{cost}");
}

fn messages_events() -> Vec<String> {
    let event = |value: Value| format!("event: {}\n{}", value["type"].as_str().unwrap(), data(value.clone()));
    [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 20, "output_tokens": 1, "cache_read_input_tokens": 80}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Eq+/\u{e9}=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"command\":\"ls\"}"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]
    .into_iter()
    .map(event)
    .collect()
}

#[tokio::test]
async fn messages_answers_go_back_as_they_came() {
    let server = Server::replying(vec![Reply::events(messages_events())]).await;
    let model = anthropic(&server);
    let mut request = request();
    let answer = model.respond(&request).await.unwrap();
    assert_eq!(answer.stop_reason, StopReason::ToolUse);
    assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (Some(100), Some(9)));
    request.messages.push(Message { role: Role::Assistant, content: answer.content });
    model.respond(&request).await.unwrap();

    let [first, second] = &server.requests()[..] else { panic!("two requests") };
    assert_eq!(first.path, "/v1/messages");
    assert_eq!((first.header("x-api-key"), first.header("anthropic-version")), (Some(KEY), Some("2023-06-01")));
    assert_eq!(
        second.json()["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "Eq+/\u{e9}=="},
            {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}},
        ])
    );
}

#[tokio::test]
async fn messages_streams_cut_short_or_overloaded_are_asked_for_again() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let broken = [
        Reply::events(messages_events().into_iter().take(7)),
        Reply::events([format!("event: error\n{}", data(overloaded))]),
        Reply::json(529, &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})),
    ];
    for reply in broken {
        let server = Server::replying(vec![reply.clone(), Reply::events(messages_events())]).await;
        let answer = anthropic(&server).respond(&request()).await.unwrap();
        assert_eq!((answer.tool_uses().count(), server.requests().len()), (1, 2), "{reply:?}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_will_do() {
    let whole = json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "bash", "arguments": "{\"command\":\"ls\"}"}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let server = Server::replying(vec![Reply::json(200, &whole)]).await;
    let answer = openai(&server).respond(&request()).await.unwrap();
    assert_eq!(answer.tool_uses().next().unwrap().input, json!({"command": "ls"}));
    assert_eq!(answer.usage.input_tokens, Some(5));
}
