//! Long runs, folded without a sandbox: what every request holds, and how large it gets.

use serde_json::json;

use super::{build, checkpoint, estimated_tokens};
use crate::agent::{RunState, Step};
use crate::event::{Event, Limits, ToolOutcome};
use crate::id::{BlobId, RunId};
use crate::message::{Block, ModelRequest, ModelResponse, StopReason, ToolUse, Usage};
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
                let request = build(state, vec![]);
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
    let turn = state.turns;
    let content = vec![Block::Text { text: format!("now step {}", state.steps) }, Block::ToolUse(call)];
    let response = ModelResponse { content, stop_reason: StopReason::ToolUse, usage: Usage::default() };
    state.apply(&Event::ModelResponded { turn, response, cost_usd: None, elapsed_ms: 1 });
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
