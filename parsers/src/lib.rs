//! Reads what compilers, linters, test runners and runtimes print: text in, a [`Report`] out.
//!
//! No I/O, no async, no panic on any bytes. What cannot be read is counted, never dropped or guessed.
//! In reading order: `parser` feeds `clean` text into a `window`, `select` picks the lines worth a look,
//! one of the `tools` reads them into the `sink`, `verdict` answers "did it pass?".
#![forbid(unsafe_code)]

mod clean;
mod command;
mod directory;
mod document;
mod fingerprint;
mod junit;
mod parser;
mod peel;
mod report;
mod sarif;
mod select;
mod sink;
mod tools;
mod verdict;
mod window;

pub use junit::to_junit;
pub use parser::Parser;
pub use report::*;
pub use sarif::to_sarif;

/// One command's output and what is known about the command; only `text` is needed.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToolOutput<'a> {
    pub text: &'a [u8],
    /// Name of the tool, if the caller knows it. Breaks ties; never needed.
    pub tool: Option<&'a str>,
    /// The command line as it was given to a shell.
    pub command: Option<&'a str>,
    pub exit: Option<Exit>,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut,
}

/// Reads a whole output. For a long one that arrives in pieces, feed a [`Parser`].
pub fn parse(output: &ToolOutput<'_>) -> Report {
    /// So that the cleaned copy of a large text stays small.
    const PIECE_BYTES: usize = 1 << 20;
    let mut parser = Parser::new(output.tool, output.command, output.exit);
    for piece in output.text.chunks(PIECE_BYTES) {
        parser.feed(piece);
    }
    parser.finish()
}
