//! Labelled traces of tool calls, made from a seed: an agent that works, and one that goes round in circles.
//!
//! Both live in the same small world: files with versions, edited from a shell; a test that fails until every file has its right version; results that carry durations as real ones do. Nothing here is a
//! model: the traces say what a detector does with shapes of behaviour, not how often agents behave so.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::message::ToolUse;

/// One step as the detector gets it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) call: ToolUse,
    pub(super) result: String,
    pub(super) wrote: bool,
    pub(super) failures: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) shape: &'static str,
    pub(super) calls: Vec<Call>,
    /// The first step that repeats what was there before; `None` for an agent that works.
    pub(super) loop_begins: Option<usize>,
}

/// Shapes of going round in circles.
pub(super) const LOOPS: [&str; 9] = [
    "one call again and again",
    "one question in other words",
    "two reads in turns",
    "a round of reads",
    "edit and undo",
    "two edits in turns, tested",
    "checks without an edit",
    "the same file written again",
    "one call with noise in its answer",
];

const FILES: usize = 8;
const WORK_STEPS: usize = 150;
const LOOP_STEPS: usize = 60;

/// An agent that works: it reads, edits, tests, undoes what did not help, reruns what flickers, waits for a log.
pub(super) fn working(seed: u64) -> Trace {
    let mut world = World::new(seed);
    while world.calls.len() < WORK_STEPS {
        world.work();
    }
    Trace { shape: "working", calls: world.calls, loop_begins: None }
}

/// One that works for a while and then goes round in circles of `LOOPS[shape]`.
pub(super) fn looping(seed: u64, shape: usize) -> Trace {
    let mut world = World::new(seed);
    let before = world.draw(40);
    while world.calls.len() < before {
        world.work();
    }
    let first = world.calls.len();
    let round = world.circle(shape);
    while world.calls.len() < first + LOOP_STEPS {
        world.circle(shape);
    }
    Trace { shape: LOOPS[shape], calls: world.calls, loop_begins: Some(first + round) }
}

struct World {
    random: u64,
    versions: [u64; FILES],
    calls: Vec<Call>,
    /// What the present circle is about.
    file: usize,
    log_lines: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = World { random: seed, versions: [0; FILES], calls: Vec::new(), file: 0, log_lines: 0 };
        world.file = world.draw(FILES);
        world
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn draw(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }

    fn push(&mut self, command: &str, result: String, failures: Option<u64>) {
        // Editors write, and so do the caches of test runners.
        let wrote = !["cat", "sed -n", "head", "nl", "grep", "sleep"].iter().any(|reads| command.starts_with(reads));
        let call = ToolUse { id: String::new(), name: "bash".into(), input: serde_json::json!({"command": command}) };
        self.calls.push(Call { call, result, wrote, failures });
    }

    fn read(&mut self, file: usize, words: usize) {
        let command = match words % 4 {
            0 => format!("cat src/m{file}.py"),
            1 => format!("sed -n 1,200p src/m{file}.py"),
            2 => format!("head -n 200 src/m{file}.py"),
            _ => format!("nl -ba src/m{file}.py | cut -f2"),
        };
        let version = self.versions[file];
        let content = format!(
            "def f{file}(x):\n    # version {version} of what this file has to say at some length\n    return x + {version}\n"
        );
        self.push(&command, content, None);
    }

    fn edit(&mut self, file: usize, version: u64) {
        self.versions[file] = version;
        self.push(&format!("sed -i s/x/{version}/ src/m{file}.py"), String::new(), None);
    }

    /// Fails while any file has an odd version or none; how long it took differs each time.
    fn test(&mut self, which: &str) {
        let red: Vec<String> = (0..FILES)
            .filter(|&n| self.versions[n] % 4 != 3)
            .map(|n| format!("FAILED tests/test_{n}.py::test_f"))
            .collect();
        let hundredths = self.draw(900) + 10;
        let failures = (!red.is_empty()).then(|| {
            let mut hasher = DefaultHasher::new();
            red.hash(&mut hasher);
            hasher.finish()
        });
        let result =
            format!("{}\n{} failed in {}.{:02}s", red.join("\n"), red.len(), hundredths / 100, hundredths % 100);
        self.push(&format!("pytest -q {which}"), result, failures);
    }

    /// One thing that somebody does who gets on.
    fn work(&mut self) {
        match self.draw(10) {
            0 => {
                for _ in 0..=self.draw(4) {
                    let (file, words) = (self.draw(FILES), self.draw(4));
                    self.read(file, words);
                    let (needle, line) = (self.draw(1000), self.draw(100));
                    self.push(
                        &format!("grep -rn name{needle} src"),
                        format!("src/m{file}.py:{line}: name{needle}"),
                        None,
                    );
                }
            }
            1..=4 => {
                let (file, version) = (self.draw(FILES), self.next());
                self.read(file, 0);
                self.edit(file, version);
                self.test("");
            }
            5 => {
                // An attempt that did not help is taken back.
                let (file, version) = (self.draw(FILES), self.next());
                let before = self.versions[file];
                self.edit(file, version);
                self.test("");
                self.versions[file] = before;
                self.push(&format!("git checkout src/m{file}.py"), "Updated 1 path from the index".into(), None);
            }
            6 => {
                // Does it flicker? Two runs more of one test, then on.
                let (file, version) = (self.draw(FILES), self.next());
                self.edit(file, version);
                for _ in 0..=self.draw(2) {
                    self.test(&format!("tests/test_{file}.py"));
                }
            }
            7 => {
                // A server is starting: its log is looked at until it is there.
                for _ in 0..self.draw(7) {
                    self.log_lines += self.next() % 2;
                    let lines = self.log_lines;
                    self.push("sleep 5; tail -n 3 server.log", format!("line {lines} of the log"), None);
                }
            }
            8 => {
                let version = self.next();
                let file = self.draw(FILES);
                self.edit(file, version);
                self.push("ruff format src", "8 files left unchanged".into(), None);
                self.push("ruff check src", "All checks passed!".into(), None);
            }
            _ => {
                let number = self.next() % 100_000;
                self.push(&format!("python3 -c 'print(f({number}))'"), format!("{}", number + 1), None);
            }
        }
    }

    /// One round of a circle; how many steps it has.
    fn circle(&mut self, shape: usize) -> usize {
        let file = self.file;
        let before = self.calls.len();
        match shape {
            0 => self.read(file, 0),
            1 => {
                let words = self.draw(4);
                self.read(file, words);
            }
            2 => {
                self.read(file, 0);
                self.read((file + 1) % FILES, 0);
            }
            3 => (0..5).for_each(|n| self.read((file + n) % FILES, n)),
            4 => {
                let version = self.versions[file];
                self.edit(file, version ^ 1);
                self.edit(file, version);
            }
            5 => {
                let version = self.versions[file];
                self.edit(file, version ^ 1);
                self.test("");
                self.edit(file, version);
                self.test("");
            }
            6 => self.test(""),
            7 => self.push(&format!("cp /tmp/new.py src/m{file}.py && echo done"), "done".into(), None),
            _ => {
                let noise = self.next();
                self.push("./run.sh --verbose", format!("request id {noise} failed"), None);
            }
        }
        self.calls.len() - before
    }
}
