//! Margins: what is quoted (`> `, `| `) or indented as a whole. Only a block in which tools' own words follow the margin
//! loses it, and what is aligned stays so, for each of its lines loses the same.

use super::tag;

const LINE_BYTES: usize = 512;
const MARGIN_BYTES_MAX: usize = 48;
/// Quotes within quotes.
const MARKS_MAX: usize = 4;
/// Runs of marked lines that were a tool's own: each costs a look at its lines.
const TRIES_MAX: u32 = 256;
const MARKS: &[&str] = &[">>", ">", "||", "|", "│", "┃", "║", "#", "//", ";", "E  ", "stdout|", "stderr|"];
/// What `standard` puts before all that it finds.
const STANDARD: &[u8] = b"  ";

#[derive(Default)]
pub(super) struct Margins {
    /// What the block's lines begin with; empty outside of one.
    margin: Vec<u8>,
    /// The mark of the line above, which was judged there.
    above: Vec<u8>,
    /// A line with text was seen.
    has_begun: bool,
    tries: u32,
}

impl Margins {
    /// Whether the line behind `skip` may have a margin or end a block that has one: asked about every line, and most often
    /// answered by a word or two.
    #[inline]
    pub(super) fn may_be(&mut self, text: &[u8], skip: usize, end: usize) -> bool {
        if !self.has_begun || !self.margin.is_empty() {
            return true;
        }
        let line = text.get(skip..end).unwrap_or(&[]);
        match line.first() {
            Some(b' ' | b'\t') => {
                let blanks = blanks(line);
                let word = &line[blanks..];
                let may_be = match word.first() {
                    None => return false,
                    Some(b'>' | b'|' | 0xe2 | b'F' | b'=') => true,
                    Some(_) => word.get(word_end(word) + 1).is_some_and(u8::is_ascii_digit),
                };
                // A headline stands above what is deeper.
                if may_be || matches!(text.get(end + 1 + skip + blanks), Some(b' ' | b'\t')) {
                    return true;
                }
            }
            Some(b'>' | b'|' | 0xe2) => return true,
            Some(_) => {}
            None => return false,
        }
        self.above.clear();
        false
    }

    /// Length of the margin behind the first `skip` bytes of `text`, whose first line is the one asked about and ends
    /// at `end`.
    pub(super) fn len(&mut self, text: &[u8], skip: usize, end: usize) -> usize {
        let line = &text[skip.min(end)..end.min(skip + LINE_BYTES)];
        if !self.margin.is_empty() {
            if let Some(length) = begins(line, &self.margin) {
                return length;
            }
            if line.is_empty() {
                return 0;
            }
            self.margin.clear();
        }
        let is_first = !self.has_begun;
        match line.first() {
            Some(b' ' | b'\t' | b'>' | b'|' | 0xe2) => {}
            Some(b'#' | b'/' | b';' | b'E' | b's') if is_first => {}
            None => return 0,
            Some(_) => {
                self.has_begun = true;
                self.above.clear();
                return 0;
            }
        }
        let blanks = blanks(line);
        // Nothing, or a mark with nothing behind it: the next line tells more.
        if blanks == line.len() || is_first && MARKS.contains(&std::str::from_utf8(line).unwrap_or("")) {
            return 0;
        }
        self.has_begun = true;
        if is_first && self.is_whole(text, skip) {
            return begins(line, &self.margin).unwrap_or(0);
        }
        // Below an indented bar stand a compiler's source and the members of an exception group.
        let may_quote = matches!(line[blanks], b'>' | 0xe2) || line[blanks] == b'|' && blanks == 0;
        let mark = if may_quote { mark(line, blanks) } else { 0 };
        if mark == 0 {
            self.above.clear();
            let margin = &line[..blanks];
            let next = text.get(end + 1 + skip..).and_then(|next| next.strip_prefix(margin));
            if blanks > 0 && blanks < MARGIN_BYTES_MAX && starts_block(&line[blanks..], next, margin) {
                self.margin = margin.to_vec();
                return blanks;
            }
            return 0;
        }
        let marked = &line[..mark.min(line.len())];
        if self.above == marked || self.tries >= TRIES_MAX {
            return 0;
        }
        self.above = marked.to_vec();
        if is_quoted(text, skip, marked) {
            self.margin = marked.to_vec();
            return mark;
        }
        self.tries += 1;
        0
    }

    /// Finds the margin that all lines of the text have, as far as it is seen.
    fn is_whole(&mut self, text: &[u8], skip: usize) -> bool {
        let first = first_line(&text[skip..]);
        let indent = blanks(first);
        let mut marks = mark(first, indent);
        for _ in 1..MARKS_MAX {
            match mark(first, marks) {
                more if marks > 0 && more > marks => marks = more,
                _ => break,
            }
        }
        let mut common = &first[..if marks > 0 { marks } else { indent }.min(MARGIN_BYTES_MAX)];
        let mut lines = 0;
        for line in near(text, skip) {
            // Of the last line the end may be out of sight.
            if common.starts_with(line) || begins(line, common).is_some() {
                lines += usize::from(!line.is_empty());
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let same = common.iter().zip(line).take_while(|(a, b)| a == b).count();
            common = &common[..same];
            // A mark is common as a whole or not at all.
            let indent = blanks(common);
            common = &common[..mark(common, indent).max(indent)];
            if common.is_empty() {
                return false;
            }
            lines += 1;
        }
        let is_mark = !common.iter().all(u8::is_ascii_whitespace);
        // Some runners indent all that they print by one, and then what is around adds an even number.
        if !is_mark && common.first() == Some(&b' ') && common.len() % 2 == 1 {
            common = &common[1..];
        }
        // V8's last words and what `standard` finds have margins of their own.
        let mut all = near(text, skip).filter(|line| !line.is_empty());
        let is_own = match common {
            b"# " => all.any(|line| line.starts_with(b"# Fatal error in ")),
            STANDARD => all.all(|line| place_first(&line[common.len().min(line.len())..], common, true)),
            _ => false,
        };
        if common.is_empty() || is_own || is_fragment(text, skip, common) || is_mark && is_boxed(text, skip, common) {
            return false;
        }
        let told = tells(text, skip, common, |line| has_failure(line) || has_pass(line));
        // Nobody begins three lines and all others with a mark of the kind, unless to quote.
        if told || is_mark && lines >= 3 {
            self.margin = common.to_vec();
            return true;
        }
        false
    }
}

/// Whether the run of lines that begin with `margin` quotes a tool.
fn is_quoted(text: &[u8], skip: usize, margin: &[u8]) -> bool {
    // What passed is no evidence: a quotation proves nothing.
    let lines = near(text, skip).take_while(|line| begins(line, margin).is_some()).count();
    lines >= 2 && tells(text, skip, margin, has_failure) && !is_boxed(text, skip, margin)
}

/// Whether tools' own words follow the margin of the lines that have it.
fn tells(text: &[u8], skip: usize, margin: &[u8], more: impl Fn(&[u8]) -> bool) -> bool {
    let inner = |line: &'_ [u8]| -> Option<usize> { begins(line, margin) };
    let mut lines = near(text, skip)
        .take_while(|line| line.is_empty() || inner(line).is_some())
        .map(|line| inner(line).map_or(line, |length| &line[length..]))
        .peekable();
    while let Some(line) = lines.next() {
        if tag::tells(line) || more(line) || starts_block(line, lines.peek().copied(), margin) {
            return true;
        }
    }
    false
}

/// Whether the lines are the rest of what a tool itself indents, its head cut away.
fn is_fragment(text: &[u8], skip: usize, margin: &[u8]) -> bool {
    let mut lines = near(text, skip)
        .filter_map(|line| begins(line, margin).map(|length| &line[length..]))
        .filter(|line| !line.trim_ascii().is_empty())
        .peekable();
    let Some(first) = lines.peek().map(|line| line.trim_ascii()) else { return false };
    // Frames without their message, a place or carets without theirs.
    if [b"at ".as_slice(), b"^", b"~", b"--> "].iter().any(|start| first.starts_with(start)) {
        return true;
    }
    if !margin.iter().all(u8::is_ascii_whitespace) {
        return false;
    }
    let is_member = ["- ", "* ", "\u{25cf} ", "\u{2022} "].iter().any(|start| first.starts_with(start.as_bytes()));
    // `    a_test.go:6: message`
    let is_test_log = place(first).is_some_and(|(name, numbers, _)| {
        name.ends_with(b"_test.go") && numbers.iter().filter(|b| !b.is_ascii_digit()).eq([b':'].iter())
    });
    if is_member || is_test_log {
        return true;
    }
    let mut places = 0;
    for line in lines {
        if line.starts_with(b"at ") && line.ends_with(b")") {
            return true;
        }
        let Some((name, _, rest)) = place(line) else { continue };
        places += 1;
        // The first place tells: a finding's other places follow it.
        let is_other = match rest.strip_prefix(b"- ") {
            Some(text) => ![b"error".as_slice(), b"warning", b"message"].iter().any(|word| text.starts_with(word)),
            None => margin == b"\t" && name.ends_with(b".go") && is_other_in_go(rest),
        };
        if places == 1 && is_other {
            return true;
        }
    }
    false
}

/// What stands behind the other places of a finding of Go: `other declaration of x`, `x refers to`, `x`.
fn is_other_in_go(message: &[u8]) -> bool {
    message.starts_with(b"other declaration of ") || message.ends_with(b" refers to") || !message.contains(&b' ')
}

/// A table or a box closes its lines with what it began them.
fn is_boxed(text: &[u8], skip: usize, margin: &[u8]) -> bool {
    let mark = margin.trim_ascii();
    let is_bar = |bar: &&str| mark == bar.as_bytes();
    if !["|", "||", "│", "┃", "║"].iter().any(is_bar) {
        return false;
    }
    let (mut lines, mut closed) = (0, 0);
    for line in near(text, skip).map_while(|line| begins(line, margin).map(|length| &line[length..])) {
        lines += 1;
        let inside = line.trim_ascii_end().strip_suffix(mark);
        closed += usize::from(inside.is_some_and(|inside| !inside.iter().all(|b| matches!(b, b' ' | b'|'))));
    }
    closed * 2 >= lines
}

/// The lines that are seen, the one asked about first, each without its first `skip` bytes.
fn near(text: &[u8], skip: usize) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').map(move |line| {
        let line = line.get(skip..).unwrap_or(&[]);
        &line[..line.len().min(LINE_BYTES)]
    })
}

fn first_line(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(LINE_BYTES)];
    &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())]
}

fn blanks(line: &[u8]) -> usize {
    line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// Where the mark and its blank end that stand behind the first `from` bytes; 0 if there is none.
fn mark(line: &[u8], from: usize) -> usize {
    let rest = &line[from.min(line.len())..];
    let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(mark.as_bytes())) else { return 0 };
    match rest.get(mark.len()) {
        Some(b' ') if from + mark.len() < MARGIN_BYTES_MAX => from + mark.len() + 1,
        Some(_) | None => 0,
    }
}

/// How much of `line` the margin takes; blanks at its end may be missing where nothing follows.
fn begins(line: &[u8], margin: &[u8]) -> Option<usize> {
    if line.starts_with(margin) {
        return Some(margin.len());
    }
    let bare = margin.trim_ascii_end();
    let rest = line.strip_prefix(bare).filter(|_| margin.len() > bare.len())?;
    rest.iter().all(|b| matches!(b, b' ' | b'\t')).then_some(line.len())
}

/// Whether a line begins what its tool writes at the left edge only; the margin is gone from it and from `next`, the text
/// that begins with the line after it.
fn starts_block(line: &[u8], next: Option<&[u8]>, margin: &[u8]) -> bool {
    let starts = match line.first() {
        Some(b'F') if line.starts_with(b"File \"") => {
            memchr::memmem::find(line, b", characters ").is_some() && line.ends_with(b":")
        }
        Some(b'=') if line.starts_with(b"=== RUN ") => true,
        Some(b'=') if line.starts_with(b"====") => memchr::memmem::find(line, b" test session starts ==").is_some(),
        Some(b'.' | b'/' | b'_' | b'a'..=b'z' | b'A'..=b'Z') => {
            place_first(line, margin, next.is_some() && margin != STANDARD)
        }
        Some(_) | None => return false,
    };
    starts || next.is_some_and(|next| is_headline(line, next))
}

/// A message with its place below, or a file with what was found in it.
fn is_headline(line: &[u8], next: &[u8]) -> bool {
    let inner = &next[blanks(next)..];
    if inner.len() == next.len() {
        return false;
    }
    let digits = inner.iter().take_while(|b| b.is_ascii_digit()).count();
    let is_row =
        digits > 0 && inner[digits..].starts_with(b":") && inner.get(digits + 1).is_some_and(u8::is_ascii_digit);
    inner.starts_with(b"--> ") || is_row && line.contains(&b'.') && !line.contains(&b' ')
}

/// `a.c:3:5: message`, `a.py:3: error: message`, `a.ts(3,5): error message`
fn place_first(line: &[u8], margin: &[u8], goes_on: bool) -> bool {
    let Some((_, numbers, rest)) = place(line) else { return false };
    // Below a finding stand places that are its own, most often behind a tab; below a message its place alone.
    let columns = numbers.strip_suffix(b":").is_some_and(|numbers| numbers.contains(&b':'));
    let has_column = columns && !rest.is_empty() && goes_on && !margin.ends_with(b"\t");
    let severity = [b"error".as_slice(), b"warning", b"fatal error"].iter().find_map(|word| rest.strip_prefix(*word));
    has_column || severity.is_some_and(|rest| matches!(rest, [b':', ..] | [b' ', b'A'..=b'Z', ..]))
}

/// Where a place's name would end. Most often that is near: a search would cost more.
fn word_end(line: &[u8]) -> usize {
    line.iter().position(|b| matches!(b, b':' | b'(' | b' ')).unwrap_or(line.len())
}

/// A file's name, its numbers with the colons between and behind them, and what follows.
fn place(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let from = if line.get(1) == Some(&b':') { 2 } else { 0 };
    let end = from + word_end(&line[from..]);
    let (name, numbers) = (&line[..end], line.get(end + 1..)?);
    if !numbers.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let extension = name.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'+').count();
    if !(1..=5).contains(&extension) || name.len() <= extension || name[name.len() - extension - 1] != b'.' {
        return None;
    }
    let length = numbers.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b',' | b'-')).count();
    let (numbers, rest) = numbers.split_at(length);
    Some((name, numbers, rest.strip_prefix(b"): ").or_else(|| rest.strip_prefix(b" ")).unwrap_or(b"")))
}

fn has_failure(line: &[u8]) -> bool {
    [b" failed".as_slice(), b"FAIL", b"Error", b"ERROR", b" error ", b" warning ", b"error:", b"warning:"]
        .iter()
        .any(|word| memchr::memmem::find(line, word).is_some())
}

fn has_pass(line: &[u8]) -> bool {
    [b" passed".as_slice(), b"test result: ", b"Tests run: ", b"Ran ", b"ok  \t", b"ok 1 ", b"PASS", "✓".as_bytes()]
        .iter()
        .any(|word| memchr::memmem::find(line, word).is_some())
}

#[cfg(test)]
mod tests {
    use crate::{Parser, Report, ToolOutput, parse};

    fn read(text: &str) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() })
    }

    const RUSTC: &str = "error[E0308]: mismatched types\n --> src/a.rs:3:5\n  |\n3 |     x\n  |     ^ bad\n\n";
    const JAVAC: &str = "A.java:3: error: bad\n    int x\n        ^\n1 error\n";
    const GO: &str = "# app\n./a.go:3:5: undefined: x\n./a.go:4:5: undefined: y\n";
    const LINT: &str = "/w/a.js\n  3:5  error  bad  no-undef\n\n\u{2716} 1 problem (1 error, 0 warnings)\n";

    fn wrapped(text: &str, margin: &str) -> String {
        text.lines().map(|line| format!("{}\n", format!("{margin}{line}").trim_end())).collect()
    }

    #[test]
    fn what_is_quoted_or_indented_as_a_whole_is_read_as_if_it_were_not() {
        for text in [RUSTC, JAVAC, GO, LINT] {
            let plain = read(text).diagnostics;
            assert!(!plain.is_empty(), "{text}");
            for margin in ["  ", "    ", "\t", "> ", "> > ", "| ", "\u{2502} ", "  \u{2502} ", "# ", "// ", "    > "] {
                let found = read(&wrapped(text, margin)).diagnostics;
                let places = |found: &[crate::Diagnostic]| -> Vec<_> {
                    found.iter().map(|d| (d.file.clone(), d.line, d.column, d.message.clone())).collect()
                };
                assert_eq!(places(&found), places(&plain), "{margin:?} {text}");
            }
        }
    }

    #[test]
    fn a_block_between_other_lines_ends_where_its_margin_does() {
        for text in [RUSTC, JAVAC] {
            for margin in ["    ", "> ", "| ", "  \u{2502} "] {
                let log = format!("Building it\n\n{}done\nsrc/b.c:7:9: error: other\n", wrapped(text, margin));
                let found = read(&log).diagnostics;
                assert_eq!(found.len(), 2, "{log}");
                assert_eq!((found[0].line, found[0].column), (Some(3), read(text).diagnostics[0].column), "{log}");
                assert_eq!((found[1].line, found[1].column), (Some(7), Some(9)), "{log}");
            }
        }
    }

    #[test]
    fn pieces_are_read_as_the_whole_is() {
        let log = format!("{}{}", "building\n".repeat(2_000), wrapped(&JAVAC.repeat(1_000), "    "));
        let whole = read(&log);
        let mut parser = Parser::new(None, None, None);
        for piece in log.as_bytes().chunks(777) {
            parser.feed(piece);
        }
        let pieces = parser.finish();
        assert_eq!(pieces.diagnostics.len(), whole.diagnostics.len());
        assert_eq!(pieces.summary, whole.summary);
        assert_eq!(whole.diagnostics[0].column, Some(9));
    }

    #[test]
    fn a_tools_own_margins_stay() {
        for (text, file, line) in [
            ("a.go:3:5: initialization loop for x\n\ta.go:3:5: x refers to\n\ta.go:3:5: x\n", "a.go", 3),
            ("#\n# Fatal error in ../a.cc, line 31\n# Debug check failed: ok.\n#\n#\n", "../a.cc", 31),
        ] {
            let found = read(text).diagnostics;
            assert_eq!((found.len(), found[0].file.as_deref(), found[0].line), (1, Some(file), Some(line)), "{text}");
        }
        let log =
            "=== RUN   TestA\n    a_test.go:6: error message\n    a_test.go:7: other\n--- FAIL: TestA (0.00s)\nFAIL\n";
        assert_eq!(read(log).tests.len(), 1);
    }

    #[test]
    fn the_rest_of_what_a_tool_indents_gains_nothing() {
        for text in [
            "    main_test.go:6: Error message\n    main_test.go:7: Longer\n        error\n",
            "  a/b.ts:2:17 - The parser expected to find a '}' here.\n    2   constructor() {\n                      ~\n",
            "        ~\n\n  a/b.d.ts:2:15 - 'C' was also declared here.\n    2 declare class C {\n",
        ] {
            assert!(read(text).diagnostics.is_empty(), "{text}");
        }
        for text in ["\ta.go:9:7: x refers to\n\ta.go:9:7: x\n", "\ta.go:9:8: other declaration of fmt\n"] {
            assert_eq!(read(text).diagnostics[0].severity, None, "{text}");
        }
        let frames = "      344 | \t},\n      345 | });\n\n      at Resolver._throwError (build/index.js:1031:11)\n";
        assert_eq!(read(frames).traces.len(), 1);
        assert_eq!(
            read(&wrapped(frames, "# ").replace("      344 | \t},\n#       345 | });\n#\n# ", "")).traces.len(),
            0
        );
    }

    #[test]
    fn passes_in_a_quotation_prove_nothing() {
        let log = "They say:\n> ============ 3 passed in 0.1s ============\n> 3 passed\nmake: *** [all] Error 2\n";
        assert_ne!(read(log).verdict, crate::Verdict::Passed);
    }
}
