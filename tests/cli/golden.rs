//! State folders as released versions left them. Each is a run that was killed inside a call, resumed, stopped at a limit,
//! resumed, verified, rewound and verified again. What is written once is read for ever: nothing here is ever changed, the
//! next version adds a folder of its own.

use std::collections::BTreeSet;
use std::path::Path;

use greenroom::agent::{RunState, Step};
use greenroom::event::RunStatus;
use greenroom::store::RunDir;

use crate::support::TestEnvironment;

/// As the version that wrote it printed it.
struct Golden {
    folder: &'static str,
    head: &'static str,
    records: usize,
    steps: u64,
    turns: u64,
    owners: u32,
    blobs: u64,
}

const GOLDEN: &[Golden] = &[Golden {
    folder: "journal-0.1",
    head: "da9d4ebda7583e751ce947a02773bcd18766febbb1935ca18458b066a348e4bd",
    records: 68,
    steps: 17,
    turns: 8,
    owners: 5,
    blobs: 19,
}];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the golden folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("copied")),
        }
    }
}

#[test]
fn journals_of_every_released_version_fold_to_what_they_were() {
    for golden in GOLDEN {
        let environment = TestEnvironment::new();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden.folder);
        copy(&from, &environment.state());
        let dir = RunDir::find(&environment.state(), "last").expect("the run");
        let journal = dir.journal().expect("a journal");
        assert_eq!((journal.head(), journal.records.len()), (golden.head, golden.records), "{}", golden.folder);
        let state = RunState::replay(journal.records.iter().map(|record| &record.event)).expect("a run");
        assert_eq!((state.steps, state.turns), (golden.steps, golden.turns), "{}", golden.folder);
        assert_eq!(state.outcome.as_ref().expect("it ended").status, RunStatus::Verified);
        assert_eq!((state.next(), state.can_resume()), (Step::Done, false));
        assert_eq!(state.files_changed, ["a.txt", "link", "ok"]);
        // Every prefix is a journal that a crash could have left.
        for end in 1..=journal.records.len() {
            let prefix = RunState::replay(journal.records[..end].iter().map(|record| &record.event));
            prefix.expect("a run").next();
        }
        // Its contents too, and the commands that read them.
        let audit = environment.greenroom(&["audit", "last", "--head", golden.head, "--json"]);
        let line = audit.lines().pop().expect("a line");
        assert_eq!((audit.code, &line["ok"]), (0, &true.into()), "{audit}");
        assert_eq!((&line["owners"], &line["blobs"]), (&golden.owners.into(), &golden.blobs.into()), "{audit}");
        for args in [["show", "last"], ["diff", "last"]] {
            let finished = environment.greenroom(&args);
            assert!(finished.code == 0 && finished.stdout.contains("a.txt"), "{args:?}: {finished}");
        }
        let rewound = environment.greenroom(&["rewind", "last", "--to", "2"]);
        assert_eq!(rewound.code, 0, "{rewound}");
    }
}

/// A journal that nobody recorded is one that nobody will notice breaking.
#[test]
fn the_newest_golden_journal_holds_what_a_run_can_meet() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(GOLDEN.last().expect("one").folder);
    let journal = RunDir::find(&from, "last").expect("the run").journal().expect("a journal");
    let kinds: BTreeSet<String> = journal
        .records
        .iter()
        .map(|record| serde_json::to_value(&record.event).expect("plain data")["type"].as_str().expect("a type").into())
        .collect();
    for kind in [
        "run_started",
        "sandbox_started",
        "sandbox_replaced",
        "baseline_finished",
        "model_requested",
        "model_responded",
        "tool_call_started",
        "tool_call_finished",
        "tree_captured",
        "verification_finished",
        "resumed",
        "rewound",
        "finished",
    ] {
        assert!(kinds.contains(kind), "{kind} is in no golden journal: {kinds:?}");
    }
}
