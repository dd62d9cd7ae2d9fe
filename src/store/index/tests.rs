#![allow(clippy::unwrap_used)]
use super::*;
use crate::checkpoint::{Checkpoint, Note, NoteKind, Notes, WriterOutcome};
use crate::event::{Limits, ToolOutcome};
use crate::id::{CallToken, RunId};
use crate::message::{Block, ModelResponse, ToolUse};
use crate::store::{Match, RunDir, RunStore, Store};
use crate::task::{Outcome, Task};

struct Lab {
    state: tempfile::TempDir,
    run: RunId,
    store: RunStore,
}

impl Lab {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        let lab = Lab { state, run, store };
        lab.commit(Event::RunStarted {
            schema: 1,
            greenroom: "0".into(),
            run: lab.run.clone(),
            repo: "/r".into(),
            task: Task { instruction: Some("Never touch vendor/".into()), checks: vec![], rules: Default::default() },
            model: "scripted".into(),
            limits: Limits::default(),
            plan: serde_json::Value::Null,
            pristine: None,
            parent: None,
            helper: None,
        });
        lab
    }

    fn commit(&self, event: Event) {
        self.store.append(&event).unwrap();
    }

    fn start(&self, step: u64, name: &str, input: serde_json::Value) {
        let call = ToolUse { id: step.to_string(), name: name.into(), input };
        self.commit(Event::ToolCallStarted { token: CallToken(step - 1), call });
    }

    fn finish(&self, step: u64, content: &str, output: Option<&[u8]>) {
        let output = output.map(|bytes| self.store.put_blob(bytes).unwrap());
        let result = ToolOutcome {
            content: content.into(),
            outcome: Some(Outcome::Exited { code: 1 }),
            output,
            ..ToolOutcome::default()
        };
        self.commit(Event::ToolCallFinished {
            token: CallToken(step - 1),
            result: Box::new(result),
            elapsed_ms: 1,
            snapshot: None,
        });
    }

    fn step(&self, step: u64, command: &str, content: &str) {
        self.start(step, "bash", serde_json::json!({"command": command}));
        self.finish(step, content, None);
    }

    fn ask(&self, query: &str) -> Recalled {
        self.store.recall(&words(query)).unwrap()
    }

    fn reopened(self) -> Self {
        let Lab { state, run, store } = self;
        let dir = store.dir().clone();
        drop(store);
        let store = open(&dir);
        Lab { state, run, store }
    }
}

/// A test beside this one that is just starting a program holds every lock until that has begun.
fn open(dir: &RunDir) -> RunStore {
    for _ in 0..1_000_000 {
        match RunStore::open(dir.clone()) {
            Err(crate::store::StoreError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap().0,
        }
    }
    panic!("the run stays locked");
}

fn words(query: &str) -> Question {
    Question { query: Some(query.into()), limit: 5, page: 1, text_bytes_max: 4_500, ..Question::default() }
}

fn steps(answer: &Recalled) -> Vec<u64> {
    answer.hits.iter().filter_map(|hit| hit.step).collect()
}

#[test]
fn literals_are_found_in_the_forms_they_have() {
    let lab = Lab::new();
    lab.step(1, "cat config.env", "DB_PORT=8473\nHOST=10.0.0.17:5432\nTOKEN_ID=req-3f9ac2d1/b");
    lab.step(2, "ls", "src/app/main.py\nsrc/app/domain.py");
    lab.step(3, "make", "nothing here, port 84731");
    for (query, step) in [
        ("8473", 1),
        ("DB_PORT", 1),
        ("10.0.0.17:5432", 1),
        ("req-3f9ac2d1/b", 1),
        ("src/app/main.py", 2),
        ("3f9ac2d1", 1),
    ] {
        let answer = lab.ask(query);
        assert_eq!((steps(&answer), answer.how), (vec![step], Match::All), "{query}");
    }
    // The beginning of a word, then characters inside one.
    assert_eq!((steps(&lab.ask("3f9a")), lab.ask("3f9a").how), (vec![1], Match::Some));
    assert_eq!((steps(&lab.ask("omain.p")), lab.ask("omain.p").how), (vec![2], Match::Characters));
    let hit = &lab.ask("DB_PORT").hits[0];
    assert_eq!((hit.title.as_str(), hit.text.as_str()), ("bash: cat config.env (exit code 1)", "DB_PORT=8473\n"));
    assert_eq!(lab.ask("zzz-no-such-thing").total, 0);
}

#[test]
fn operators_and_quotes_of_the_query_language_are_only_characters() {
    let lab = Lab::new();
    lab.step(1, "echo", "a AND b NOT c NEAR(x) \"q\" col:val 50% _x");
    for query in ["a AND", "NOT", "NEAR(x)", "\"q", "\"\"\"", "col:val", "*", "^a", "50%", "--", "(", "a\" OR \"b"] {
        lab.store.recall(&words(query)).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    assert_eq!(steps(&lab.ask("50%")), [1]);
}

#[test]
fn the_whole_output_is_searched_and_named() {
    let lab = Lab::new();
    lab.start(1, "bash", serde_json::json!({"command": "make"}));
    let mut output = "noise\n".repeat(50_000).into_bytes();
    output.extend_from_slice(b"the build id is 77ab31cc\n");
    lab.finish(1, "300 KB of output", Some(&output));
    let answer = lab.ask("77ab31cc");
    assert_eq!(answer.hits[0].text, "the build id is 77ab31cc\n");
    assert_eq!(answer.hits[0].blob, Some(BlobId::of(&output)));
}

#[test]
fn what_was_said_and_asked_is_found_with_its_turn() {
    let lab = Lab::new();
    lab.commit(Event::ModelRequested { turn: 7, estimated_input_tokens: 1, output_tokens_max: 1, cost_usd_max: None });
    let response =
        ModelResponse { content: vec![Block::Text { text: "The cache is the cause.".into() }], ..Default::default() };
    lab.commit(Event::ModelResponded { turn: 7, response, cost_usd: None, elapsed_ms: 1, reflex: None });
    let hit = &lab.ask("cache cause").hits[0];
    assert_eq!((hit.kind.as_str(), hit.turn), ("you said", 7));
    assert_eq!(lab.ask("vendor").hits[0].kind, "task");
}

#[test]
fn what_happened_comes_before_what_was_noted_of_it() {
    let lab = Lab::new();
    lab.step(1, "cat config", "the port is 8473 now, and much else stands in this file that nobody asked for");
    let item = |text: &str| Note { id: "n1".into(), kind: NoteKind::Open, text: text.into(), version: 1 };
    let notes = Notes { items: vec![item("the port is 8080")], ..Notes::default() };
    let writer = WriterOutcome::Absent;
    let checkpoint = Checkpoint { schema: 1, version: 1, turn: 1, step: 1, sections: vec![], notes, writer };
    lab.commit(Event::CheckpointWritten { checkpoint: Box::new(checkpoint) });
    let kinds: Vec<_> = lab.ask("\"port is\"").hits.into_iter().map(|hit| hit.kind).collect();
    assert_eq!(kinds, ["step", "notes"]);
}

#[test]
fn a_file_a_test_and_a_step_narrow_the_search_down() {
    let lab = Lab::new();
    lab.step(1, "cat src/a.py", "x = 1");
    lab.step(2, "pytest", "FAILED tests/test_a.py::test_port[8] - in src/a.py");
    lab.step(3, "cat src/ba.py", "y");
    let of = |question| steps(&lab.store.recall(&question).unwrap());
    let empty = Question { query: None, ..words("") };
    assert_eq!(of(Question { file: Some("/workspace/src/a.py".into()), ..empty.clone() }), [2, 1]);
    assert_eq!(of(Question { test: Some("tests/test_a.py::test_port[8]".into()), ..empty.clone() }), [2]);
    assert_eq!(of(Question { step: Some(2), ..words("src/a.py") }), [2]);
    let whole = lab.store.recall(&Question { step: Some(3), ..empty }).unwrap();
    assert_eq!((whole.pages, whole.hits[0].text.as_str()), (1, "command: cat src/ba.py\ny\n"));
}

#[test]
fn pages_show_every_hit_once_and_a_long_step_to_its_end() {
    let lab = Lab::new();
    for step in 1..=23 {
        lab.step(step, "run", &format!("the needle {step}"));
    }
    let mut seen: Vec<u64> = Vec::new();
    for page in 1..=5 {
        let answer = lab.store.recall(&Question { page, ..words("needle") }).unwrap();
        assert_eq!((answer.total, answer.pages), (23, 5));
        seen.extend(steps(&answer));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=23).collect::<Vec<_>>());
    lab.step(24, "cat", &"0123456789\n".repeat(2_000));
    let question = Question { query: None, step: Some(24), ..words("") };
    let pages = lab.store.recall(&question).unwrap().pages;
    let text: String = (1..=pages)
        .map(|page| lab.store.recall(&Question { page, ..question.clone() }).unwrap().hits[0].text.clone())
        .collect();
    assert_eq!(text, format!("command: cat\n{}\n", "0123456789\n".repeat(2_000)));
}

/// With and without an index in the folder, and with one that lies.
#[test]
fn the_answer_is_the_journals_whatever_became_of_the_index() {
    let mut lab = Lab::new();
    for step in 1..=50 {
        lab.step(step, "run", &format!("needle {step}"));
    }
    let before = lab.ask("needle");
    assert_eq!(before.total, 50);
    lab = lab.reopened();
    assert_eq!(lab.ask("needle"), before, "caught up");
    let index = RunDir::find(lab.state.path(), lab.run.as_str()).unwrap().path().join("recall.sqlite");
    for damage in ["remove", "other", "garbage"] {
        let Lab { state, run, store } = lab;
        let dir = store.dir().clone();
        drop(store);
        match damage {
            "remove" => remove(&index).unwrap(),
            "other" => connect(&index).unwrap().execute("UPDATE meta SET head = 'x'", []).map(drop).unwrap(),
            _ => {
                remove(&index).unwrap();
                fs::write(&index, "no database at all".repeat(1_000)).unwrap();
            }
        }
        let store = open(&dir);
        lab = Lab { state, run, store };
        assert_eq!(lab.ask("needle"), before, "{damage}");
    }
    lab.step(51, "run", "needle 51");
    assert_eq!(lab.ask("needle").total, 51);
}

#[test]
fn a_call_under_way_is_told_once_by_the_runner_that_ends_it() {
    let mut lab = Lab::new();
    lab.step(1, "run", "needle");
    lab.start(2, "bash", serde_json::json!({"command": "needle hunt"}));
    assert_eq!(lab.ask("needle").total, 1);
    lab = lab.reopened();
    assert_eq!(lab.ask("needle").total, 1);
    lab.finish(2, "done", None);
    assert_eq!(lab.ask("needle").total, 2);
}

#[test]
fn what_was_rewound_is_no_part_of_the_run() {
    let mut lab = Lab::new();
    for step in 1..=4 {
        lab.step(step, "run", "needle");
    }
    assert_eq!(lab.ask("needle").total, 4);
    lab.commit(Event::Rewound { to_step: 2 });
    lab.step(3, "run", "needle again");
    assert_eq!(lab.ask("needle").total, 3);
    lab = lab.reopened();
    let index = lab.store.dir().path().join("recall.sqlite");
    remove(&index).unwrap();
    assert_eq!(lab.ask("needle").total, 3);
}

#[test]
fn answers_of_recall_are_not_found_again() {
    let lab = Lab::new();
    lab.step(1, "run", "needle");
    lab.start(2, "recall", serde_json::json!({"query": "needle"}));
    lab.finish(2, "1 record: needle", None);
    assert_eq!(lab.ask("needle").total, 1);
}
