//! Where the adapters are chosen: the container engine with its images, and the model.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::autofix::Autofix;
use crate::model::resolve::{ModelOptions, resolve};
use crate::output::Printer;
use crate::output::human::Progress;
use crate::sandbox::{DockerLauncher, Engine, EngineFacts, Images, Launcher, PreparedImage, SandboxError};

/// An engine that answered, for one command.
pub(super) struct Connected {
    engine: Engine,
}

pub(super) async fn connect() -> Result<Connected> {
    let engine = Engine::find().await.map_err(sandbox_failed)?;
    Ok(Connected { engine })
}

impl Connected {
    /// Starts sandboxes that are told from those of another state folder on the same engine.
    pub(super) fn launcher(&self, state: &Path) -> Arc<dyn Launcher> {
        Arc::new(self.docker_launcher(state))
    }

    /// The same as a concrete type, which can also set up images.
    pub(super) fn docker_launcher(&self, state: &Path) -> DockerLauncher {
        let owner = blake3::hash(state.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned();
        DockerLauncher::new(self.engine.clone(), owner)
    }

    pub(super) fn facts(&self) -> &EngineFacts {
        &self.engine.facts
    }

    pub(super) fn images(&self) -> Images {
        Images::new(self.engine.clone())
    }

    /// A prepared image of a toolchain or of any image; built or pulled where it is missing, which is shown.
    pub(super) async fn prepare(&self, name: &str, printer: &mut Printer) -> Result<PreparedImage> {
        let progress = Mutex::new((Progress::new(printer), printer));
        let tell = |line: &str| tell(&progress, line);
        self.images().prepare(name, &tell).await.map_err(sandbox_failed)
    }
}

/// A line of a build. That nobody reads it any more does not stop the build.
pub(super) fn tell(progress: &Mutex<(Progress, &mut Printer)>, line: &str) {
    if let Ok(mut progress) = progress.lock() {
        let (status, printer) = &mut *progress;
        let _ = status.status(printer, line);
    }
}

/// The model that was named, or what the environment's keys suggest.
pub(super) fn model(id: Option<&str>) -> Result<Arc<dyn Model>> {
    let environment = |name: &str| std::env::var(name).ok();
    let model = resolve(id, &environment, &ModelOptions::default(), || Box::new(Autofix))?;
    Ok(Arc::from(model))
}

/// A model that plays a recorded cure.
pub(super) fn scripted(script: &Path) -> Result<Arc<dyn Model>> {
    model(Some(&format!("scripted:{}", script.display())))
}

/// What to type when there is no sandbox to be had.
pub(super) fn sandbox_failed(error: SandboxError) -> Error {
    let hint = match &error {
        SandboxError::NoEngine { .. } => {
            "start Docker (`sudo systemctl start docker`), or set DOCKER_HOST; `greenroom doctor` says what was tried"
        }
        SandboxError::Image { .. } => "`greenroom images build` shows the whole build; `--image` names another image",
        SandboxError::Hardening { .. } => "`greenroom doctor` shows what this engine supports",
        SandboxError::Start { .. } | SandboxError::Deadline { .. } => "`greenroom doctor` shows the engine's state",
        SandboxError::Refused { .. } => "the sandbox is well; ask it for something else",
        SandboxError::Lost { .. } => "the container ended by itself or was removed; run it again",
    };
    let (what, detail) = match error {
        SandboxError::NoEngine { detail } => ("no container engine answers".into(), detail),
        SandboxError::Image { image, detail } => (format!("image `{image}` cannot be had"), detail),
        SandboxError::Hardening { detail } => ("this engine does not confine as it must".into(), detail),
        SandboxError::Start { detail } => ("cannot start the sandbox".into(), detail),
        SandboxError::Lost { detail } => ("the sandbox was lost".into(), detail),
        SandboxError::Refused { what, detail } => (format!("the sandbox cannot {what}"), detail),
        SandboxError::Deadline { what, seconds } => {
            (format!("the container engine did not answer within {seconds} s"), what)
        }
    };
    Error::no_sandbox(what).because(detail).hint(hint)
}
