use super::{PATCH, record_a_run};
use crate::support::TestEnvironment;

#[test]
fn the_patch_comes_out_as_it_is() {
    let environment = TestEnvironment::new();
    record_a_run(&environment);
    let finished = environment.greenroom(&["diff", "last"]);
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (0, PATCH, ""));
}

#[test]
fn forced_colour_does_not_colour_what_a_program_reads() {
    let environment = TestEnvironment::new().with("FORCE_COLOR", "1");
    record_a_run(&environment);
    assert_eq!(environment.greenroom(&["diff", "last"]).stdout, PATCH);
}
