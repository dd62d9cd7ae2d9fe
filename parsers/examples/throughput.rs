//! Feeds stdin to a parser in pieces of 64 KiB and says how fast that was: `throughput < log`.
//!
//! Processor time counts, not time on the clock, so that a busy machine does not change the figure.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut parser = greenroom_parsers::Parser::new(None, None, None);
    let mut piece = vec![0; 64 << 10];
    let clock = Instant::now();
    let mut busy = Duration::ZERO;
    loop {
        let length = std::io::stdin().lock().read(&mut piece)?;
        if length == 0 {
            break;
        }
        let start = processor_time().unwrap_or_else(|| clock.elapsed());
        parser.feed(&piece[..length]);
        busy += processor_time().unwrap_or_else(|| clock.elapsed()).saturating_sub(start);
    }
    let start = processor_time().unwrap_or_else(|| clock.elapsed());
    let (report, work) = parser.finish_and_work();
    busy += processor_time().unwrap_or_else(|| clock.elapsed()).saturating_sub(start);
    writeln!(
        std::io::stdout(),
        "{:.0} MB/s, {} bytes, each looked at {:.1} times, {} diagnostics, {} tests, {} unlisted, {} lines unread, {:?}",
        report.input_bytes as f64 / 1e6 / busy.as_secs_f64(),
        report.input_bytes,
        work as f64 / report.input_bytes.max(1) as f64,
        report.diagnostics.len(),
        report.tests.len(),
        report.unlisted,
        report.unread_lines,
        report.verdict
    )?;
    Ok(())
}

/// Of this thread; `None` where the kernel does not tell.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
}
