//! Reads what compilers, linters, test runners and runtimes print: text in, a [`Report`] out.
//!
//! No I/O, no async, no panic on any bytes. What cannot be read is counted, never dropped or guessed.
#![forbid(unsafe_code)]

mod report;

pub use report::*;
