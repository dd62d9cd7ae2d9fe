//! Shows a run while it works, as JSON Lines or as text for people, and keeps what its last line needs.

use tokio_util::sync::CancellationToken;

use super::{Format, show};
use crate::agent::{Observer, Progress as Doing, RunState};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::BlobId;
use crate::output::human::Progress;
use crate::output::human::style::{BOLD, RESET};
use crate::output::jsonl::{EventLine, RunResult};
use crate::output::{Live, Printer};

pub(super) struct Watch<'a> {
    printer: &'a mut Printer,
    progress: Progress,
    format: Format,
    stop: CancellationToken,
    /// After every event; complete after the last.
    pub(super) result: Option<RunResult>,
    pub(super) patch: Option<BlobId>,
    /// Our reader has gone. The run is stopped; what it did is in its journal.
    failure: Option<Error>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(printer: &'a mut Printer, format: Format, stop: CancellationToken) -> Self {
        let progress = Progress::new(printer);
        Watch { printer, progress, format, stop, result: None, patch: None, failure: None }
    }

    pub(super) fn status(&mut self, text: &str) {
        let shown = self.progress.status(self.printer, text);
        self.note_failure(shown);
    }

    /// Takes the spinner away. The error is the one that stopped the output, if one did.
    pub(super) fn close(mut self) -> (Option<RunResult>, Option<BlobId>, Option<Error>) {
        self.progress.finish();
        (self.result.take(), self.patch.take(), self.failure.take())
    }

    /// Nothing may move on the terminal while somebody types.
    fn ask(&mut self, version: u32, document: &str) {
        self.progress.finish();
        let question = format!(
            "{document}\n{BOLD}checkpoint {version}{RESET} go on? `yes`, `no` (it parks), or what it should do instead:"
        );
        let shown = self.printer.note(&question);
        self.note_failure(shown);
    }

    fn note_failure(&mut self, shown: Result<()>) {
        if let Err(error) = shown {
            self.stop.cancel();
            self.failure.get_or_insert(error);
        }
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event, state: &RunState) {
        let (exit, wall_ms) = match event {
            Event::Finished { outcome, elapsed_ms } => (outcome.status.exit_code(), *elapsed_ms),
            _ => (crate::error::ExitCode::Parked, state.elapsed_ms),
        };
        self.result = Some(RunResult::of(state, wall_ms, exit));
        self.patch = state.patch.clone();
        if self.failure.is_some() {
            return;
        }
        if let Event::Reviewed { .. } = event {
            self.progress = Progress::new(self.printer);
        }
        let shown = match self.format {
            Format::Json => self.printer.json(&EventLine::of(event)),
            Format::Human => match show::event(event) {
                Some(text) => self.progress.line(self.printer, &text),
                None => Ok(()),
            },
        };
        self.note_failure(shown);
    }

    fn progress(&mut self, doing: &Doing) {
        // Without a spinner the event that follows says the same, and stays.
        let said_by_event = matches!(doing, Doing::RunningTool { .. }) && self.format == Format::Human;
        if self.failure.is_some() || (said_by_event && self.printer.surface().live == Live::Lines) {
            return;
        }
        if let Doing::AwaitingReview { version, document } = doing {
            return self.ask(*version, document);
        }
        let checks = |count: &usize| if *count == 1 { "the check".into() } else { format!("{count} checks") };
        let text = match doing {
            Doing::StartingSandbox { image } => format!("starting a sandbox from {image}"),
            Doing::RunningBaseline { checks: count } => format!("running {} for the baseline", checks(count)),
            Doing::AskingModel { model, turn } => format!("asking {model} (turn {turn})"),
            Doing::RunningTool { step, tool, detail } => format!("step {step}: {tool} {detail}"),
            Doing::AwaitingReview { .. } => return,
            Doing::CapturingTree => "reading what changed".into(),
            Doing::Verifying { checks: count } => format!("running {} in a clean container", checks(count)),
        };
        self.status(&text);
    }
}
