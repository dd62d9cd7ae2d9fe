//! Whole runs with a model behind a wire: Chat Completions and Messages from a server of our own, and both through a
//! LiteLLM proxy, which nobody here wrote.

use serde_json::{Value, json};

use super::House;
use crate::support::litellm::{self, LiteLlm};
use crate::support::upstream::{Reply, Server, Turn};

fn cure() -> Vec<Turn> {
    let edit = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    vec![
        Turn::text("The sign is wrong.").call("edit_file", edit).call("run_checks", json!({})),
        Turn::text("").call("submit", json!({"summary": "It adds now."})),
    ]
}

fn assert_verified_by(house: &House, model: &str) {
    let run = house.run_small(model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!((&run.result["model"], &run.result["turns"]), (&json!(model), &json!(2)), "{}", run.finished);
    assert_eq!(run.result["summary"], "It adds now.");
    assert_eq!(run.result["files_changed"], json!(["calc.py"]));
    assert!(run.result["tokens"].as_u64() > Some(0), "{}", run.finished);
    house.assert_nothing_left();
}

/// A turn as a stream of Messages events.
fn messages(turn: &Turn) -> Reply {
    let mut events =
        vec![json!({"type": "message_start", "message": {"usage": {"input_tokens": 90, "output_tokens": 1}}})];
    let blocks = turn.calls.iter().enumerate().map(|(index, (name, input))| {
        let start = json!({"type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
        [
            json!({"type": "content_block_start", "index": index, "content_block": start}),
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
            json!({"type": "content_block_stop", "index": index}),
        ]
    });
    events.extend(blocks.flatten());
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 30}}));
    events.push(json!({"type": "message_stop"}));
    let line = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("each has a type"));
    Reply::events(events.into_iter().map(line))
}

#[test]
fn a_cure_streamed_as_chat_completions_is_verified() {
    let Some(house) = House::open() else { return };
    let upstream = house.block(Server::scripted(cure()));
    let house = house.with("OPENAI_BASE_URL", &upstream.url("/v1")).with("OPENAI_API_KEY", "sk-test");
    assert_verified_by(&house, "openai/scripted");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_cure_streamed_as_messages_is_verified() {
    let Some(house) = House::open() else { return };
    let turns = cure();
    let upstream = house.block(Server::start(move |_, n| messages(&turns[n.min(turns.len() - 1)])));
    let house = house.with("ANTHROPIC_BASE_URL", &upstream.url("")).with("ANTHROPIC_API_KEY", "sk-ant-test");
    assert_verified_by(&house, "anthropic/scripted");
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.path.ends_with("/v1/messages")), "{:?}", requests[0].path);
}

#[test]
fn a_cure_through_litellm_is_verified_in_both_wire_formats() {
    if !litellm::is_asked_for() {
        return;
    }
    let Some(house) = House::open() else { return };
    let upstream = house.block(Server::scripted(cure()));
    let proxy = house.block(LiteLlm::start(&upstream.url("/v1")));
    let house = house
        .with("OPENAI_BASE_URL", &proxy.url("/v1"))
        .with("OPENAI_API_KEY", LiteLlm::KEY)
        .with("ANTHROPIC_BASE_URL", &proxy.url(""))
        .with("ANTHROPIC_API_KEY", LiteLlm::KEY);
    assert_verified_by(&house, "openai/scripted");
    assert_verified_by(&house, "anthropic/scripted");
    house.block(proxy.stop());
}

#[test]
fn a_server_that_is_not_there_parks_the_run() {
    let Some(house) = House::open() else { return };
    let house = house.with("OPENAI_BASE_URL", "http://127.0.0.1:1/v1").with("OPENAI_API_KEY", "sk-test");
    let run = house.run_small("openai/scripted", &["--time-max", "5s"]);
    assert!(matches!(run.ended(), ("parked", 6) | ("limit", 4)), "{}", run.finished);
}
