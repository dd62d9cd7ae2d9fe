//! The loop: a pure state machine over events, and one driver that carries out what it decides.

mod capture;
mod driver;
pub mod history;
mod install;
mod limits;
pub mod snapshots;
mod state;
#[cfg(test)]
mod state_tests;

pub use driver::{Observer, Parts, Progress, Settings, drive};
pub use state::{CheckTally, RunState, Step};
