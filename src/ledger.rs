//! What the model itself puts on record: its plan, and its guesses at the cause with their verdicts.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanItem {
    pub text: String,
    pub status: PlanStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    Open,
    Doing,
    Done,
    Dropped,
}

impl PlanStatus {
    pub fn is_to_do(self) -> bool {
        match self {
            PlanStatus::Open | PlanStatus::Doing => true,
            PlanStatus::Done | PlanStatus::Dropped => false,
        }
    }
}

/// One entry of the ledger as the model made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HypothesisNote {
    pub statement: String,
    #[serde(default)]
    pub evidence: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Open,
    Confirmed,
    Refuted,
}
