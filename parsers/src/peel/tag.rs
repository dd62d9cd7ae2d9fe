//! Tags that tell from whom a line is, with no shape of their own: `api | `, `[web] `, `web:build: `, `stderr: `. They are
//! believed where other lines near have the same.

const KNOWN_MAX: usize = 32;
/// Lines that looked like it and were not: each costs a look at those that follow.
const TRIES_MAX: u32 = 256;
const LOOK_LINES: usize = 24;
const LINE_BYTES: usize = 512;
const NAME_BYTES_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Tags {
    known: Vec<Vec<u8>>,
    tries: u32,
}

impl Tags {
    /// Length of the tag behind the first `skip` bytes of `text`, whose first line is the one asked about; the lines after
    /// it are compared.
    pub(super) fn len(&mut self, text: &[u8], skip: usize) -> usize {
        let line = first_line(&text[skip..]);
        if let Some(known) = self.known.iter().find_map(|tag| begins(line, tag)) {
            return known;
        }
        let length = candidate(line);
        if length == 0 || self.tries >= TRIES_MAX || self.known.len() >= KNOWN_MAX {
            return 0;
        }
        let tag = &line[..length];
        let rest = &text[skip + line.len()..];
        let near = rest.split(|b| *b == b'\n').skip(1).take(LOOK_LINES);
        let (mut others, mut same) = (0, 0);
        for other in near.filter(|other| !other.is_empty()) {
            others += 1;
            same += u32::from(other.get(skip..).is_some_and(|other| begins(other, tag).is_some()));
        }
        // Of a short text all lines must have it; a single one must show that the tool's own words follow.
        let believed = same >= 2 || same > 0 && same == others || others == 0 && super::has_severity(&line[length..]);
        if !believed {
            self.tries += 1;
            return 0;
        }
        self.known.push(tag.to_vec());
        length
    }
}

/// As much of the first line as is looked at.
fn first_line(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(LINE_BYTES)];
    &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())]
}

/// How much of `line` the tag takes; blanks at its end may be missing where nothing follows.
fn begins(line: &[u8], tag: &[u8]) -> Option<usize> {
    if line.starts_with(tag) {
        return Some(tag.len());
    }
    let bare = tag.trim_ascii_end();
    (line == bare).then_some(bare.len())
}

fn candidate(line: &[u8]) -> usize {
    match line.first() {
        Some(b'[') => bracket(line, 0),
        // Azure's agent, where a task's errors go through it.
        Some(b'#') => ["##[error]", "##[warning]", "##[debug]"]
            .iter()
            .find(|tag| line.starts_with(tag.as_bytes()))
            .map_or(0, |tag| tag.len()),
        // Ant's tasks.
        Some(b' ') => {
            let blanks = line.iter().take(12).take_while(|b| **b == b' ').count();
            let task = ["[javac] ", "[java] ", "[exec] ", "[junit] ", "[javadoc] ", "[cc] "];
            if task.iter().any(|task| line[blanks..].starts_with(task.as_bytes())) { bracket(line, blanks) } else { 0 }
        }
        Some(b'@' | b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z') => name(line),
        Some(_) | None => 0,
    }
}

/// `[web] `, `[0] `; neither `[12/34] ` nor `[error] `.
fn bracket(line: &[u8], from: usize) -> usize {
    let inside = &line[from + 1..];
    let Some(end) = inside.iter().take(NAME_BYTES_MAX).position(|b| *b == b']') else { return 0 };
    let name = &inside[..end];
    let digits = name.iter().all(u8::is_ascii_digit);
    let worker = name.strip_prefix(b"gw").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
    let fits = if digits { (1..=2).contains(&name.len()) } else { name.len() > 1 && is_name(name) };
    let tag = fits && !worker && !is_level(name) && inside.get(end + 1) == Some(&b' ');
    if tag { from + end + 3 } else { 0 }
}

/// `api | `, `stderr: `, `web:build: `, `@acme/web:test: `, `packages/web build: `
fn name(line: &[u8]) -> usize {
    for stream in [b"stderr: ".as_slice(), b"stdout: "] {
        if line.starts_with(stream) {
            return stream.len();
        }
    }
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'/' | b'_' | b'-' | b'.');
    let length = line.iter().take(NAME_BYTES_MAX).take_while(|b| plain(b)).count();
    let (name, rest) = line.split_at(length);
    if rest.starts_with(b" | ") {
        return if name.iter().all(u8::is_ascii_digit) { 0 } else { length + 3 };
    }
    if !is_name(name) || is_level(name) {
        return 0;
    }
    let path = name.contains(&b'/');
    let scoped = name.first() == Some(&b'@') && path;
    let after = match rest.first() {
        Some(b':') if rest.get(1) == Some(&b' ') => return if scoped { length + 2 } else { 0 },
        Some(b':') if !name.contains(&b'.') => &rest[1..],
        Some(b' ') if path => &rest[1..],
        Some(_) | None => return 0,
    };
    let task =
        after.iter().take(NAME_BYTES_MAX).take_while(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_')).count();
    let fits = task > 1 && !is_level(&after[..task]) && after[task..].starts_with(b": ");
    if fits { length + 1 + task + 2 } else { 0 }
}

/// Services and packages are written small.
fn is_name(name: &[u8]) -> bool {
    let fits =
        |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'@' | b'/' | b'_' | b'-' | b'.' | b':');
    name.iter().all(fits) && name.iter().any(u8::is_ascii_lowercase)
}

/// Words that tools themselves write before a message.
fn is_level(word: &[u8]) -> bool {
    const LEVELS: &[&str] = &[
        "error",
        "err",
        "errors",
        "fatal",
        "critical",
        "warning",
        "warn",
        "note",
        "info",
        "information",
        "debug",
        "trace",
        "hint",
        "help",
        "verbose",
        "notice",
        "ok",
        "pass",
        "passed",
        "fail",
        "failed",
        "failure",
        "skip",
        "skipped",
        "done",
        "success",
        "style",
        "line",
    ];
    LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_believed_where_others_near_have_it() {
        for tag in [
            "api | ",
            "[web] ",
            "[0] ",
            "web:build: ",
            "@acme/web:test: ",
            "@acme/web: ",
            "packages/a test: ",
            "stderr: ",
            "##[error]",
            "    [javac] ",
        ] {
            let three = format!("{tag}one\n{tag}two\nother\n{}\n", tag.trim_end());
            assert_eq!(Tags::default().len(three.as_bytes(), 0), tag.len(), "{tag}");
            let one = format!("{tag}one\ntwo\nthree\nfour\n");
            assert_eq!(Tags::default().len(one.as_bytes(), 0), 0, "{tag}");
        }
    }

    #[test]
    fn what_tools_write_themselves_is_no_tag() {
        for line in [
            "[error] x",
            "[12/34] x",
            "[gw0] x",
            "[E501] x",
            "[W] x",
            "error: x",
            "src/a.c error: x",
            "a.py:x: y",
            "ld: x",
            "12 | x",
            "main.c: In function",
            "ERROR:root: x",
        ] {
            let three = format!("{line}\n{line}\n{line}\n{line}\n");
            assert_eq!(Tags::default().len(three.as_bytes(), 0), 0, "{line}");
        }
    }
}
