//! How complex the functions of a source file are: counted over tree-sitter's trees, in a child process.
//!
//! The grammars are C code that reads text nobody vouches for. So [`ask`] starts this program once more, with nothing
//! but a pipe at each end and hard limits, and takes its death for "not measured".

mod child;
mod count;
mod language;
#[cfg(test)]
mod tests;

pub use child::{COMMAND, ask, serve};
pub use count::functions;
pub use language::Language;

use serde::{Deserialize, Serialize};

use crate::score::Function;

/// Both versions of one file; `None` for the one that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub language: Language,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// `None` for a version that is not there or that does not parse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub before: Option<Vec<Function>>,
    pub after: Option<Vec<Function>>,
}
