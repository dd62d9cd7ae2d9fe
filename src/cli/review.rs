//! `--review checkpoint`: who is asked at each checkpoint, where there is a terminal to ask on.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use async_trait::async_trait;
use clap::ValueEnum;

use crate::agent::Reviewer;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReviewAt {
    None,
    Checkpoint,
}

/// Whoever sits at the terminal; refused where nobody can.
pub(super) fn reviewer(is_wanted: bool) -> Result<Option<Arc<dyn Reviewer>>> {
    if !is_wanted {
        return Ok(None);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage("a run with `--review checkpoint` asks a person, and there is no terminal to ask on")
            .hint("`--review none` goes on by itself; `greenroom say RUN TEXT` steers it all the same"));
    }
    Ok(Some(Arc::new(Terminal)))
}

struct Terminal;

#[async_trait]
impl Reviewer for Terminal {
    async fn line(&self) -> Option<String> {
        let (told, heard) = tokio::sync::oneshot::channel();
        // A thread of its own, which the end of the program does not wait for: a read cannot be given up.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            told.send(read.is_ok_and(|bytes| bytes > 0).then_some(line))
        });
        heard.await.ok().flatten()
    }
}
