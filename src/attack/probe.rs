//! The probe: a program inside that tries what is known to lead out of containers, and says what was refused.

use super::lab::Room;
use super::{Fault, ensure};

const SCRIPT: &str = include_str!("probe.py");
/// Fewer attempts mean that the probe did not get to its end.
const ATTEMPTS_MIN: usize = 100;
/// How many holes a note names.
const NAMED_MAX: usize = 12;

/// How many attempts were refused; a fault names those that were not.
pub(super) async fn look(room: &Room) -> Result<usize, Fault> {
    room.sandbox.write("probe.py", SCRIPT.as_bytes(), None).await?.map_err(|error| Fault::broken(error.to_string()))?;
    let ran = room.sh("python3 probe.py").await?;
    let attempts: Vec<(String, bool, String)> = serde_json::from_slice(&ran.stdout)
        .map_err(|_| Fault::Broken(format!("the probe did not get through: {}", ran.summary())))?;
    let open: Vec<String> =
        attempts.iter().filter(|(_, refused, _)| !refused).map(|(what, _, how)| format!("{what} ({how})")).collect();
    ensure(open.is_empty(), || {
        let more = open.len().saturating_sub(NAMED_MAX);
        let named = open[..open.len().min(NAMED_MAX)].join(", ");
        if more > 0 { format!("not refused: {named} and {more} more") } else { format!("not refused: {named}") }
    })?;
    ensure(attempts.len() >= ATTEMPTS_MIN, || format!("the probe tried only {} things", attempts.len()))?;
    Ok(attempts.len())
}
