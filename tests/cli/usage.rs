//! Bad input that needs no container to be refused: one clear line, a hint, the right exit code.

use insta::assert_snapshot;

use crate::support::TestEnvironment;

#[test]
fn help_names_every_command_and_exit_code() {
    let finished = TestEnvironment::new().greenroom(&["--help"]);
    assert_eq!(finished.code, 0);
    for word in ["parse", "runs", "show", "diff", "130  interrupted"] {
        assert!(finished.stdout.contains(word), "{word}: {finished}");
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let finished = TestEnvironment::new().greenroom(&["rnu"]);
    assert_snapshot!(finished, @r#"
    [exit 2]
    error: unrecognized subcommand 'rnu'

      tip: a similar subcommand exists: 'runs'

    Usage: greenroom <COMMAND>

    For more information, try '--help'.
    "#);
}
