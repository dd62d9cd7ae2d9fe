//! Cuts every failing case of a folder of `*.jsonl` corpora and reads what is left without an exit status: each panic and
//! each verdict `passed` is named. `cuts FOLDER [BYTES]`: every prefix that ends at a line's end, every prefix at all of
//! cases up to BYTES long (default 4096), 100 random slices and 100 random holes.
//!
//! `go test` prints a line for each package and none for the run: cut between two packages, a log that failed later *is*
//! the log of a run that passed. Such cuts are counted apart, by a rule that knows nothing of the parser's.

use std::io::Write;
use std::panic::catch_unwind;

use greenroom_parsers::{ToolOutput, Verdict, parse};

const RANDOM_CUTS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: cuts FOLDER [BYTES]")?;
    let every_byte_up_to = args.next().map_or(Ok(4 << 10), |bytes| bytes.parse())?;
    let mut out = std::io::stdout().lock();
    let mut total = Found::default();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    for path in files.iter().map(std::fs::DirEntry::path) {
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            let case: serde_json::Value = serde_json::from_str(line)?;
            let Some(text) = case["output"].as_str().filter(|_| fails(&case)) else { continue };
            let mut found = Found::default();
            for cut in cuts(text.as_bytes(), every_byte_up_to) {
                found.look(&cut, text.as_bytes(), case["command"].as_str());
            }
            if let Some(first) = &found.first {
                writeln!(out, "{} passed at {} cuts, first {first:?}", case["id"], found.greens)?;
            }
            total.cuts += found.cuts;
            total.greens += found.greens;
            total.panics += found.panics;
            total.whole += found.whole;
        }
    }
    let Found { cuts, greens, whole, panics, .. } = total;
    writeln!(out, "{cuts} cuts, {greens} false greens, {panics} panics, {whole} cuts that leave a log of passes only")?;
    Ok(())
}

#[derive(Default)]
struct Found {
    cuts: u64,
    greens: u64,
    panics: u64,
    whole: u64,
    first: Option<Cut>,
}

impl Found {
    fn look(&mut self, cut: &Cut, text: &[u8], command: Option<&str>) {
        let left = cut.of(text);
        let output = ToolOutput { text: &left, tool: None, command, exit: None };
        self.cuts += 1;
        match catch_unwind(|| parse(&output).verdict) {
            Ok(Verdict::Passed) if is_whole_go_log(&left) => self.whole += 1,
            Ok(Verdict::Passed) => {
                self.greens += 1;
                self.first.get_or_insert(*cut);
            }
            Ok(_) => {}
            Err(_) => self.panics += 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Prefix(usize),
    /// From the first to before the second.
    Slice(usize, usize),
    /// Without what lies between the two.
    Hole(usize, usize),
}

impl Cut {
    fn of(self, text: &[u8]) -> Vec<u8> {
        match self {
            Cut::Prefix(end) => text[..end].to_vec(),
            Cut::Slice(from, to) => text[from..to].to_vec(),
            Cut::Hole(from, to) => [&text[..from], &text[to..]].concat(),
        }
    }
}

fn cuts(text: &[u8], every_byte_up_to: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = match text.len() <= every_byte_up_to {
        true => (0..text.len()).map(Cut::Prefix).collect(),
        false => memchr::memchr_iter(b'\n', text).flat_map(|at| [Cut::Prefix(at), Cut::Prefix(at + 1)]).collect(),
    };
    // A fixed seed: a finding must be found again.
    let mut state = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % (text.len() + 1)
    };
    for _ in 0..RANDOM_CUTS {
        let (a, b) = (random(), random());
        cuts.push(Cut::Slice(a.min(b), a.max(b)));
        let (a, b) = (random(), random());
        cuts.push(Cut::Hole(a.min(b), a.max(b)));
    }
    cuts
}

fn fails(case: &serde_json::Value) -> bool {
    let error = |item: &serde_json::Value| item["severity"].as_str().is_some_and(|s| s.contains("error"));
    let bad = |status: &serde_json::Value| matches!(status.as_str(), Some("failed" | "error"));
    case["exit_code"].as_i64().is_some_and(|code| code != 0)
        || case["expected"].as_array().is_some_and(|items| items.iter().any(error))
        || case["expected_tests"].as_object().is_some_and(|tests| tests.values().any(bad))
}

/// Whether every test that starts has passed or was skipped, and every package closed with `ok`, the last one at the end.
fn is_whole_go_log(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut running = Vec::new();
    let mut closed = false;
    for line in text.lines() {
        let name = |rest: &str| rest.split(' ').next().unwrap_or("").to_owned();
        if let Some(rest) = line.strip_prefix("=== RUN   ") {
            running.push(name(rest));
            closed = false;
        } else if let Some(rest) = line.strip_prefix("--- PASS: ").or_else(|| line.strip_prefix("--- SKIP: ")) {
            let name = name(rest);
            running.retain(|test| *test != name);
        } else if line.contains("FAIL") || line.contains("panic") {
            return false;
        } else if line.starts_with("ok  \t") && line.ends_with('s') {
            closed = running.is_empty();
        } else if closed {
            return false;
        }
    }
    closed
}
