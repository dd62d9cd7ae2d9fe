//! Globs as people write them: `*.rs` for a name anywhere, `src/**/*.rs` for a path.

use greenroom_supervisor::protocol::{CallError, ErrorKind};
use regex::bytes::Regex;

const GLOB_BYTES_MAX: usize = 4096;

pub(crate) struct Glob {
    regex: Regex,
    against: Against,
}

enum Against {
    /// Without `/`: the last part of a path.
    Name,
    Path,
}

impl Glob {
    pub(crate) fn new(glob: &str) -> Result<Self, CallError> {
        let bad = |detail: &str| CallError { kind: ErrorKind::BadPattern, message: format!("glob `{glob}`: {detail}") };
        if glob.len() > GLOB_BYTES_MAX {
            return Err(CallError { kind: ErrorKind::BadPattern, message: "a glob longer than 4096 bytes".into() });
        }
        let regex = Regex::new(&translate(glob).ok_or_else(|| bad("a `{` or `[` without its end"))?);
        let against = if glob.contains('/') { Against::Path } else { Against::Name };
        Ok(Self { regex: regex.map_err(|_| bad("not understood"))?, against })
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self.against {
            Against::Path => self.regex.is_match(path),
            Against::Name => {
                let name = memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..]);
                self.regex.is_match(name)
            }
        }
    }
}

/// The glob as a regular expression; `None` where a bracket is not closed.
fn translate(glob: &str) -> Option<String> {
    let mut regex = String::from("(?s-u)^");
    let mut rest = glob.strip_prefix('/').unwrap_or(glob);
    let mut braces = 0;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex.push_str("(?:.*/)?");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let end = rest.get(1..)?.find(']')? + 1;
                let (class, after) = (&rest[..end], &rest[end + 1..]);
                let (not, class) = match class.strip_prefix(['!', '^']) {
                    Some(class) => ("^", class),
                    None => ("", class),
                };
                regex.push_str(&format!(
                    "[{not}{}]",
                    class.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&")
                ));
                rest = after;
            }
            '{' => {
                braces += 1;
                regex.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                regex.push(')');
            }
            ',' if braces > 0 => regex.push('|'),
            '\\' => {
                let literal = rest.chars().next()?;
                rest = &rest[literal.len_utf8()..];
                push_literal(&mut regex, literal);
            }
            literal => push_literal(&mut regex, literal),
        }
    }
    (braces == 0).then(|| regex + "$")
}

/// As bytes, because the expression is matched against bytes.
fn push_literal(regex: &mut String, literal: char) {
    let mut buffer = [0; 4];
    for byte in literal.encode_utf8(&mut buffer).bytes() {
        regex.push_str(&format!("\\x{byte:02x}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Glob;

    #[test]
    fn globs_mean_what_people_expect() {
        let cases = [
            ("*.rs", "src/main.rs", true),
            ("*.rs", "src/main.rs.bak", false),
            ("src/*.rs", "src/main.rs", true),
            ("src/*.rs", "src/a/main.rs", false),
            ("src/**/*.rs", "src/main.rs", true),
            ("src/**/*.rs", "src/a/b/main.rs", true),
            ("**/test_?.py", "test_a.py", true),
            ("*.{c,h}", "lib/x.h", true),
            ("[!a-c]*", "dir/d", true),
            ("[!a-c]*", "dir/b", false),
            ("größe*", "größe.txt", true),
            ("a+b", "a+b", true),
        ];
        for (glob, path, expected) in cases {
            assert_eq!(Glob::new(glob).unwrap().matches(path.as_bytes()), expected, "{glob} on {path}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for glob in ["{a,b", "[ab", "a\\"] {
            assert!(Glob::new(glob).is_err(), "{glob}");
        }
    }
}
