//! `greenroom parse --follow`: what is found is printed while the command still runs.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use greenroom_parsers::{Event, Exit, Live, TestStatus};
use serde::Serialize;

use super::parse::PIECE_BYTES;
use super::{Context, Format};
use crate::error::{Error, Result};
use crate::output::{Printer, report};

/// Output that stops for this long is read as it is: a compiler prints a finding's lines together.
const PAUSE: Duration = Duration::from_millis(100);
/// Pieces that wait while we print; then the command that writes them waits.
const PIECES_MAX: usize = 8;

/// The last line of `parse --follow --json`; those before it are events.
#[derive(Serialize)]
struct Last<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    report: &'a greenroom_parsers::Report,
}

pub(super) fn follow(
    input: Box<dyn BufRead + Send>,
    file: &Path,
    mut live: Live,
    exit: Option<Exit>,
    format: Format,
    context: &mut Context,
) -> Result<()> {
    let pieces = read_aside(input);
    // A second wait for the same pause would find nothing new.
    let mut waiting = true;
    loop {
        let received = match waiting {
            true => pieces.recv_timeout(PAUSE),
            false => pieces.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        waiting = received.is_ok();
        let (events, over) = match received {
            Ok(Ok(piece)) => (live.feed(&piece), false),
            Ok(Err(error)) => return Err(Error::usage(format!("cannot read `{}`", file.display())).because(error)),
            Err(RecvTimeoutError::Timeout) => (live.settle(), false),
            Err(RecvTimeoutError::Disconnected) => (live.settle(), true),
        };
        print(&events, format, &mut context.printer)?;
        if over {
            break;
        }
    }
    let report = live.finish(exit);
    context.printer.github_report("Greenroom", &report, Path::new("."));
    match format {
        Format::Json => context.printer.json(&Last { kind: "report", report: &report }),
        Format::Human => context.printer.result(&report::verdict_line(&report)),
    }
}

/// A thread of its own: a read cannot be given up after a while.
fn read_aside(mut input: Box<dyn BufRead + Send>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, pieces) = sync_channel(PIECES_MAX);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return,
                Ok(count) => Ok(piece[..count].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.send(read).is_err() || failed {
                return;
            }
        }
    });
    pieces
}

fn print(events: &[Event], format: Format, printer: &mut Printer) -> Result<()> {
    for event in events {
        match format {
            Format::Json => printer.json(event)?,
            Format::Human => {
                let text = match event {
                    Event::TestStarted { .. } => continue,
                    Event::TestFinished { id, status } => match status {
                        // Its reason may come much later.
                        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout => report::test_line(id, *status),
                        TestStatus::Passed
                        | TestStatus::Skipped
                        | TestStatus::Xfailed
                        | TestStatus::Xpassed
                        | TestStatus::NotRun => continue,
                    },
                    Event::Failure(test) if test.message.is_some() || test.file.is_some() => report::failure(test),
                    Event::Failure(_) => continue,
                    Event::Diagnostic(diagnostic) => report::finding(diagnostic),
                    Event::Trace(trace) => report::trace(trace),
                };
                printer.result(&text)?;
            }
        }
    }
    Ok(())
}
