//! Bad input that needs no container to be refused: one clear line, a hint, the right exit code, nothing left behind.

use insta::assert_snapshot;

use crate::support::TestEnvironment;

fn repository() -> TestEnvironment {
    let environment = TestEnvironment::new();
    environment.write("repo/pyproject.toml", "");
    environment.write("repo/test_a.py", "");
    environment
}

#[test]
fn help_names_every_command_and_exit_code() {
    let finished = TestEnvironment::new().greenroom(&["--help"]);
    assert_eq!(finished.code, 0);
    let commands = [
        "run", "exec", "parse", "runs", "show", "diff", "apply", "cp", "audit", "export", "import", "resume", "rewind",
        "fork", "stop", "demo", "images", "gc", "doctor",
    ];
    for word in commands.into_iter().chain(["130  interrupted"]) {
        assert!(finished.stdout.contains(word), "{word}: {finished}");
    }
    for command in commands {
        let help = TestEnvironment::new().greenroom(&[command, "--help"]);
        assert!(help.code == 0 && help.stdout.contains("xample"), "{command} has no example: {help}");
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["rnu"]), @r#"
    [exit 2]
    error: unrecognized subcommand 'rnu'

      tip: a similar subcommand exists: 'runs'

    Usage: greenroom <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_missing_repository() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["run", "--repo", "absent"]), @r#"
    [exit 2]
    error: no repository at `absent`
      cause: No such file or directory (os error 2)
      hint: name the project's folder with `--repo DIR`
    "#);
}

#[test]
fn a_review_without_a_terminal() {
    assert_snapshot!(repository().greenroom(&["run", "--repo", "repo", "--review", "checkpoint"]), @r#"
    [exit 2]
    error: a run with `--review checkpoint` asks a person, and there is no terminal to ask on
      hint: `--review none` goes on by itself; `greenroom say RUN TEXT` steers it all the same
    "#);
}

#[test]
fn an_empty_directory() {
    let environment = TestEnvironment::new();
    std::fs::create_dir(environment.root().join("empty")).expect("a folder");
    assert_snapshot!(environment.greenroom(&["run", "--repo", "empty"]), @r#"
    [exit 2]
    error: `empty` is empty: there is nothing to work on
      hint: name the project's folder with `--repo DIR`
    "#);
    assert_snapshot!(environment.greenroom(&["exec", "--repo", "empty", "--", "true"]), @r#"
    [exit 2]
    error: `empty` is empty: there is nothing to work on
      hint: name the project's folder with `--repo DIR`
    "#);
}

#[test]
fn a_repository_that_does_not_say_what_it_is() {
    let environment = TestEnvironment::new();
    environment.write("repo/notes.txt", "");
    assert_snapshot!(environment.greenroom(&["run", "--repo", "repo"]), @r#"
    [exit 2]
    error: cannot tell which toolchain `$ROOT/repo` needs: no manifest found
      hint: choose one with `--image NAME` (python, rust, node, go, c, java, or any image), and name a check with `--check CMD`
    "#);
}

#[test]
fn a_project_without_checks() {
    let environment = TestEnvironment::new();
    environment.write("repo/requirements.txt", "");
    assert_snapshot!(environment.greenroom(&["run", "--repo", "repo"]), @r#"
    [exit 2]
    image  python (requirements.txt)
    error: no check found for `$ROOT/repo`
      hint: name the command that must pass with `--check CMD`, for example `--check 'make test'`
    "#);
}

#[test]
fn an_unknown_model() {
    assert_snapshot!(repository().greenroom(&["run", "--repo", "repo", "--model", "antropic/x"]), @r#"
    [exit 2]
    error: unknown model provider `antropic`
      hint: did you mean `anthropic/x`?
      hint: known: anthropic, openai, gemini, deepseek, xiaomi, mistral, groq, openrouter, ollama, local; or `autofix`, or `scripted:FILE`
      hint: any server that speaks Chat Completions: OPENAI_BASE_URL=… with `openai/x`
    "#);
}

#[test]
fn a_stopped_docker_leaves_nothing_behind() {
    let environment = repository().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let finished = environment.greenroom(&["run", "--repo", "repo", "--check", "true"]);
    assert_snapshot!(finished, @r#"
    [exit 7]
    image  python (pyproject.toml)
    model  autofix
    error: no container engine answers
      cause: tried unix:///nowhere/docker.sock (DOCKER_HOST): no such socket
      hint: start Docker (`sudo systemctl start docker`), or set DOCKER_HOST; `greenroom doctor` says what was tried
    "#);
    assert!(environment.greenroom(&["runs", "--json"]).lines().is_empty());
    assert_eq!(environment.greenroom(&["exec", "--repo", "repo", "--", "true"]).code, 7);
    assert_eq!(environment.greenroom(&["images", "list"]).code, 7);
    assert_eq!(environment.greenroom(&["doctor"]).code, 7);
}

#[test]
fn json_ends_with_a_result_also_when_nothing_could_begin() {
    let environment = repository().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let mut last = environment.greenroom(&["run", "--repo", "repo", "--output-format", "stream-json"]).lines();
    let last = last.pop().expect("a last line");
    assert_eq!((&last["type"], &last["status"], &last["exit_code"]), (&"result".into(), &"failed".into(), &7.into()));
    assert!(last["run"].is_null() && last["error"]["hints"][0].is_string(), "{last}");
}

#[test]
fn an_unknown_key_in_the_configuration_is_named() {
    let environment = repository();
    environment.write("greenroom/config.toml", "model = \"autofix\"\nstep = 5\n");
    assert_snapshot!(environment.greenroom(&["run", "--repo", "repo"]), @r#"
    [exit 2]
    error: the configuration file `$ROOT/greenroom/config.toml` is wrong at line 2
      cause: unknown field `step`, expected one of `model`, `image`, `steps`, `tokens_max`, `cost_usd_max`, `time_max`, `check_timeout`, `command_timeout`, `writer_model`, `context_tokens`, `checkpoint_at`, `models`, `env`, `sandbox`, `setup`, `style`
      hint: correct the line, or remove it: every key is optional
    "#);
}

#[test]
fn values_that_are_none() {
    for (flag, value) in [("--time-max", "soon"), ("--steps", "0"), ("--cost-usd-max", "-1"), ("--env", "A")] {
        let finished = repository().greenroom(&["run", "--repo", "repo", &format!("{flag}={value}")]);
        assert!(finished.code == 2 && finished.stderr.contains(flag), "{flag} {value}: {finished}");
    }
}

#[test]
fn an_empty_task_is_refused() {
    let finished = repository().greenroom_reading(&["run", "--repo", "repo", "-p", "-"], b" \n");
    assert_snapshot!(finished, @r#"
    [exit 2]
    error: the task is empty
      hint: leave `--task` out to make the checks pass
    "#);
}

#[test]
fn a_demo_without_projects() {
    assert_snapshot!(TestEnvironment::new().greenroom(&["demo"]), @r#"
    [exit 2]
    error: the example projects are not here
      hint: run it from a clone of Greenroom, or name their folder with `--tasks DIR`
    "#);
}
