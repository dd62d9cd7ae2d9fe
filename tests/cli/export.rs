use super::{RUN, record_a_run};
use crate::support::TestEnvironment;

#[test]
fn a_whole_run_moves_to_another_state_folder_under_the_next_owner() {
    let (here, there) = (TestEnvironment::new(), TestEnvironment::new());
    record_a_run(&here);
    let archive = there.root().join("run.tar").display().to_string();
    let exported = here.greenroom(&["export", RUN, "--output", &archive]);
    assert_eq!(exported.code, 0, "{exported}");
    let imported = there.greenroom(&["import", &archive]);
    assert_eq!(imported.code, 0, "{imported}");
    let audit = there.greenroom(&["audit", RUN, "--json"]);
    let line = audit.lines().pop().expect("a line");
    assert_eq!((audit.code, &line["owners"], &line["ok"]), (0, &2.into(), &true.into()), "{audit}");
    let again = there.greenroom(&["import", &archive]);
    assert!(again.code == 2 && again.stderr.contains("is there already"), "{again}");
}

#[test]
fn an_archive_with_a_flipped_byte_is_refused_and_leaves_no_run() {
    let (here, there) = (TestEnvironment::new(), TestEnvironment::new());
    record_a_run(&here);
    let archive = here.root().join("run.tar");
    assert_eq!(here.greenroom(&["export", RUN, "-o", &archive.display().to_string()]).code, 0);
    let whole = std::fs::read(&archive).expect("the archive");
    // The journal comes first, behind its header.
    for at in [600, 1200, 2000] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        std::fs::write(&archive, bent).expect("tampered");
        let refused = there.greenroom(&["import", &archive.display().to_string()]);
        assert_ne!(refused.code, 0, "byte {at}: {refused}");
        assert!(there.greenroom(&["runs"]).stdout.is_empty(), "byte {at}");
    }
}

#[test]
fn the_records_before_the_damage_can_be_saved() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let journal = environment.state().join("runs").join(RUN).join("journal.jsonl");
    let mut bytes = std::fs::read(&journal).expect("the journal");
    let third = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).expect("a third line").0;
    bytes[third + 20] ^= 1;
    std::fs::write(&journal, bytes).expect("tampered");
    let refused = environment.greenroom(&["export", RUN, "--as", "jsonl"]);
    assert!(refused.code == 1 && refused.stderr.contains("--valid-prefix"), "{refused}");
    let saved = environment.greenroom(&["export", RUN, "--as", "jsonl", "--valid-prefix"]);
    assert_eq!((saved.code, saved.lines().len()), (0, 3), "{saved}");
}

#[test]
fn a_trajectory_names_each_call_and_what_it_was_answered() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let finished = environment.greenroom(&["export", RUN, "--as", "atif"]);
    let trajectory: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(trajectory["schema_version"], "ATIF-v1.4");
    let step = &trajectory["steps"][1];
    assert_eq!((&step["step_id"], &step["source"]), (&2.into(), &"agent".into()));
    assert_eq!(step["tool_calls"][0]["function_name"], "edit_file");
    assert_eq!(step["observation"]["results"][0]["source_call_id"], step["tool_calls"][0]["tool_call_id"]);
}

#[test]
fn an_archive_of_something_else_is_refused_by_its_name_and_one_without_all_contents_says_so() {
    let (here, there) = (TestEnvironment::new(), TestEnvironment::new());
    record_a_run(&here);
    let whole = here.root().join("run.tar");
    assert_eq!(here.greenroom(&["export", RUN, "-o", &whole.display().to_string()]).code, 0);
    let mut members = Vec::new();
    let mut archive = tar::Archive::new(std::fs::File::open(&whole).expect("the archive"));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("its bytes");
        members.push((entry.path().expect("a name").display().to_string(), bytes));
    }
    let (journal, blobs) = members.split_first().expect("a journal comes first");
    let import = |members: &[(String, Vec<u8>)]| {
        let path = there.root().join("other.tar").display().to_string();
        let mut builder = tar::Builder::new(std::fs::File::create(&path).expect("a file"));
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes.as_slice()).expect("appended");
        }
        builder.finish().expect("finished");
        there.greenroom(&["import", &path])
    };
    for other in [vec![("journal.jsonl".to_owned(), Vec::new())], vec![journal.clone(), journal.clone()]] {
        let refused = import(&other);
        assert!(refused.code == 2 && refused.stderr.contains("cannot import `"), "{refused}");
    }
    let folder = there.root().display().to_string();
    let refused = there.greenroom(&["import", &folder]);
    assert!(refused.code == 2 && refused.stderr.contains("it is no regular file"), "{refused}");
    let imported = import(&[std::slice::from_ref(journal), &blobs[1..]].concat());
    assert!(imported.code == 0 && imported.stderr.contains("missing  1 contents are not"), "{imported}");
}
