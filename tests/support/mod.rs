//! What the integration tests share: an environment of their own, and output that is equal on every machine.

pub(crate) mod litellm;
pub(crate) mod upstream;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Whether the container tests were asked for. Where not, it says so past the test runner, which keeps the output of
/// tests that pass to itself; on CI nothing may be skipped.
pub(crate) fn containers_are_asked_for() -> bool {
    use std::io::Write;
    let asked = std::env::var_os("GREENROOM_DOCKER_TESTS").is_some_and(|value| value == "1");
    if !asked {
        let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!on_ci, "on CI the container tests run: set GREENROOM_DOCKER_TESTS=1");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        writeln!(std::io::stderr(), "{test}: skipped: set GREENROOM_DOCKER_TESTS=1").expect("stderr is open");
    }
    asked
}

/// Folders for HOME, GREENROOM_HOME and repositories; nothing of the caller's environment but PATH.
pub(crate) struct TestEnvironment {
    root: TempDir,
    variables: Vec<(String, String)>,
}

/// What one call of `greenroom` came to.
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        for folder in ["home", "greenroom"] {
            std::fs::create_dir(root.path().join(folder)).expect("a folder in it");
        }
        TestEnvironment { root, variables: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where runs and blobs lie.
    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("greenroom/state")
    }

    /// Writes a file below the root, with its folders.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("its folder");
        std::fs::write(&path, content).expect("the file");
        path
    }

    /// `greenroom ARGS`, to be run from the root.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root().join("home"))
            .env("GREENROOM_HOME", self.root().join("greenroom"))
            .env("TZ", "UTC")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        // For the harness that plants bugs.
        for name in ["GREENROOM_PLANT", "GREENROOM_PLANT_LOG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
    }

    pub(crate) fn greenroom(&self, args: &[&str]) -> Finished {
        self.finish(self.command(args).output().expect("greenroom starts"))
    }

    pub(crate) fn greenroom_reading(&self, args: &[&str], input: &[u8]) -> Finished {
        use std::io::Write;
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("greenroom starts");
        let mut stdin = child.stdin.take().expect("it was piped");
        let input = input.to_vec();
        // In a thread of its own: the child may answer before it has read everything, or read nothing at all.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("greenroom ends");
        writer.join().expect("the writer ends");
        self.finish(output)
    }

    fn finish(&self, output: std::process::Output) -> Finished {
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: self.equalise(&output.stdout),
            stderr: self.equalise(&output.stderr),
        }
    }

    /// Without what differs from one machine or minute to the next.
    fn equalise(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let real_root = self.root().canonicalize().expect("the root is there");
        let text = text.replace(&*real_root.to_string_lossy(), "$ROOT");
        let text = text.replace(&*self.root().to_string_lossy(), "$ROOT");
        let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d").expect("the pattern is a literal");
        let text = time.replace_all(&text, "<minute>");
        // Hashes of journals, which hold times.
        let head = regex::Regex::new(r"\bhead( +)[0-9a-f]{64}").expect("the pattern is a literal");
        head.replace_all(&text, "head$1<hash>").into_owned()
    }
}

impl Finished {
    /// The JSON values on stdout, one a line.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[exit {}]\n{}", self.stdout, self.code, self.stderr)
    }
}
