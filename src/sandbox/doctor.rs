//! What `greenroom doctor` can say about sandboxes on this machine, without starting one.

use super::image::{Images, ListedImage};
use super::{Engine, EngineFacts};

/// What was found. An engine that is missing is a finding, not an error.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Findings {
    pub engine: Result<EngineFacts, String>,
    /// Toolchains, built or not, and what was made from them; empty without an engine.
    pub images: Vec<ListedImage>,
    pub concerns: Vec<Concern>,
}

/// Something that will stop a sandbox, or weakens it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Concern {
    pub what: String,
    pub hint: String,
}

pub async fn examine() -> Findings {
    let engine = match Engine::find().await {
        Ok(engine) => engine,
        Err(error) => return Findings { engine: Err(error.to_string()), images: Vec::new(), concerns: Vec::new() },
    };
    let mut concerns = concerns(&engine.facts);
    let images = match Images::new(engine.clone()).list().await {
        Ok(images) => images,
        Err(error) => {
            concerns.push(Concern { what: error.to_string(), hint: "look at the engine's own log".to_owned() });
            Vec::new()
        }
    };
    Findings { engine: Ok(engine.facts), images, concerns }
}

fn concerns(facts: &EngineFacts) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut concern = |what: String, hint: &str| concerns.push(Concern { what, hint: hint.to_owned() });
    if !facts.security_options.iter().any(|option| option.contains("seccomp")) {
        concern(
            "the engine filters no system calls".to_owned(),
            "use a kernel and an engine with seccomp; sandboxes are refused without it",
        );
    }
    for warning in &facts.warnings {
        if ["memory", "swap", "pids", "cpu"].iter().any(|limit| warning.to_lowercase().contains(limit)) {
            concern(
                warning.clone(),
                "enable the limit in the kernel (on Debian and Ubuntu with cgroup v1: `swapaccount=1`)",
            );
        }
    }
    if !facts.security_options.iter().any(|option| option.contains("rootless") || option.contains("userns")) {
        concern(
            "the engine runs as root without user namespaces".to_owned(),
            "rootless mode or `userns-remap` puts one more wall around a sandbox",
        );
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_the_kernel_cannot_enforce_is_a_concern_and_a_log_format_is_not() {
        let facts = EngineFacts {
            security_options: vec!["name=seccomp,profile=default".into(), "name=rootless".into()],
            warnings: vec!["WARNING: No swap limit support".into(), "WARNING: bridge-nf-call-iptables is off".into()],
            ..Default::default()
        };
        let found: Vec<_> = concerns(&facts).into_iter().map(|concern| concern.what).collect();
        assert_eq!(found, ["WARNING: No swap limit support"]);
    }
}
