//! Frames of native stacks, as sanitizers and gdb print them: `#0 0x4f in main /src/a.c:5:10`, `#1 main () at a.c:5`.

use super::place::Place;
use crate::Frame;
use crate::window::Lines;

const FRAMES_MAX: usize = 256;
const LOCALS_MAX: usize = 64;
const VALUE_CHARS_MAX: usize = 200;

/// The frame a line is, and its number.
pub(super) fn frame(line: &str) -> Option<(u32, Frame)> {
    let rest = line.trim_start().strip_prefix('#')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number = rest[..digits].parse().ok()?;
    let mut rest = rest[digits..].strip_prefix(' ')?.trim();
    if let Some(after) = rest.strip_prefix("0x") {
        rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit()).trim_start();
        rest = rest.strip_prefix("in ").unwrap_or(rest);
    }
    // `(BuildId: …)` and `(module+0x1f)` end the line where they stand.
    while rest.ends_with(')')
        && let Some((before, module)) = rest.rsplit_once('(')
        && (module.contains("+0x") || module.starts_with("BuildId"))
    {
        rest = before.trim_end();
    }
    let (function, place) = match rest.rsplit_once(" at ") {
        Some((function, place)) => (function, Some(place)),
        None => match rest.rsplit_once(' ') {
            Some((function, place)) if place.contains(['/', ':', '.']) && !place.ends_with(')') => {
                (function, Some(place))
            }
            Some(_) | None => (rest, None),
        },
    };
    let function = function.trim();
    // gdb gives the arguments behind a blank, a name in C++ has them in it.
    let (function, arguments) = function.split_once(" (").unwrap_or((function, ""));
    let at = place.and_then(Place::colons);
    let file = at.map(|at| at.file).or(place.filter(|place| place.contains('/') || place.contains('.')));
    let frame = Frame {
        function: (!function.is_empty() && !function.starts_with('<')).then(|| function.to_owned()),
        file: file.map(str::to_owned),
        line: at.map(|at| at.line),
        column: at.and_then(|at| at.column),
        locals: arguments.strip_suffix(')').map(values).unwrap_or_default(),
        ..Frame::default()
    };
    Some((number, frame))
}

/// gdb's `count=3, name=0x55 "a, b", at=...`: names and values, commas inside brackets and quotes left alone.
fn values(text: &str) -> Vec<(String, String)> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0u32, false, false, 0);
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    for at in 0..=bytes.len() {
        match bytes.get(at) {
            _ if std::mem::take(&mut escaped) => {}
            Some(b'\\') => escaped = quoted,
            Some(b'"') => quoted = !quoted,
            Some(b'(' | b'{' | b'[') if !quoted => depth += 1,
            Some(b')' | b'}' | b']') if !quoted => depth = depth.saturating_sub(1),
            Some(b',') | None if !quoted && depth == 0 || at == bytes.len() => {
                found.extend(text[start..at].trim().split_once('=').and_then(|(name, value)| value_of(name, value)));
                start = at + 1;
            }
            Some(_) | None => {}
        }
    }
    found.truncate(LOCALS_MAX);
    found
}

/// A variable and its value; `n=n@entry=3` is what it was when the function was called.
fn value_of(name: &str, value: &str) -> Option<(String, String)> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value = value.strip_prefix(name).and_then(|rest| rest.strip_prefix("@entry=")).unwrap_or(value);
    is_name.then(|| (name.to_owned(), value.chars().take(VALUE_CHARS_MAX).collect()))
}

/// A line of `bt full` below a frame: `        total = 3`.
fn local(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("        ")?.split_once(" = ")?;
    value_of(name, value)
}

/// The frames from `at` lines ahead on, innermost first, and where they end.
pub(super) fn stack(lines: Lines<'_>, at: usize) -> (Vec<Frame>, usize) {
    let mut frames = Vec::new();
    let mut n = at;
    while let Some((number, frame)) = lines.ahead(n).and_then(frame) {
        if number == 0 && !frames.is_empty() {
            break;
        }
        if frames.len() < FRAMES_MAX {
            frames.push(frame);
        }
        n += 1;
        if lines.ahead(n).is_some_and(|line| line.trim() == "No locals.") {
            n += 1;
        }
        while let Some(local) = lines.ahead(n).and_then(local) {
            if let Some(frame) = frames.last_mut().filter(|frame| frame.locals.len() < LOCALS_MAX) {
                frame.locals.push(local);
            }
            n += 1;
        }
    }
    (frames, n)
}

/// The innermost frame with a line, past those of the runtime itself.
pub(super) fn origin(frames: &[Frame]) -> Option<&Frame> {
    const RUNTIME: &[&str] =
        &["sanitizer", "/asan/", "/lsan/", "/msan/", "/tsan/", "/ubsan/", "/sysdeps/", "/csu/", "/nptl/"];
    let with_line = || frames.iter().filter(|frame| frame.line.is_some());
    let own = |frame: &&Frame| {
        frame
            .file
            .as_ref()
            .is_some_and(|file| !RUNTIME.iter().any(|part| file.contains(part)) && !file.starts_with("../"))
    };
    with_line().find(own).or_else(|| with_line().next())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_the_frames_variables() {
        let (_, found) =
            frame(r#"#1  0x01 in f (n=n@entry=3, s=0x5 "a, \"b", p={x = 1, y = 2}, ...) at a.c:5"#).unwrap();
        let pairs: Vec<(&str, &str)> =
            found.locals.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("n", "3"), ("s", r#"0x5 "a, \"b""#), ("p", "{x = 1, y = 2}")]);
        assert_eq!(frame("#0  crash () at src/a.c:5").unwrap().1.locals, []);
    }

    #[test]
    fn sanitizers_and_gdb() {
        for (line, function, file, at) in [
            ("    #0 0x4f3a in main /src/a.c:5:10", "main", "/src/a.c", (5, Some(10))),
            ("    #0 0x4f3a in f(int, char const*) /src/a.cc:5:10", "f(int, char const*)", "/src/a.cc", (5, Some(10))),
            ("    #1 f /src/a.c:5 (a.out+0x12) (BuildId: 0f)", "f", "/src/a.c", (5, None)),
            ("#1  0x0001 in main (argc=1, argv=0x7) at a.c:5", "main", "a.c", (5, None)),
            ("#0  crash () at src/a.c:5", "crash", "src/a.c", (5, None)),
        ] {
            let (_, found) = frame(line).unwrap();
            assert_eq!((found.function.as_deref(), found.file.as_deref()), (Some(function), Some(file)), "{line}");
            assert_eq!((found.line.unwrap(), found.column), at, "{line}");
        }
        assert_eq!(frame("    #2 0x7f (/lib/libc.so.6+0x2)").unwrap().1.file, None);
        assert!(frame("#include <a>").is_none());
    }
}
