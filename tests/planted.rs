//! Every planted bug (`src/planted.rs`) against the test that has to catch it: the test passes without the bug, fails with
//! it, and the bug was reached. `make planted` runs them; they need containers and root.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use greenroom::planted::Planted;

/// Where a test lives, and its name or a part of it that fits no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Unit(&'static str),
    Cli(&'static str),
    Chaos(&'static str),
    Snapshots(&'static str),
}

fn caught_by(bug: Planted) -> By {
    match bug {
        Planted::SkipJournalSync | Planted::SkipBlobSync => By::Chaos("what_was_acknowledged_outlives_a_power_cut"),
        Planted::RetryFailedSync => By::Unit("after_a_failed_write_nothing_more_is_written"),
        Planted::SkipRecordHash | Planted::SkipBadRecord => By::Unit("any_flipped_bit_before_the_last_line"),
        Planted::SkipChain => By::Unit("a_record_that_follows_another_history_is_refused"),
        Planted::KeepTornTail => By::Unit("a_torn_tail_is_cut_off_kept_aside_and_told"),
        Planted::SkipLock => By::Unit("of_many_that_race_for_a_run_one_wins"),
        Planted::KeepEpoch => By::Unit("the_next_owner_goes_on_under_the_next_epoch"),
        Planted::SkipLengthCheck => By::Unit("an_owner_that_was_overtaken_writes_nothing"),
        Planted::TrustPack => By::Unit("a_flipped_byte_costs_its_own_blob_and_no_other"),
        Planted::KeepTornBlob => By::Unit("every_cut_leaves_the_blobs_before_it"),
        Planted::TrustBlobName => By::Unit("a_blob_in_a_file_of_its_own_is_read_and_a_changed_one_refused"),
        Planted::DropDedupe => By::Unit("what_goes_in_comes_out_and_goes_in_once"),
        Planted::ActBeforeCommit | Planted::AskBeforeCharge => {
            By::Chaos("what_is_done_stands_in_the_journal_before_it_is_done")
        }
        Planted::RepeatEditInPlace => By::Chaos("an_edit_that_was_under_way_is_made_once"),
        Planted::RepeatUnknownInstall => By::Unit("an_install_that_nobody_saw_end_is_not_made_again"),
        Planted::NewTokenForOldCall => By::Unit("a_call_that_was_under_way_is_carried_out_again_under_its_token"),
        Planted::AskAgainWhatIsCommitted => By::Unit("a_committed_answer_is_never_asked_for_again"),
        Planted::ResetBudgetOnResume | Planted::ForgiveUnanswered => {
            By::Unit("a_request_without_an_answer_is_asked_again_and_charged_at_its_most")
        }
        Planted::ForgiveHelper => By::Unit("what_a_helper_took_is_taken_from_who_asked"),
        Planted::RefundOnRewind => By::Unit("a_rewind_takes_the_conversation_back_and_no_budget"),
        Planted::ExecuteCutAnswer => By::Unit("an_answer_that_was_cut_off_is_never_executed"),
        Planted::TrustExitCode => By::Unit("exit_status_0_passes_only_where_the_output_does_not_contradict_it"),
        Planted::FollowLinks => By::Unit("a_folder_swapped_for_a_link_is_not_written_through"),
        Planted::OverwriteMovedFile => By::Unit("a_touched_file_that_moved_is_refused_even_when_others_may_move"),
        Planted::SkipSettle => By::Snapshots("every_step_restores_exactly_as_somebody_inside_saw_it"),
        Planted::AuditSkipsBlobs => By::Cli("a_flipped_byte_anywhere_in_a_blob_is_named"),
        Planted::AuditIgnoresHead => By::Cli("a_journal_that_was_rewritten_whole_does_not_lead_to_the_printed_head"),
        Planted::UnlimitedComplexityTime | Planted::UnlimitedComplexityMemory => {
            By::Cli("the_child_that_reads_hostile_source_is_limited")
        }
        Planted::KeepComplexityEnvironment => By::Cli("a_runs_score_is_shown_part_by_part"),
        Planted::CollectForgetsRuns => By::Cli("contents_that_no_journal_names_go_and_no_other"),
    }
}

/// The test programs, built once.
struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    fn build() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--no-run", "--message-format=json", "--lib"])
            .args(["--test", "main", "--test", "chaos", "--test", "snapshots"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "the tests are built");
        let mut found = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            if let (Some(program), true) = (message["executable"].as_str(), message["profile"]["test"] == true) {
                found.insert(message["target"]["name"].as_str().unwrap().to_owned(), PathBuf::from(program));
            }
        }
        Programs(found)
    }

    /// Whether exactly one test ran, and whether it passed; what it said.
    fn run(&self, by: By, bug: Option<Planted>, log: &Path) -> (bool, String) {
        let (program, test) = match by {
            By::Unit(test) => ("greenroom", test),
            By::Cli(test) => ("main", test),
            By::Chaos(test) => ("chaos", test),
            By::Snapshots(test) => ("snapshots", test),
        };
        let mut command = Command::new(&self.0[program]);
        command.arg(test).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command.env("GREENROOM_DOCKER_TESTS", "1").env_remove("GREENROOM_CHAOS").env_remove("RUST_BACKTRACE");
        if let Some(bug) = bug {
            command.env("GREENROOM_PLANT", bug.name()).env("GREENROOM_PLANT_LOG", log);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("running 1 test\n"), "`{test}` names exactly one test: {said}");
        (output.status.success(), said)
    }
}

#[test]
fn every_planted_bug_is_caught() {
    if std::env::var_os("GREENROOM_PLANTED").is_none_or(|value| value != "1") {
        eprintln!("skipped: GREENROOM_PLANTED=1 runs it (`make planted`)");
        return;
    }
    let programs = Programs::build();
    let folder = tempfile::tempdir().unwrap();
    let mut controls: BTreeMap<By, bool> = BTreeMap::new();
    for bug in Planted::ALL {
        let by = caught_by(bug);
        controls.entry(by).or_insert_with(|| {
            let (passed, said) = programs.run(by, None, folder.path());
            if !passed {
                eprintln!("the control fails: {by:?}\n{said}");
            }
            passed
        });
    }
    let left = Mutex::new(Planted::ALL.to_vec());
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bug) = { left.lock().unwrap().pop() } {
                    let (by, log) = (caught_by(bug), folder.path().join(bug.name()));
                    let (passed, _) = programs.run(by, Some(bug), &log);
                    let was_reached = std::fs::read_to_string(&log).is_ok_and(|log| log.contains(&bug.name()));
                    let verdict = match (controls[&by], was_reached, passed) {
                        (true, true, false) => "caught",
                        (false, ..) => "NO CONTROL",
                        (true, false, _) => "NOT REACHED",
                        (true, true, true) => "NOT CAUGHT",
                    };
                    eprintln!("planted: {verdict:<11} {:<28} {by:?}", bug.name());
                    if verdict != "caught" {
                        missed.lock().unwrap().push(bug);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    eprintln!("planted: {} bugs, caught {}", Planted::ALL.len(), Planted::ALL.len() - missed.len());
    assert!(missed.is_empty(), "{missed:?}");
}
