//! What a shell leaves to the next one: its folder and the variables it exported, as plain data. No shell lives on
//! between two calls of the agent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Where the next command begins, and how its environment differs from the run's own. Bounded by who makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellState {
    /// Absolute, inside the sandbox; `None` is the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exported: BTreeMap<String, String>,
    /// Variables of the run's environment that were unset.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unset: BTreeSet<String>,
}
