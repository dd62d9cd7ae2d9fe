//! Feeds stdin to a parser in pieces of 64 KiB and says how fast that was: `throughput < log`.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut parser = greenroom_parsers::Parser::new(None, None, None);
    let mut piece = vec![0; 64 << 10];
    let mut busy = Duration::ZERO;
    loop {
        let length = std::io::stdin().lock().read(&mut piece)?;
        if length == 0 {
            break;
        }
        let start = Instant::now();
        parser.feed(&piece[..length]);
        busy += start.elapsed();
    }
    let start = Instant::now();
    let report = parser.finish();
    busy += start.elapsed();
    writeln!(
        std::io::stdout(),
        "{:.0} MB/s, {} bytes, {} diagnostics, {} tests, {} unlisted, {} lines unread, {:?}",
        report.input_bytes as f64 / 1e6 / busy.as_secs_f64(),
        report.input_bytes,
        report.diagnostics.len(),
        report.tests.len(),
        report.unlisted,
        report.unread_lines,
        report.verdict
    )?;
    Ok(())
}
