//! What a person reads while a run works: one line that changes on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::escape::{Sgr, escape};
use super::{Live, Printer};
use crate::error::Result;

/// Colours as SGR sequences. They are always written; a [`Printer`] drops them where colour is off.
pub mod style {
    pub const BOLD: &str = "\x1b[1m";
    pub const DIM: &str = "\x1b[2m";
    pub const RED: &str = "\x1b[31m";
    pub const GREEN: &str = "\x1b[32m";
    pub const YELLOW: &str = "\x1b[33m";
    pub const RESET: &str = "\x1b[0m";
}

/// A status that changes often. Short texts, untrusted.
pub struct Progress {
    spinner: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub fn new(printer: &Printer) -> Self {
        let spinner = match printer.surface().live {
            Live::Spinner => {
                let bar = ProgressBar::new_spinner();
                let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
                bar.set_style(style.expect("the template is a literal"));
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            Live::Lines => None,
        };
        Progress { spinner, last: String::new() }
    }

    /// What is being done now. A line elsewhere than on a terminal, and only when it changes.
    pub fn status(&mut self, printer: &mut Printer, text: &str) -> Result<()> {
        if text == self.last {
            return Ok(());
        }
        self.last = text.to_owned();
        match &self.spinner {
            Some(bar) => {
                // The spinner writes by itself, so the text is made harmless here; it is one line.
                bar.set_message(escape(text, Sgr::Drop).replace('\n', " "));
                Ok(())
            }
            None => printer.note(text),
        }
    }

    /// A line that stays.
    pub fn line(&mut self, printer: &mut Printer, text: &str) -> Result<()> {
        match &self.spinner {
            Some(bar) => bar.suspend(|| printer.note(text)),
            None => printer.note(text),
        }
    }

    pub fn finish(&mut self) {
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
