//! What a session amounts to: results, failure blocks and short summary brought together, test by test.

use std::collections::{HashMap, HashSet};

use super::failure::Failure;
use super::line::Totals;
use super::worse;
use crate::sink::{Evidence, Sink};
use crate::{Diagnostic, Severity, TestCase, TestStatus};

/// Tests of one session that wait for its end.
const TESTS_MAX: usize = 100_000;
const BLOCKS_MAX: usize = 5_000;

#[derive(Default)]
pub(super) struct Outcome {
    tests: Vec<TestCase>,
    by_id: HashMap<String, usize>,
    blocks: Vec<Block>,
    /// Of `--tb=line`: one line a failure, in the order of the short summary. Other lines may look like one.
    one_liners: Vec<Failure>,
    /// Modules that could not be collected, and what the short summary says of them.
    uncollected: Vec<(String, Option<String>)>,
}

struct Block {
    kind: BlockKind,
    failure: Failure,
}

enum BlockKind {
    /// `TestClass.test_name[param]`
    Test { title: String, status: TestStatus },
    /// `ERROR collecting path`
    Collection(String),
}

impl Outcome {
    pub(super) fn result(&mut self, id: &str, status: TestStatus, message: Option<&str>) {
        let index = match self.by_id.get(id) {
            Some(&index) => index,
            None if self.tests.len() < TESTS_MAX => {
                self.tests.push(TestCase { id: id.to_owned(), ..TestCase::default() });
                self.by_id.insert(id.to_owned(), self.tests.len() - 1);
                self.tests.len() - 1
            }
            None => return,
        };
        let test = &mut self.tests[index];
        test.status = worse(test.status, status);
        if let Some(message) = message {
            test.message.get_or_insert_with(|| message.to_owned());
        }
    }

    /// A line of the short summary. A module without a test's name in it could not be collected.
    pub(super) fn summary(&mut self, id: &str, status: TestStatus, message: Option<&str>) {
        let collected =
            id.contains("::") && !self.blocks.iter().any(|b| matches!(&b.kind, BlockKind::Collection(p) if p == id));
        if status == TestStatus::Error && !collected {
            self.uncollected.push((id.to_owned(), message.map(str::to_owned)));
        } else {
            self.result(id, status, message);
        }
    }

    pub(super) fn duration(&mut self, id: &str, milliseconds: f64) {
        if let Some(&index) = self.by_id.get(id) {
            self.tests[index].duration_ms = Some(milliseconds);
        } else if self.tests.len() < TESTS_MAX {
            // Durations come before the short summary, which may name it.
            self.tests.push(TestCase { id: id.to_owned(), duration_ms: Some(milliseconds), ..TestCase::default() });
            self.by_id.insert(id.to_owned(), self.tests.len() - 1);
        }
    }

    pub(super) fn block(&mut self, is_error: bool, title: &str, body: &[String]) {
        if self.blocks.len() >= BLOCKS_MAX {
            return;
        }
        let failure = Failure::read(body);
        let kind = if let Some(path) = title.strip_prefix("ERROR collecting ") {
            BlockKind::Collection(path.to_owned())
        } else {
            let title = title
                .strip_prefix("ERROR at setup of ")
                .or_else(|| title.strip_prefix("ERROR at teardown of "))
                .unwrap_or(title)
                .to_owned();
            BlockKind::Test { title, status: if is_error { TestStatus::Error } else { TestStatus::Failed } }
        };
        self.blocks.push(Block { kind, failure });
    }

    /// `/src/test_a.py:36: AssertionError: assert 7 == 8`
    pub(super) fn one_line(&mut self, line: &str) {
        if self.one_liners.len() >= BLOCKS_MAX {
            return;
        }
        self.one_liners.push(Failure::one_line(line));
    }

    pub(super) fn report(mut self, totals: Option<Totals>, sink: &mut Sink) {
        self.assign_one_liners(sink);
        let uncollected = self.report_blocks(sink);
        if uncollected > 0 {
            sink.evidence(Evidence::SaysError);
        }
        for test in self.tests {
            if test.status != TestStatus::NotRun {
                sink.test(test);
            }
        }
        if let Some(mut totals) = totals {
            if totals.is_empty {
                sink.evidence(Evidence::SaysNoTests);
            }
            // Collection errors are findings, not tests.
            totals.counts.errors = totals.counts.errors.map(|errors| errors.saturating_sub(uncollected));
            sink.printed(&totals.counts);
        }
    }

    /// One line a failure, in their order. Newer versions print more than that: then the line is the one with a place and
    /// with the words that the short summary has for the test.
    fn assign_one_liners(&mut self, sink: &mut Sink) {
        let mut lines = std::mem::take(&mut self.one_liners);
        let failed: Vec<usize> =
            (0..self.tests.len()).filter(|&index| self.tests[index].status == TestStatus::Failed).collect();
        let in_order = lines.len() == failed.len();
        if !in_order {
            lines.retain(|line| line.file.is_some());
        }
        for index in failed {
            let test = &mut self.tests[index];
            let at = match &test.message {
                _ if in_order => Some(0),
                Some(message) => lines.iter().position(|line| says(&line.message, message)),
                None => None,
            };
            let Some(failure) = at.and_then(|at| lines.drain(..=at).next_back()) else { continue };
            describe(test, &failure);
            if let Some(advice) = failure.advice() {
                sink.diagnostic(advice);
            }
            sink_trace(failure, sink);
        }
        if self.tests.is_empty() {
            lines.into_iter().for_each(|failure| sink_trace(failure, sink));
        }
    }

    /// Gives each block to its test; answers how many modules were not collected.
    fn report_blocks(&mut self, sink: &mut Sink) -> u64 {
        let mut modules: HashSet<String> = HashSet::new();
        let (tests, modules_of): (Vec<Block>, Vec<Block>) =
            std::mem::take(&mut self.blocks).into_iter().partition(|b| matches!(b.kind, BlockKind::Test { .. }));
        for Block { kind, failure } in modules_of {
            if let BlockKind::Collection(path) = kind
                && modules.insert(path.clone())
            {
                let mut finding = failure.finding();
                finding.file.get_or_insert(path);
                sink.diagnostic(finding);
                sink_trace(failure, sink);
            }
        }
        let owners = self.owners(&tests);
        let mut described: HashSet<usize> = HashSet::new();
        for (Block { failure, kind }, owner) in tests.into_iter().zip(owners) {
            if let Some(index) = owner {
                let is_error = matches!(kind, BlockKind::Test { status: TestStatus::Error, .. });
                if is_error && self.tests[index].status == TestStatus::Failed {
                    // What broke after the test had failed is not why it failed.
                    sink.diagnostic(failure.finding());
                } else if described.insert(index) {
                    describe(&mut self.tests[index], &failure);
                }
                if let Some(advice) = failure.advice() {
                    sink.diagnostic(advice);
                }
            }
            sink_trace(failure, sink);
        }
        for (path, message) in std::mem::take(&mut self.uncollected) {
            if modules.insert(path.clone()) {
                sink.diagnostic(Diagnostic {
                    severity: Some(Severity::Error),
                    message: message.unwrap_or_else(|| "could not be collected".to_owned()),
                    file: Some(path),
                    ..Diagnostic::default()
                });
            }
        }
        modules.len() as u64
    }

    /// The test each block is about: by its title, or by its place in the order where titles are free text.
    fn owners(&mut self, blocks: &[Block]) -> Vec<Option<usize>> {
        let by_title = self.failing_by_title();
        let mut turn: HashMap<&str, usize> = HashMap::new();
        let mut owners: Vec<Option<usize>> = Vec::new();
        for block in blocks {
            let BlockKind::Test { title, .. } = &block.kind else { continue };
            let title = own_title(title);
            let next = turn.entry(title).or_default();
            owners.push(by_title.get(title).and_then(|tests| tests.get(*next).or(tests.last())).copied());
            *next += 1;
        }
        let owned: HashSet<usize> = owners.iter().flatten().copied().collect();
        let failing = |test: &TestCase| matches!(test.status, TestStatus::Failed | TestStatus::Error);
        let left: Vec<usize> =
            (0..self.tests.len()).filter(|index| failing(&self.tests[*index]) && !owned.contains(index)).collect();
        let mut orphans = owners.iter_mut().zip(blocks).filter(|(owner, _)| owner.is_none()).collect::<Vec<_>>();
        if left.len() == orphans.len() {
            for ((owner, _), index) in orphans.iter_mut().zip(left) {
                **owner = Some(index);
            }
        } else if owned.is_empty() && left.is_empty() {
            // No line names the failing tests: the blocks are all there is.
            for (owner, block) in orphans {
                let BlockKind::Test { title, status } = &block.kind else { continue };
                let id = id_of(own_title(title), block.failure.test_file());
                self.result(&id, *status, None);
                *owner = self.by_id.get(&id).copied();
            }
        }
        owners
    }

    /// Failing tests by the titles of their blocks, in order.
    fn failing_by_title(&self) -> HashMap<String, Vec<usize>> {
        let mut titles: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, test) in self.tests.iter().enumerate() {
            if matches!(test.status, TestStatus::Failed | TestStatus::Error) {
                titles.entry(title_of(&test.id)).or_default().push(index);
            }
        }
        titles
    }
}

/// Whether the short summary, which cuts long lines, says `short` of a failure whose first line is `long`.
fn says(long: &str, short: &str) -> bool {
    match short.strip_suffix("...") {
        Some(short) => long.starts_with(short),
        None => long == short,
    }
}

fn sink_trace(failure: Failure, sink: &mut Sink) {
    if let Some(trace) = failure.into_trace() {
        sink.trace(trace);
    }
}

/// Without a subtest's values: `TestNumbers.test_even (n=1)`.
fn own_title(title: &str) -> &str {
    match title.split_once(" (") {
        Some((name, _)) if !name.contains('[') => name,
        _ => title,
    }
}

fn describe(test: &mut TestCase, failure: &Failure) {
    if !failure.message.is_empty() {
        test.message = Some(failure.message.clone());
    }
    test.file.clone_from(&failure.file);
    test.line = failure.line;
    test.expected.clone_from(&failure.expected);
    test.actual.clone_from(&failure.actual);
}

/// `TestClass.test_name[a::b]` of `path::TestClass::test_name[a::b]`
fn title_of(id: &str) -> String {
    let name = id.split_once("::").map_or(id, |(_, name)| name);
    let (name, parameters) = name.split_at(name.find('[').unwrap_or(name.len()));
    format!("{}{parameters}", name.replace("::", "."))
}

fn id_of(title: &str, file: Option<&str>) -> String {
    let (name, parameters) = title.split_at(title.find('[').unwrap_or(title.len()));
    let name = format!("{}{parameters}", name.replace('.', "::"));
    match file {
        Some(file) => format!("{file}::{name}"),
        None => name,
    }
}
