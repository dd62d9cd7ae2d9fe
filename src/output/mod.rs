//! One way of printing a file: `human`, `report` and `summary` for people, `jsonl` for programs.
//!
//! Everything printed goes through a [`Printer`]: results to stdout, the rest to stderr, untrusted text made harmless.

pub mod escape;
pub mod github;
pub mod html;
pub mod human;
pub mod jsonl;
pub mod markdown;
pub mod report;
pub mod summary;
mod terminal;

pub use terminal::{Colour, Live, Surface};

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use escape::{Escaper, Sgr};

/// The two streams of the process, and what they can take.
pub struct Printer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    surface: Surface,
    /// Under GitHub Actions: what ends the `stop-commands` that stands before our first line.
    resume_commands: Option<String>,
    /// For the end, when commands are heard again.
    annotations: Vec<github::Annotation>,
}

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Out,
    Err,
}

impl Printer {
    pub fn new(surface: Surface) -> Self {
        Printer {
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            surface,
            resume_commands: None,
            annotations: Vec::new(),
        }
    }

    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// A line or more of a result. Escaped, so that nothing taken from a repository or a model can act.
    pub fn result(&mut self, text: &str) -> Result<()> {
        self.escaped(Channel::Out, text)
    }

    /// A line or more for the person who watches.
    pub fn note(&mut self, text: &str) -> Result<()> {
        self.escaped(Channel::Err, text)
    }

    /// Bytes as they are where a program reads them, escaped where a person does.
    pub fn verbatim(&mut self, bytes: &[u8]) -> Result<()> {
        let mut stream = self.stream(Channel::Out);
        self.chunk(&mut stream, bytes)?;
        self.end(&mut stream)
    }

    /// One JSON value as one line on stdout.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line =
            serde_json::to_string(value).map_err(|error| Error::internal("cannot write JSON").because(error))?;
        if self.surface.github_actions {
            // The runner looks for this mark anywhere in a line. Inside JSON it can only stand in a string.
            line = line.replace("##[", "#\\u0023[");
        }
        line.push('\n');
        self.write(Channel::Out, line.as_bytes())?;
        self.out.flush().map_err(cannot_write)
    }

    /// For output that arrives in pieces.
    pub fn stream(&self, channel: Channel) -> Stream {
        let escapes = self.surface.is_terminal(channel) || self.surface.github_actions;
        Stream { channel, escaper: escapes.then(|| Escaper::new(self.sgr(channel))), last: b'\n' }
    }

    /// Written through at once: somebody may be watching a command that takes long.
    pub fn chunk(&mut self, stream: &mut Stream, bytes: &[u8]) -> Result<()> {
        stream.last = bytes.last().copied().unwrap_or(stream.last);
        match &mut stream.escaper {
            Some(escaper) => {
                let text = escaper.feed(bytes);
                self.stop_commands(stream.channel)?;
                self.write(stream.channel, text.as_bytes())?;
            }
            None => self.write(stream.channel, bytes)?,
        }
        self.out.flush().map_err(cannot_write)
    }

    pub fn end(&mut self, stream: &mut Stream) -> Result<()> {
        if let Some(escaper) = &mut stream.escaper {
            let text = escaper.finish();
            self.write(stream.channel, text.as_bytes())?;
        }
        self.out.flush().map_err(cannot_write)
    }

    /// Flushes and lets GitHub's runner take commands again. The last thing a process does.
    pub fn close(&mut self) -> Result<()> {
        self.out.flush().map_err(cannot_write)?;
        if let Some(token) = self.resume_commands.take() {
            self.write(Channel::Err, format!("::{token}::\n").as_bytes())?;
        }
        for annotation in github::few(std::mem::take(&mut self.annotations)) {
            self.write(Channel::Err, format!("{}\n", annotation.command()).as_bytes())?;
        }
        Ok(())
    }

    fn annotate(&mut self, annotations: Vec<github::Annotation>) {
        self.annotations.extend(annotations);
    }

    fn escaped(&mut self, channel: Channel, text: &str) -> Result<()> {
        self.stop_commands(channel)?;
        let mut text = escape::escape(text.strip_suffix('\n').unwrap_or(text), self.sgr(channel));
        text.push('\n');
        self.write(channel, text.as_bytes())?;
        match channel {
            Channel::Out => self.out.flush().map_err(cannot_write),
            Channel::Err => Ok(()),
        }
    }

    fn sgr(&self, channel: Channel) -> Sgr {
        match self.surface.colour(channel) {
            Colour::On => Sgr::Keep,
            Colour::Off => Sgr::Drop,
        }
    }

    /// Before the first text: a workflow command in it must stay text. The mark is random, so text cannot contain it.
    fn stop_commands(&mut self, channel: Channel) -> Result<()> {
        if !self.surface.github_actions || self.resume_commands.is_some() {
            return Ok(());
        }
        let token = format!("greenroom-{}", ulid::Ulid::generate());
        self.write(channel, format!("::stop-commands::{token}\n").as_bytes())?;
        self.resume_commands = Some(token);
        match channel {
            Channel::Out => self.out.flush().map_err(cannot_write),
            Channel::Err => Ok(()),
        }
    }

    fn write(&mut self, channel: Channel, bytes: &[u8]) -> Result<()> {
        match channel {
            Channel::Out => self.out.write_all(bytes),
            Channel::Err => self.err.write_all(bytes),
        }
        .map_err(cannot_write)
    }
}

/// One stream of untrusted bytes on its way out.
pub struct Stream {
    channel: Channel,
    escaper: Option<Escaper>,
    last: u8,
}

impl Stream {
    /// Whether the next text starts on a line of its own.
    pub fn at_line_start(&self) -> bool {
        self.last == b'\n'
    }
}

fn cannot_write(error: io::Error) -> Error {
    Error::internal("cannot write the output").because(error)
}

/// The reader of our output has gone: no error, only the end.
pub fn is_broken_pipe(error: &Error) -> bool {
    error
        .cause
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// `error:`, `cause:` and `hint:` lines.
pub fn render_error(error: &Error) -> String {
    use human::style::{BOLD, DIM, RED, RESET};
    let mut text = format!("{RED}{BOLD}error{RESET}: {}\n", error.what);
    if let Some(cause) = &error.cause {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(cause.as_ref());
        let mut said = error.what.clone();
        while let Some(error) = cause {
            let line = error.to_string();
            // Many libraries repeat the inner error in the outer one.
            if !said.contains(&line) {
                text.push_str(&format!("  {DIM}cause{RESET}: {}\n", line.trim_end().replace('\n', "\n         ")));
                said = line;
            }
            cause = error.source();
        }
    }
    for hint in &error.hints {
        text.push_str(&format!("  {DIM}hint{RESET}: {}\n", hint.replace('\n', "\n        ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_cause_and_hint() {
        let error = Error::no_sandbox("cannot start container from image `x`")
            .because("no such image")
            .hint("build it with `greenroom images build x`");
        insta::assert_snapshot!(escape::escape(&render_error(&error), Sgr::Drop), @r"
        error: cannot start container from image `x`
          cause: no such image
          hint: build it with `greenroom images build x`
        ");
    }
}
