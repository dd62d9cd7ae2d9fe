//! What to type when there is no sandbox to be had, or the one there was is gone.

use super::SandboxError;
use crate::error::Error;

impl From<SandboxError> for Error {
    fn from(error: SandboxError) -> Error {
        let hint = match &error {
            SandboxError::NoEngine { .. } => {
                "start Docker (`sudo systemctl start docker`), or set DOCKER_HOST; `greenroom doctor` says what was tried"
            }
            SandboxError::Image { .. } => {
                "`greenroom images build` shows the whole build; `--image` names another image"
            }
            SandboxError::Hardening { unenforced, .. } if !unenforced.is_empty() => {
                let flags: Vec<_> = unenforced.iter().map(|name| format!("--allow-weaker {name}")).collect();
                &format!("`{}` goes without, and the summary says so", flags.join(" "))
            }
            SandboxError::Hardening { .. } => "`greenroom doctor` shows what this engine supports",
            SandboxError::Start { .. } | SandboxError::Deadline { .. } => "`greenroom doctor` shows the engine's state",
            SandboxError::Refused { .. } => "the sandbox is well; ask it for something else",
            SandboxError::Lost { .. } => {
                "the container ended by itself or was removed; `greenroom resume` goes on with a run"
            }
        };
        let (what, detail) = match error {
            SandboxError::NoEngine { detail } => ("no container engine answers".into(), detail),
            SandboxError::Image { image, detail } => (format!("image `{image}` cannot be had"), detail),
            SandboxError::Hardening { detail, .. } => ("this engine does not confine as it must".into(), detail),
            SandboxError::Start { detail } => ("cannot start the sandbox".into(), detail),
            SandboxError::Lost { detail } => ("the sandbox was lost".into(), detail),
            SandboxError::Refused { what, detail } => (format!("the sandbox cannot {what}"), detail),
            SandboxError::Deadline { what, seconds } => {
                (format!("the container engine did not answer within {seconds} s"), what)
            }
        };
        Error::no_sandbox(what).because(detail).hint(hint)
    }
}
