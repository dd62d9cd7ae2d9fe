//! Where the adapters are chosen: the container engine with its images, and the model.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::confine::known_runtime;
use crate::config::{FileConfig, Paths};
use crate::error::Result;
use crate::model::Model;
use crate::model::autofix::Autofix;
use crate::model::resolve::{ModelOptions, resolve};
use crate::output::Printer;
use crate::output::human::Progress;
use crate::sandbox::{
    DockerLauncher, Engine, EngineFacts, Images, Launcher, PreparedImage, TOOLCHAINS, UNSTARTED_MAX, Weaker, reap,
};

/// An engine that answered, for one command.
pub(super) struct Connected {
    engine: Engine,
    runtime: Option<String>,
    weaker: Weaker,
}

pub(super) async fn connect() -> Result<Connected> {
    let engine = Engine::find().await?;
    Ok(Connected { engine, runtime: None, weaker: Weaker::new() })
}

impl Connected {
    /// Starts sandboxes that are told from those of another state folder on the same engine.
    ///
    /// What an earlier runner of this state folder created and never started goes first: those containers have no
    /// supervisor yet that could end them.
    pub(super) async fn launcher(&self, state: &Path) -> Arc<dyn Launcher> {
        if let Err(error) = reap(&self.engine, &DockerLauncher::owner_of(state), UNSTARTED_MAX).await {
            tracing::warn!(%error, "containers left by an earlier run could not be removed");
        }
        Arc::new(self.docker_launcher(state))
    }

    /// The same as a concrete type, which can also set up images.
    pub(super) fn docker_launcher(&self, state: &Path) -> DockerLauncher {
        DockerLauncher::new(self.engine.clone(), DockerLauncher::owner_of(state))
            .with_runtime(self.runtime.clone())
            .accepting(self.weaker.clone())
    }

    /// Sandboxes under another runtime, or also where something does not hold.
    pub(super) fn confined(self, runtime: Option<String>, weaker: Weaker) -> Result<Connected> {
        known_runtime(&self.engine.facts.runtimes, runtime.as_deref())?;
        Ok(Connected { runtime, weaker, ..self })
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine.clone()
    }

    pub(super) fn facts(&self) -> &EngineFacts {
        &self.engine.facts
    }

    pub(super) fn images(&self) -> Images {
        Images::new(self.engine.clone())
    }

    /// A toolchain whose image is built already, or else the first there is: for what any of them can do.
    pub(super) async fn toolchain_at_hand(&self) -> Result<&'static str> {
        let listed = self.images().list().await?;
        let built = |name: &str| listed.iter().any(|image| image.name == name && image.digest.is_some());
        let found = TOOLCHAINS.iter().find(|toolchain| built(toolchain.name)).or(TOOLCHAINS.first());
        Ok(found.expect("there are toolchains").name)
    }

    /// A prepared image of a toolchain or of any image; built or pulled where it is missing, which is shown.
    pub(super) async fn prepare(&self, name: &str, printer: &mut Printer) -> Result<PreparedImage> {
        let progress = Mutex::new((Progress::new(printer), printer));
        let tell = |line: &str| tell(&progress, line);
        Ok(self.images().prepare(name, &tell).await?)
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
    let file = FileConfig::load(&Paths::from_environment()?.config_file)?;
    let options = ModelOptions { models: file.models, ..ModelOptions::default() };
    let model = resolve(id, &environment, &options, || Box::new(Autofix))?;
    Ok(Arc::from(model))
}

/// Who keeps the notes of a run: the model that was named, or the run's own where it has words.
pub(super) fn writer(named: Option<&str>, run: &Arc<dyn Model>) -> Result<Option<Arc<dyn Model>>> {
    match named {
        Some("none") => Ok(None),
        Some(id) => model(Some(id)).map(Some),
        None => Ok(run.writes().then(|| run.clone())),
    }
}

/// A model that plays a recorded cure.
pub(super) fn scripted(script: &Path) -> Result<Arc<dyn Model>> {
    model(Some(&format!("scripted:{}", script.display())))
}
