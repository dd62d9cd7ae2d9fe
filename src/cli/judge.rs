//! By which rules a patch is judged, as the operator says it.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::engine;
use crate::error::{Error, Result};
use crate::judgement::{Candidates, Rules, Strictness, When};
use crate::model::Model;
use crate::verify::protect;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct JudgeArgs {
    /// A glob of files that the run may not change, beside tests, CI, lock files and configuration of the checks
    #[arg(long = "protect", value_name = "GLOB", value_parser = glob)]
    protect: Vec<String>,
    /// A glob of protected files that the task is about to change; what is done to them is noted, not refused
    #[arg(long = "may-change", value_name = "GLOB", value_parser = glob)]
    may_change: Vec<String>,
    /// What makes a run verified
    #[arg(long, value_enum, default_value_t = Verification::Strict, env = "GREENROOM_VERIFICATION")]
    verification: Verification,
    /// An acceptance criterion in words, for the second reader; may be given several times
    #[arg(long = "goal", value_name = "TEXT", requires = "judge_model")]
    goals: Vec<String>,
    /// A second reader of a patch whose checks pass, which may only object: PROVIDER/MODEL or `scripted:FILE`
    #[arg(long, value_name = "ID", env = "GREENROOM_JUDGE_MODEL", hide_env_values = true)]
    judge_model: Option<String>,
    /// Proposals for one turn, each carried out and checked in a fork of the sandbox; the best goes on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    candidates: u32,
    /// When a turn gets more than one proposal
    #[arg(long, value_enum, default_value_t = Due::Stuck)]
    when: Due,
    /// How often the baseline runs, to tell flaky tests apart; it is not run again where it took over a minute
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=5))]
    baseline_runs: u32,
    /// Carry out what the tools themselves suggest, and keep it where it helps, before the model is asked
    #[arg(long, env = "GREENROOM_REFLEX")]
    reflex: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Verification {
    /// Protected files are the original ones, tests must reappear, planted tests must fail
    #[default]
    Strict,
    /// The checks pass on the tree plus the patch, whatever the patch does to them
    Plain,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Due {
    /// Once the run stands still
    #[default]
    Stuck,
    /// Whenever the checks are red
    Always,
}

impl JudgeArgs {
    pub(super) fn model(&self) -> Result<Option<Arc<dyn Model>>> {
        self.judge_model.as_deref().map(|id| engine::model(Some(id))).transpose()
    }

    pub(super) fn rules(&self) -> Result<Rules> {
        if let Some(blank) = self.goals.iter().find(|goal| goal.trim().is_empty()) {
            return Err(Error::usage(format!("`--goal '{blank}'` is empty")).hint("say what must be so, in a sentence"));
        }
        Ok(Rules {
            strictness: match self.verification {
                Verification::Strict => Strictness::Strict,
                Verification::Plain => Strictness::Plain,
            },
            protect: self.protect.clone(),
            may_change: self.may_change.clone(),
            goals: self.goals.clone(),
            candidates: Candidates {
                count: self.candidates,
                when: match self.when {
                    Due::Stuck => When::Stuck,
                    Due::Always => When::Always,
                },
            },
            baseline_runs: self.baseline_runs,
            reflex: self.reflex,
        })
    }
}

fn glob(text: &str) -> std::result::Result<String, String> {
    protect::glob(text).map(|_| text.to_owned())
}
