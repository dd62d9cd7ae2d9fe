use super::record_a_run;
use crate::support::TestEnvironment;

#[test]
fn a_run_becomes_one_page_that_loads_nothing() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let finished = environment.greenroom(&["report", "last"]);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let page = finished.stdout;
    assert!(page.contains("default-src 'none'") && page.contains("Imported os."), "{page}");
    assert!(!page.contains("src=") && !page.contains("href="), "nothing is loaded");
    assert!(!page.contains('\u{1b}'), "control characters are escaped");
}

#[test]
fn the_last_checks_come_out_for_other_programs() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let junit = environment.greenroom(&["report", "last", "--junit"]);
    assert!(junit.code == 0 && junit.stdout.starts_with("<?xml"), "{}", junit.stdout);
    let sarif = environment.greenroom(&["report", "last", "--sarif"]);
    let sarif: serde_json::Value = serde_json::from_str(&sarif.stdout).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
}
