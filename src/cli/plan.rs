//! What a run was begun with, as its journal keeps it: all that `resume` needs beside the events, and no secret.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::RunId;
use crate::network::Packages;
use crate::sandbox::{ImageRef, ResourceLimits, SandboxSpec, Weaker};
use crate::score::StyleRules;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What was asked for: a toolchain's name or any image.
    pub(super) image_name: String,
    /// What it came to, set-up included.
    pub(super) image: ImageRef,
    pub(super) resources: ResourceLimits,
    /// Which PID 1 the image holds.
    pub(super) supervisor: String,
    /// Of every command, complete.
    pub(super) env: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<PathBuf>,
    /// As it was resolved; keys are looked up anew.
    pub(super) model: String,
    /// `none`: nobody; `None`: the run's own model, where that has words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writer_model: Option<String>,
    /// The second reader, as it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) judge: Option<String>,
    /// Of helpers, as it was resolved; `None`: the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) helper_model: Option<String>,
    /// Commands that were run before, as root, with a reduced network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) setup: Vec<String>,
    /// What those brought in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<Packages>,
    /// Whether the agent may have packages installed in mid-run.
    #[serde(default)]
    pub(super) install: bool,
    /// The operator's rules of style and what the repository added to them.
    #[serde(default, skip_serializing_if = "StyleRules::is_empty")]
    pub(super) style: StyleRules,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runtime: Option<String>,
    /// Confinements that the operator gave up by name.
    #[serde(default, skip_serializing_if = "Weaker::is_empty")]
    pub(super) weaker: Weaker,
}

impl Plan {
    pub(super) fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a plan is plain data")
    }

    pub(super) fn of_journal(run: &RunId, value: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(value.clone()).map_err(|error| {
            Error::usage(format!("the journal of run {run} does not say what it was begun with"))
                .because(error)
                .hint("a version from before `resume` wrote it; start the task anew with `greenroom run`")
        })
    }

    pub(super) fn spec(&self, run: &RunId) -> SandboxSpec {
        SandboxSpec {
            run: run.clone(),
            image: self.image.clone(),
            limits: self.resources,
            env: self.env.clone(),
            data: self.data.clone(),
        }
    }
}
