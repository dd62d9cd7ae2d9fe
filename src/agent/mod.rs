//! The loop: a pure state machine over events, and one driver that carries out what it decides.

mod asking;
mod calling;
mod candidates;
mod capture;
mod driver;
mod helpers;
#[cfg(test)]
mod helpers_tests;
pub mod history;
#[cfg(test)]
mod history_tests;
mod install;
mod limits;
mod merging;
pub mod notebook;
mod notes;
pub mod progress;
mod recovery;
mod reflex;
mod review;
pub mod snapshots;
mod state;
#[cfg(test)]
mod state_tests;
mod tiebreak;
mod verifying;
pub mod window;

pub use driver::{Observer, Parts, Progress, Settings, drive, resume};
pub use helpers::{Seed, within_window};
pub use review::Reviewer;
pub use state::{CheckTally, Helpers, RunState, Step};
