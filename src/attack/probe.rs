//! The probe: a program inside that tries what is known to lead out of containers, and says what was refused.

use super::lab::Room;
use super::{Fault, ensure};

const SCRIPT: &str = include_str!("probe.py");
/// Fewer attempts mean that the probe did not get to its end.
const ATTEMPTS_MIN: usize = 100;
/// How many holes a note names.
const NAMED_MAX: usize = 12;

/// What came of the attempts that were no holes.
pub(super) struct Looked {
    pub(super) refused: usize,
    /// What a kernel of the runtime's own allowed, which is not the host's: no filter stands before it.
    pub(super) answered: Vec<String>,
}

/// A fault names the attempts that were not refused.
pub(super) async fn look(room: &Room, has_own_kernel: bool) -> Result<Looked, Fault> {
    room.sandbox.write("probe.py", SCRIPT.as_bytes(), None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let ran = room.sh("python3 probe.py").await?;
    let attempts: Vec<(String, bool, String)> = serde_json::from_slice(&ran.stdout)
        .map_err(|_| Fault::Broken(format!("the probe did not get through: {}", ran.summary())))?;
    ensure(attempts.len() >= ATTEMPTS_MIN, || format!("the probe tried only {} things", attempts.len()))?;
    let (mut open, mut answered, mut refused) = (Vec::new(), Vec::new(), 0);
    for (what, is_refused, how) in attempts {
        match what.strip_prefix("call: ").or_else(|| what.strip_prefix("kernel: ")) {
            _ if is_refused => refused += 1,
            Some(own) if has_own_kernel => answered.push(own.to_owned()),
            Some(_) | None => open.push(format!("{what} ({how})")),
        }
    }
    ensure(open.is_empty(), || {
        let more = open.len().saturating_sub(NAMED_MAX);
        let named = open[..open.len().min(NAMED_MAX)].join(", ");
        if more > 0 { format!("not refused: {named} and {more} more") } else { format!("not refused: {named}") }
    })?;
    Ok(Looked { refused, answered })
}
