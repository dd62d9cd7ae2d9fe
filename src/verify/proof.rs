//! That the checks can fail: tests planted to fail among the real ones must do so, where the real ones were.

use greenroom_parsers::TestStatus;

use super::evidence::is_runner;
use super::plant::{PLANTS_MAX, Plant, candidates, plant};
use super::{Court, ToolFailure};
use crate::judgement::{Finding, Rule, TestsSeen};
use crate::snapshot::{Entry, TreePath};
use crate::tools::CheckRun;

/// Files that are looked at for a place to plant in.
const READ_MAX: usize = 200;
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Rounds after the first, each with one plant alone.
const ALONE_MAX: usize = 4;

pub(super) struct Proof {
    pub(super) findings: Vec<Finding>,
    /// Planted files whose tests failed, as they should.
    pub(super) failed: u32,
}

/// One planted file and what became of it.
struct Planted {
    name: String,
    plant: Plant,
    original: String,
    /// Tests of this file were seen to run.
    known: bool,
    failed: bool,
}

impl Court<'_> {
    pub(super) async fn prove(&mut self, runs: &[CheckRun], before: &[TestsSeen]) -> Result<Proof, ToolFailure> {
        let mut planted = self.plants(runs, before)?;
        if planted.is_empty() {
            let why = "no test could be planted to see it fail: that these checks can fail is not proven";
            return Ok(Proof { findings: vec![Finding::note(Rule::NotProven, why)], failed: 0 });
        }
        let mut findings = Vec::new();
        let all: Vec<usize> = (0..planted.len()).collect();
        findings.extend(self.round(&mut planted, &all, before).await?);
        for _ in 0..ALONE_MAX {
            let none_failed = planted.iter().all(|planted| !planted.failed);
            // Where nothing is known of a file, that it stays silent says something only if all do.
            let left = planted.iter().position(|planted| !planted.failed && planted.known && !none_failed);
            let Some(index) = left else { break };
            findings.extend(self.round(&mut planted, &[index], before).await?);
            if !planted[index].failed {
                planted[index].known = false;
                findings.push(passed(&planted[index]));
            }
        }
        let failed = planted.iter().filter(|planted| planted.failed).count() as u32;
        if failed == 0 {
            findings.push(match self.should_have_failed(runs, before, &planted) {
                true => passed(&planted[0]),
                false => {
                    Finding::note(Rule::NotProven, "that these checks can fail is not proven: none ran a planted test")
                }
            });
        }
        Ok(Proof { findings, failed })
    }

    fn plants(&self, runs: &[CheckRun], before: &[TestsSeen]) -> Result<Vec<Planted>, ToolFailure> {
        let listed: Vec<&str> = before
            .iter()
            .chain(runs.iter().map(|run| &run.seen))
            .flat_map(|seen| seen.listed.keys())
            .map(|id| id.rsplit(['.', ':', '/', '>', ' ']).next().unwrap_or(id))
            .filter(|name| name.len() > 2)
            .collect();
        let mut found = Vec::new();
        for path in candidates(&self.judged.tree, &self.protection).into_iter().take(READ_MAX) {
            let Some(Entry::File { size, content, .. }) = self.judged.tree.entries.get(&path) else { continue };
            if *size > TEXT_BYTES_MAX {
                continue;
            }
            let Ok(original) = String::from_utf8(self.case.store.blob(content)?) else { continue };
            let name = format!("greenroom_planted_{}_{}", random(), found.len());
            let Some(plant) = plant(&path, &original, &name) else { continue };
            let known = listed.iter().any(|id| original.contains(id));
            found.push(Planted { name, plant, original, known, failed: false });
        }
        let named = |planted: &Planted| self.protection.is_named(&planted.plant.path);
        found.sort_by_key(|planted| (!named(planted), planted.plant.by_exit_only, !planted.known));
        match found.first().is_some_and(|first| first.plant.by_exit_only) {
            true => found.truncate(1),
            false => found.retain(|planted| !planted.plant.by_exit_only),
        }
        found.truncate(PLANTS_MAX);
        Ok(found)
    }

    /// Runs the checks with these planted, and puts the files back. Says which real tests fail that did not before.
    async fn round(
        &mut self,
        planted: &mut [Planted],
        which: &[usize],
        before: &[TestsSeen],
    ) -> Result<Vec<Finding>, ToolFailure> {
        for index in which {
            let Planted { plant, .. } = &planted[*index];
            self.put(&plant.path, plant.text.as_bytes()).await?;
        }
        let runs = self.run().await?;
        for index in which {
            let Planted { plant, original, .. } = &planted[*index];
            self.put(&plant.path, original.as_bytes()).await?;
        }
        let mut findings = Vec::new();
        for (run, before) in runs.iter().zip(before.iter().map(Some).chain(std::iter::repeat(None))) {
            if run.result.passed() {
                continue;
            }
            let fails =
                |status: &TestStatus| matches!(status, TestStatus::Failed | TestStatus::Error | TestStatus::Timeout);
            let failing: Vec<&String> =
                run.seen.listed.iter().filter(|(_, status)| fails(status)).map(|(id, _)| id).collect();
            for index in which {
                let planted = &mut planted[*index];
                let word = plain(&planted.name);
                let named = failing.iter().any(|id| plain(id).contains(&word));
                planted.failed |= named || (planted.plant.by_exit_only && failing.is_empty());
            }
            let is_planted = |id: &str| plain(id).contains("greenroomplanted");
            let flaky = |id: &String| before.is_some_and(|before| before.flaky.contains(id));
            // Runners name the file or the suite that a failing test is in, too.
            let holds_planted = |id: &str| which.iter().any(|index| holds(id, &planted[*index].plant.path));
            let others = failing.iter().filter(|id| !is_planted(id) && !flaky(id) && !holds_planted(id));
            findings.extend(others.take(3).map(|id| {
                Finding::objection(Rule::CheckRed, format!("the test `{id}` fails when it is run a second time"))
            }));
        }
        Ok(findings)
    }

    /// Whether a check is known to run tests, so that it should have run these.
    fn should_have_failed(&self, runs: &[CheckRun], before: &[TestsSeen], planted: &[Planted]) -> bool {
        let ran_tests = |seen: &TestsSeen| seen.executed > 0 && seen.tools.iter().any(|tool| is_runner(tool));
        let runner = before.iter().chain(runs.iter().map(|run| &run.seen)).any(ran_tests);
        let words = self.case.task.checks.iter().flat_map(|check| check.command.split(|c: char| !c.is_alphanumeric()));
        let named = planted.iter().any(|planted| self.protection.is_named(&planted.plant.path));
        runner || named || words.into_iter().any(|word| matches!(word, "test" | "tests" | "check" | "spec"))
    }
}

fn passed(planted: &Planted) -> Finding {
    let message = "a test that must fail was planted here, and the checks passed all the same";
    Finding::objection(Rule::PlantedPassed, message).at(planted.plant.path.to_text(), 1)
}

/// Whether this names the file or the suite that a file makes, not one of its tests.
fn holds(id: &str, path: &TreePath) -> bool {
    let path = path.to_text();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    id.ends_with(name) || plain(id).ends_with(&plain(stem))
}

/// Without what a language makes of a name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Not to be guessed by what is verified.
fn random() -> String {
    crate::id::RunId::generate().as_str()[18..].to_lowercase()
}
