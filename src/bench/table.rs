//! Measurements as a person reads them.

use std::fmt::Write;

use super::loops::LoopsBench;
use super::parsers::{ParsersBench, Throughput};
use super::peers::Peer;
use super::sandbox::{Figures, SandboxBench};
use super::steps::StepsBench;
use super::{Machine, Promise, Spread};
use crate::output::human::style::{BOLD, DIM, GREEN, RED, RESET};

pub fn sandbox(bench: &SandboxBench) -> String {
    let mut text = String::new();
    head(&mut text, &bench.machine, &format!("engine {}, image {}", bench.engine, bench.image));
    figures(&mut text, &bench.figures);
    if let Some(runsc) = &bench.runsc {
        line(&mut text, &format!("{BOLD}the same under runsc{RESET}"));
        figures(&mut text, runsc);
    }
    promises(&mut text, &bench.promises);
    for (what, why) in &bench.not_measured {
        line(&mut text, &format!("{DIM}not measured: {what} ({why}){RESET}"));
    }
    text.trim_end().to_owned()
}

fn figures(text: &mut String, bench: &Figures) {
    title(text, "`true` in a running container", "median      p99 ms");
    let calls = &bench.calls;
    spread(text, "greenroom", Some(calls.greenroom));
    spread(text, "resident sh", Some(calls.sh));
    spread(text, "exec API", Some(calls.exec_api));
    spread(text, "docker exec", calls.docker_exec);
    title(text, "start", "median      p99 ms");
    spread(text, "greenroom", Some(bench.starts.greenroom));
    spread(text, "docker run --rm", bench.starts.docker_run);
    spread(text, "greenroom, its end", Some(bench.starts.greenroom_stop));
    let forks = &bench.forks;
    title(text, &format!("{} forks of {} files", forks.count, forks.files), "ms");
    value(text, "all of them running", Some(forks.running_ms));
    let flood = &bench.flood;
    title(text, &format!("flood of {:.1} GB", flood.bytes as f64 / 1e9), "MB/s");
    value(text, "greenroom", Some(flood.greenroom_bytes_per_second / 1e6));
    value(text, "docker run | wc -c", flood.docker_run_bytes_per_second.map(|bytes| bytes / 1e6));
    value(text, "runner_rss, MiB", flood.runner_rss.map(|bytes| bytes as f64 / 1048576.0));
    let parallel = &bench.parallel;
    title(text, &format!("{} sandboxes at once", parallel.asked), "");
    line(
        text,
        &format!(
            "  {} up in {} s, gone in {} s, {} left behind",
            parallel.up, parallel.seconds, parallel.seconds_to_stop, parallel.leftovers
        ),
    );
    if let Some(failure) = &parallel.failure {
        line(text, &format!("  {RED}{failure}{RESET}"));
    }
}

pub fn steps(bench: &StepsBench) -> String {
    let mut text = String::new();
    head(&mut text, &bench.machine, &format!("image {}, simulated model", bench.image));
    title(&mut text, "a durable step of `true`", "median      p99 ms");
    for run in &bench.runs {
        spread(&mut text, &format!("{} steps, {} files", run.steps, run.files), Some(run.step));
        let (second, last) = (run.second_tenth_ms, run.last_tenth_ms);
        line(
            &mut text,
            &format!(
                "    {DIM}second tenth {second:.2} ms, last {last:.2}; {:.0} bytes a step; ready to resume in {} ms{RESET}",
                run.bytes_per_step, run.resume_ready_ms
            ),
        );
    }
    title(&mut text, "looking at every file", "median      p99 ms");
    for walk in &bench.walks {
        spread(&mut text, &format!("{} files", walk.files), Some(walk.census));
    }
    for peer in &bench.mini_swe_agent {
        title(
            &mut text,
            &format!("a step of `true` by mini-swe-agent {}, nothing durable", peer.version),
            "median      p99 ms",
        );
        spread(&mut text, &format!("{} steps", peer.steps), Some(peer.step));
        line(
            &mut text,
            &format!("    {DIM}{:.2} ms from step to step, saving its trajectory included{RESET}", peer.mean_ms),
        );
    }
    promises(&mut text, &bench.promises);
    text.trim_end().to_owned()
}

pub fn parsers(bench: &ParsersBench) -> String {
    let mut text = String::new();
    head(&mut text, &bench.machine, "one core");
    for (name, Throughput { bytes, mb_per_second, diagnostics, .. }) in [("noisy", bench.noisy), ("dense", bench.dense)]
    {
        line(
            &mut text,
            &format!("  {name:<22} {mb_per_second:>8} MB/s  {DIM}{bytes} bytes, {diagnostics} findings{RESET}"),
        );
    }
    title(&mut text, "the noisy log by its length", "");
    for size in &bench.sizes {
        let peak = size.peak_memory_bytes.map_or("?".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1048576.0));
        let length = format!("{} MB", size.bytes as f64 / 1e6);
        line(&mut text, &format!("  {length:<22} {:>8} MB/s  {DIM}peak {peak} MiB{RESET}", size.mb_per_second));
    }
    title(&mut text, "a megabyte of the dense log", "");
    for peer in &bench.peers {
        let Peer { name, mb_per_second, found } = peer;
        line(&mut text, &format!("  {name:<22} {mb_per_second:>8} MB/s  {DIM}{found} findings{RESET}"));
    }
    promises(&mut text, &bench.promises);
    text.trim_end().to_owned()
}

pub fn loops(bench: &LoopsBench) -> String {
    let mut text = String::new();
    let LoopsBench { note, seed, working_traces, working_steps, false_stops, .. } = bench;
    let (fresh, tells) = (bench.false_fresh_windows_per_1000_steps, bench.false_tells_per_1000_steps);
    line(&mut text, &format!("{DIM}{note}; seed {seed}, {working_traces} traces of each kind{RESET}"));
    title(&mut text, "runs that get on", "");
    line(
        &mut text,
        &format!(
            "  {working_steps} steps, {false_stops} runs ended; per 1,000 steps {tells} remarks, {fresh} fresh windows"
        ),
    );
    title(&mut text, "runs that go round in circles", "   found   ended  delay");
    for shape in &bench.shapes {
        let (name, traces) = (shape.name, shape.traces);
        let delay = shape.delay_steps_max;
        line(
            &mut text,
            &format!("  {name:<36} {:>4}/{traces} {:>4}/{traces} {delay:>3} steps", shape.found, shape.stopped),
        );
    }
    promises(&mut text, &bench.promises);
    text.trim_end().to_owned()
}

pub(super) fn head(text: &mut String, machine: &Machine, more: &str) {
    let load = machine.load.map(|load| format!(", load {load}")).unwrap_or_default();
    line(text, &format!("{DIM}{} build, {} CPUs{load}, {more}{RESET}", machine.build, machine.cpus));
    if machine.is_debug() {
        line(text, &format!("{RED}a debug build: these figures mean nothing{RESET}"));
    }
}

pub(super) fn title(text: &mut String, title: &str, columns: &str) {
    line(text, &format!("{BOLD}{title:<30}{RESET} {DIM}{columns}{RESET}"));
}

fn spread(text: &mut String, name: &str, spread: Option<Spread>) {
    line(
        text,
        &match spread {
            Some(Spread { n, median_ms, p99_ms }) => {
                format!("  {name:<26} {median_ms:>8.2} {p99_ms:>8.2}  {DIM}n={n}{RESET}")
            }
            None => format!("  {name:<26} {:>8}", "–"),
        },
    );
}

fn value(text: &mut String, name: &str, value: Option<f64>) {
    let value = value.map_or("–".to_owned(), |value| format!("{value:.0}"));
    line(text, &format!("  {name:<26} {value:>8}"));
}

pub(super) fn promises(text: &mut String, promises: &[Promise]) {
    title(text, "promises", "measured    limit");
    for Promise { what, limit, measured, kept } in promises {
        let (colour, mark) = if *kept { (GREEN, '✓') } else { (RED, '✗') };
        line(text, &format!("{colour}{mark}{RESET} {what:<32} {measured:>8} {limit:>8}"));
    }
}

pub(super) fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes whatever is written");
}
