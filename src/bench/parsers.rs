//! `greenroom bench parsers`: how fast output is read, over a log with little to find and one with much, over logs from
//! a megabyte on, and beside the programs of this machine that read the same.

use std::fmt::Write;
use std::time::Instant;

use greenroom_parsers::{Parser, Report};
use serde::Serialize;

use super::machine::{self, forget_peak, thread_time};
use super::peers::{self, Peer};
use super::{Machine, Promise, Tell, round};

const PIECE_BYTES: usize = 64 << 10;
/// A log of this length is generated and then read over and over.
const LOG_BYTES: usize = 4 << 20;
/// What is shorter is read so often that it comes to this: a thousandth of a second says nothing. A debug build's figures
/// say nothing anyway.
const READ_BYTES_MIN: u64 = if cfg!(debug_assertions) { 0 } else { 64 << 20 };
const MEGABYTE: u64 = 1_000_000;

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
    /// The noisy log from a megabyte on, ten times as long each time: what a byte costs must not depend on how many
    /// came before.
    pub sizes: Vec<Size>,
    /// A megabyte of the dense log, in turns with what else is installed here.
    pub peers: Vec<Peer>,
    /// While the logs were read, the generated ones included; peers are processes of their own.
    pub peak_memory_bytes: Option<u64>,
    pub promises: Vec<Promise>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    pub bytes: u64,
    pub mb_per_second: f64,
    pub peak_memory_bytes: Option<u64>,
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

/// `bytes`: of the longest noisy log; a quarter of it of the dense one.
pub fn measure(bytes: u64, tell: Tell<'_>) -> ParsersBench {
    let machine = Machine::look();
    // What is built once for the whole process is no part of any log's price.
    read("warm up: 1\n", 64);
    let text = log(Density::Noisy);
    let (mut sizes, mut noisy) = (Vec::new(), None);
    let mut peak_memory_bytes = None;
    for bytes in lengths(bytes) {
        tell(&format!("a noisy log of {:.0} MB", bytes as f64 / MEGABYTE as f64));
        forget_peak();
        let read = read(&text, bytes);
        let peak = machine::peak_memory_bytes();
        sizes.push(Size { bytes, mb_per_second: read.mb_per_second, peak_memory_bytes: peak });
        peak_memory_bytes = peak_memory_bytes.max(peak);
        noisy = Some(read);
    }
    let noisy = noisy.expect("there is at least one length");
    tell("a dense log");
    forget_peak();
    let text = log(Density::Dense);
    let dense = read(&text, bytes / 4);
    peak_memory_bytes = peak_memory_bytes.max(machine::peak_memory_bytes());
    let megabyte = text.floor_char_boundary(MEGABYTE as usize);
    let peers = peers::beside(&text[..text[..megabyte].rfind('\n').map_or(0, |end| end + 1)], tell);
    let mut promises = vec![
        Promise::at_least("noisy log, MB/s", 200.0, noisy.mb_per_second),
        Promise::at_least("dense log, MB/s", 40.0, dense.mb_per_second),
    ];
    if let [first, .., last] = sizes[..] {
        promises.push(Promise::at_most(
            "a byte of the longest log, in bytes of the shortest",
            1.1,
            round(first.mb_per_second / last.mb_per_second, 2),
        ));
    }
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
        sizes,
        peers,
        peak_memory_bytes,
        promises,
    }
}

/// 1 MB, 10 MB, 100 MB … up to `bytes`, which is the last.
fn lengths(bytes: u64) -> Vec<u64> {
    let mut lengths: Vec<u64> = std::iter::successors(Some(MEGABYTE), |length| length.checked_mul(10))
        .take_while(|length| *length < bytes)
        .collect();
    lengths.push(bytes);
    lengths
}

/// Reads `bytes` of the log, which begins anew where it is shorter; short ones are read several times.
pub(super) fn read(log: &str, bytes: u64) -> Throughput {
    let times = (READ_BYTES_MIN / bytes.max(1)).clamp(1, 64);
    let (clock, before) = (Instant::now(), thread_time());
    let mut report = read_once(log, bytes);
    for _ in 1..times {
        report = read_once(log, bytes);
    }
    let worked = thread_time().zip(before).map(|(end, start)| end - start);
    let busy = worked.unwrap_or_else(|| clock.elapsed());
    Throughput {
        bytes: report.input_bytes,
        mb_per_second: round((report.input_bytes * times) as f64 / 1e6 / busy.as_secs_f64(), 1),
        diagnostics: report.diagnostics.len() as u64 + report.unlisted,
        unread_lines: report.unread_lines,
    }
}

fn read_once(log: &str, bytes: u64) -> Report {
    let mut parser = Parser::new(None, None, None);
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
    parser.finish()
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
    fn lengths_go_up_tenfold_to_the_one_that_was_asked_for() {
        assert_eq!(lengths(1_000_000_000), [1_000_000, 10_000_000, 100_000_000, 1_000_000_000]);
        assert_eq!(lengths(2_000_000), [1_000_000, 2_000_000]);
        assert_eq!(lengths(5), [5]);
    }

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
