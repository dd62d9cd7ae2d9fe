//! Prefixes that are not the tool's own: CI timestamps, compose's service names, BuildKit's steps, a logger's `[INFO] `.

/// Measures the prefix of each line; remembers whose `[INFO] ` it is.
#[derive(Default)]
pub(crate) struct Peeler {
    info: Info,
    /// Where the last line had the bar after a name without a number.
    bar: Option<usize>,
}

/// Maven tags its own lines so, and its reader needs the tag; a wrapper around another tool tags them all.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Info {
    #[default]
    Unseen,
    Wrapper,
    Own,
}

/// A timestamp, a service and a logger may stand before one line.
const LAYERS_MAX: usize = 4;

impl Peeler {
    pub(crate) fn prefix_len(&mut self, line: &[u8]) -> usize {
        let mut at = 0;
        for _ in 0..LAYERS_MAX {
            let rest = &line[at..];
            let layer = match rest.first() {
                Some(b'0'..=b'9') => timestamp(rest),
                Some(b'[') => self.bracket(rest),
                Some(b'#') => buildkit(rest),
                Some(b'a'..=b'z' | b'A'..=b'Z') => self.compose(rest),
                Some(_) | None => 0,
            };
            if layer == 0 {
                break;
            }
            at += layer;
        }
        at
    }

    fn bracket(&mut self, line: &[u8]) -> usize {
        if line.get(1).is_some_and(u8::is_ascii_digit) {
            let stamp = clock_or_date(&line[1..]);
            let end = 1 + stamp;
            return if stamp > 0 && line.get(end) == Some(&b']') { blank_after(line, end + 1) } else { 0 };
        }
        const TAGS: &[&[u8]] = &[b"[ERROR] ", b"[WARNING] ", b"[WARN] ", b"[DEBUG] "];
        if self.info == Info::Wrapper
            && let Some(tag) = TAGS.iter().find(|tag| line.starts_with(tag))
        {
            return tag.len();
        }
        let Some(rest) = line.strip_prefix(b"[INFO] ") else { return 0 };
        if self.info == Info::Unseen {
            const MAVEN: &[&[u8]] = &[
                b"Scanning for projects",
                b"-----",
                b"Error stacktraces",
                b"Building ",
                b"Reactor ",
                b"BUILD ",
                b"---",
            ];
            let own = rest.trim_ascii().is_empty() || MAVEN.iter().any(|words| rest.starts_with(words));
            self.info = if own { Info::Own } else { Info::Wrapper };
        }
        if self.info == Info::Wrapper { line.len() - rest.len() } else { 0 }
    }

    /// `web-1  | `, `web_1 | `, foreman's `web.1 | `: a name that ends with a number. Names without one are told by the
    /// padding that compose adds, or by the bar's being where it was on the line before.
    fn compose(&mut self, line: &[u8]) -> usize {
        const NAME_BYTES_MAX: usize = 64;
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let name = line.iter().take(NAME_BYTES_MAX).take_while(|b| is_name(b)).count();
        let blanks = line[name..].iter().take_while(|b| **b == b' ').count();
        let bar = name + blanks;
        let last = self.bar.take();
        if blanks == 0 || line.get(bar) != Some(&b'|') {
            return 0;
        }
        let end = blank_after(line, bar + 1);
        let digits = line[..name].iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let numbered = digits > 0 && digits < name && matches!(line[name - digits - 1], b'-' | b'_' | b'.');
        if !numbered {
            self.bar = Some(bar);
        }
        let padded = blanks > 1 && !line[..name].iter().any(u8::is_ascii_uppercase);
        if numbered || padded || last == Some(bar) { end } else { 0 }
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
    if matches(text, b"0000-00-00") && matches!(text.get(10), Some(b'T' | b' ')) {
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

    fn peeled(line: &str) -> &str {
        &line[Peeler::default().prefix_len(line.as_bytes())..]
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
        ] {
            let line = format!("{prefix}  a.c:1:2: error: x");
            assert_eq!(peeled(&line), "  a.c:1:2: error: x", "{prefix}");
        }
        for line in
            ["12 | code", "a | b", "#12 DONE 0.1s", "#include <a>", "12:30", "[INFO] BUILD SUCCESS", "[1/2] x.o"]
        {
            assert_eq!(peeled(line), line);
        }
    }

    #[test]
    fn an_empty_line_keeps_its_newline() {
        assert_eq!(peeled("2026-01-02T03:04:05Z\n"), "\n");
        assert_eq!(peeled("web-1 | \n"), "\n");
    }
}
