//! The command line as users and scripts meet it: one file a command.

mod audit;
mod bench;
mod complexity;
mod diff;
mod export;
mod fork;
mod gc;
mod golden;
mod output;
mod parse;
mod pr;
mod report;
mod runs;
mod sandboxed;
mod show;
mod usage;

use greenroom::event::{Event, Limits, RunOutcome, RunStatus, ToolOutcome};
use greenroom::id::{CallToken, RunId};
use greenroom::message::{Block, ModelResponse, ToolUse};
use greenroom::store::{RunStore, Store};
use greenroom::task::{Check, CheckResult, Outcome, Task};
use greenroom_parsers::{Report, Verdict};

use crate::support::TestEnvironment;

pub(crate) const RUN: &str = "01k0000000000000000000test";
pub(crate) const PATCH: &str = "--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n-print(1)\n+import os\n+print(os.name)\n";

/// A run as its journal would hold it: red baseline, one edit, verified. Who wants to add to it goes on with the store that
/// is returned: to open it again is to race with programs that other tests start, which hold its lock for a moment.
pub(crate) fn record_a_run(environment: &TestEnvironment) -> RunStore {
    let run: RunId = RUN.parse().expect("a run id");
    let store = RunStore::create(&environment.state(), &run).expect("a store");
    let patch = store.put_blob(PATCH.as_bytes()).expect("a blob");
    let tree = store.put_blob(br#"{"entries":{}}"#).expect("a blob");
    let check = |code: i32, verdict: Verdict| {
        vec![CheckResult {
            check: Check { command: "python3 a.py".into() },
            outcome: Outcome::Exited { code },
            duration_ms: 5,
            report: Report { verdict, ..Report::default() },
            output: patch.clone(),
            tail: String::new(),
        }]
    };
    let call = ToolUse {
        id: "c1".into(),
        name: "edit_file".into(),
        input: serde_json::json!({"path": "a.py", "old_string": "print(1)", "new_string": "\u{1b}]0;owned\u{7}"}),
    };
    let events = [
        Event::RunStarted {
            schema: 1,
            greenroom: "0.1.0".into(),
            run: run.clone(),
            repo: "/projects/a".into(),
            task: Task {
                instruction: Some("mend it".into()),
                checks: vec![Check { command: "python3 a.py".into() }],
                rules: Default::default(),
            },
            model: "scripted:cure.jsonl".into(),
            limits: Limits::default(),
            plan: serde_json::Value::Null,
            pristine: None,
            parent: None,
            helper: None,
        },
        Event::SandboxStarted {
            container: "c".into(),
            image: "python".into(),
            image_digest: "sha256:0".into(),
            hardening: serde_json::json!({}),
            runtime: None,
            weaker: Vec::new(),
            pristine: tree.clone(),
            files: 1,
            bytes: 9,
        },
        Event::BaselineFinished {
            checks: check(1, Verdict::Failed),
            build_output: Vec::new(),
            elapsed_ms: 10,
            snapshot: None,
            frozen: None,
        },
        Event::ModelRequested { turn: 1, estimated_input_tokens: 100, output_tokens_max: 0, cost_usd_max: None },
        Event::ModelResponded {
            turn: 1,
            response: ModelResponse {
                content: vec![
                    Block::Text { text: "The import is missing.\u{1b}[2J".into() },
                    Block::ToolUse(call.clone()),
                ],
                ..ModelResponse::default()
            },
            cost_usd: Some(0.01),
            elapsed_ms: 20,
            reflex: None,
        },
        Event::ToolCallStarted { token: CallToken(0), call },
        Event::ToolCallFinished {
            token: CallToken(0),
            result: Box::new(ToolOutcome {
                may_write: true,
                submitted: Some("Imported os.".into()),
                ..Default::default()
            }),
            elapsed_ms: 30,
            snapshot: None,
        },
        Event::TreeCaptured {
            tree: tree.clone(),
            patch: patch.clone(),
            files_changed: vec!["a.py".into()],
            workspace: None,
            artifacts_left_out: 0,
        },
        Event::VerificationFinished { checks: check(0, Verdict::Passed), elapsed_ms: 40, judgement: None, score: None },
        Event::Finished {
            outcome: RunOutcome {
                status: RunStatus::Verified,
                reason: "1 of 1 checks pass in a clean container".into(),
            },
            elapsed_ms: 1234,
        },
    ];
    for event in &events {
        store.append(event).expect("appended");
    }
    store
}
