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
        let (length, kind) = candidate(line);
        if length == 0 || self.tries >= TRIES_MAX || self.known.len() >= KNOWN_MAX {
            return 0;
        }
        let tag = &line[..length];
        let rest = &text[skip + line.len()..];
        let near = super::lines(rest).skip(1).take(LOOK_LINES);
        let (mut others, mut same, mut named) = (0, 0, 0);
        for other in near.filter(|other| !other.is_empty()) {
            others += 1;
            let other = other.get(skip..).unwrap_or(&[]);
            same += u32::from(begins(other, tag).is_some());
            named += u32::from(other.starts_with(b"[") && (bracket(other, 0) > 0 || other.ends_with(b"]")));
        }
        // Of a short text all lines must have it; a single one must show that the tool's own words follow.
        let alone = || tells(&line[length..]);
        let believed = match kind {
            Kind::Sure => {
                let all_named = tag.starts_with(b"[") && named >= 3 && named == others;
                same >= 2 || same > 0 && same == others || all_named || others == 0 && alone()
            }
            Kind::Weak => same >= 3 && same == others,
            Kind::Host => {
                let inner = |line: &[u8]| begins(line, tag).is_some_and(|length| has_place(&line[length..]));
                let mut near = text[skip..].split(|b| *b == b'\n').take(LOOK_LINES);
                same >= 3 && same == others && near.any(|other| inner(other.get(..LINE_BYTES).unwrap_or(other)))
            }
        };
        // Who takes turns with one that is known, or whose own line tells enough.
        let is_task = kind == Kind::Sure && is_task_tag(tag);
        let is_name = kind == Kind::Sure && tag.starts_with(b"[");
        let is_alike = |known: &Vec<u8>| is_task && is_task_tag(known) || is_name && known.starts_with(b"[");
        let believed = believed || self.known.iter().any(is_alike) || is_task && alone();
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

/// How much it takes to believe in a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sure,
    /// All lines near must have it.
    Weak,
    /// And one of them a place behind it.
    Host,
}

/// `web:build: `, `@acme/web:test: `: a task of a package, as the task runners write it.
fn is_task_tag(tag: &[u8]) -> bool {
    tag.ends_with(b": ") && tag[..tag.len() - 2].contains(&b':') && tag[0] != b'['
}

/// Whether tools' own words follow.
pub(super) fn tells(line: &[u8]) -> bool {
    super::has_severity(line) || has_place(line)
}

/// `a.py:3:`, `a.ts(3,`
fn has_place(line: &[u8]) -> bool {
    let line = &line[..line.len().min(LINE_BYTES)];
    memchr::memchr2_iter(b':', b'(', line).any(|at| {
        let name = line[..at].iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
        let dotted = name > 0 && name <= 5 && at > name && line[at - name - 1] == b'.';
        dotted && line.get(at + 1).is_some_and(u8::is_ascii_digit)
    })
}

fn candidate(line: &[u8]) -> (usize, Kind) {
    let sure = |length: usize| (length, Kind::Sure);
    match line.first() {
        Some(b'[') => match bracket(line, 0) {
            0 => (capitals(line), Kind::Weak),
            // protolint's `[a/b.proto:54:1] message`
            length if has_place(&line[..length]) => sure(0),
            length => sure(length),
        },
        // Azure's agent, where a task's errors go through it.
        Some(b'#') => sure(
            ["##[error]", "##[warning]", "##[debug]"]
                .iter()
                .find(|tag| line.starts_with(tag.as_bytes()))
                .map_or(0, |tag| tag.len()),
        ),
        // Ant's tasks.
        Some(b' ') => {
            let blanks = line.iter().take(12).take_while(|b| **b == b' ').count();
            let task = ["[javac] ", "[java] ", "[exec] ", "[junit] ", "[javadoc] ", "[cc] "];
            if line.get(blanks) == Some(&b'[') && task.iter().any(|task| line[blanks..].starts_with(task.as_bytes())) {
                return sure(bracket(line, blanks));
            }
            if blanks != 4 {
                return sure(0);
            }
            // Vagrant's machines.
            let name = line[blanks..].iter().take(NAME_BYTES_MAX).take_while(|b| b.is_ascii_lowercase()).count();
            let machine = line[blanks + name..].starts_with(b": ") && !is_level(&line[blanks..blanks + name]);
            (if machine { blanks + name + 2 } else { 0 }, Kind::Weak)
        }
        Some(b'.') if line.starts_with(b". ") => sure(task(line, 1)),
        Some(b'@' | b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z') => match name(line) {
            0 => match pod(line).max(ctest(line)) {
                0 => (host(line), Kind::Host),
                length => sure(length),
            },
            length => sure(length),
        },
        Some(_) | None => sure(0),
    }
}

/// `[API] `
fn capitals(line: &[u8]) -> usize {
    let length = line[1..].iter().take(NAME_BYTES_MAX).take_while(|b| b.is_ascii_alphabetic()).count();
    let name = &line[1..=length];
    if length > 1 && !is_level(name) && line[1 + length..].starts_with(b"] ") { length + 3 } else { 0 }
}

/// `host1: `, `py311: `
fn host(line: &[u8]) -> usize {
    let is_part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let length = line.iter().take(NAME_BYTES_MAX).take_while(|b| is_part(b)).count();
    let (name, rest) = line.split_at(length);
    let fits =
        rest.starts_with(b": ") && name.iter().any(u8::is_ascii_digit) && name.iter().any(u8::is_ascii_lowercase);
    if fits { length + 2 } else { 0 }
}

/// `12: Test command: `: a test's own lines as `ctest -V` prints them.
fn ctest(line: &[u8]) -> usize {
    let digits = line.iter().take(8).take_while(|b| b.is_ascii_digit()).count();
    if digits > 0 && line[digits..].starts_with(b": Test command: ") { digits + 2 } else { 0 }
}

/// `web-7d4b9c6f5-x2x1z app `: a pod of a deployment and its container.
fn pod(line: &[u8]) -> usize {
    let word =
        |from: usize| line[from..].iter().take(NAME_BYTES_MAX).take_while(|b| **b != b' ' && **b != b'\n').count();
    let length = word(0);
    // Most first words end otherwise.
    if length < 6 || line[length - 6] != b'-' {
        return 0;
    }
    let mut parts = line[..length].rsplit(|b| *b == b'-');
    let small = |part: &[u8]| part.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let random = parts.next().is_some_and(|part| part.len() == 5 && small(part));
    let hash = parts
        .next()
        .is_some_and(|part| (8..=10).contains(&part.len()) && small(part) && part.iter().any(u8::is_ascii_digit));
    if !random || !hash || parts.next().is_none() || line.get(length) != Some(&b' ') {
        return 0;
    }
    let container = word(length + 1);
    let end = length + 1 + container;
    if container > 0 && small(&line[length + 1..end]) && line.get(end) == Some(&b' ') { end + 1 } else { 0 }
}

/// `[web] `, `[0] `; neither `[12/34] ` nor `[error] `.
fn bracket(line: &[u8], from: usize) -> usize {
    let inside = &line[from + 1..];
    let Some(end) = inside.iter().take(NAME_BYTES_MAX).position(|b| *b == b']') else { return 0 };
    let name = &inside[..end];
    let digits = name.iter().all(u8::is_ascii_digit);
    let worker = name.strip_prefix(b"gw").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
    let fits = if digits { (1..=2).contains(&name.len()) } else { name.len() > 1 && is_name(name) };
    if !fits || worker || is_level(name) {
        return 0;
    }
    match inside.get(end + 1..) {
        Some([b' ', ..]) => from + end + 3,
        // Yarn's workspaces, the ranks of torch.
        Some([b':', b' ', ..]) if !digits => from + end + 4,
        Some(_) | None => 0,
    }
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
    // Nix
    if length > 1 && rest.starts_with(b"> ") {
        return length + 2;
    }
    let path = name.contains(&b'/');
    let scoped = name.first() == Some(&b'@') && path;
    let after = match rest.first() {
        Some(b':') if rest.get(1) == Some(&b' ') => return if scoped { length + 2 } else { 0 },
        Some(b':') if !name.contains(&b'.') => &rest[1..],
        Some(b' ') if path => &rest[1..],
        Some(_) | None => return 0,
    };
    // moon's bar
    if after.len() < rest.len() && rest[0] == b':' && !path {
        let task = after.iter().take(NAME_BYTES_MAX).take_while(|b| is_task(**b)).count();
        if task > 1 && after[task..].starts_with(b" | ") {
            return length + 1 + task + 3;
        }
    }
    task(line, length)
}

fn is_task(b: u8) -> bool {
    b.is_ascii_lowercase() || matches!(b, b'-' | b'_')
}

/// `test: ` behind the package's name and a character.
fn task(line: &[u8], name: usize) -> usize {
    let after = &line[name + 1..];
    let task = after.iter().take(NAME_BYTES_MAX).take_while(|b| is_task(**b)).count();
    let fits = task > 1 && !is_level(&after[..task]) && after[task..].starts_with(b": ");
    if fits { name + 1 + task + 2 } else { 0 }
}

/// Services and packages are written small.
fn is_name(name: &[u8]) -> bool {
    let fits =
        |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'@' | b'/' | b'_' | b'-' | b'.' | b':');
    name.iter().all(fits) && name.iter().any(u8::is_ascii_lowercase)
}

/// Words that tools themselves write before a message.
pub(super) fn is_level(word: &[u8]) -> bool {
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
    fn a_tag_that_could_be_a_tools_own_must_be_on_every_line() {
        for tag in ["    default: ", "[API] "] {
            let all = format!("{tag}one\n{tag}two\n{tag}three\n{tag}four\n");
            assert_eq!(Tags::default().len(all.as_bytes(), 0), tag.len(), "{tag}");
            let some = format!("{tag}one\n{tag}two\nother\n{tag}three\n{tag}four\n");
            assert_eq!(Tags::default().len(some.as_bytes(), 0), 0, "{tag}");
        }
    }

    #[test]
    fn a_task_that_speaks_once_is_known_by_its_neighbours() {
        let mut tags = Tags::default();
        assert_eq!(tags.len(b"web:test: one\nweb:test: two\nweb:test: three\n", 0), "web:test: ".len());
        assert_eq!(tags.len(b"docs:build: built\nweb:test: four\nweb:test: five\n", 0), "docs:build: ".len());
    }

    #[test]
    fn a_host_must_be_on_every_line_and_a_place_behind_it() {
        let host = "py311: a.py:1:2: E501 x\npy311: b\npy311: c\npy311: d\n";
        assert_eq!(Tags::default().len(host.as_bytes(), 0), "py311: ".len());
        for text in [host.replace("a.py:1:2: ", ""), host.replace("py311: c", "c"), host.replace("py311", "ld")] {
            assert_eq!(Tags::default().len(text.as_bytes(), 0), 0, "{text}");
        }
    }

    #[test]
    fn a_tests_number_is_known_by_its_first_line() {
        let mut tags = Tags::default();
        assert_eq!(tags.len(b"12: Test command: /w/a\n12: Working Directory: /w\n12: x\n", 0), 4);
        assert_eq!(tags.len(b"12: a.c:1:2: error: x\n", 0), 4);
        assert_eq!(Tags::default().len(b"12: x\n12: y\n12: z\n12: z\n", 0), 0);
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
