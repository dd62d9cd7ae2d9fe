//! Long runs, folded without a sandbox: what every request holds, and how large it gets.

use serde_json::json;

use super::{build, checkpoint, estimated_tokens};
use crate::agent::{RunState, Step};
use crate::event::{Event, Limits, ToolOutcome};
use crate::id::{BlobId, RunId};
use crate::message::{Block, ModelRequest, ModelResponse, StopReason, ToolSpec, ToolUse, Usage};
use crate::task::{Check, CheckResult, Outcome, Task};

const TASK: &str = "Find out why the totals differ. Never touch the file ledger.lock.";

fn begun(window_tokens: u64) -> RunState {
    let run: RunId = "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id");
    let checks = vec![Check { command: "make test".into() }];
    let limits = Limits { steps_max: u64::MAX / 4, context_tokens_max: window_tokens, ..Limits::default() };
    let started = Event::RunStarted {
        schema: 1,
        greenroom: "0".into(),
        run,
        repo: "/repo".into(),
        task: Task { instruction: Some(TASK.into()), checks, rules: Default::default() },
        model: "scripted".into(),
        limits,
        plan: serde_json::Value::Null,
        pristine: None,
        parent: None,
        helper: None,
    };
    let mut state = RunState::start(&started).expect("the event starts a run");
    state.apply(&Event::SandboxStarted {
        container: "c".into(),
        image: "python".into(),
        image_digest: "sha256:0".into(),
        hardening: json!({}),
        runtime: None,
        weaker: Default::default(),
        pristine: BlobId::of(b"tree"),
        files: 1,
        bytes: 1,
    });
    state.apply(&Event::BaselineFinished {
        checks: vec![red()],
        build_output: vec![],
        elapsed_ms: 1,
        snapshot: None,
        frozen: None,
    });
    state
}

fn red() -> CheckResult {
    CheckResult {
        check: Check { command: "make test".into() },
        outcome: Outcome::Exited { code: 1 },
        duration_ms: 5,
        report: greenroom_parsers::Report::default(),
        output: BlobId::of(b""),
        tail: "expected 12 but was 11".into(),
    }
}

/// Does what the state asks for until the next request, and gives it.
fn request(state: &mut RunState) -> ModelRequest {
    request_with(state, vec![])
}

fn request_with(state: &mut RunState, tools: Vec<ToolSpec>) -> ModelRequest {
    loop {
        match state.next() {
            Step::WriteCheckpoint => {
                let checkpoint = Box::new(checkpoint(state));
                state.apply(&Event::CheckpointWritten { checkpoint });
            }
            Step::RebuildWindow { reason, dropped_messages } => {
                let version = state.window.newest.as_ref().expect("written before").version;
                state.apply(&Event::WindowRebuilt { version, reason, dropped_messages: dropped_messages as u64 });
            }
            Step::CallModel { turn } => {
                let request = build(state, tools);
                let estimated_input_tokens = estimated_tokens(&request);
                let output_tokens_max = request.output_tokens_max;
                let cost_usd_max = None;
                state.apply(&Event::ModelRequested { turn, estimated_input_tokens, output_tokens_max, cost_usd_max });
                return request;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn step(state: &mut RunState, call: ToolUse, result: ToolOutcome) {
    answer(state, call, result, Usage::default());
}

fn answer(state: &mut RunState, call: ToolUse, result: ToolOutcome, usage: Usage) {
    let turn = state.turns;
    let content = vec![Block::Text { text: format!("now step {}", state.steps) }, Block::ToolUse(call)];
    let response = ModelResponse { content, stop_reason: StopReason::ToolUse, usage };
    state.apply(&Event::ModelResponded { turn, response, cost_usd: None, elapsed_ms: 1, reflex: None });
    let Step::CallTool { token, call } = state.next() else { panic!("{:?}", state.next()) };
    state.apply(&Event::ToolCallStarted { token, call });
    state.apply(&Event::ToolCallFinished { token, result: Box::new(result), elapsed_ms: 1, snapshot: None });
}

fn bash(n: u64) -> ToolUse {
    ToolUse { id: format!("c{n}"), name: "bash".into(), input: json!({"command": format!("./look --at {n}")}) }
}

fn seen(n: u64) -> ToolOutcome {
    let lines = (0..n * 7 % 60).map(|line| format!("row {line} of part {n}: {}\n", n * line)).collect::<String>();
    ToolOutcome {
        outcome: Some(Outcome::Exited { code: 0 }),
        may_write: true,
        ..ToolOutcome::told(format!("part {n} has the total {}\n{lines}", n * 31))
    }
}

fn text(request: &ModelRequest) -> String {
    let texts = request.messages.iter().flat_map(|message| &message.content).map(|block| match block {
        Block::Text { text } => text.clone(),
        Block::ToolResult { content, .. } => content.clone(),
        Block::ToolUse(call) => call.input.to_string(),
        Block::Thinking { .. } | Block::RedactedThinking { .. } => String::new(),
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_request_of_a_long_run_is_over_its_budget_and_each_holds_the_task() {
    for window in [8_000, 32_000] {
        let mut state = begun(window);
        let mut sizes = Vec::new();
        for n in 0..3_000 {
            let request = request(&mut state);
            let tokens = estimated_tokens(&request);
            assert!(tokens + u64::from(request.output_tokens_max) <= window, "{tokens} at step {n} of {window}");
            assert!(text(&request).contains(TASK), "step {n}");
            sizes.push(tokens);
            step(&mut state, bash(n), seen(n));
        }
        assert!(state.window.rebuilds > 10, "{}", state.window.rebuilds);
        let tenth = |n: usize| sizes[n * 300..(n + 1) * 300].iter().sum::<u64>();
        assert!(tenth(9) as f64 <= 1.05 * tenth(1) as f64, "{} then {}", tenth(1), tenth(9));
        assert!(state.transcript.len() < 500, "the state keeps no more than the window");
    }
}

#[test]
fn the_newest_failing_evidence_survives_every_rebuild_word_for_word() {
    let mut state = begun(8_000);
    request(&mut state);
    let evidence = "tests/test_sum.py:41: expected 12 but was 11 in row 0x3f";
    let failed = ToolOutcome { checks: Some(vec![red()]), ..ToolOutcome::told(evidence) };
    step(&mut state, ToolUse { id: "k".into(), name: "run_checks".into(), input: json!({}) }, failed);
    for n in 0..600 {
        let request = request(&mut state);
        assert!(text(&request).contains(evidence), "step {n} after {} rebuilds", state.window.rebuilds);
        step(&mut state, bash(n), seen(n));
    }
    assert!(state.window.rebuilds > 3);
}

#[test]
fn calls_and_their_results_stay_together() {
    let mut state = begun(8_000);
    for n in 0..400 {
        let request = request(&mut state);
        let mut open: Vec<String> = Vec::new();
        for block in request.messages.iter().flat_map(|message| &message.content) {
            match block {
                Block::ToolUse(call) => open.push(call.id.clone()),
                Block::ToolResult { tool_use_id, .. } => {
                    assert_eq!(open.pop().as_ref(), Some(tool_use_id), "step {n}");
                }
                Block::Text { .. } | Block::Thinking { .. } | Block::RedactedThinking { .. } => {}
            }
        }
        assert!(open.is_empty(), "step {n}");
        step(&mut state, bash(n), seen(n));
    }
}

/// Tools whose descriptions take a good part of a small window.
fn many_tools() -> Vec<ToolSpec> {
    let tool =
        |name| ToolSpec { name, description: WORDS, input_schema: json!({"type": "object", "description": WORDS}) };
    vec![tool("bash"), tool("recall"), tool("run_checks"), tool("submit")]
}
const WORDS: &str = "One of several sentences that say at some length what a tool is for, when it is better left alone, \
                     what it costs, how large its answer may get and where the rest of it can be had, so that whoever \
                     calls it knows all of that before the first call and need not find it out by trying, which would \
                     take longer than reading this. It is as long as this for a reason: it stands in each request.";

#[test]
fn the_newest_command_is_in_every_request_though_the_window_is_small_and_look_ups_fill_it() {
    let mut state = begun(8_192);
    let mut before = String::new();
    for n in 0..400 {
        let request = request_with(&mut state, many_tools());
        assert!(text(&request).contains(&before), "turn {n}: {}", text(&request));
        let usage = Usage { input_tokens: Some(estimated_tokens(&request) * 6 / 5), ..Usage::default() };
        match n % 3 {
            0 => {
                before = format!("go on at {n}");
                answer(&mut state, bash(n), ToolOutcome::told(format!("{}{before}\n", seen(n % 4).content)), usage);
            }
            _ => {
                let recall = ToolUse { id: format!("r{n}"), name: "recall".into(), input: json!({"query": n}) };
                answer(&mut state, recall, ToolOutcome::told("a record of the run, found again\n".repeat(40)), usage);
            }
        }
    }
    assert!(state.window.rebuilds > 20, "{}", state.window.rebuilds);
    // A window that begins nearly full is rebuilt at each turn.
    assert!(state.window.rebuilds < 130, "{}", state.window.rebuilds);
}

#[test]
fn the_first_message_stays_as_it_is_until_the_next_rebuild() {
    let mut state = begun(8_192);
    let mut first = (0, String::new());
    for n in 0..300 {
        let request = request(&mut state);
        let opening = text(&ModelRequest { messages: request.messages[..1].to_vec(), ..request.clone() });
        if first.0 == state.window.rebuilds && n > 0 {
            assert_eq!(opening, first.1, "turn {n}");
        }
        first = (state.window.rebuilds, opening);
        // A provider whose counting is never quite the same.
        let counted = estimated_tokens(&request) * (90 + n * 7 % 20) / 100;
        answer(&mut state, bash(n), seen(n), Usage { input_tokens: Some(counted), ..Usage::default() });
    }
    assert!(state.window.rebuilds > 5);
}

#[test]
fn a_run_that_stands_still_is_told_gets_a_fresh_window_and_ends() {
    let mut state = begun(100_000);
    let (mut told, mut rebuilt) = (None, None);
    for n in 0..50 {
        if !matches!(state.next(), Step::CallModel { .. } | Step::WriteCheckpoint | Step::RebuildWindow { .. }) {
            break;
        }
        let request = request(&mut state);
        if text(&request).contains("Do something different") {
            told = told.or(Some(n));
        }
        if state.window.rebuilds > 0 {
            rebuilt = rebuilt.or(Some(n));
            assert!(text(&request).contains("that approach is exhausted"), "{}", text(&request));
        }
        step(&mut state, bash(1), seen(1));
    }
    assert!(told < rebuilt && told.is_some(), "{told:?} {rebuilt:?}");
    assert_eq!(state.next(), Step::CaptureTree);
}
