//! `greenroom bench parsers`: how fast output is read, over a log with little to find and one with much.

use std::fmt::Write;
use std::time::Instant;

use greenroom_parsers::Parser;
use serde::Serialize;

use super::machine::{forget_peak, peak_memory_bytes, thread_time};
use super::{Machine, Promise, Tell, round};

const PIECE_BYTES: usize = 64 << 10;
/// A log of this length is generated and then read over and over.
const LOG_BYTES: usize = 4 << 20;

/// The last line of `bench parsers --json`.
#[derive(Debug, Clone, Serialize)]
pub struct ParsersBench {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub bench: &'static str,
    pub exit_code: u8,
    pub machine: Machine,
    /// 95 % of its lines hold nothing to find.
    pub noisy: Throughput,
    /// Every line belongs to a finding.
    pub dense: Throughput,
    /// The noisy log, a sixteenth as long: what a byte costs must not depend on how many came before.
    pub short: Throughput,
    /// While both were read, the generated logs included.
    pub peak_memory_bytes: Option<u64>,
    pub promises: Vec<Promise>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Throughput {
    pub bytes: u64,
    /// 10⁶ bytes for a second of the processor's time.
    pub mb_per_second: f64,
    /// What was found, listed or only counted.
    pub diagnostics: u64,
    pub unread_lines: u64,
}

pub fn measure(bytes: u64, tell: Tell<'_>) -> ParsersBench {
    let machine = Machine::look();
    // What is built once for the whole process is no part of any log's price.
    read("warm up: 1\n", 64);
    forget_peak();
    tell("a short log");
    let short = read(&log(Density::Noisy), bytes / 16);
    tell("a noisy log");
    let noisy = read(&log(Density::Noisy), bytes);
    tell("a dense log");
    let dense = read(&log(Density::Dense), bytes / 4);
    let peak_memory_bytes = peak_memory_bytes();
    let mut promises = vec![
        Promise::at_least("noisy log, MB/s", 200.0, noisy.mb_per_second),
        Promise::at_least("dense log, MB/s", 40.0, dense.mb_per_second),
        Promise::at_most(
            "a byte of the long log, in bytes of a short one",
            1.1,
            round(short.mb_per_second / noisy.mb_per_second, 2),
        ),
    ];
    if let Some(peak) = peak_memory_bytes {
        promises.push(Promise::at_most("peak memory, MiB", 100.0, round(peak as f64 / f64::from(1 << 20), 1)));
    }
    ParsersBench {
        kind: "result",
        bench: "parsers",
        exit_code: 0,
        machine,
        noisy,
        dense,
        short,
        peak_memory_bytes,
        promises,
    }
}

fn read(log: &str, bytes: u64) -> Throughput {
    let mut parser = Parser::new(None, None, None);
    let (clock, before) = (Instant::now(), thread_time());
    let mut left = bytes;
    while left > 0 {
        for piece in log.as_bytes().chunks(PIECE_BYTES) {
            let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            parser.feed(piece);
            left -= piece.len() as u64;
            if left == 0 {
                break;
            }
        }
    }
    let report = parser.finish();
    let worked = thread_time().zip(before).map(|(end, start)| end - start);
    let busy = worked.unwrap_or_else(|| clock.elapsed());
    Throughput {
        bytes: report.input_bytes,
        mb_per_second: round(report.input_bytes as f64 / 1e6 / busy.as_secs_f64(), 1),
        diagnostics: report.diagnostics.len() as u64 + report.unlisted,
        unread_lines: report.unread_lines,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Density {
    Noisy,
    Dense,
}

/// What builds and test runs print: progress, paths, downloads, timestamps; and compilers' complaints.
fn log(density: Density) -> String {
    let mut text = String::with_capacity(LOG_BYTES + 512);
    let mut line = 0u64;
    while text.len() < LOG_BYTES {
        line += 1;
        let finding = density == Density::Dense || line.is_multiple_of(20);
        let column = line % 60 + 1;
        let written = match (finding, line % 5) {
            (true, _) if line.is_multiple_of(3) => {
                writeln!(text, "src/lib_{}.c:{line}:{column}: warning: unused variable 'x{line}'", line % 97)
            }
            (true, _) if line % 3 == 1 => {
                writeln!(text, "lib/module_{}.c:{line}:{column}: error: 'y{line}' undeclared", line % 89)
            }
            (true, _) => {
                writeln!(text, "app/view_{}.ts({line},{column}): error TS2304: Cannot find name 'z{line}'.", line % 83)
            }
            (false, 0) => {
                writeln!(text, "[{:>3}%] Building CXX object src/CMakeFiles/app.dir/unit_{line}.cpp.o", line % 100)
            }
            (false, 1) => writeln!(
                text,
                "2024-05-01T12:00:{:02}Z INFO worker{}: handled request in {line} us",
                line % 60,
                line % 8
            ),
            (false, 2) => writeln!(text, "   Compiling package-{line} v1.{}.0", line % 30),
            (false, 3) => writeln!(text, "  inflating: vendor/assets/icons/{line}/arrow-left-{column}.svg"),
            (false, _) => writeln!(text, "Get:{line} main/binary package_{line}_amd64.deb [{} kB]", line % 9000),
        };
        written.expect("a string takes whatever is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_of_the_logs_is_found_and_nothing_else() {
        for (density, every) in [(Density::Noisy, 20), (Density::Dense, 1)] {
            let log = log(density);
            let whole_lines = log.lines().count() as u64;
            let read = read(&log, log.len() as u64);
            assert_eq!((read.bytes, read.diagnostics), (log.len() as u64, whole_lines / every), "{density:?}");
        }
    }
}
