//! Reads what compilers, linters, test runners and runtimes print: text in, a [`Report`] out.
//!
//! No I/O, no async, no panic on any bytes. What cannot be read is counted, never dropped or guessed.
#![forbid(unsafe_code)]

mod report;

pub use report::*;

/// How the command ended, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut,
}
