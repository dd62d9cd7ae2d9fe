//! What a provider does wrong, and at which moment of an answer.

use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::dice::Dice;

/// How far an answer had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    BeforeHeaders,
    AfterHeaders,
    MidText,
    MidToolJson,
    AfterFinish,
}

impl Phase {
    pub const ALL: [Phase; 5] =
        [Phase::BeforeHeaders, Phase::AfterHeaders, Phase::MidText, Phase::MidToolJson, Phase::AfterFinish];
}

/// FAULTS 40 to 58.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection closes.
    Cut,
    /// Nothing more comes until the client leaves.
    Stall,
    /// A byte now and then, for ever.
    Drip,
    /// An error object where an event belongs.
    ErrorEvent,
    /// An event that is no JSON.
    Garbage,
    /// 429 with a wait in milliseconds.
    RateLimited {
        retry_after_ms: u64,
    },
    /// 429 with a wait of that many seconds as plain `Retry-After`.
    RetryAfterSeconds {
        seconds: u64,
    },
    /// 429, and waiting does not help.
    QuotaGone,
    Status {
        status: u16,
    },
    ErrorIn200,
    Html {
        status: u16,
    },
    /// Neither `[DONE]` nor usage.
    NoDone,
    /// Every byte in a write of its own, lines ended by CRLF.
    SplitBytes,
    NoToolIds,
    SameToolIds,
    ArgumentsAsObject,
    /// `length` as the finish reason.
    Length,
    Overflow,
    /// To another host, which must not get the key.
    Redirect,
}

impl Fault {
    /// The answer can be used as it is.
    pub fn is_harmless(self, phase: Phase) -> bool {
        match self {
            Fault::NoDone | Fault::SplitBytes | Fault::NoToolIds | Fault::SameToolIds | Fault::ArgumentsAsObject => {
                true
            }
            Fault::Cut | Fault::Stall | Fault::Drip => phase == Phase::AfterFinish,
            Fault::ErrorEvent
            | Fault::Garbage
            | Fault::RateLimited { .. }
            | Fault::RetryAfterSeconds { .. }
            | Fault::QuotaGone
            | Fault::Status { .. }
            | Fault::ErrorIn200
            | Fault::Html { .. }
            | Fault::Length
            | Fault::Overflow
            | Fault::Redirect => false,
        }
    }

    pub fn retry_after_ms(self) -> Option<u64> {
        match self {
            Fault::RateLimited { retry_after_ms } => Some(retry_after_ms),
            Fault::RetryAfterSeconds { seconds } => Some(seconds.saturating_mul(1000)),
            _ => None,
        }
    }

    /// Phases at which it can strike.
    pub fn phases(self) -> &'static [Phase] {
        match self {
            Fault::Cut | Fault::Stall => &Phase::ALL,
            Fault::Drip => &[Phase::AfterHeaders, Phase::MidText, Phase::MidToolJson, Phase::AfterFinish],
            Fault::ErrorEvent | Fault::Garbage => &[Phase::AfterHeaders, Phase::MidText, Phase::MidToolJson],
            Fault::NoDone | Fault::Length => &[Phase::AfterFinish],
            Fault::NoToolIds | Fault::SameToolIds | Fault::ArgumentsAsObject => &[Phase::MidToolJson],
            Fault::SplitBytes => &[Phase::MidText],
            Fault::RateLimited { .. }
            | Fault::RetryAfterSeconds { .. }
            | Fault::QuotaGone
            | Fault::Status { .. }
            | Fault::ErrorIn200
            | Fault::Html { .. }
            | Fault::Overflow
            | Fault::Redirect => &[Phase::BeforeHeaders],
        }
    }
}

/// What happens to which request.
#[derive(Debug, Clone)]
pub enum Schedule {
    None,
    /// These to the first requests, in turn.
    Script(Vec<Option<(Fault, Phase)>>),
    /// To the next request, whenever one is put in.
    Armed(Arc<Mutex<Option<(Fault, Phase)>>>),
    /// Seeded, to so many of a thousand requests; only what takes no long wait.
    Rate {
        seed: u64,
        per_mille: u64,
    },
}

/// What a run of thousands of steps can be put through: none of these needs a deadline to pass.
const QUICK: [(Fault, Phase); 17] = [
    (Fault::Cut, Phase::BeforeHeaders),
    (Fault::Cut, Phase::AfterHeaders),
    (Fault::Cut, Phase::MidText),
    (Fault::Cut, Phase::MidToolJson),
    (Fault::Cut, Phase::AfterFinish),
    (Fault::ErrorEvent, Phase::MidText),
    (Fault::Garbage, Phase::MidToolJson),
    (Fault::RateLimited { retry_after_ms: 300 }, Phase::BeforeHeaders),
    (Fault::Status { status: 500 }, Phase::BeforeHeaders),
    (Fault::Status { status: 503 }, Phase::BeforeHeaders),
    (Fault::Status { status: 529 }, Phase::BeforeHeaders),
    (Fault::ErrorIn200, Phase::BeforeHeaders),
    (Fault::Html { status: 200 }, Phase::BeforeHeaders),
    (Fault::NoDone, Phase::AfterFinish),
    (Fault::SplitBytes, Phase::MidText),
    (Fault::ArgumentsAsObject, Phase::MidToolJson),
    (Fault::NoToolIds, Phase::MidToolJson),
];

impl Schedule {
    pub(super) fn at(&self, request: u64) -> Option<(Fault, Phase)> {
        match self {
            Schedule::None => None,
            Schedule::Script(script) => script.get(request as usize).copied().flatten(),
            Schedule::Armed(armed) => armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(),
            Schedule::Rate { seed, per_mille } => {
                let mut dice = Dice::of(*seed, &["fault", &request.to_string()]);
                (dice.below(1000) < *per_mille).then(|| QUICK[dice.below(QUICK.len() as u64) as usize])
            }
        }
    }
}
