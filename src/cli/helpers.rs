//! `--helpers` and `--helper-model`: whether a run's agent may ask others, and whom.

use std::sync::Arc;

use clap::Args;

use super::engine;
use crate::agent::RunState;
use crate::error::{Error, Result};
use crate::model::Model;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct HelperArgs {
    /// Helpers in all, at any of five levels: fresh agents to which the agent gives bounded tasks, each in a copy of its
    /// sandbox and with a share of its budget. Without it: none
    #[arg(long, value_name = "N", default_value_t = 0, env = "GREENROOM_HELPERS", value_parser = clap::value_parser!(u32).range(..=1000))]
    helpers: u32,
    /// The model of helpers. Without it: the run's own
    #[arg(long, value_name = "ID", env = "GREENROOM_HELPER_MODEL", hide_env_values = true)]
    helper_model: Option<String>,
}

impl HelperArgs {
    pub(super) fn count(&self) -> u32 {
        self.helpers
    }

    pub(super) fn model(&self) -> Result<Option<Arc<dyn Model>>> {
        let named = self.helper_model.as_deref().filter(|_| self.helpers > 0);
        named.map(|id| engine::model(Some(id))).transpose()
    }
}

/// A helper's run is worked on by the run that asked for it alone.
pub(super) fn refuse_helper(state: &RunState) -> Result<()> {
    match &state.helper {
        None => Ok(()),
        Some(of) => Err(Error::usage(format!("run {} is a helper of run {}", state.run, of.run))
            .hint(format!("`greenroom show` and `diff` take it; go on with `greenroom resume {}`", of.run))),
    }
}
