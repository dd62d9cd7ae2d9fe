//! "Done" is proven here: the frozen checks in a fresh container on the pristine tree plus the patch, with what is
//! protected as it was, and with evidence that the checks could have failed.

mod evidence;
mod lines;
mod mixed;
mod plant;
mod proof;
pub mod protect;
pub mod reader;
mod set_up;
mod suspect;
mod tree;
mod weaken;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::protect::Protection;
use self::tree::{Contents, Judged};
use crate::id::{BlobId, CallToken};
use crate::judgement::{Finding, Frozen, Judgement, Rule, Strictness, TestsSeen};
use crate::network::Traffic;
use crate::sandbox::{AGENT_UID, Installer, Launcher, Sandbox, SandboxSpec};
use crate::snapshot::Manifest;
use crate::snapshot::pack::tar_stream;
use crate::store::Store;
use crate::task::{CheckResult, Task};
use crate::tools::{CheckRun, ToolFailure, run_checks_in_full};

/// Tokens of verification commands; steps never reach them.
const VERIFY_TOKEN: CallToken = CallToken(u64::MAX);
/// Runs of a check that fails only by what is known to be unsteady.
const TRIES_MAX: u32 = 3;

/// What is to be verified, and against what.
pub struct Case<'a> {
    pub launcher: &'a dyn Launcher,
    pub store: &'a Arc<dyn Store>,
    pub spec: &'a SandboxSpec,
    pub pristine: &'a Manifest,
    /// The pristine tree plus the patch.
    pub tree: Manifest,
    pub task: &'a Task,
    /// From before the agent started; `None` for runs of a version that froze nothing.
    pub frozen: Option<&'a Frozen>,
    /// Of one check.
    pub timeout: Duration,
    /// Does the set-up again where manifests changed; `None` where the operator has none and allows none.
    pub installer: Option<&'a Installer>,
    /// The agent had packages installed, which no manifest may name.
    pub installed: bool,
}

pub struct Verdict {
    pub checks: Vec<CheckResult>,
    pub judgement: Judgement,
    /// What a set-up for it asked of the network.
    pub traffic: Traffic,
}

/// What holds from before the agent started: what is protected, and which tests there are, of one run of the checks or
/// several.
pub fn freeze(pristine: &Manifest, task: &Task, store: &dyn Store, runs: &[Vec<CheckRun>]) -> std::io::Result<Frozen> {
    let protected = tree::protected_part(pristine, &Protection::new(&task.rules, &task.checks));
    let seen = |index: usize| {
        let mut of_check = runs.iter().filter_map(|run| run.get(index));
        let first = of_check.next()?;
        Some(of_check.fold(first.seen.clone(), |seen, again| TestsSeen {
            verdict_differed: seen.verdict_differed || again.result.passed() != first.result.passed(),
            ..seen.again(&again.seen)
        }))
    };
    let tests: Vec<TestsSeen> = (0..task.checks.len()).filter_map(seen).collect();
    Ok(Frozen {
        protected_files: protected.entries.len() as u64,
        protected_digest: protected.digest(),
        runs: runs.len() as u32,
        flaky: tests.iter().flat_map(|tests| tests.flaky.iter().cloned()).collect(),
        tests: store.put_blob(&serde_json::to_vec(&tests).map_err(std::io::Error::from)?)?,
    })
}

/// Judges the patch in a container of its own, which is gone when this returns. `None` where `stop` broke it off.
pub async fn verify(case: Case<'_>, stop: &CancellationToken) -> Result<Option<Verdict>, ToolFailure> {
    let protection = Protection::new(&case.task.rules, &case.task.checks);
    let mut judged = match case.task.rules.strictness {
        Strictness::Plain => {
            Judged { tree: case.tree.clone(), additions: Vec::new(), findings: Vec::new(), tests_may_differ: true }
        }
        Strictness::Strict => {
            let read = |id: &BlobId| case.store.blob(id);
            let put = |bytes: &[u8]| case.store.put_blob(bytes);
            let contents = Contents { read: &read, put: &put };
            tree::judge(case.pristine, &case.tree, &protection, &case.task.checks, &contents)?
        }
    };
    let set_up = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(None),
        set_up = set_up::again(&case, &judged.tree) => set_up?,
    };
    if let Some(told) = set_up.told {
        judged.findings.retain(|finding| finding.rule != Rule::ManifestChanged);
        judged.findings.extend(told);
    }
    let sandbox = case.launcher.start(&set_up.spec, stream(case.store, judged.tree.clone())).await?;
    let court = Court { case: &case, judged, protection, sandbox: sandbox.as_ref(), parts: 0 };
    let verdict = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        verdict = court.hear() => verdict.map(|verdict| Some(Verdict { traffic: set_up.traffic, ..verdict })),
    };
    sandbox.stop().await?;
    verdict
}

fn stream(store: &Arc<dyn Store>, manifest: Manifest) -> crate::sandbox::TarStream {
    let store = store.clone();
    tar_stream(Arc::new(manifest), Arc::new(move |id: &BlobId| store.blob(id)), AGENT_UID, AGENT_UID)
}

/// One verification under way.
struct Court<'a> {
    case: &'a Case<'a>,
    judged: Judged,
    protection: Protection,
    sandbox: &'a dyn Sandbox,
    /// Commands so far: no part of a step is run twice.
    parts: u32,
}

impl Court<'_> {
    async fn hear(mut self) -> Result<Verdict, ToolFailure> {
        let mut findings = std::mem::take(&mut self.judged.findings);
        let mut runs = self.run().await?;
        let image_digest = Some(self.sandbox.facts().image.digest.clone());
        if self.case.task.rules.strictness == Strictness::Plain {
            let judgement = Judgement { image_digest, ..Judgement::default() };
            return Ok(Verdict { checks: results(runs), judgement, traffic: Traffic::default() });
        }
        findings.extend(self.still_frozen());
        let before = self.tests_before()?;
        findings.extend(self.rerun_flaky(&mut runs, &before).await?);
        let may_differ = self.judged.tests_may_differ;
        let judge = |runs: &[CheckRun]| -> Vec<Finding> {
            let each = runs.iter().enumerate();
            each.flat_map(|(index, run)| evidence::judge(&run.result, &run.seen, before.get(index), may_differ))
                .collect()
        };
        findings.extend(judge(&runs));
        let mut planted_failed = 0;
        if !findings.iter().any(Finding::is_objection) {
            if self.add_new_tests().await? {
                runs = self.run().await?;
                findings.extend(self.rerun_flaky(&mut runs, &before).await?);
                findings.extend(judge(&runs));
            }
            if !findings.iter().any(Finding::is_objection) {
                let proof = self.prove(&runs, &before).await?;
                planted_failed = proof.failed;
                findings.extend(proof.findings);
            }
        }
        findings.sort();
        findings.dedup();
        let judgement = Judgement { findings, planted_failed, image_digest, read: None };
        Ok(Verdict { checks: results(runs), judgement, traffic: Traffic::default() })
    }

    async fn run(&mut self) -> Result<Vec<CheckRun>, ToolFailure> {
        let checks = &self.case.task.checks;
        let first = self.parts;
        self.parts += checks.len() as u32;
        let store = self.case.store.as_ref();
        run_checks_in_full(self.sandbox, store, checks, (VERIFY_TOKEN, first), self.case.timeout).await
    }

    /// That what is verified holds what was frozen. Our own doing; nothing a patch could change.
    fn still_frozen(&self) -> Option<Finding> {
        let frozen = self.case.frozen?;
        let protected = tree::protected_part(self.case.pristine, &self.protection);
        let held = protected.entries.iter().all(|(path, entry)| self.judged.tree.entries.get(path) == Some(entry));
        let same = protected.digest() == frozen.protected_digest && held;
        (!same).then(|| Finding::objection(Rule::NoEvidence, "the protected files are not those from before the run"))
    }

    fn tests_before(&self) -> Result<Vec<TestsSeen>, ToolFailure> {
        let Some(frozen) = self.case.frozen else { return Ok(Vec::new()) };
        let bytes = self.case.store.blob(&frozen.tests)?;
        Ok(serde_json::from_slice(&bytes).map_err(std::io::Error::from)?)
    }

    /// A check that fails only by tests that were unsteady before the run may try again.
    async fn rerun_flaky(
        &mut self,
        runs: &mut Vec<CheckRun>,
        before: &[TestsSeen],
    ) -> Result<Option<Finding>, ToolFailure> {
        for tried in 1..=TRIES_MAX {
            let failing: Vec<usize> = (0..runs.len()).filter(|index| !runs[*index].result.passed()).collect();
            let unsteady = |index: &usize| evidence::only_flaky(&runs[*index].seen, before.get(*index));
            if failing.is_empty() || !failing.iter().all(unsteady) || tried == TRIES_MAX {
                let passed = failing.is_empty() && tried > 1;
                let message =
                    format!("passed at the {tried}. try: tests that it fails by were unsteady before the run, too");
                return Ok(passed.then(|| Finding::note(Rule::Flaky, message)));
            }
            *runs = self.run().await?;
        }
        Ok(None)
    }

    /// Whether there were any. Only after the old tests alone have passed: a new one may not be what makes them.
    async fn add_new_tests(&self) -> Result<bool, ToolFailure> {
        use crate::snapshot::Entry;
        for path in &self.judged.additions {
            let Some(Entry::File { content, .. }) = self.case.tree.entries.get(path) else { continue };
            let bytes = self.case.store.blob(content)?;
            self.put(path, &bytes).await?;
        }
        Ok(!self.judged.additions.is_empty())
    }

    async fn put(&self, path: &crate::snapshot::TreePath, bytes: &[u8]) -> Result<(), ToolFailure> {
        let absolute = format!("{}/{}", crate::sandbox::WORKSPACE, String::from_utf8_lossy(path.as_bytes()));
        let written = self.sandbox.write(&absolute, bytes, None).await?;
        written
            .map_err(|error| std::io::Error::other(format!("cannot put `{path}` into the clean container: {error}")))?;
        Ok(())
    }
}

fn results(runs: Vec<CheckRun>) -> Vec<CheckResult> {
    runs.into_iter().map(|run| run.result).collect()
}
