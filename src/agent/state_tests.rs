//! The loop's decisions over hand-written events: no clock, no disk, no container.

use greenroom_parsers::Report;
use serde_json::json;

use super::{RunState, Step};
use crate::event::{Event, Limits, ModelFailure, RunOutcome, RunStatus, ToolOutcome};
use crate::id::{BlobId, CallToken, RunId};
use crate::message::{Block, ModelResponse, Role, StopReason, ToolUse, Usage};
use crate::network::{Install, InstalledPackage, Manager};
use crate::snapshot::TreePath;
use crate::task::{Check, CheckResult, Outcome, Task};

pub(super) fn check(code: i32) -> CheckResult {
    CheckResult {
        check: Check { command: "make test".into() },
        outcome: Outcome::Exited { code },
        duration_ms: 5,
        report: Report::default(),
        output: BlobId::of(b""),
        tail: "tail".into(),
    }
}

pub(super) fn started(limits: Limits, instruction: Option<&str>) -> RunState {
    let run: RunId = "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id");
    let task = Task {
        instruction: instruction.map(str::to_owned),
        checks: vec![Check { command: "make test".into() }],
        rules: Default::default(),
    };
    let event = Event::RunStarted {
        schema: 1,
        greenroom: "0".into(),
        run,
        repo: "/repo".into(),
        task,
        model: "scripted".into(),
        limits,
        plan: serde_json::Value::Null,
        pristine: None,
        parent: None,
        helper: None,
    };
    RunState::start(&event).expect("the event starts a run")
}

/// Up to the first question to the model.
pub(super) fn ready(limits: Limits) -> RunState {
    let mut state = started(limits, None);
    assert_eq!(state.next(), Step::StartSandbox);
    state.apply(&Event::SandboxStarted {
        container: "c".into(),
        image: "python".into(),
        image_digest: "sha256:0".into(),
        hardening: json!({}),
        runtime: None,
        weaker: Vec::new(),
        pristine: BlobId::of(b"tree"),
        files: 1,
        bytes: 1,
    });
    assert_eq!(state.next(), Step::RunBaseline);
    state.apply(&baseline(1));
    state
}

pub(super) fn baseline(code: i32) -> Event {
    Event::BaselineFinished {
        checks: vec![check(code)],
        build_output: vec![TreePath::new("target").expect("a plain path")],
        elapsed_ms: 10,
        snapshot: None,
        frozen: None,
    }
}

pub(super) fn answer(state: &mut RunState, calls: &[&str], stop_reason: StopReason) {
    let turn = state.turns + 1;
    state.apply(&Event::ModelRequested { turn, estimated_input_tokens: 100, output_tokens_max: 0, cost_usd_max: None });
    let mut content = vec![Block::Text { text: "thinking aloud".into() }];
    content.extend(calls.iter().enumerate().map(|(n, name)| {
        Block::ToolUse(ToolUse { id: format!("{turn}.{n}"), name: (*name).into(), input: json!({}) })
    }));
    let usage = Usage { input_tokens: Some(100), output_tokens: Some(10), ..Usage::default() };
    let response = ModelResponse { content, stop_reason, usage };
    state.apply(&Event::ModelResponded { turn, response, cost_usd: Some(0.5), elapsed_ms: 100, reflex: None });
}

pub(super) fn finish_tool(state: &mut RunState, result: ToolOutcome) {
    let Step::CallTool { token, call } = state.next() else { panic!("{:?}", state.next()) };
    state.apply(&Event::ToolCallStarted { token, call });
    state.apply(&Event::ToolCallFinished { token, result: Box::new(result), elapsed_ms: 20, snapshot: None });
}

pub(super) fn checks_ran(code: i32) -> ToolOutcome {
    ToolOutcome { checks: Some(vec![check(code)]), ..ToolOutcome::told("checks ran") }
}

pub(super) fn edited() -> ToolOutcome {
    ToolOutcome { may_write: true, ..ToolOutcome::told("edited") }
}

pub(super) fn submitted() -> ToolOutcome {
    ToolOutcome { submitted: Some("fixed it".into()), ..ToolOutcome::told("submitted") }
}

pub(super) fn captured() -> Event {
    Event::TreeCaptured {
        tree: BlobId::of(b"t"),
        patch: BlobId::of(b"p"),
        files_changed: vec!["a.py".into()],
        workspace: None,
        artifacts_left_out: 0,
    }
}

pub(super) fn verified(code: i32) -> Event {
    Event::VerificationFinished { checks: vec![check(code)], elapsed_ms: 30, judgement: None, score: None }
}

#[test]
fn a_fix_that_verifies_ends_the_run() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["edit_file", "run_checks", "submit"], StopReason::ToolUse);
    finish_tool(&mut state, edited());
    finish_tool(&mut state, checks_ran(0));
    finish_tool(&mut state, submitted());
    assert_eq!(state.next(), Step::CaptureTree);
    state.apply(&captured());
    assert_eq!(state.next(), Step::Verify);
    state.apply(&verified(0));
    let Step::Finish(outcome) = state.next() else { panic!("{:?}", state.next()) };
    assert_eq!(outcome.status, RunStatus::Verified);
    state.apply(&Event::Finished { outcome, elapsed_ms: 200 });
    assert_eq!(state.next(), Step::Done);
    assert_eq!((state.steps, state.turns, state.input_tokens), (3, 1, 100));
    assert_eq!((state.tally[0].runs, state.tally[0].red_runs), (1, 0));
}

#[test]
fn a_run_that_stands_still_ends_unless_it_may() {
    let idle = |may_idle| {
        let mut state = ready(Limits { may_idle, ..Limits::default() });
        for turns in 0..60 {
            if !matches!(state.next(), Step::CallModel { .. }) {
                return turns;
            }
            answer(&mut state, &["list_files"], StopReason::ToolUse);
            finish_tool(&mut state, ToolOutcome::told("nothing"));
        }
        60
    };
    assert!(idle(false) < 60);
    assert_eq!(idle(true), 60);
}

#[test]
fn a_green_baseline_without_a_task_is_verified_at_once() {
    let mut state = started(Limits::default(), None);
    state.apply(&baseline(0));
    assert_eq!(state.next(), Step::CaptureTree);
}

#[test]
fn a_green_baseline_with_a_task_still_asks_the_model() {
    let mut state = started(Limits::default(), Some("add a feature"));
    state.apply(&baseline(0));
    assert_eq!(state.next(), Step::CallModel { turn: 1 });
}

#[test]
fn a_red_verification_goes_back_to_the_model_with_the_evidence() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["submit"], StopReason::ToolUse);
    finish_tool(&mut state, submitted());
    state.apply(&captured());
    state.apply(&verified(1));
    assert_eq!(state.next(), Step::CallModel { turn: 2 });
    let last = state.transcript.last().expect("a message");
    assert_eq!(last.role, Role::User);
    assert!(matches!(&last.content[..],
        [Block::ToolResult { .. }, Block::Text { text }] if text.contains("Not accepted") && text.contains("make test")));
}

#[test]
fn submitting_in_vain_again_and_again_ends_unverified() {
    let mut state = ready(Limits::default());
    for _ in 0..5 {
        answer(&mut state, &["submit"], StopReason::ToolUse);
        finish_tool(&mut state, submitted());
        state.apply(&captured());
        state.apply(&verified(1));
    }
    assert!(matches!(state.next(), Step::Finish(RunOutcome { status: RunStatus::Unverified, .. })));
}

#[test]
fn calls_behind_submit_are_refused_and_answered() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["submit", "bash"], StopReason::ToolUse);
    finish_tool(&mut state, submitted());
    state.apply(&captured());
    state.apply(&verified(1));
    let last = state.transcript.last().expect("a message");
    let results = last.content.iter().filter(|block| matches!(block, Block::ToolResult { .. })).count();
    assert_eq!(results, 2, "every call has its result");
}

#[test]
fn giving_up_with_red_checks_ends_unverified_in_its_own_words() {
    let mut state = ready(Limits::default());
    answer(&mut state, &[], StopReason::GaveUp);
    assert_eq!(state.next(), Step::CaptureTree);
    state.apply(&captured());
    let outcome = RunOutcome { status: RunStatus::Unverified, reason: "thinking aloud".into() };
    assert_eq!(state.next(), Step::Finish(outcome));
}

#[test]
fn an_answer_that_was_cut_off_is_never_executed() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["bash"], StopReason::MaxTokens);
    assert_eq!(state.next(), Step::CallModel { turn: 2 });
    assert_eq!(state.steps, 0);
}

#[test]
fn talking_without_acting_ends() {
    let mut state = ready(Limits::default());
    for turn in 1..=3 {
        assert_eq!(state.next(), Step::CallModel { turn });
        answer(&mut state, &[], StopReason::EndTurn);
    }
    assert_eq!(state.next(), Step::CaptureTree);
}

#[test]
fn a_model_that_refuses_or_says_nothing_three_times_parks_and_can_go_on() {
    let silent = |state: &mut RunState, stop_reason, content| {
        let turn = state.turns + 1;
        let (estimated_input_tokens, output_tokens_max, cost_usd_max) = (100, 0, None);
        state.apply(&Event::ModelRequested { turn, estimated_input_tokens, output_tokens_max, cost_usd_max });
        let response = ModelResponse { content, stop_reason, usage: Usage::default() };
        state.apply(&Event::ModelResponded { turn, response, cost_usd: None, elapsed_ms: 1, reflex: None });
    };
    let mut state = ready(Limits::default());
    silent(&mut state, StopReason::Refusal, vec![Block::Text { text: "I will not.".into() }]);
    silent(&mut state, StopReason::EndTurn, vec![]);
    assert!(matches!(state.next(), Step::CallModel { .. }), "{:?}", state.next());
    let thought = Block::Thinking { thinking: "hm".into(), signature: None };
    silent(&mut state, StopReason::EndTurn, vec![thought]);
    assert_eq!(state.next(), Step::CaptureTree);
    state.apply(&captured());
    let Step::Finish(outcome) = state.next() else { panic!("{:?}", state.next()) };
    assert_eq!(outcome.status, RunStatus::Parked);
    state.apply(&Event::Finished { outcome, elapsed_ms: 1 });
    assert!(state.can_resume());
    // A call in between begins the count anew.
    let mut state = ready(Limits::default());
    for _ in 0..2 {
        silent(&mut state, StopReason::Refusal, vec![]);
        silent(&mut state, StopReason::Refusal, vec![]);
        answer(&mut state, &["bash"], StopReason::ToolUse);
        finish_tool(&mut state, ToolOutcome::told("ok"));
    }
    assert!(matches!(state.next(), Step::CallModel { .. }), "{:?}", state.next());
}

#[test]
fn a_writer_is_charged_before_it_answers_and_never_beyond_the_limit() {
    let asked = |state: &mut RunState| {
        state.apply(&Event::WriterAsked {
            version: 1,
            estimated_input_tokens: 600,
            output_tokens_max: 100,
            cost_usd_max: Some(0.5),
            shown_messages: 0,
        });
    };
    let limits = Limits { tokens_max: Some(1_000), cost_usd_max: Some(1.0), ..Limits::default() };
    let mut state = ready(limits);
    assert!(state.has_room_for(700, Some(0.5)) && !state.has_room_for(1_001, Some(0.5)));
    assert!(!state.has_room_for(700, Some(1.5)) && !state.has_room_for(700, None));
    asked(&mut state);
    // Killed before the answer: the worst is spent.
    state.apply(&Event::Resumed { schema: 1, greenroom: "0".into(), limits: None });
    assert_eq!((state.input_tokens, state.output_tokens, state.cost_usd), (600, 100, 0.5));
    assert!(!state.has_room_for(700, Some(0.1)));
    // Answered: what the provider counted is spent.
    asked(&mut state);
    let usage = Usage { input_tokens: Some(10), output_tokens: Some(5), ..Usage::default() };
    let outcome = crate::checkpoint::WriterOutcome::Failed { detail: "x".into() };
    let (checkpoint, cost_usd, elapsed_ms) = (None, Some(0.1), 1);
    state.apply(&Event::WriterFinished { outcome, checkpoint, usage, cost_usd, elapsed_ms });
    assert_eq!((state.input_tokens, state.output_tokens), (610, 105));
    // Parked while it works: the worst again.
    asked(&mut state);
    let outcome = RunOutcome { status: RunStatus::Parked, reason: "x".into() };
    state.apply(&Event::Finished { outcome, elapsed_ms: 1 });
    assert_eq!((state.input_tokens, state.writer.tokens), (1_210, 700 + 15 + 700));
}

#[test]
fn each_limit_stops_the_run() {
    let base = Limits::default();
    let cases = [
        Limits { steps_max: 1, ..base.clone() },
        Limits { tokens_max: Some(110), ..base.clone() },
        Limits { cost_usd_max: Some(0.4), ..base.clone() },
        Limits { wall_time_max_ms: Some(120), ..base.clone() },
    ];
    for limits in cases {
        let mut state = ready(limits.clone());
        answer(&mut state, &["bash", "bash"], StopReason::ToolUse);
        finish_tool(&mut state, edited());
        assert_eq!(state.next(), Step::CaptureTree, "{limits:?}");
        state.apply(&captured());
        assert!(matches!(state.next(), Step::Finish(RunOutcome { status: RunStatus::Limit, .. })), "{limits:?}");
    }
}

#[test]
fn a_provider_that_stays_away_parks_the_run() {
    for failure in [ModelFailure::Unavailable, ModelFailure::Authentication, ModelFailure::Quota] {
        let mut state = ready(Limits::default());
        state.apply(&Event::ModelRequested {
            turn: 1,
            estimated_input_tokens: 1,
            output_tokens_max: 0,
            cost_usd_max: None,
        });
        state.apply(&Event::ModelFailed { turn: 1, failure, detail: "503".into(), elapsed_ms: 1 });
        state.apply(&captured());
        assert!(matches!(state.next(), Step::Finish(RunOutcome { status: RunStatus::Parked, .. })));
    }
}

#[test]
fn a_request_that_is_too_long_is_built_smaller_twice() {
    let mut state = ready(Limits::default());
    for shrinks in 1..=2 {
        let turn = state.turns + 1;
        state.apply(&Event::ModelRequested {
            turn,
            estimated_input_tokens: 1,
            output_tokens_max: 0,
            cost_usd_max: None,
        });
        let failure = ModelFailure::ContextOverflow;
        state.apply(&Event::ModelFailed { turn, failure, detail: "too long".into(), elapsed_ms: 1 });
        assert_eq!((state.shrinks, state.next()), (shrinks, Step::CallModel { turn: turn + 1 }));
    }
}

#[test]
fn the_fold_of_every_prefix_decides_the_same_as_the_live_run() {
    let mut events = vec![Event::RunStarted {
        schema: 1,
        greenroom: "0".into(),
        run: "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id"),
        repo: "/repo".into(),
        task: Task {
            instruction: None,
            checks: vec![Check { command: "make test".into() }],
            rules: Default::default(),
        },
        model: "m".into(),
        limits: Limits::default(),
        plan: serde_json::Value::Null,
        pristine: None,
        parent: None,
        helper: None,
    }];
    let call = ToolUse { id: "a".into(), name: "bash".into(), input: json!({}) };
    let response = ModelResponse {
        content: vec![Block::ToolUse(call.clone())],
        stop_reason: StopReason::ToolUse,
        ..Default::default()
    };
    events.push(baseline(1));
    events.push(Event::ModelRequested { turn: 1, estimated_input_tokens: 1, output_tokens_max: 0, cost_usd_max: None });
    events.push(Event::ModelResponded { turn: 1, response, cost_usd: None, elapsed_ms: 1, reflex: None });
    events.push(Event::ToolCallStarted { token: CallToken(0), call });
    events.push(Event::ToolCallFinished {
        token: CallToken(0),
        result: Box::new(submitted()),
        elapsed_ms: 1,
        snapshot: None,
    });
    events.push(captured());
    events.push(verified(0));
    let mut live = RunState::start(&events[0]).expect("starts");
    for cut in 1..events.len() {
        live.apply(&events[cut]);
        let replayed = RunState::replay(&events[..=cut]).expect("replays");
        assert_eq!(format!("{replayed:?}"), format!("{live:?}"), "after {cut} events");
    }
}

#[test]
fn an_install_that_nobody_saw_end_is_not_made_again() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["install", "bash"], StopReason::ToolUse);
    let Step::CallTool { token, call } = state.next() else { panic!("{:?}", state.next()) };
    state.apply(&Event::ToolCallStarted { token, call });
    assert_eq!(state.next(), Step::InstallUnknown { token });
    let result = ToolOutcome { effect_unknown: true, ..ToolOutcome::default() };
    state.apply(&Event::ToolCallFinished { token, result: Box::new(result), elapsed_ms: 0, snapshot: None });
    // Any other call can be made again: it reached nothing but its sandbox.
    let Step::CallTool { token, call } = state.next() else { panic!("{:?}", state.next()) };
    assert_eq!(call.name, "bash");
    state.apply(&Event::ToolCallStarted { token, call: call.clone() });
    assert_eq!(state.next(), Step::CallTool { token, call });
}

#[test]
fn what_was_installed_is_where_the_run_goes_on_and_stands_in_its_verdict() {
    let mut state = ready(Limits::default());
    answer(&mut state, &["install", "submit"], StopReason::ToolUse);
    let package = InstalledPackage { name: "six".into(), version: "1.16.0".into(), hash: None };
    let install = Install {
        manager: Manager::Pip,
        asked: vec!["six".into()],
        packages: vec![package],
        image: "python".into(),
        image_digest: "sha256:1".into(),
        container: "d".into(),
    };
    finish_tool(
        &mut state,
        ToolOutcome { installed: Some(Box::new(install)), may_write: true, ..ToolOutcome::default() },
    );
    assert_eq!((state.container.as_deref(), state.image_digest.as_deref()), (Some("d"), Some("sha256:1")));
    finish_tool(&mut state, ToolOutcome { submitted: Some(String::new()), ..ToolOutcome::default() });
    let (tree, patch) = (BlobId::of(b"t"), BlobId::of(b"p"));
    state.apply(&Event::TreeCaptured { tree, patch, files_changed: vec![], workspace: None, artifacts_left_out: 0 });
    state.apply(&Event::VerificationFinished { checks: vec![check(0)], elapsed_ms: 1, judgement: None, score: None });
    let Step::Finish(outcome) = state.next() else { panic!("{:?}", state.next()) };
    assert_eq!(outcome.reason, "1 of 1 checks pass in a clean container with six 1.16.0 (pip) installed");
}
