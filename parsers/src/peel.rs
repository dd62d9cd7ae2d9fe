//! Prefixes that are not the tool's own: CI timestamps, compose's service names, BuildKit's steps, a logger's `[INFO] `.

mod margin;
mod shape;
mod streams;
mod tag;

pub(crate) use streams::Streams;

/// Measures the prefix of each line; remembers whose `[INFO] ` it is.
#[derive(Default)]
pub(crate) struct Peeler {
    levels: Levels,
    tags: tag::Tags,
    shapes: shape::Shapes,
    /// One within the other: what a tool frames may be in a block that is indented.
    margins: [margin::Margins; 2],
    /// Where the last line had the bar after a name without a number.
    bar: Option<usize>,
    pub(crate) streams: Streams,
    /// Text that waits for what follows it.
    pub(crate) ahead: Vec<u8>,
}

/// What stands before a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) bytes: usize,
    /// Where the name of the service it is from stands.
    pub(crate) name: Option<std::ops::Range<usize>>,
}

/// Maven tags its own lines so, and its reader needs the tag; a wrapper around another tool tags them all.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Levels {
    #[default]
    Unseen,
    Wrapper,
    Own,
}

/// A timestamp, a service and a logger may stand before one line.
const LAYERS_MAX: usize = 4;
/// Maven's ruler.
const MAVEN_RULE_CHARS: usize = 72;
const LEVEL_TAGS: &[&[u8]] = &[b"[INFO] ", b"[ERROR] ", b"[WARNING] ", b"[WARN] ", b"[DEBUG] "];

/// The lines of `text`, also the empty one at its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr(b'\n', text) else { return rest.take() };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

impl Peeler {
    /// `text` starts with the line in question, which ends at `end`; what follows helps to tell.
    pub(crate) fn prefix(&mut self, text: &[u8], end: usize) -> Prefix {
        let mut prefix = Prefix::default();
        self.layers(text, &mut prefix);
        if self.margins[0].may_be(text, prefix.bytes, end) {
            self.margins(text, end, &mut prefix);
        }
        prefix
    }

    #[inline(never)]
    fn margins(&mut self, text: &[u8], end: usize, prefix: &mut Prefix) {
        for level in 0..self.margins.len() {
            let margin = self.margins[level].len(text, prefix.bytes, end);
            if margin == 0 {
                break;
            }
            prefix.bytes += margin;
            self.layers(text, prefix);
        }
    }

    #[inline(always)]
    fn layers(&mut self, text: &[u8], prefix: &mut Prefix) {
        for _ in 0..LAYERS_MAX {
            let rest = &text[prefix.bytes..];
            let layer = match rest.first() {
                Some(b'0'..=b'9') => match timestamp(rest) {
                    0 => shape::device(rest),
                    stamp => stamp + self.shapes.behind_date(text, prefix.bytes, stamp),
                },
                Some(b'[') => self.bracket(text, prefix.bytes),
                Some(b'#') => buildkit(rest),
                Some(b'<') => shape::syslog5424(rest),
                // A mark of the byte order: each step's log begins with one, and so do files of some editors.
                Some(0xef) if rest.starts_with(b"\xef\xbb\xbf") => 3,
                Some(0xff) if rest.starts_with(b"\xff\xfe") => 2,
                Some(b'A'..=b'Z') => match shape::cloud_build(rest).max(self.shapes.month(text, prefix.bytes)) {
                    0 => self.shapes.job_log(text, prefix.bytes),
                    length => length,
                },
                Some(b'a'..=b'z' | b'@') => self.shapes.job_log(text, prefix.bytes),
                // Only Ant's and Vagrant's tags are indented.
                Some(b' ') if rest.iter().take(12).find(|b| **b != b' ') == Some(&b'[') => 0,
                Some(b' ') if rest.starts_with(b"    ") && rest.get(4).is_some_and(u8::is_ascii_lowercase) => 0,
                Some(b'.') if rest.starts_with(b". ") => 0,
                Some(_) | None => break,
            };
            if layer > 0 {
                prefix.bytes += layer;
                continue;
            }
            // Names are asked about once: what follows one is the service's own.
            if prefix.name.is_some() {
                break;
            }
            let named = match self.compose(rest) {
                0 => self.tags.len(text, prefix.bytes),
                length => length,
            };
            if named == 0 {
                break;
            }
            prefix.name = Some(prefix.bytes..prefix.bytes + named);
            prefix.bytes += named;
        }
    }

    fn bracket(&mut self, text: &[u8], skip: usize) -> usize {
        let line = &text[skip..];
        if line.get(1).is_some_and(u8::is_ascii_digit) {
            let stamp = clock_or_date(&line[1..]);
            let end = 1 + stamp;
            return match line.get(end) {
                Some(b']') if stamp > 0 => match shape::teamcity(line, end + 1) {
                    0 => shape::airflow(line, blank_after(line, end + 1)),
                    length => length,
                },
                Some(_) | None => self.shapes.elapsed(text, skip),
            };
        }
        if line.get(1) == Some(&b' ') {
            return self.shapes.elapsed(text, skip);
        }
        let Some(tag) = level_tag(line) else {
            return match shape::weekday(line).max(shape::workflow(line)) {
                0 => self.shapes.numbered(text, skip),
                length => length,
            };
        };
        if self.levels == Levels::Unseen {
            self.levels = whose_levels(text, skip);
        }
        if self.levels == Levels::Wrapper { tag } else { 0 }
    }

    /// `web-1  | `, `web_1 | `, foreman's `web.1 | `: a name that ends with a number. Names without one are told by the
    /// padding that compose adds, or by the bar's being where it was on the line before.
    fn compose(&mut self, line: &[u8]) -> usize {
        const NAME_BYTES_MAX: usize = 64;
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        let name = line.iter().take(NAME_BYTES_MAX).take_while(|b| is_name(b)).count();
        let blanks = line[name..].iter().take_while(|b| **b == b' ').count();
        let bar = name + blanks;
        let last = self.bar.take();
        // Tilt draws the bar.
        let bar_bytes = match line.get(bar) {
            Some(b'|') => 1,
            Some(0xe2) if line[bar..].starts_with("│".as_bytes()) => "│".len(),
            Some(_) | None => 0,
        };
        if name == 0 || !line[0].is_ascii_alphabetic() || blanks == 0 || bar_bytes == 0 {
            return 0;
        }
        let end = blank_after(line, bar + bar_bytes);
        let digits = line[..name].iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let numbered = digits > 0 && digits < name && matches!(line[name - digits - 1], b'-' | b'_' | b'.');
        if !numbered {
            self.bar = Some(bar);
        }
        let padded = blanks > 1 && !line[..name].iter().any(u8::is_ascii_uppercase);
        if numbered || padded || last == Some(bar) { end } else { 0 }
    }
}

/// `error:` and `warning:` as tools write them themselves.
fn has_severity(line: &[u8]) -> bool {
    [b": error".as_slice(), b": warning", b"error: ", b"warning: ", b"error["]
        .iter()
        .any(|word| memchr::memmem::find(&line[..line.len().min(400)], word).is_some())
}

/// Length of a logger's tag; nothing need follow it.
fn level_tag(line: &[u8]) -> Option<usize> {
    LEVEL_TAGS.iter().find_map(|tag| {
        if line.starts_with(tag) {
            return Some(tag.len());
        }
        let bare = tag.trim_ascii_end();
        (line.starts_with(bare) && matches!(line.get(bare.len()), Some(b'\n') | None)).then_some(bare.len())
    })
}

/// Words that only Maven or a checker with such tags writes behind one.
fn whose_levels(text: &[u8], skip: usize) -> Levels {
    const STARTS: &[&str] = &[
        "Scanning for projects",
        "--- ",
        "Error stacktraces",
        "Building ",
        "Reactor ",
        "BUILD ",
        "Running ",
        "Tests run:",
        "Total time:",
        "Finished at:",
        "COMPILATION ERROR",
        "Failed to execute goal",
        "-> [Help",
        "Results:",
        " T E S T S",
        "Nothing to compile",
        "Changes detected",
        "Compiling ",
        "Deleting ",
        "Copying ",
        "There are ",
    ];
    let (mut tagged, mut severities) = (0, false);
    for line in lines(text) {
        let line = line.get(skip..).unwrap_or(&[]);
        let Some(rest) = level_tag(line).map(|tag| &line[tag..]) else { continue };
        tagged += 1;
        severities |= has_severity(rest);
        let rule = rest.len() == MAVEN_RULE_CHARS && rest.iter().all(|b| *b == b'-')
            || rest.starts_with(b"-----") && memchr::memmem::find(rest, b"< ").is_some();
        let own = rule || STARTS.iter().any(|words| rest.starts_with(words.as_bytes()));
        let in_brackets =
            memchr::memmem::find(rest, b":[").is_some_and(|at| rest.get(at + 2).is_some_and(u8::is_ascii_digit));
        // Checkstyle: `[ERROR] A.java:1:2: message [RuleName]`
        let rule = rest.strip_suffix(b"]").and_then(|rest| rest.rsplit(|b| *b == b'[').next());
        let named = rule.is_some_and(|rule| {
            rule.first().is_some_and(u8::is_ascii_uppercase)
                && rule.iter().all(u8::is_ascii_alphanumeric)
                && rule.iter().any(u8::is_ascii_lowercase)
        });
        if own || in_brackets || named {
            return Levels::Own;
        }
    }
    match tagged {
        // One line alone tells nothing, unless the tool's own words follow the tag.
        0 | 1 if !severities => Levels::Unseen,
        _ => Levels::Wrapper,
    }
}

/// Digits, for which `pattern` has `0`, and the characters between them.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    text.len() >= pattern.len()
        && pattern.iter().zip(text).all(|(wanted, b)| if *wanted == b'0' { b.is_ascii_digit() } else { wanted == b })
}

/// `2026-01-01T12:00:00.1234567Z `, also with an offset; GitLab adds `00O `.
fn timestamp(line: &[u8]) -> usize {
    let stamp = clock_or_date(line);
    let end = if stamp > 0 { blank_after(line, stamp) } else { 0 };
    // The stream's number, `O` or `E`, and `+` where a line goes on.
    let rest = &line[end..];
    let gitlab = end > 0 && matches(rest, b"00") && matches!(rest.get(2), Some(b'O' | b'E'));
    match rest.get(3) {
        Some(b' ' | b'+') if gitlab => end + 4,
        _ => end,
    }
}

/// Length of a clock or of a date with a clock; 0 if it is neither.
fn clock_or_date(text: &[u8]) -> usize {
    let mut at = 0;
    let date = matches(text, b"0000-00-00") || matches(text, b"0000/00/00");
    if date && matches!(text.get(10), Some(b'T' | b' ')) {
        at = 11;
    }
    if !matches(&text[at..], b"00:00:00") {
        return 0;
    }
    at += 8;
    if matches!(text.get(at), Some(b'.' | b',')) {
        let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        at += if digits > 0 { digits + 1 } else { 0 };
    }
    if text.get(at) == Some(&b'Z') {
        at += 1;
    } else if matches(&text[at..], b"+00:00") || matches(&text[at..], b"-00:00") {
        at += 6;
    } else if matches(&text[at..], b"+0000") || matches(&text[at..], b"-0000") {
        at += 5;
    }
    at
}

/// The blank that must follow; none is needed at the line's end.
fn blank_after(line: &[u8], at: usize) -> usize {
    match line.get(at) {
        Some(b' ') => at + 1,
        Some(b'\n') | None => at,
        Some(_) => 0,
    }
}

/// `#12 0.345 `
fn buildkit(line: &[u8]) -> usize {
    let digits = |from: usize| line[from.min(line.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let step = digits(1);
    let dot = 2 + step + digits(2 + step);
    let after = dot + 1 + digits(dot + 1);
    let timed = step > 0
        && line.get(1 + step) == Some(&b' ')
        && dot > 2 + step
        && line.get(dot) == Some(&b'.')
        && after > dot + 1;
    if timed { blank_after(line, after) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line of three that have the same prefix.
    fn peeled(line: &str) -> &str {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let text = format!("{line}\n{line}\n{line}\n");
        let mut prefix = Prefix::default();
        Peeler::default().layers(text.as_bytes(), &mut prefix);
        &line[prefix.bytes..]
    }

    #[test]
    fn prefixes_go_and_nothing_else() {
        for prefix in [
            "2026-01-02T03:04:05.1234567Z ",
            "2026-01-02T03:04:05+00:00 ",
            "2026-01-02T03:04:05.123456Z 00O ",
            "[2026-01-02T03:04:05.123Z] ",
            "[03:04:05] ",
            "03:04:05 ",
            "web-1  | ",
            "2026-01-02T03:04:05Z db_2 | ",
            "web     | ",
            "#12 0.345 ",
            "[INFO] ",
            "[ERROR] ",
            "api | ",
            "app_web.1.x7f@node1    | ",
            "Jan 02 03:04:05 host app[123]: ",
            "2026-01-02T03:04:05Z web:build: ",
            "2026-01-02T03:04:05Z stdout F ",
            "2026-01-02T03:04:05+00:00 app[web.1]: ",
            "2026-01-02T03:04:05+0000 host app[123]: ",
            "2026/01/02 03:04:05 ",
            "<14>1 2026-01-02T03:04:05.000Z host app 123 - - ",
            "Jan 02 03:04:05 ",
            "[03:04:05] [Step 2/3] ",
            "[03:04:05][Step 2/3] ",
            "[03:04:05]W:\t [Step 2/3] ",
            "[2026-01-02T03:04:05.000+0000] {subprocess.py:93} INFO - ",
            "[   12.345678] ",
            "[Tue Jan  2 03:04:05 2026] ",
            "[CI/Run tests]   | ",
            "[test:12] ",
            "[test:L0:3s] ",
            "01-02 03:04:05.678  1234  1234 F DEBUG   : ",
            "hello-1.0> ",
            "[ 0.013s] ",
            "Step #1 - \"test\": ",
            "build\tRun tests\t2026-01-02T03:04:05.1234567Z ",
            "web          │ ",
            ". test: ",
            "[@acme/web]: ",
            "web-7d4b9c6f5-x2x1z app ",
            "2026-01-02 03:04:05,123 INFO runner: ",
            "\u{feff}",
        ] {
            let line = format!("{prefix}  a.c:1:2: error: x");
            assert_eq!(peeled(&line), "  a.c:1:2: error: x", "{prefix}");
        }
        for line in
            ["12 | code", "a | b", "#12 DONE 0.1s", "#include <a>", "12:30", "[INFO] BUILD SUCCESS", "[1/2] x.o"]
        {
            let text = format!("{line}\nother\nlines\n");
            assert_eq!(Peeler::default().prefix(text.as_bytes(), line.len()).bytes, 0, "{line}");
        }
    }

    #[test]
    fn a_place_in_brackets_is_no_name() {
        let line = "[a/b.proto:54:1] The line is too long";
        assert_eq!(peeled(line), line);
    }

    #[test]
    fn an_empty_line_keeps_its_newline() {
        for line in ["2026-01-02T03:04:05Z", "web-1 | ", "web-1 |"] {
            let text = format!("{line}\nnext\n");
            assert_eq!(Peeler::default().prefix(text.as_bytes(), line.len()).bytes, line.len(), "{line}");
        }
    }

    #[test]
    fn a_build_tool_and_a_checker_keep_the_tags_that_are_their_own() {
        for own in ["[ERROR] App.java:[3,4] x", "[ERROR] A.java:1:2: Bad. [JavadocMethod]", "[INFO] Running a.B"] {
            let text = format!("[ERROR] first\n{own}\n[ERROR] x\n");
            assert_eq!(Peeler::default().prefix(text.as_bytes(), 13).bytes, 0, "{own}");
        }
        assert_eq!(Peeler::default().prefix(b"[ERROR] alone\nnext\n", 13).bytes, 0);
    }
}
