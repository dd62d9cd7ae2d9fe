//! Torn, bent, reordered and foreign journals.

#![allow(clippy::unwrap_used)]

use std::fs::File;

use super::super::journal_writer::JournalWriter;
use super::*;

fn three_records(path: &Path) {
    let mut writer = JournalWriter::new(File::create(path).unwrap(), 0, 0, 1, GENESIS.into());
    for turn in 0..3 {
        writer
            .append(
                0,
                &Event::ModelRequested { turn, estimated_input_tokens: 10, output_tokens_max: 0, cost_usd_max: None },
            )
            .unwrap();
    }
}

/// A journal of three records in a folder of its own, and where its last line begins.
fn written() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    three_records(&path);
    let whole = std::fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    (folder, path, whole, last)
}

#[test]
fn records_come_back_in_order() {
    let (_folder, path, ..) = written();
    let journal = read_journal(&path).unwrap();
    assert_eq!(journal.records.len(), 3);
    assert_eq!(journal.torn_bytes, 0);
    assert_eq!(journal.records[2].prev, journal.hashes[1]);
}

#[test]
fn every_cut_inside_the_last_line_leaves_the_records_before_it() {
    let (_folder, path, whole, last) = written();
    for cut in last + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let journal = read_journal(&path).unwrap();
        assert_eq!((journal.records.len(), journal.torn_bytes), (2, (cut - last) as u64));
    }
}

#[test]
fn any_flipped_bit_before_the_last_line_is_named_with_the_offset_of_its_record() {
    let (_folder, path, whole, last) = written();
    let second = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    for at in 0..last - 1 {
        for bit in [1, 0x20, 0x80] {
            let mut bent = whole.clone();
            bent[at] ^= bit;
            std::fs::write(&path, &bent).unwrap();
            let begins = if at < second { 0 } else { second };
            match read_journal(&path) {
                Err(JournalError::Damaged { offset, .. }) => assert_eq!(offset, begins as u64, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn any_flipped_byte_of_the_last_line_is_a_torn_tail_and_never_a_record() {
    let (_folder, path, whole, last) = written();
    for at in last..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        std::fs::write(&path, &bent).unwrap();
        let journal = read_journal(&path).unwrap();
        assert_eq!((journal.records.len(), journal.torn_bytes > 0), (2, true), "byte {at}");
    }
}

#[test]
fn the_records_before_the_damage_can_be_had() {
    let (_folder, path, mut whole, last) = written();
    whole[last - 5] ^= 1;
    std::fs::write(&path, &whole).unwrap();
    let (journal, damage) = read_valid_prefix(&path).unwrap();
    assert_eq!(journal.records.len(), 1);
    assert!(matches!(damage, Some(JournalError::Damaged { line: 2, .. })), "{damage:?}");
}

/// A line that is sealed as it should be.
fn sealed(value: &serde_json::Value) -> String {
    let body = value.to_string();
    let hash = blake3::hash(body.as_bytes()).to_hex();
    format!("{},\"hash\":\"{hash}\"}}\n", &body[..body.len() - 1])
}

#[test]
fn what_a_newer_version_wrote_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let record = |event: serde_json::Value| serde_json::json!({"seq": 0, "epoch": 1, "at_ms": 0, "prev": GENESIS, "event": event});
    for (event, named) in [
        (serde_json::json!({"type": "run_started", "schema": 99, "mood": "fine"}), "schema 99"),
        (serde_json::json!({"type": "dream_dreamt"}), "dream_dreamt"),
    ] {
        std::fs::write(&path, sealed(&record(event))).unwrap();
        let error = read_journal(&path).unwrap_err();
        assert!(matches!(&error, JournalError::Newer { .. }) && error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_record_of_an_older_owner_behind_a_newer_one_is_refused() {
    let (_folder, path, whole, _) = written();
    let journal = read_journal(&path).unwrap();
    let next = |epoch: u32, seq: u64, prev: &str| Record {
        seq,
        epoch,
        at_ms: 0,
        prev: prev.into(),
        event: Event::ModelRequested { turn: 9, estimated_input_tokens: 1, output_tokens_max: 0, cost_usd_max: None },
    };
    let (newer, head) = seal(&next(2, 3, journal.head())).unwrap();
    let (stale, last) = seal(&next(1, 4, &head)).unwrap();
    let (end, _) = seal(&next(1, 5, &last)).unwrap();
    std::fs::write(&path, [whole, newer.into_bytes(), stale.into_bytes(), end.into_bytes()].concat()).unwrap();
    let error = read_journal(&path).unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("owner 1"), "{error}");
}

#[test]
fn an_owner_that_was_overtaken_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let open = || File::options().append(true).create(true).open(&path).unwrap();
    let event = Event::ModelRequested { turn: 1, estimated_input_tokens: 10, output_tokens_max: 0, cost_usd_max: None };
    let mut sleeper = JournalWriter::new(open(), 0, 0, 1, GENESIS.into());
    sleeper.append(0, &event).unwrap();
    let journal = read_journal(&path).unwrap();
    let mut successor = JournalWriter::new(open(), journal.valid_bytes, 1, 2, journal.head().into());
    successor.append(0, &event).unwrap();
    let refused = sleeper.append(0, &event).unwrap_err().to_string();
    assert!(refused.contains("another process writes to it"), "{refused}");
    assert!(sleeper.append(0, &event).is_err(), "and it stays refused");
    successor.append(0, &event).unwrap();
    assert_eq!(read_journal(&path).unwrap().records.len(), 3);
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    File::create(&path).unwrap();
    let event = Event::ModelRequested { turn: 1, estimated_input_tokens: 10, output_tokens_max: 0, cost_usd_max: None };
    // Open for reading alone, so that every write fails.
    let mut writer = JournalWriter::new(File::open(&path).unwrap(), 0, 0, 1, GENESIS.into());
    assert_eq!(writer.append(0, &event).unwrap_err().raw_os_error(), Some(9), "EBADF");
    let refused = writer.append(0, &event).unwrap_err().to_string();
    assert!(refused.contains("could not be written before"), "{refused}");
}

#[test]
fn a_record_that_follows_another_history_is_refused() {
    let (_folder, path, whole, last) = written();
    let journal = read_journal(&path).unwrap();
    // Whole, with a hash that is right, and behind records that are not the ones it was written behind.
    let stranger = Record { prev: journal.hashes[0].clone(), ..journal.records[2].clone() };
    let (line, hash) = seal(&stranger).unwrap();
    let (end, _) = seal(&Record { seq: 3, prev: hash, ..journal.records[2].clone() }).unwrap();
    std::fs::write(&path, [&whole[..last], line.as_bytes(), end.as_bytes()].concat()).unwrap();
    let error = read_journal(&path).unwrap_err().to_string();
    assert!(error.contains("does not follow"), "{error}");
}
