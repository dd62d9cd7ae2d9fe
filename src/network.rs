//! What left a container, and what came in by it: requests through the proxy, and packages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One request to a set-up's proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// As it is compared with the list; as it was sent, shortened, where it is no host.
    pub host: String,
    /// 0 where none could be read.
    pub port: u16,
    /// From the container.
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    Allowed,
    Refused {
        code: String,
        reason: String,
    },
    /// Allowed, and it could not be reached or broke off.
    Failed {
        code: String,
        reason: String,
    },
}

impl ProxyRecord {
    /// One sentence where the request was not served as it should be.
    pub fn complaint(&self) -> Option<String> {
        match &self.verdict {
            Verdict::Allowed => None,
            Verdict::Refused { reason, .. } | Verdict::Failed { reason, .. } => Some(reason.clone()),
        }
    }
}

/// Every request of one set-up, in the order in which they ended, as far as they were recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: Vec<ProxyRecord>,
    /// Beyond the limit of records.
    pub left_out: u64,
}

/// The tool whose calls leave the sandbox: one that was not seen to end is never made again by itself.
pub const INSTALL: &str = "install";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    Apt,
    Cargo,
    Npm,
    Pip,
}

impl Manager {
    pub const ALL: [Manager; 4] = [Manager::Apt, Manager::Cargo, Manager::Npm, Manager::Pip];
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Manager::Apt => "apt",
            Manager::Cargo => "cargo",
            Manager::Npm => "npm",
            Manager::Pip => "pip",
        })
    }
}

/// A package as its manager's own records have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstalledPackage {
    pub name: String,
    pub version: String,
    /// `ALGORITHM:HEX` or `ALGORITHM-BASE64`; `None` where the manager keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// What a set-up brought in, by one manager's own records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    pub manager: Manager,
    pub packages: Vec<InstalledPackage>,
}

/// What an install came to: the run goes on in another container, started from this image with the run's files on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    pub manager: Manager,
    /// As asked for; none means what the manifests say.
    pub asked: Vec<String>,
    /// What is there now and was not before.
    pub packages: Vec<InstalledPackage>,
    pub image: String,
    pub image_digest: String,
    pub container: String,
}
