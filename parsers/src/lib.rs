//! Reads what compilers, linters, test runners and runtimes print: text in, a [`Report`] out.
//!
//! No I/O, no async, no panic on any bytes. What cannot be read is counted, never dropped or guessed.
//!
//! [`parse`] reads what is there as a whole, a [`Parser`] what arrives in pieces, and [`Live`] tells what it
//! reads while the command runs. [`to_sarif`] and [`to_junit`] write a
//! report in other tools' formats, [`REPORT_SCHEMA`] describes its own.
//!
//! In reading order: `parser` feeds `clean` text into a `window`, `select` picks the lines worth a look,
//! one of the `tools` reads them into the `sink`, `verdict` answers "did it pass?".
#![forbid(unsafe_code)]

mod clean;
mod command;
mod directory;
mod document;
mod fingerprint;
mod junit;
mod live;
mod parser;
mod peel;
mod records;
mod report;
mod sarif;
mod schema;
mod select;
mod sink;
mod tools;
mod verdict;
mod window;

pub use junit::to_junit;
pub use live::{Event, Live};
pub use parser::Parser;
pub use report::*;
pub use sarif::to_sarif;
pub use schema::REPORT_SCHEMA;

/// One command's output and what is known about the command; only `text` is needed.
///
/// ```
/// use greenroom_parsers::{Exit, ToolOutput};
/// let output = ToolOutput { text: b"ok", command: Some("make check"), exit: Some(Exit::Code(0)), ..ToolOutput::default() };
/// assert_eq!(output.tool, None);
/// ```
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
///
/// Pure: the same output gives the same report, on any thread. It never fails; what it could not read is in
/// [`Report::unread_lines`].
///
/// ```
/// use greenroom_parsers::{Exit, Severity, ToolOutput, Verdict, parse};
///
/// let text = b"src/a.c:3:5: error: 'count' undeclared (first use in this function)\n";
/// let report = parse(&ToolOutput { text, exit: Some(Exit::Code(1)), ..ToolOutput::default() });
///
/// assert_eq!(report.verdict, Verdict::Error);
/// let found = &report.diagnostics[0];
/// assert_eq!((found.file.as_deref(), found.line, found.column), (Some("src/a.c"), Some(3), Some(5)));
/// assert_eq!(found.severity, Some(Severity::Error));
///
/// // Nothing printed proves nothing.
/// assert_eq!(parse(&ToolOutput::default()).verdict, Verdict::Unknown);
/// ```
pub fn parse(output: &ToolOutput<'_>) -> Report {
    /// So that the cleaned copy of a large text stays small.
    const PIECE_BYTES: usize = 1 << 20;
    let mut parser = Parser::new(output.tool, output.command, output.exit);
    for piece in output.text.chunks(PIECE_BYTES) {
        parser.feed(piece);
    }
    parser.finish()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
