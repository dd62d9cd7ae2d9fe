//! Ctrl-C once stops in order: the run is parked and its container removed. Twice stops at once. SIGTERM counts as once,
//! and so does SIGHUP: the terminal is gone.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ExitCode, Result};

/// What the person at the keyboard asks for.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    /// Stop in order.
    pub(super) stop: CancellationToken,
    /// Do not even wait for that.
    pub(super) now: CancellationToken,
}

impl Interrupt {
    /// Takes over the signals from here on; the process no longer ends by them.
    pub(super) fn listen() -> Result<Self> {
        let failed = |error| Error::internal("cannot listen for signals").because(error);
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let hang_up = signal(SignalKind::hangup()).map_err(failed)?;
        let asked = Interrupt { stop: CancellationToken::new(), now: CancellationToken::new() };
        tokio::spawn(follow(interrupt, [terminate, hang_up], asked.clone()));
        Ok(asked)
    }

    /// Runs something that may simply be dropped when a stop is asked for.
    pub(super) async fn or_stop<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(interrupted()),
            done = work => done,
        }
    }

    /// Runs something that ends in order by itself when `stop` is cancelled, and is dropped only when asked twice.
    pub(super) async fn or_now<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.now.cancelled() => {
                Err(interrupted().hint("a container may remain until its lease ends, within a minute"))
            }
            done = work => done,
        }
    }
}

async fn follow(mut interrupt: Signal, [mut terminate, mut hang_up]: [Signal; 2], asked: Interrupt) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    asked.stop.cancel();
    interrupt.recv().await;
    asked.now.cancel();
}

fn interrupted() -> Error {
    Error::new(ExitCode::Interrupted, "interrupted")
}
