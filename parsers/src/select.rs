//! Picks the lines worth a look, and which tools may look: one pass over the text for the literals of all tools,
//! one for what literals cannot say.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::tools::{LineShape, TOOLS, ToolSet};
use crate::window::Window;

pub(crate) struct Selector {
    literals: AhoCorasick,
    /// Which tools each literal belongs to.
    tools_of_literal: Vec<ToolSet>,
    tools_of_location: ToolSet,
}

impl Selector {
    pub(crate) fn get() -> &'static Self {
        static SELECTOR: OnceLock<Selector> = OnceLock::new();
        SELECTOR.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut literals: Vec<&str> = Vec::new();
        let mut tools_of_literal: Vec<ToolSet> = Vec::new();
        let mut tools_of_location = ToolSet::EMPTY;
        for (index, tool) in TOOLS.iter().enumerate() {
            for anchor in tool.anchors {
                let at = literals.iter().position(|known| known == anchor).unwrap_or_else(|| {
                    literals.push(anchor);
                    tools_of_literal.push(ToolSet::EMPTY);
                    literals.len() - 1
                });
                tools_of_literal[at].insert(index);
            }
            for shape in tool.shapes {
                match shape {
                    LineShape::Location => tools_of_location.insert(index),
                }
            }
        }
        let literals = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(&literals)
            .expect("some hundred short literals are far from any limit of the automaton");
        Self { literals, tools_of_literal, tools_of_location }
    }

    /// Marks, for each line from `first_line` on, the tools that may read it.
    pub(crate) fn mark(&self, window: &Window, first_line: usize, marks: &mut [ToolSet]) {
        let starts = window.starts();
        let Some(&from) = starts.get(first_line) else { return };
        let text = window.text().as_bytes();
        let line_end = |line: usize| starts.get(line + 1).copied().unwrap_or(text.len());

        let (mut at, mut line) = (from, first_line);
        while let Some(found) = self.literals.find(aho_corasick::Input::new(text).range(at..)) {
            line += starts[line..].partition_point(|&start| start < found.end()) - 1;
            let end = line_end(line);
            for hit in self.literals.find_overlapping_iter(&text[starts[line]..end]) {
                marks[line].extend(self.tools_of_literal[hit.pattern().as_usize()]);
            }
            at = end;
        }

        if self.tools_of_location == ToolSet::EMPTY {
            return;
        }
        let mut line = first_line;
        let mut done = from;
        for at in memchr::memchr3_iter(b':', b'(', b'[', &text[from..]).map(|at| at + from) {
            if at < done || !is_location(text, at) {
                continue;
            }
            line += starts[line..].partition_point(|&start| start <= at) - 1;
            marks[line].extend(self.tools_of_location);
            done = line_end(line);
        }
    }
}

/// Whether `name:12`, `name(12` or `name[12` meet at `at`. `12:34` does not: clocks are everywhere.
fn is_location(text: &[u8], at: usize) -> bool {
    match text.get(at + 1) {
        Some(b) if b.is_ascii_digit() => {
            if text[at] == b':' && is_counter(text, at) {
                return false;
            }
        }
        Some(b' ' | b'(') => return is_loose_location(text, at),
        Some(_) | None => return false,
    }
    if text[at] != b':' && at > 0 && text[at - 1] == b' ' {
        return is_loose_location(text, at - 1);
    }
    let digits = text[..at].iter().rev().take(3).take_while(|b| b.is_ascii_digit()).count();
    match at.checked_sub(digits + 1).map(|i| text[i]) {
        // `main.f90:3`, but not `2026-01-01T12:34`.
        Some(b) if digits > 0 => b.is_ascii_lowercase(),
        Some(b) => b.is_ascii_alphabetic() || matches!(b, b'_' | b'"' | b'>' | b'-' | b')'),
        None => false,
    }
}

/// `Get:12 https`, `worker:3 done`: a bare word, a number and a blank. A file's name has a dot or a slash in it.
fn is_counter(text: &[u8], at: usize) -> bool {
    const WORD_BYTES_MAX: usize = 64;
    let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let is_word = |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'-' | b'_');
    let word = text[..at].iter().rev().take(WORD_BYTES_MAX).take_while(is_word).count();
    let starts = matches!(text[..at - word].last(), None | Some(b'\n' | b' '));
    starts && matches!(text.get(at + 1 + digits), Some(b' ' | b'\n') | None)
}

/// `name: 12:`, `name: (12, 3)`, `name (12:3)`: the number must be followed by what makes it a place.
fn is_loose_location(text: &[u8], at: usize) -> bool {
    let after = text.get(at + 1..text.len().min(at + 16)).unwrap_or(&[]);
    let opened = after.iter().take_while(|b| matches!(b, b' ' | b'(')).count();
    let digits = after[opened..].iter().take_while(|b| b.is_ascii_digit()).count();
    let end = after.get(opened + digits);
    let bracket = text[at..].iter().take(opened + 1).any(|b| *b == b'(');
    let placed = if bracket { matches!(end, Some(b':' | b',')) } else { opened == 1 && end == Some(&b':') };
    digits > 0 && placed && at > 0 && text[at - 1].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What builds, downloads and servers print when all is well.
    const NOISE: &[&str] = &[
        "[ 45%] Building CXX object src/CMakeFiles/app.dir/unit_7.cpp.o",
        "[7/120] Linking CXX static library libapp.a",
        "   Compiling package-name v1.2.3",
        "  Downloaded serde v1.0.210",
        "Get:12 main/binary package_2.1_amd64.deb [314 kB]",
        "Unpacking libssl-dev:amd64 (3.0.11) over (3.0.9) ...",
        "Setting up python3.11 (3.11.2-6) ...",
        "2024-05-01T12:00:07Z INFO worker3: handled request in 12 us",
        "  inflating: vendor/assets/icons/8/arrow-left-3.svg",
        "added 312 packages, and audited 313 packages in 4s",
        "Collecting numpy>=1.21",
        "  Using cached numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl (18.3 MB)",
        "Installing collected packages: six, numpy, pandas",
        "remote: Counting objects:  57% (57/100)",
        "Step 4/9 : RUN make install",
        " ---> Using cache",
        "127.0.0.1 - - [01/May/2024 12:00:07] \"GET /index.html HTTP/1.1\" 200 -",
        "cp -r build/lib/app /usr/local/share/app",
        "gcc -O2 -Wall -Isrc -c src/unit.c -o build/unit.o",
        "checking for stdlib.h... yes",
        "DEBUG connection pool size is 10, 3 in use",
        "Progress: 37 of 512 files copied",
        "Fetched 12.3 MB in 2s (6,150 kB/s)",
        "webpack: compiled main.js 1.2 MiB [emitted] (name: main)",
    ];

    /// Every hit costs a call, so speed over noise is lost one careless anchor at a time.
    #[test]
    fn noise_is_offered_to_few_readers_and_no_anchor_is_everywhere() {
        const OFFERS_PER_LINE_MAX: f64 = 1.0;
        const LINES_PER_ANCHOR_MAX: usize = 3;
        let mut window = Window::default();
        NOISE.iter().for_each(|line| window.text_mut().push_str(&format!("{line}\n")));
        window.index(|_| {});
        let mut marks = vec![ToolSet::EMPTY; NOISE.len()];
        Selector::get().mark(&window, 0, &mut marks);
        let offers: Vec<(&str, Vec<&str>)> = NOISE
            .iter()
            .zip(&marks)
            .map(|(line, mark)| (*line, mark.iter().map(|index| TOOLS[index].name).collect()))
            .collect();
        let count: usize = offers.iter().map(|(_, tools)| tools.len()).sum();
        assert!(count as f64 <= OFFERS_PER_LINE_MAX * NOISE.len() as f64, "{count} offers: {offers:#?}");
        for anchor in TOOLS.iter().flat_map(|tool| tool.anchors) {
            let lines = NOISE.iter().filter(|line| line.contains(anchor)).count();
            assert!(lines <= LINES_PER_ANCHOR_MAX, "{anchor:?} is in {lines} of {} lines of noise", NOISE.len());
        }
    }
}
