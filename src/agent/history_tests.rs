//! Parked, killed, rewound and forked journals, folded: where a later runner goes on, and what it has left to spend.

use serde_json::json;

use super::history::{branch, end_of_step};
use super::{RunState, Step};
use crate::event::{Event, JOURNAL_SCHEMA, Limits, ModelFailure, RunOutcome, RunStatus, ToolOutcome};
use crate::id::{BlobId, CallToken};
use crate::message::{Block, ModelResponse, Role, StopReason, ToolUse, Usage};
use crate::task::{Check, CheckResult, Outcome, Task};

fn begun(limits: Limits) -> Vec<Event> {
    let check = Check { command: "make test".into() };
    vec![
        Event::RunStarted {
            schema: JOURNAL_SCHEMA,
            greenroom: "0".into(),
            run: "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id"),
            repo: "/repo".into(),
            task: Task { instruction: None, checks: vec![check.clone()], rules: Default::default() },
            model: "scripted".into(),
            limits,
            plan: json!({}),
            pristine: None,
            parent: None,
            helper: None,
        },
        Event::SandboxStarted {
            container: "c1".into(),
            image: "python".into(),
            image_digest: "sha256:0".into(),
            hardening: json!({}),
            runtime: None,
            weaker: Vec::new(),
            pristine: BlobId::of(b"tree"),
            files: 1,
            bytes: 1,
        },
        Event::BaselineFinished {
            checks: vec![CheckResult {
                check,
                outcome: Outcome::Exited { code: 1 },
                duration_ms: 5,
                report: Default::default(),
                output: BlobId::of(b""),
                tail: String::new(),
            }],
            build_output: Vec::new(),
            elapsed_ms: 10,
            snapshot: None,
            frozen: None,
        },
    ]
}

fn asked(turn: u64) -> Event {
    Event::ModelRequested { turn, estimated_input_tokens: 100, output_tokens_max: 50, cost_usd_max: Some(0.25) }
}

/// One turn of one call, and its result: what step `step` is made of.
fn step(turn: u64, step: u64) -> Vec<Event> {
    let call = ToolUse { id: format!("call{step}"), name: "bash".into(), input: json!({"command": step.to_string()}) };
    let response = ModelResponse {
        content: vec![Block::ToolUse(call.clone())],
        stop_reason: StopReason::ToolUse,
        usage: Usage { input_tokens: Some(10), output_tokens: Some(1), ..Usage::default() },
    };
    let token = CallToken(step - 1);
    let result = Box::new(ToolOutcome { may_write: true, ..ToolOutcome::told(format!("result {step}")) });
    vec![
        asked(turn),
        Event::ModelResponded { turn, response, cost_usd: Some(0.1), elapsed_ms: 7, reflex: None },
        Event::ToolCallStarted { token, call },
        Event::ToolCallFinished { token, result, elapsed_ms: 3, snapshot: None },
    ]
}

fn run_of(steps: u64, limits: Limits) -> Vec<Event> {
    let mut events = begun(limits);
    (1..=steps).for_each(|n| events.extend(step(n, n)));
    events
}

fn resumed() -> Event {
    Event::Resumed { schema: JOURNAL_SCHEMA, greenroom: "0".into(), limits: None }
}

fn finished(status: RunStatus) -> Event {
    Event::Finished { outcome: RunOutcome { status, reason: "so it was".into() }, elapsed_ms: 5_000 }
}

fn fold(events: &[Event]) -> RunState {
    RunState::replay(events).expect("a run")
}

#[test]
fn a_parked_run_goes_on_where_it_was() {
    let mut events = run_of(2, Limits::default());
    events.push(finished(RunStatus::Parked));
    assert_eq!(fold(&events).next(), Step::Done);
    assert!(fold(&events).can_resume());
    events.push(resumed());
    let state = fold(&events);
    assert_eq!((state.next(), state.outcome), (Step::CallModel { turn: 3 }, None));
    assert_eq!(state.elapsed_ms, 5_000, "the time of the earlier runner counts");
}

#[test]
fn a_verified_run_has_nothing_to_resume() {
    let mut events = run_of(1, Limits::default());
    events.push(finished(RunStatus::Verified));
    assert!(!fold(&events).can_resume());
}

#[test]
fn a_provider_that_is_back_is_asked_anew() {
    let mut events = run_of(1, Limits::default());
    events.push(asked(2));
    let detail = "503".to_owned();
    events.push(Event::ModelFailed { turn: 2, failure: ModelFailure::Unavailable, detail, elapsed_ms: 1 });
    assert_eq!(fold(&events).next(), Step::CaptureTree);
    events.push(resumed());
    assert_eq!(fold(&events).next(), Step::CallModel { turn: 3 });
}

#[test]
fn a_call_that_was_under_way_is_carried_out_again_under_its_token() {
    let mut events = run_of(2, Limits::default());
    events.pop();
    events.push(resumed());
    let state = fold(&events);
    assert!(state.in_flight());
    assert!(matches!(state.next(), Step::CallTool { token: CallToken(1), .. }), "{:?}", state.next());
}

#[test]
fn a_committed_answer_is_never_asked_for_again() {
    let mut events = run_of(2, Limits::default());
    events.truncate(events.len() - 2);
    events.push(resumed());
    let state = fold(&events);
    assert!(matches!(state.next(), Step::CallTool { token: CallToken(1), .. }), "{:?}", state.next());
    assert_eq!(state.answers, 2);
}

#[test]
fn a_request_without_an_answer_is_asked_again_and_charged_at_its_most() {
    let mut events = run_of(1, Limits::default());
    events.push(asked(2));
    let before = fold(&events);
    events.push(resumed());
    let state = fold(&events);
    assert_eq!(state.next(), Step::CallModel { turn: 2 });
    assert_eq!(state.input_tokens - before.input_tokens, 100);
    assert_eq!(state.output_tokens - before.output_tokens, 50);
    assert!((state.cost_usd - before.cost_usd - 0.25).abs() < 1e-9);
    // Once, however often the runner dies.
    events.push(resumed());
    assert_eq!(fold(&events).input_tokens, state.input_tokens);
    assert_eq!(state.answers, 1, "the answer that is due is the second");
}

#[test]
fn a_budget_that_the_unanswered_request_used_up_ends_the_run() {
    let mut events = run_of(1, Limits { tokens_max: Some(120), ..Limits::default() });
    events.push(asked(2));
    events.push(resumed());
    assert_eq!(fold(&events).next(), Step::CaptureTree);
}

#[test]
fn a_run_that_stopped_at_a_limit_goes_on_with_a_higher_one_only() {
    let mut events = run_of(2, Limits { steps_max: 2, ..Limits::default() });
    assert_eq!(fold(&events).next(), Step::CaptureTree);
    events.push(finished(RunStatus::Limit));
    let mut as_before = events.clone();
    as_before.push(resumed());
    assert_eq!(fold(&as_before).next(), Step::CaptureTree);
    let limits = Some(Limits { steps_max: 9, ..Limits::default() });
    events.push(Event::Resumed { schema: JOURNAL_SCHEMA, greenroom: "0".into(), limits });
    assert_eq!(fold(&events).next(), Step::CallModel { turn: 3 });
}

#[test]
fn a_rewind_takes_the_conversation_back_and_no_budget() {
    let mut events = run_of(4, Limits::default());
    let spent = fold(&events);
    events.push(Event::Rewound { to_step: 2 });
    let state = fold(&events);
    let two = fold(&run_of(2, Limits::default()));
    assert_eq!(format!("{:?}", state.transcript), format!("{:?}", two.transcript));
    assert_eq!((state.answers, state.container.as_deref()), (2, None));
    assert_eq!((state.steps, state.turns), (4, 4));
    assert_eq!((state.input_tokens, state.elapsed_ms), (spent.input_tokens, spent.elapsed_ms));
    assert_eq!(state.next(), Step::CallModel { turn: 5 });
}

#[test]
fn steps_after_a_rewind_have_numbers_of_their_own_and_can_be_rewound_too() {
    let mut events = run_of(4, Limits::default());
    events.push(Event::Rewound { to_step: 2 });
    events.push(resumed());
    events.extend(step(5, 5));
    let state = fold(&events);
    assert_eq!((state.steps, state.answers), (5, 3));
    let last = state.transcript.last().expect("a message");
    assert!(last.role == Role::User && format!("{last:?}").contains("result 5"), "{last:?}");
    events.push(Event::Rewound { to_step: 3 });
    assert_eq!(format!("{:?}", fold(&events).transcript), format!("{:?}", state.transcript), "3 is on no branch now");
    events.push(Event::Rewound { to_step: 1 });
    let kept = branch(&events);
    assert_eq!((end_of_step(&kept, 1), end_of_step(&kept, 2)), (Some(7), None));
    assert_eq!(fold(&events).answers, 1);
}

#[test]
fn a_finished_run_can_be_rewound_and_goes_on() {
    let mut events = run_of(3, Limits::default());
    events.push(finished(RunStatus::Verified));
    events.push(Event::Rewound { to_step: 0 });
    let state = fold(&events);
    assert!(state.can_resume());
    assert_eq!((state.next(), state.transcript.len()), (Step::CallModel { turn: 4 }, 0));
}
