//! By which rules a patch is judged, as the operator says it.

use clap::{Args, ValueEnum};

use crate::judgement::{Rules, Strictness};
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
    /// How often the baseline runs, to tell flaky tests apart; it is not run again where it took over a minute
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=5))]
    baseline_runs: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Verification {
    /// Protected files are the original ones, tests must reappear, planted tests must fail
    #[default]
    Strict,
    /// The checks pass on the tree plus the patch, whatever the patch does to them
    Plain,
}

impl JudgeArgs {
    pub(super) fn rules(&self) -> Rules {
        Rules {
            strictness: match self.verification {
                Verification::Strict => Strictness::Strict,
                Verification::Plain => Strictness::Plain,
            },
            protect: self.protect.clone(),
            may_change: self.may_change.clone(),
            baseline_runs: self.baseline_runs,
        }
    }
}

fn glob(text: &str) -> Result<String, String> {
    protect::glob(text).map(|_| text.to_owned())
}
