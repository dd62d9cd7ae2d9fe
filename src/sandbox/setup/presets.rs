//! Which hosts a package manager talks to, learned from that manager itself in the pristine image, before any file of a
//! repository is there to say otherwise.
//!
//! A manager that can print its configuration is asked for it. Then it is made to fetch something small and well known:
//! the proxy refuses what is not on the list, and what was refused is what the manager's own configuration (first) and
//! then its index (next) led it to. No name of a registry stands in this program.

use std::time::Duration;

use super::super::SandboxError;
use super::chamber::Chamber;
use super::phase::web_targets;
use crate::sandbox::proxy::{AllowList, Entry, Host, Origin, Proxy, Target, Verdict};

const SETTINGS_MAX: Duration = Duration::from_secs(30);
const FETCH_MAX: Duration = Duration::from_secs(60);
/// The index, where it keeps its files, and one more that those lead to.
const ROUNDS_MAX: usize = 4;
const HOSTS_MAX: usize = 8;
const SETTINGS_BYTES_MAX: usize = 64 << 10;

struct Manager {
    name: &'static str,
    /// Prints web addresses; no network.
    settings: &'static str,
    /// Fetches one small package into `/tmp`; empty where the settings say all.
    fetch: &'static str,
}

const MANAGERS: [Manager; 6] = [
    Manager { name: "apt-get", settings: "apt-get update --print-uris", fetch: "" },
    Manager {
        name: "pip",
        settings: "pip config get global.index-url 2>/dev/null || pip download --help | grep -o 'default http[^ )]*'",
        fetch: "pip download --quiet --no-deps --dest /tmp/learn six",
    },
    Manager {
        name: "npm",
        settings: "npm config get registry",
        fetch: "npm pack --silent --pack-destination /tmp/learn is-number",
    },
    Manager {
        name: "cargo",
        settings: "",
        fetch: "cargo init --quiet --vcs none --name learn . && printf 'cfg-if = \"1\"\\n' >>Cargo.toml && \
                CARGO_HOME=/tmp/learn/home cargo fetch --quiet",
    },
    Manager {
        name: "go",
        settings: "go env GOPROXY; set -- $(go env GOSUMDB | tr + ' '); case \"${2:-${1:-off}}\" in off) ;; \
                   *://*) echo \"$2\" ;; *) echo \"https://$1\" ;; esac",
        fetch: "",
    },
    Manager {
        // Its own configuration names the index and its mirrors; asking for a plugin it does not have shows which it is.
        name: "mvn",
        settings: "",
        fetch: "mvn --quiet -Dmaven.repo.local=/tmp/learn/m2 -Dartifact=junit:junit:4.13.2 -Dtransitive=false \
                org.apache.maven.plugins:maven-dependency-plugin:3.6.0:get",
    },
];
/// Goes up when a manager is asked otherwise, so that what was learned before is learned anew.
pub(super) const EDITION: u32 = 2;

/// What every manager of the image says, in a chamber without any file of a repository.
pub(super) async fn learn(
    chamber: &mut Chamber<'_>,
    proxy: &Proxy,
    base: &AllowList,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Target>, SandboxError> {
    let mut learned = Vec::new();
    for manager in &MANAGERS {
        let present = ask(chamber, &format!("command -v {} >/dev/null", manager.name), SETTINGS_MAX).await?;
        if !present.0 {
            continue;
        }
        let found = learn_one(chamber, proxy, base, manager).await?;
        if !found.is_empty() {
            let hosts: Vec<String> = found.iter().map(ToString::to_string).collect();
            progress(&format!("{} fetches from {}", manager.name, hosts.join(", ")));
        }
        learned.extend(found);
    }
    learned.sort();
    learned.dedup();
    Ok(learned)
}

async fn learn_one(
    chamber: &mut Chamber<'_>,
    proxy: &Proxy,
    base: &AllowList,
    manager: &Manager,
) -> Result<Vec<Target>, SandboxError> {
    let mut found = Vec::new();
    if !manager.settings.is_empty() {
        let (_, printed) = ask(chamber, manager.settings, SETTINGS_MAX).await?;
        found.extend(web_targets(&printed).into_iter().filter(is_named).take(HOSTS_MAX));
    }
    if manager.fetch.is_empty() {
        return Ok(found);
    }
    for _ in 0..ROUNDS_MAX {
        proxy.set_allowed(with(base, &found));
        proxy.take_records();
        let command = format!("rm -rf /tmp/learn && mkdir /tmp/learn && cd /tmp/learn && {}", manager.fetch);
        let (fetched, _) = ask(chamber, &command, FETCH_MAX).await?;
        let refused: Vec<Target> = proxy.take_records().into_iter().filter_map(refused).filter(is_named).collect();
        let before = found.len();
        for target in refused {
            if !found.contains(&target) && found.len() < HOSTS_MAX {
                found.push(target);
            }
        }
        if fetched || found.len() == before {
            break;
        }
    }
    proxy.set_allowed(base.clone());
    Ok(found)
}

/// A package manager's host has a name.
fn is_named(target: &Target) -> bool {
    matches!(target.host, Host::Name(_))
}

fn refused(record: crate::sandbox::proxy::ProxyRecord) -> Option<Target> {
    match record.verdict {
        Verdict::Refused { code, .. } if code == "host_not_allowed" || code == "port_not_allowed" => {
            Some(Target { host: Host::parse(&record.host).ok()?, port: record.port })
        }
        Verdict::Refused { .. } | Verdict::Allowed | Verdict::Failed { .. } => None,
    }
}

pub(super) fn with(base: &AllowList, learned: &[Target]) -> AllowList {
    let mut list = base.clone();
    learned.iter().for_each(|target| list.allow(Entry::from(target.clone()), Origin::Learned));
    list
}

/// Whether it succeeded, and what it printed.
async fn ask(chamber: &mut Chamber<'_>, command: &str, timeout: Duration) -> Result<(bool, String), SandboxError> {
    chamber.answer("/tmp", command, timeout, SETTINGS_BYTES_MAX).await
}
