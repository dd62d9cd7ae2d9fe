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
    let rest = &rest[digits..];
    // Fuchsia counts inlined calls behind a dot.
    let inlined = rest.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let rest = inlined.unwrap_or(rest).strip_prefix([' ', '\t'])?.trim();
    if let Some(rest) = rest.strip_prefix("pc ") {
        return Some((number, Frame { function: android_function(rest), ..Frame::default() }));
    }
    let (rest, is_named) = after_address(rest);
    let rest = without_module(rest);
    let (function, place) = split_place(rest, is_named);
    let (function, arguments) = without_arguments(function.trim());
    let function = without_offset(function.strip_suffix(" <null>").unwrap_or(function));
    let at = place.and_then(Place::colons);
    let is_none = ["<unknown", "<null", "<signal handler", "<<"].iter().any(|start| function.starts_with(start));
    let frame = Frame {
        function: (!function.is_empty() && !is_none).then(|| function.to_owned()),
        file: at.map(|at| at.file).or(place).map(str::to_owned),
        line: at.map(|at| at.line),
        column: at.and_then(|at| at.column),
        locals: values(arguments),
        ..Frame::default()
    };
    Some((number, frame))
}

/// What follows `0x4f3a in `, and whether a name is announced so.
fn after_address(text: &str) -> (&str, bool) {
    let hex = |text: &str| text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let rest = match text.strip_prefix("[<") {
        Some(inner) => inner.split_once(">]").map_or(text, |(_, rest)| rest),
        None => text.strip_prefix("0x").map_or(text, |digits| &digits[hex(digits)..]),
    };
    let rest = rest.trim_start();
    match rest.strip_prefix("in ") {
        Some(named) => (named.trim_start(), true),
        None => (rest, false),
    }
}

/// `000a5c28  /system/lib/libc.so (abort+164) (BuildId: 0f)`
fn android_function(text: &str) -> Option<String> {
    let names = text.split_once('(').map(|(_, names)| names)?;
    let name = names.split(')').next().filter(|name| !name.starts_with("BuildId") && !name.starts_with("offset "))?;
    let end = name.rfind('+').filter(|at| name[at + 1..].bytes().all(|b| b.is_ascii_digit())).unwrap_or(name.len());
    Some(name[..end].to_owned()).filter(|name| !name.is_empty())
}

/// `(BuildId: …)`, `(module+0x1f)`, `<<module>>+0x1f` end the line where they stand.
fn without_module(text: &str) -> &str {
    let mut rest = text.trim_end();
    while let Some((before, inside)) = last_brackets(rest)
        && (inside.contains("+0x") || inside.starts_with("BuildId") || inside.starts_with("<unknown module"))
    {
        rest = before.trim_end();
    }
    let fuchsia = rest.rsplit_once(" <").filter(|(_, module)| module.contains(">+0x") && !module.contains(' '));
    fuchsia.map_or(rest, |(before, _)| before.trim_end())
}

/// What stands before and inside the brackets that `text` ends with.
fn last_brackets(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(')')?;
    let mut depth = 1u32;
    for (at, b) in inner.bytes().enumerate().rev() {
        match b {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

/// The function and the place of `f(int) /src/a.c:5:10`, `main (argc=1) at a.c:5`, `f () [../a.cc:5:1]`, `/src/a.c:5`.
fn split_place(text: &str, is_named: bool) -> (&str, Option<&str>) {
    if let Some((function, place)) = text.rsplit_once(" at ").filter(|(_, place)| !place.contains(')')) {
        return (function, Some(place));
    }
    if let Some((function, library)) = text.rsplit_once(") from ") {
        return (&text[..=function.len()], Some(library));
    }
    // Chrome
    if let Some((function, place)) = text.strip_suffix(']').and_then(|text| text.rsplit_once(" ["))
        && Place::colons(place).is_some()
    {
        return (function, Some(place));
    }
    let is_place = |place: &str| {
        let placed = Place::colons(place).is_some_and(|at| at.file.contains(['/', '.', '\\']));
        let is_file = !place.contains("::") && place.contains(['/', '.']) && !place.ends_with([')', ']', '>', '.']);
        placed || is_file
    };
    if !is_named && (text.starts_with('/') || !text.contains(' ') && Place::colons(text).is_some()) && is_place(text) {
        return ("", Some(text));
    }
    // A path may have blanks in it; a blank and a slash are in no name.
    let mut depth = 0u32;
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => {
                let rest = &text[at + 1..];
                let drive = matches!(rest.as_bytes(), [b'A'..=b'Z' | b'a'..=b'z', b':', b'\\' | b'/', ..]);
                if (rest.starts_with('/') || drive) && is_place(rest) {
                    return (&text[..at], Some(rest));
                }
            }
            _ => {}
        }
    }
    match text.rsplit_once(' ') {
        Some((function, place)) if is_place(place) => (function, Some(place)),
        Some(_) | None => (text, None),
    }
}

/// gdb gives the arguments behind a blank, a name in C++ has them in it.
fn without_arguments(function: &str) -> (&str, &str) {
    match last_brackets(function) {
        Some((name, inside))
            if name.ends_with(' ') && (inside.is_empty() || inside == "..." || inside.contains('=')) =>
        {
            (name.trim_end(), inside)
        }
        Some(_) | None => (function, ""),
    }
}

/// `malloc+0x94`, the kernel's `f+0x94/0x120`
fn without_offset(function: &str) -> &str {
    let offset = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'/' | b'x'));
    match function.rsplit_once("+0x") {
        Some((name, rest)) if !rest.is_empty() && offset(rest) => name,
        Some(_) | None => function,
    }
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
        // A device's log puts blank lines between.
        let goes_on = |n: usize| lines.ahead(n).and_then(self::frame).is_some_and(|(next, _)| next > number);
        n += (0..3)
            .find(|blanks| lines.ahead(n + blanks).is_none_or(|line| !line.trim().is_empty()))
            .filter(|blanks| *blanks > 0 && goes_on(n + blanks))
            .unwrap_or(0);
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

    #[test]
    fn a_name_is_whole_whatever_is_in_it() {
        for (line, function, file) in [
            (
                "#1 0x5f in run(int*, int (*)(char const*, long)) (/b/fuzz+0xfe) (BuildId: 0f)",
                "run(int*, int (*)(char const*, long))",
                None,
            ),
            (
                "#1 0x5f in run(int, (anonymous namespace)::T) /a b/x.cc:3:1",
                "run(int, (anonymous namespace)::T)",
                Some("/a b/x.cc"),
            ),
            (
                "#1 0x5f in std::vector<int, std::allocator<int> >::size",
                "std::vector<int, std::allocator<int> >::size",
                None,
            ),
            (
                "#1 0x5f in <Box<F,A> as Fn<Args>>::call /rustc/boxed.rs:20:9",
                "<Box<F,A> as Fn<Args>>::call",
                Some("/rustc/boxed.rs"),
            ),
            ("#1 0x5f in wrap_malloc+0x94 (libclang_rt.asan_osx_dynamic.dylib:x86_64+0x5)", "wrap_malloc", None),
            ("#0 malloc <null> (a.out+0x1)", "malloc", None),
            (
                "#0 0x55d0 base::StackTrace::StackTrace() [../../base/trace.cc:12:7]",
                "base::StackTrace::StackTrace()",
                Some("../../base/trace.cc"),
            ),
            ("#00 pc 0001d9a8  /system/lib/libc.so (abort+63) (BuildId: 0f)", "abort", None),
            ("#2    0x0000658e in f(int) ../../src/a.cc:12 <<application>>+0xacf4c", "f(int)", Some("../../src/a.cc")),
            ("#1.1  0x0000658e in Unwind ../src/u.cc:12 <libc.so>+0xacf4c", "Unwind", Some("../src/u.cc")),
            ("#3 [<0x000000000062a66a>] print_address+0x6a/0x5c0", "print_address", None),
        ] {
            let (_, found) = frame(line).unwrap();
            assert_eq!((found.function.as_deref(), found.file.as_deref()), (Some(function), file), "{line}");
        }
        let bare = frame("#0 0x7f0a52c0fc59  /build/glibc/string/../memmove.S:345").unwrap().1;
        assert_eq!((bare.function, bare.line), (None, Some(345)));
        assert_eq!(frame("#0 0x7f0a <unknown>").unwrap().1.function, None);
    }
}
