//! `--runtime` and `--allow-weaker`: how sandboxes are confined, where the usual way is not what the operator wants.

use clap::Args;

use super::engine::Connected;
use crate::error::{Error, Result};
use crate::sandbox::{Confinement, Weaker};

#[derive(Debug, Clone, Default, Args)]
pub struct ConfineArgs {
    /// The container runtime, by the name the engine knows it by, like runsc
    #[arg(long, value_name = "NAME", env = "GREENROOM_RUNTIME")]
    pub runtime: Option<String>,
    /// Run also where this confinement does not hold; the journal and every summary say so
    #[arg(long = "allow-weaker", value_name = "NAME")]
    pub weaker: Vec<Confinement>,
}

impl ConfineArgs {
    pub(super) fn weaker(&self) -> Weaker {
        self.weaker.iter().copied().collect()
    }

    pub(super) fn apply(&self, engine: Connected) -> Result<Connected> {
        engine.confined(self.runtime.clone(), self.weaker())
    }
}

/// A runtime that the engine does not know is no reason to start with another.
pub(super) fn known_runtime(known: &[String], name: Option<&str>) -> Result<()> {
    match name.filter(|name| !known.iter().any(|runtime| runtime == name)) {
        None => Ok(()),
        Some(name) => Err(Error::usage(format!("the engine knows no runtime `{name}`"))
            .hint(format!("it knows {}", known.join(", ")))),
    }
}
