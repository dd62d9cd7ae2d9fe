//! Helpers over hand-written events: what they may take, what they took, and how their own runs end.

use serde_json::json;

use super::state_tests::{answer, captured, finish_tool, ready, submitted};
use super::{RunState, Step};
use crate::event::{Event, Limits, ModelFailure, RunOutcome, RunStatus, ToolOutcome};
use crate::helper::{DEPTH_MAX, HelperOf, HelperReport, Merge};
use crate::id::{BlobId, CallToken, RunId};
use crate::message::StopReason;
use crate::snapshot::SnapshotRef;
use crate::task::Task;

fn run() -> RunId {
    "01hzzzzzzzzzzzzzzzzzzzzzzz".parse().expect("a run id")
}

fn report(tokens: u64, cost_usd: Option<f64>) -> Box<HelperReport> {
    Box::new(HelperReport {
        run: run().helper(CallToken(0)),
        status: RunStatus::Answered,
        reason: String::new(),
        writes: false,
        answer: "42".into(),
        steps: 4,
        helpers: 2,
        input_tokens: tokens,
        output_tokens: 0,
        cost_usd,
        files_changed: Vec::new(),
        patch: None,
        merge: Merge::Nothing,
    })
}

fn helped(tokens: u64, cost_usd: Option<f64>) -> ToolOutcome {
    ToolOutcome { helper: Some(report(tokens, cost_usd)), ..ToolOutcome::told("the helper answered") }
}

/// A helper's own run, up to its first question.
fn helper(depth: u32, limits: Limits) -> RunState {
    let snapshot = SnapshotRef {
        root: BlobId::of(b"root"),
        files: 1,
        bytes: 1,
        changed: 0,
        stored_bytes: 0,
        left_out: 0,
        unstable: false,
    };
    let of = HelperOf {
        run: run(),
        token: CallToken(0),
        depth,
        writes: true,
        snapshot: snapshot.clone(),
        build_output: Vec::new(),
    };
    let mut state = RunState::start(&Event::RunStarted {
        schema: 1,
        greenroom: "0".into(),
        run: run().helper(CallToken(0)),
        repo: "/repo".into(),
        task: Task { instruction: Some("look".into()), checks: Vec::new(), rules: Default::default() },
        model: "scripted".into(),
        limits,
        plan: serde_json::Value::Null,
        pristine: Some(BlobId::of(b"tree")),
        parent: None,
        helper: Some(Box::new(of)),
    })
    .expect("the event starts a run");
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
    state.apply(&Event::BaselineFinished {
        checks: Vec::new(),
        build_output: Vec::new(),
        elapsed_ms: 0,
        snapshot: Some(snapshot),
        frozen: None,
    });
    assert_eq!(state.next(), Step::CallModel { turn: 1 });
    state
}

fn with_helpers(helpers_max: u32) -> Limits {
    Limits { helpers_max, steps_max: 20, tokens_max: Some(10_110), cost_usd_max: Some(8.5), ..Limits::default() }
}

fn ends_answered(state: &mut RunState, summary: &str) {
    assert_eq!(state.next(), Step::CaptureTree, "nothing is verified");
    state.apply(&captured());
    let Step::Finish(outcome) = state.next() else { panic!("{:?}", state.next()) };
    assert_eq!((outcome.status, state.summary.as_deref()), (RunStatus::Answered, Some(summary)));
}

#[test]
fn what_a_helper_took_is_taken_from_who_asked() {
    let mut state = ready(with_helpers(3));
    answer(&mut state, &["helper"], StopReason::ToolUse);
    finish_tool(&mut state, helped(4_000, Some(2.0)));
    assert_eq!((state.input_tokens + state.output_tokens, state.cost_usd), (4_110, 2.5));
    assert_eq!((state.helpers.count, state.helpers.steps, state.helpers.tokens), (2, 4, 4_000));
    assert_eq!(state.next(), Step::CallModel { turn: 2 });
    answer(&mut state, &["helper"], StopReason::ToolUse);
    finish_tool(&mut state, helped(6_000, None));
    assert_eq!(state.next(), Step::CaptureTree, "10,220 of 10,110 tokens");
    assert!(!state.cost_known);
}

#[test]
fn steps_of_helpers_are_steps_of_the_run() {
    let mut state = ready(Limits { steps_max: 5, ..with_helpers(3) });
    answer(&mut state, &["helper"], StopReason::ToolUse);
    finish_tool(&mut state, helped(1, Some(0.0)));
    assert_eq!(state.next(), Step::CaptureTree, "one call and four steps of its own");
}

#[test]
fn a_share_is_of_what_is_left() {
    let mut state = ready(with_helpers(3));
    answer(&mut state, &["helper"], StopReason::ToolUse);
    let limits = state.grant(30, 50).expect("there is room");
    assert_eq!((limits.steps_max, limits.tokens_max, limits.cost_usd_max), (19, Some(5_000), Some(4.0)));
    assert_eq!(limits.helpers_max, 2);
    let all = state.grant(1, 100).expect("there is room");
    assert_eq!((all.steps_max, all.tokens_max), (1, Some(10_000)));
}

#[test]
fn where_there_is_no_helper_it_says_why() {
    let mut none = ready(Limits::default());
    assert!(!none.may_have_helpers());
    answer(&mut none, &["helper"], StopReason::ToolUse);
    insta::assert_snapshot!(none.grant(1, 1).expect_err("none"), @"this run has no helpers: its operator allowed none (`--helpers N` does)");
    let mut two = ready(with_helpers(2));
    answer(&mut two, &["helper"], StopReason::ToolUse);
    finish_tool(&mut two, helped(1, Some(0.0)));
    assert!(!two.may_have_helpers());
    insta::assert_snapshot!(two.grant(1, 1).expect_err("none is left"), @"no helper is left: do it yourself");
    let fourth = helper(DEPTH_MAX - 1, with_helpers(9));
    assert!(fourth.may_have_helpers() && fourth.grant(1, 1).is_ok());
    let fifth = helper(DEPTH_MAX, with_helpers(9));
    assert!(!fifth.may_have_helpers());
    insta::assert_snapshot!(fifth.grant(1, 1).expect_err("too deep"), @"helpers are at most 5 levels deep, and you are on the last: do it yourself");
}

#[test]
fn a_helper_answers_by_submit_or_by_words() {
    let mut state = helper(1, with_helpers(0));
    answer(&mut state, &["submit"], StopReason::ToolUse);
    finish_tool(&mut state, submitted());
    ends_answered(&mut state, "fixed it");
    let mut state = helper(1, with_helpers(0));
    answer(&mut state, &[], StopReason::EndTurn);
    ends_answered(&mut state, "thinking aloud");
}

#[test]
fn a_request_that_would_not_fit_is_not_sent_and_ends_it() {
    let mut state = helper(1, with_helpers(0));
    assert!(state.is_shared() && !ready(Limits::default()).is_shared());
    let detail = "the next request could take 20000 tokens".to_owned();
    state.apply(&Event::ModelFailed { turn: 1, failure: ModelFailure::Budget, detail, elapsed_ms: 0 });
    assert_eq!(state.next(), Step::CaptureTree);
    state.apply(&captured());
    assert!(matches!(state.next(), Step::Finish(RunOutcome { status: RunStatus::Limit, .. })));
    assert_eq!((state.turns, state.input_tokens), (0, 0));
}

#[test]
fn a_rewind_gives_nothing_back_that_helpers_took() {
    let mut state = ready(with_helpers(9));
    let mut back = state.clone();
    answer(&mut state, &["helper"], StopReason::ToolUse);
    finish_tool(&mut state, helped(100, Some(1.0)));
    back.rewound_from(&state);
    assert_eq!((back.helpers.count, back.helpers, back.input_tokens), (2, state.helpers, state.input_tokens));
}
