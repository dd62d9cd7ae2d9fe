//! The confinements by name, so that one can be left out on purpose: to prove that a check of it can fail, or because an
//! operator accepts less than the whole.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way in which a sandbox is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    Seccomp,
    NoNewPrivileges,
    Capabilities,
    /// Commands run as uid 1000.
    Uid,
    ReadOnlyRoot,
    Network,
    /// Memory, and with it swap.
    Memory,
    Pids,
    Cpus,
    /// The size of one file.
    FileSize,
    /// Bytes and files in the writable volumes together.
    Disk,
}

/// What a sandbox goes without. Empty everywhere but where somebody asked for less by name.
pub type Weaker = BTreeSet<Confinement>;

impl Confinement {
    pub const ALL: [Confinement; 11] = [
        Confinement::Seccomp,
        Confinement::NoNewPrivileges,
        Confinement::Capabilities,
        Confinement::Uid,
        Confinement::ReadOnlyRoot,
        Confinement::Network,
        Confinement::Memory,
        Confinement::Pids,
        Confinement::Cpus,
        Confinement::FileSize,
        Confinement::Disk,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Confinement::Seccomp => "seccomp",
            Confinement::NoNewPrivileges => "no-new-privileges",
            Confinement::Capabilities => "capabilities",
            Confinement::Uid => "uid",
            Confinement::ReadOnlyRoot => "read-only-root",
            Confinement::Network => "network",
            Confinement::Memory => "memory",
            Confinement::Pids => "pids",
            Confinement::Cpus => "cpus",
            Confinement::FileSize => "file-size",
            Confinement::Disk => "disk",
        }
    }

    /// The one that a field of the verification speaks of.
    pub(super) fn of_field(field: &str) -> Option<Confinement> {
        Confinement::ALL.into_iter().find(|confinement| confinement.fields().contains(&field))
    }

    /// Which fields of the verification speak of it. A sandbox without it is not refused for these, and for these only.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Confinement::Seccomp => &["seccomp"],
            Confinement::NoNewPrivileges => &["no-new-privileges"],
            Confinement::Capabilities => &["capabilities", "supervisor capabilities"],
            Confinement::Uid => &["uid", "gid"],
            Confinement::ReadOnlyRoot => &["read-only root"],
            Confinement::Network => &["network"],
            Confinement::Memory => &["memory", "swap"],
            Confinement::Pids => &["pids"],
            Confinement::Cpus => &["cpus"],
            Confinement::FileSize => &["file size"],
            Confinement::Disk => &["disk"],
        }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Confinement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Confinement::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let names = Confinement::ALL.map(Confinement::name).join(", ");
            format!("no confinement is called `{text}`; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_name_is_read_and_written_the_same_way() {
        for confinement in Confinement::ALL {
            assert_eq!(confinement.name().parse(), Ok(confinement));
            assert_eq!(serde_json::to_value(confinement).unwrap(), confinement.name());
        }
        assert!("none".parse::<Confinement>().unwrap_err().contains("seccomp"));
    }
}
