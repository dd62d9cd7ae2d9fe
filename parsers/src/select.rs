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
