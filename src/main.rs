//! Parse arguments, call, print, exit code.

use std::process::ExitCode as ProcessExit;

use clap::Parser;
use greenroom::cli::{self, Cli, Context};
use greenroom::complexity;
use greenroom::error::{Error, ExitCode};
use greenroom::output::{self, Printer, Surface};

fn main() -> ProcessExit {
    // Before there are threads, files or anything else that limits would hit.
    if std::env::args_os().nth(1).is_some_and(|first| first == complexity::COMMAND) {
        return ProcessExit::from(complexity::serve());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Printing help into a closed pipe is no failure.
            let _ = usage.print();
            return ProcessExit::from(u8::try_from(usage.exit_code()).unwrap_or(ExitCode::Usage.code()));
        }
    };
    log_to_stderr();
    rustls::crypto::ring::default_provider().install_default().expect("nothing installed a provider before main");
    let mut context = Context { printer: Printer::new(Surface::detect()) };
    let result = start_runtime().and_then(|runtime| {
        let result = runtime.block_on(cli::dispatch(cli.command, &mut context));
        // A blocking read of a pipe that nobody closes must not keep the process alive.
        runtime.shutdown_background();
        result
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::Success,
        Err(error) => {
            // With stderr gone there is nobody left to tell; the exit code still says it.
            let _ = context.printer.note(&output::render_error(&error));
            error.exit
        }
    };
    let _ = context.printer.close();
    ProcessExit::from(exit.code())
}

fn start_runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Runtime::new().map_err(|error| Error::internal("cannot start the async runtime").because(error))
}

/// Diagnostics of Greenroom itself, asked for by `GREENROOM_LOG=debug` or a filter like `greenroom::sandbox=trace`.
fn log_to_stderr() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("GREENROOM_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    }
}
