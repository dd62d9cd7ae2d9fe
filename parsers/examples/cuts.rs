//! Cuts every failing case of a folder of `*.jsonl` corpora at each line end and at 100 random bytes, reads what is
//! left without an exit status, and names each panic and each verdict `passed`: `cuts FOLDER`.

use std::io::Write;
use std::panic::catch_unwind;

use greenroom_parsers::{ToolOutput, Verdict, parse};

const RANDOM_CUTS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: cuts FOLDER")?;
    let mut out = std::io::stdout().lock();
    let (mut cuts, mut green, mut panics) = (0u64, 0u64, 0u64);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            let case: serde_json::Value = serde_json::from_str(line)?;
            let Some(text) = case["output"].as_str().filter(|_| fails(&case)) else { continue };
            let (mut greens, mut first) = (0u64, None);
            for cut in places(text.as_bytes()) {
                let output = ToolOutput {
                    text: &text.as_bytes()[..cut],
                    tool: None,
                    command: case["command"].as_str(),
                    exit: None,
                };
                cuts += 1;
                match catch_unwind(|| parse(&output).verdict) {
                    Ok(Verdict::Passed) => {
                        greens += 1;
                        first.get_or_insert(cut);
                    }
                    Ok(_) => {}
                    Err(_) => panics += 1,
                }
            }
            if let Some(first) = first {
                writeln!(out, "{} passed at {greens} cuts, first at byte {first}", case["id"])?;
            }
            green += greens;
        }
    }
    writeln!(out, "{cuts} cuts, {green} false greens, {panics} panics")?;
    Ok(())
}

fn fails(case: &serde_json::Value) -> bool {
    let error = |item: &serde_json::Value| item["severity"].as_str().is_some_and(|s| s.contains("error"));
    let bad = |status: &serde_json::Value| matches!(status.as_str(), Some("failed" | "error"));
    case["exit_code"].as_i64().is_some_and(|code| code != 0)
        || case["expected"].as_array().is_some_and(|items| items.iter().any(error))
        || case["expected_tests"].as_object().is_some_and(|tests| tests.values().any(bad))
}

fn places(text: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = memchr::memchr_iter(b'\n', text).map(|at| at + 1).collect();
    // A fixed seed: a finding must be found again.
    let mut state = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..RANDOM_CUTS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        places.push((state >> 33) as usize % (text.len() + 1));
    }
    places
}
