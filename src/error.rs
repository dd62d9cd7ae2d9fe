//! What went wrong, for a person: the object, the cause beneath it, and the next move. Exit codes are named here.

use std::fmt;

/// Documented in README.md; programs may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    Success = 0,
    Internal = 1,
    Usage = 2,
    Unverified = 3,
    Limit = 4,
    Infeasible = 5,
    Parked = 6,
    NoSandbox = 7,
    Interrupted = 130,
}

impl ExitCode {
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An error at the edge. Libraries below have their own types; this one is what a command returns.
#[derive(Debug)]
pub struct Error {
    pub exit: ExitCode,
    /// What could not be done, lower case, naming the object, without a full stop.
    pub what: String,
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What to type or change next.
    pub hints: Vec<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(exit: ExitCode, what: impl Into<String>) -> Self {
        Error { exit, what: what.into(), cause: None, hints: Vec::new() }
    }

    /// Bad arguments, configuration or input.
    pub fn usage(what: impl Into<String>) -> Self {
        Error::new(ExitCode::Usage, what)
    }

    /// Our own fault, or the host's: not the repository's.
    pub fn internal(what: impl Into<String>) -> Self {
        Error::new(ExitCode::Internal, what)
    }

    /// No container can be had, or the one we had is gone.
    pub fn no_sandbox(what: impl Into<String>) -> Self {
        Error::new(ExitCode::NoSandbox, what)
    }

    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    /// One line, without hints: for logs and journals. The command line prints all parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
