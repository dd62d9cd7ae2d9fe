//! What a run has made comes out of the sandbox whole: odd names and odd modes are no reason to lose or to delete anything.

use serde_json::json;

use super::{House, Run};
use crate::support::Finished;

fn play(house: &House, command: &str) -> Run {
    let model = house.script(&[&[("bash", json!({"command": command}))], &[("submit", json!({"summary": "done"}))]]);
    house.run_small(&model, &["--check", "test -f ready"])
}

/// What a later process makes of the run, taken back to that step.
fn resumed_from(house: &House, step: &str) -> Finished {
    assert_eq!(house.environment.greenroom(&["rewind", "last", "--to", step]).code, 0);
    house.environment.greenroom(&["resume", "last"])
}

#[test]
fn a_file_that_its_owner_may_not_read_is_not_taken_for_deleted() {
    let Some(house) = House::open() else { return };
    house.environment.write("repo/data/kept.txt", "kept\n");
    let run = play(&house, "touch ready; chmod 000 calc.py data");
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["files_changed"], json!(["ready"]));
    // The control: what is gone is told as gone.
    let run = play(&house, "touch ready; rm -r calc.py data");
    assert_eq!(run.result["files_changed"], json!(["calc.py", "data/kept.txt", "ready"]));
}

#[test]
fn a_large_file_whose_name_is_no_text_is_captured() {
    let Some(house) = House::open() else { return };
    let make = "touch ready; python3 -c 'open(b\"big\\xff\", \"wb\").write(b\"0123456789\" * 500_000)'";
    let run = play(&house, make);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["files_changed"], json!(["big%FF", "ready"]));
}

#[test]
fn a_file_that_no_patch_can_hold_is_named_with_a_way_out() {
    let Some(house) = House::open() else { return };
    let run = play(&house, "touch ready; truncate -s 300M huge.bin");
    assert_eq!(run.ended(), ("parked", 6), "{}", run.finished);
    let error = run.result["error"].to_string();
    assert!(error.contains("`huge.bin` is too large") && error.contains("greenroom rewind"), "{error}");
    let rewound = house.environment.greenroom(&["rewind", "last", "--to", "0"]);
    assert_eq!(rewound.code, 0, "{rewound}");
    assert!(house.environment.greenroom(&["runs"]).stdout.contains("unfinished"), "it can go on");
}

#[test]
fn a_path_too_long_to_be_unpacked_again_is_left_out_and_does_not_hold_the_run_up() {
    let Some(house) = House::open() else { return };
    let deep = "touch ready; python3 -c 'import os\nfor _ in range(30): os.mkdir(\"d\" * 200); os.chdir(\"d\" * 200)\nopen(\"f\", \"w\")'";
    let run = play(&house, deep);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert!(house.environment.greenroom(&["show", "last"]).stdout.contains("1 left out"), "{}", run.finished);
    // In a fresh sandbox, from the snapshot.
    let resumed = resumed_from(&house, "1");
    assert_eq!(resumed.code, 0, "{resumed}");
}

/// Fault: a content of the newest snapshot is not what was written.
#[test]
fn a_damaged_content_is_named_where_it_is_needed_and_a_step_before_it_goes_on() {
    let Some(house) = House::open() else { return };
    let run = play(&house, "touch ready; head -c 300000 /dev/urandom > noise");
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let packs = std::fs::read_dir(house.environment.state().join("blobs/packs")).expect("the packs");
    let pack = packs.map(|pack| pack.expect("an entry").path()).max_by_key(|pack| pack.metadata().expect("it").len());
    let pack = pack.expect("one at least");
    let mut bytes = std::fs::read(&pack).expect("the pack");
    let within = bytes.len() / 4;
    bytes[within] ^= 1;
    std::fs::write(&pack, &bytes).expect("tampered");
    assert_eq!(house.environment.greenroom(&["audit", "last"]).code, 3, "the control: it is damaged");
    let refused = resumed_from(&house, "1");
    let told = refused.stderr.contains("is damaged") && refused.stderr.contains("greenroom rewind");
    assert!(refused.code == 6 && told, "{refused}");
    let resumed = resumed_from(&house, "0");
    assert_eq!(resumed.code, 0, "{resumed}");
}

#[test]
fn what_a_run_without_an_end_has_made_is_copied_and_not_what_it_began_with() {
    let Some(house) = House::open() else { return };
    house.environment.write("repo/.gitignore", "node_modules/\n");
    let make = "touch ready; echo new > calc.py; mkdir node_modules; seq 1000000 > node_modules/large.txt";
    let run = play(&house, make);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let copy = |source: &str, name: &str| {
        let to = house.environment.root().join(name);
        let copied = house.environment.greenroom(&["cp", source, &to.display().to_string()]);
        assert_eq!(copied.code, 0, "{copied}");
        std::fs::read_to_string(to).expect("the copy")
    };
    assert_eq!(copy("last:node_modules/large.txt", "large").len(), 6_888_896, "no patch has it, the snapshot does");
    assert_eq!(house.environment.greenroom(&["rewind", "last", "--to", "1"]).code, 0);
    assert_eq!(copy("last:calc.py", "now"), "new\n");
    assert_eq!(house.environment.greenroom(&["rewind", "last", "--to", "0"]).code, 0);
    assert_ne!(copy("last:calc.py", "before"), "new\n");
}
