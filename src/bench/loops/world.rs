//! The small world that made traces live in: files with versions, edited by name or from a shell; a test that fails
//! until every file has its right version; results that carry durations as real ones do.

use serde_json::json;

use crate::bench::endurance::dice::Dice;
use crate::message::ToolUse;

/// One step as the detector gets it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) call: ToolUse,
    pub(super) result: String,
    pub(super) wrote: bool,
    pub(super) wrote_by_name: bool,
    pub(super) failures: Option<u64>,
}

pub(super) const FILES: usize = 8;

pub(super) struct World {
    dice: Dice,
    pub(super) versions: [u64; FILES],
    pub(super) calls: Vec<Call>,
    /// What the present circle is about.
    pub(super) file: usize,
    pub(super) log_lines: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let file = dice.below(FILES as u64) as usize;
        World { dice, versions: [0; FILES], calls: Vec::new(), file, log_lines: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.dice.below(u64::MAX)
    }

    pub(super) fn draw(&mut self, below: usize) -> usize {
        self.dice.below(below as u64) as usize
    }

    /// A command; editors write, and so do the caches of test runners.
    pub(super) fn run(&mut self, command: &str, result: String) {
        let reads = ["cat", "sed -n", "head", "nl", "grep", "sleep", "ls", "curl"];
        let wrote = !reads.iter().any(|reads| command.starts_with(reads));
        self.push("bash", json!({"command": command}), result, wrote);
    }

    pub(super) fn push(&mut self, name: &str, input: serde_json::Value, result: String, wrote: bool) {
        let call = ToolUse { id: String::new(), name: name.into(), input };
        self.calls.push(Call { call, result, wrote, wrote_by_name: false, failures: None });
    }

    pub(super) fn read(&mut self, file: usize, words: usize) {
        let path = format!("src/m{file}.py");
        let content = self.content(file);
        match words % 5 {
            0 => self.run(&format!("cat {path}"), content),
            1 => self.run(&format!("sed -n 1,200p {path}"), content),
            2 => self.run(&format!("head -n 200 {path}"), content),
            3 => self.run(&format!("nl -ba {path} | cut -f2"), content),
            _ => self.run(&format!("grep -n '' {path} | cut -d: -f2-"), content),
        }
    }

    fn content(&self, file: usize) -> String {
        let version = self.versions[file];
        format!(
            "def f{file}(x):\n    # version {version} of what this file has to say at some length\n    return x + {version}\n"
        )
    }

    pub(super) fn edit(&mut self, file: usize, version: u64) {
        self.versions[file] = version;
        self.run(&format!("sed -i s/x/{version}/ src/m{file}.py"), String::new());
    }

    /// By the tool for it, which answers with the place.
    pub(super) fn edit_by_name(&mut self, file: usize, version: u64) {
        let path = format!("src/m{file}.py");
        let input = json!({"path": path, "old_string": format!("return x + {}", self.versions[file]),
            "new_string": format!("return x + {version}")});
        self.versions[file] = version;
        let result = format!("edited {path}\n{}", self.content(file));
        self.push("edit_file", input, result, true);
        self.named();
    }

    pub(super) fn write_by_name(&mut self, file: usize, version: u64) {
        self.versions[file] = version;
        let path = format!("src/m{file}.py");
        self.push("write_file", json!({"path": path, "content": self.content(file)}), format!("wrote {path}"), true);
        self.named();
    }

    fn named(&mut self) {
        if let Some(last) = self.calls.last_mut() {
            last.wrote_by_name = true;
        }
    }

    pub(super) fn checkout(&mut self, file: usize, version: u64) {
        self.versions[file] = version;
        self.run(&format!("git checkout src/m{file}.py"), "Updated 1 path from the index".into());
    }

    /// Fails while any file is not as it should be; how long it took differs each time.
    pub(super) fn test(&mut self, which: &str) {
        let (result, _) = self.tested();
        self.run(&format!("pytest -q {which}"), result);
    }

    /// By the tool for it, which names the failures.
    pub(super) fn checks(&mut self) {
        let (result, failures) = self.tested();
        self.push("run_checks", json!({}), result, true);
        if let Some(last) = self.calls.last_mut() {
            last.failures = failures;
        }
    }

    fn tested(&mut self) -> (String, Option<u64>) {
        let red: Vec<usize> = (0..FILES).filter(|&n| self.versions[n] % 4 != 3).collect();
        let hundredths = self.draw(900) + 10;
        let lines: String = red.iter().map(|n| format!("FAILED tests/test_{n}.py::test_f\n")).collect();
        let failures = (!red.is_empty()).then(|| red.iter().fold(1, |name, n| name << 4 | *n as u64));
        (format!("{lines}{} failed in {}.{:02}s", red.len(), hundredths / 100, hundredths % 100), failures)
    }
}
