//! The loop: a pure state machine over events, and one driver that carries out what it decides.

mod limits;
mod state;

pub use state::{CheckTally, RunState, Step};
