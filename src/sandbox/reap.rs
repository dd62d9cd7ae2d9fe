//! Containers that were created and never started: PID 1 ends every other one that its runner forgot.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptions;

use super::SandboxError;
use super::connect::{Engine, SLOW_CALL, within};
use super::docker::{Container, OWNER_LABEL, RUNNER_LABEL};
use super::prepared::KEY_LABEL;

/// Filling a container before its start may take long, but not so long.
pub const UNSTARTED_MAX: Duration = Duration::from_secs(3 * 60 * 60);

/// Removes what `owner`, or the making of a prepared image, created longer ago than `age_min` and never started. Says
/// what went. Containers of other owners are left alone, whatever their state.
pub async fn reap(engine: &Engine, owner: &str, age_min: Duration) -> Result<Vec<String>, SandboxError> {
    let filters = HashMap::from([("status".to_owned(), vec!["created".to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let listing = engine.docker.list_containers(Some(options));
    let listed = within("list containers", SLOW_CALL, listing, |detail| SandboxError::Start { detail }).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut removed = Vec::new();
    for container in listed {
        if let Some(id) = forgotten(&container, owner, now, age_min) {
            Container::new(engine.docker.clone(), id.clone()).remove().await?;
            removed.push(id);
        }
    }
    Ok(removed)
}

/// This process as a label: its number, and when it began, because numbers are used again.
pub(super) fn this_runner() -> String {
    let pid = std::process::id();
    format!("{pid}.{}", began(pid).unwrap_or_default())
}

fn lives(runner: &str) -> bool {
    let known = runner.split_once('.').and_then(|(pid, at)| Some((pid.parse().ok()?, at)));
    // What is not understood may well live.
    known.is_none_or(|(pid, at)| began(pid).is_some_and(|now| at.is_empty() || now == at))
}

/// The start of a process in ticks since the machine's own, as `/proc/PID/stat` has it behind the name.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.to_owned())
}

pub(super) fn forgotten(container: &ContainerSummary, owner: &str, now: Duration, age_min: Duration) -> Option<String> {
    let labels = container.labels.as_ref()?;
    let age_min = match labels.get(OWNER_LABEL) {
        Some(known) if known == owner => match labels.get(RUNNER_LABEL) {
            // An owner is a folder of one machine, so its runners are processes of this one.
            Some(runner) if !lives(runner) => Duration::ZERO,
            Some(_) | None => age_min,
        },
        Some(_) => return None,
        // Prepared images are nobody's: another runner may be making one this moment.
        None if labels.contains_key(KEY_LABEL) => age_min.max(UNSTARTED_MAX),
        None => return None,
    };
    let created = Duration::from_secs(u64::try_from(container.created?).ok()?);
    let old = now.checked_sub(created).is_some_and(|age| age >= age_min);
    if old { container.id.clone() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[(&str, &str)]) -> ContainerSummary {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ContainerSummary { id: Some("id".into()), created: Some(1000), labels: Some(labels), ..Default::default() }
    }

    fn goes(labels: &[(&str, &str)], now: u64) -> bool {
        let (now, age_min) = (Duration::from_secs(now), Duration::from_secs(60));
        forgotten(&container(labels), "me", now, age_min).is_some()
    }

    #[test]
    fn one_whose_runner_has_died_goes_at_once() {
        let (mine, dead) = (this_runner(), format!("{}.1", std::process::id()));
        assert!(!goes(&[(OWNER_LABEL, "me"), (RUNNER_LABEL, &mine)], 1001));
        assert!(goes(&[(OWNER_LABEL, "me"), (RUNNER_LABEL, &dead)], 1001), "its number was used again");
        assert!(!goes(&[(OWNER_LABEL, "other"), (RUNNER_LABEL, &dead)], 9999));
        assert!(!goes(&[(OWNER_LABEL, "me"), (RUNNER_LABEL, "?")], 1001));
    }

    #[test]
    fn only_what_is_ours_and_old_goes() {
        assert!(goes(&[(OWNER_LABEL, "me")], 1060));
        assert!(!goes(&[(OWNER_LABEL, "me")], 1059));
        assert!(!goes(&[(OWNER_LABEL, "me2"), (KEY_LABEL, "k")], 9999), "an owner is compared whole");
        assert!(goes(&[(KEY_LABEL, "k")], 1000 + UNSTARTED_MAX.as_secs()));
        assert!(!goes(&[(KEY_LABEL, "k")], 9999), "perhaps being made");
        assert!(!goes(&[("greenroom", "1")], 9999));
        assert!(!goes(&[(OWNER_LABEL, "me")], 900), "a clock that was set back");
    }
}
